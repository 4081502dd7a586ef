"""What codes are good for: labels told from them by a linear rule and by neighbours, beside PCA's codes and raw cells.

Source: of the protocol, Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes",
arXiv:1610.01644.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.data import Data
from lowerbound.randomness import Draw, row_digests, row_noise
from lowerbound.tasks.baselines import Reference, View, spread
from lowerbound.tasks.latent import encode

MOST = 2000  # rows that a probe learns from, and that it is judged on
NEIGHBOURS = 5
NOISE = 0.5  # of a cell's standard deviation
FLIPPED = 0.1  # of zeros and ones
NOISY = ("binary", "real", "unit")  # supports of which it is clear what noise is

Array = npt.NDArray[Any]
Features = dict[str, Callable[[Data], Array]]


def probes(reference: Reference, rows: Data, seed: int = 0) -> dict[str, Any] | None:
    """How well labels can be told from codes: logistic regression and 5 nearest neighbours.

    Args:
        reference: a run whose training rows are at hand and labelled.
        rows: labelled, to be judged on.
        seed: of the noise.

    Returns:
        None where labels are missing. Else the accuracy (share of rows, with standard error) from ``codes``, from the
        codes of ``ppca`` of the same size and from ``raw`` cells, in three settings, each null where it does not
        exist: ``in_distribution``: classes that the run was trained on. ``noisy``: the same rows with noise on each
        cell that the run never saw (half its standard deviation; a tenth of zeros and ones flipped).
        ``unseen_classes``: classes that the run has no training row of, told apart by probes learnt on half of their
        rows. ``chance`` is the share of the commonest class.

    >>> from lowerbound.train import fit
    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> probes(Reference(run), run.rows())["in_distribution"]["raw"]["knn"]["mean"] > 0.9
    True
    """
    train = reference.train
    if train is None or train.labels is None or rows.labels is None:
        return None
    train, rows = _labelled(train), _labelled(rows)
    seen = np.isin(rows.labels, train.labels)  # type: ignore[arg-type]  # labelled
    features = _features(reference, rows)
    known, fresh = spread(rows.take(seen), MOST), spread(rows.take(~seen), MOST)
    noisy = _noisy(reference, known, seed)
    return {
        "in_distribution": _learn(features, spread(train, MOST), known),
        "noisy": None if noisy is None else _learn(features, spread(train, MOST), known, noisy),
        "unseen_classes": _learn(features, fresh.take(slice(0, None, 2)), fresh.take(slice(1, None, 2))),
    }


def _labelled(rows: Data) -> Data:
    labels: Any = rows.labels  # asked before
    return rows.take(labels >= 0)


def _features(reference: Reference, rows: Data) -> Features:
    """What a probe may look at: the codes, and where no cell is missing PCA's codes and the cells themselves."""
    run, fit = reference.run, reference.principal
    found: Features = {"codes": lambda some: encode(run, some).astype(np.float64)}
    if reference.view is None or rows.mask is not None:
        return found
    if fit is not None:
        found["ppca"] = lambda some: ((View(run, some).scaled - fit.mean) @ fit.axes).numpy()
    return {**found, "raw": lambda some: View(run, some).scaled.numpy()}


def _learn(features: Features, train: Data, rows: Data, judged: Data | None = None) -> dict[str, Any] | None:
    """Learn on some rows and judge on others; ``judged`` are the others as the probe sees them."""
    if train.labels is None or rows.labels is None or not rows.rows or len(np.unique(train.labels)) < 2:
        return None
    counts = np.unique(rows.labels, return_counts=True)[1]
    facts = {"rows": rows.rows, "learnt_from": train.rows, "classes": len(counts), "chance": counts.max() / rows.rows}
    return {**facts, **{name: _accuracies(view, train, rows.labels, judged or rows) for name, view in features.items()}}


def _accuracies(view: Callable[[Data], Array], train: Data, labels: Array, judged: Data) -> dict[str, Any]:
    from sklearn.exceptions import ConvergenceWarning  # the library takes a second to load
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = view(train), view(judged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a linear rule near its best is good enough
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, train.labels)
    nearest = KNeighborsClassifier(min(NEIGHBOURS, len(x))).fit(x, train.labels)
    return {"linear": _share(linear.predict(y) == labels), "knn": _share(nearest.predict(y) == labels)}


def _share(right: Array) -> dict[str, float]:
    share = float(right.mean())
    return {"mean": share, "se": math.sqrt(share * (1 - share) / len(right))}


def _noisy(reference: Reference, rows: Data, seed: int) -> Data | None:
    """The rows with noise keyed by the row, within what the likelihood allows; None where that is unclear."""
    run, support = reference.run, reference.run.model.likelihood_family.support
    if support not in NOISY or reference.view is None or rows.mask is not None or not rows.rows:
        return None
    x = View(run, rows).x
    draw = Draw(tuple(x.shape[1:]), "uniform" if support == "binary" else "normal")
    noise = row_noise(seed, "probe", row_digests(x), draw, 0, 1)[0]
    if support == "binary":
        made = torch.where(noise < FLIPPED, 1 - x, x)
    else:
        made = x + NOISE * reference.view.x.std(0) * noise
        made = made.clamp(0, 1) if support == "unit" or rows.is_image else made
    return replace(rows, x=made.float().numpy().reshape(rows.x.shape), unit=1.0)
