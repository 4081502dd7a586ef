"""The mutual information gap as its authors estimate it: from samples of the posteriors, without bins."""

import math
from collections.abc import Mapping

import numpy as np

from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings, jackknife
from lowerbound.measures.disentanglement.information import entropies, mig_of

BLOCK = 1 << 21  # densities held at once
SAMPLES = 4  # one for so many rows that classifiers may learn from


def densities(z: Array, mean: Array, variance: Array, classes: Array) -> tuple[Array, Array]:
    """log q(z) and log q(z | v) at samples of one code, in nats.

    q is the mean of the posteriors of all rows, and of the rows that share the value v of a factor.

    Args:
        z: (samples,).
        mean: (rows,) of the posteriors.
        variance: (rows,).
        classes: for each factor the rows that share a sample's value, as a table of all classes: (rows, classes) of
            0 and 1.

    Returns:
        (samples,) and (samples, classes). A sample is near some row's mean, as one drawn from its posterior is: further
        off than 12 standard deviations from all of them it is log 0, -inf.

    >>> z, rows = np.array([0.0]), np.array([[1, 0], [0, 1]])
    >>> whole, own = densities(z, np.array([0.0, 90.0]), np.ones(2), rows)
    >>> (np.exp(own[0] - whole[0])).round(6).tolist()
    [2.0, 0.0]
    """
    scale = np.sqrt(0.5 / variance).astype(np.float32)
    weights = np.c_[np.ones(len(mean)), classes].astype(np.float32) * scale[:, None]
    counts = np.r_[len(mean), classes.sum(0)] * math.sqrt(math.pi)
    found, step = [], max(1, BLOCK // len(mean))
    for first in range(0, len(z), step):
        away = np.subtract.outer(z[first : first + step], mean, dtype=np.float64).astype(np.float32)
        away *= scale
        np.multiply(away, away, out=away)
        np.negative(away, out=away)
        with np.errstate(divide="ignore", under="ignore"):
            found.append(np.log(np.exp(away, out=away) @ weights / counts))
    joined = np.concatenate(found)
    return joined[:, 0], joined[:, 1:]


def chen(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``mig_chen``: I(z_j; v_k) = E log q(z_j | v_k) - log q(z_j), over samples of the posteriors.

    q(z_j) is the aggregate posterior of all rows given, and with v_k of those that share the value: what is said is of
    these rows as the whole population. Nothing where posteriors have no variance.

    Source: Chen, Li, Grosse & Duvenaud 2018, "Isolating sources of disentanglement in VAEs", arXiv:1802.04942.
    """
    if data.variance is None:
        return {}
    rng, rows = np.random.default_rng([seed, 2]), len(data.codes)
    chosen = rng.choice(rows, min(rows, settings.rows // SAMPLES), replace=False)
    noise = rng.normal(size=(len(chosen), 1))  # one draw for all codes: each is looked at alone
    starts = np.cumsum([0, *data.counts])
    table = np.zeros((rows, starts[-1]), np.float32)
    for k, classes in enumerate(data.classes.T):
        table[np.arange(rows), starts[k] + classes] = 1
    own = data.classes[chosen] + starts[:-1]
    gains = np.empty((len(chosen), data.codes.shape[1], len(own[0])))
    for j, (mean, variance) in enumerate(zip(data.codes.T, data.variance.T, strict=True)):
        z = mean[chosen] + np.sqrt(variance[chosen]) * noise[:, 0]
        whole, within = densities(z, mean, variance, table)
        gains[:, j] = np.take_along_axis(within, own, 1) - whole[:, None]
    entropy = entropies(data)

    def value(some: Array) -> float:
        return mig_of(gains[some].mean(0).clip(min=0), entropy)

    everyone = np.arange(len(chosen))
    spread = float(jackknife(value, len(chosen), seed)) if errors else math.nan
    return {"mig_chen": (value(everyone), spread)}
