"""Measures of the latent space, from arrays alone."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ACTIVE_VARIANCE = (
    0.01  # Burda et al. 2016: a unit is active if the variance of its posterior mean over rows is above it
)
BLOCK = 256


def active_units(mean: Array) -> int:
    """How many dimensions the posterior mean varies in: variance over rows above 0.01.

    Args:
        mean: posterior means, (rows, latent).

    Source: Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders", arXiv:1509.00519, section 3.

    >>> active_units(np.array([[0.0, 1.0], [0.0, -1.0]]))
    1
    """
    return int((mean.var(axis=0) > ACTIVE_VARIANCE).sum())


def mutual_information(mean: Array, variance: Array, samples: Array) -> float:
    """I(x; z) in nats between row and code, for the rows at hand: at most ln(rows).

    E log q(z|x) - E log q(z), q(z) the mean of the posteriors of all rows.

    Args:
        mean: of the Gaussian posteriors, (rows, latent).
        variance: likewise.
        samples: one draw of z from each row's posterior, (rows, latent).

    Source: Hoffman & Johnson 2016, "ELBO surgery", NIPS workshop on approximate inference.

    >>> round(mutual_information(np.array([[-9.0], [9.0]]), np.ones((2, 1)), np.array([[-9.0], [9.0]])), 4)
    0.6931
    """
    own = _log_normal(samples, mean, variance)
    whole = [_log_mean(samples[first : first + BLOCK], mean, variance) for first in range(0, len(samples), BLOCK)]
    return float((own - np.concatenate(whole)).mean())


def _log_normal(z: Array, mean: Array, variance: Array) -> Array:
    found: Array = -0.5 * ((z - mean) ** 2 / variance + np.log(2 * math.pi * variance)).sum(-1)
    return found


def _log_mean(z: Array, mean: Array, variance: Array) -> Array:
    """log of the mean density over all posteriors at each z, by three matrix products."""
    precision = 1 / variance
    square = z**2 @ precision.T - 2 * z @ (mean * precision).T + (mean**2 * precision).sum(1)
    log_q = -0.5 * (square + np.log(2 * math.pi * variance).sum(1))
    top = log_q.max(1)
    found: Array = top + np.log(np.exp(log_q - top[:, None]).mean(1))
    return found
