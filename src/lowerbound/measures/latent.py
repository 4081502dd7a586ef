"""Measures of a latent space with Gaussian posteriors q(z|x), in nats.

The aggregated posterior q(z) is the mean of the posteriors of the rows at hand. On average over the rows
KL(q(z|x) || p(z)) = I(x; z) + KL(q(z) || p(z)), and where the prior has independent dimensions the last part is the
total correlation of q(z) plus the KL of its single dimensions.
Sources: Hoffman & Johnson 2016, "ELBO surgery", NIPS workshop on approximate inference; Chen, Li, Grosse & Duvenaud
2018, "Isolating sources of disentanglement in VAEs", arXiv:1802.04942.
"""

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


def total_correlation(mean: Array, variance: Array, samples: Array) -> float:
    """KL between the aggregated posterior and the product of its dimensions, in nats: 0 if they are independent.

    E log q(z) - sum_j E log q(z_j), estimated by one draw a row: its error falls with the square root of the rows.

    Args:
        mean: of the Gaussian posteriors, (rows, latent).
        variance: likewise.
        samples: one draw of z from each row's posterior, (rows, latent).

    Sources: Watanabe 1960, "Information theoretical analysis of multivariate correlation", IBM Journal 4; Chen, Li,
    Grosse & Duvenaud 2018, arXiv:1802.04942.

    >>> ends = np.array([[-9.0, -9.0], [9.0, 9.0]])
    >>> round(total_correlation(ends, np.ones((2, 2)), ends), 4)
    0.6931
    """
    single = (mutual_information(mean[:, [j]], variance[:, [j]], samples[:, [j]]) for j in range(mean.shape[1]))
    return sum(single) - mutual_information(mean, variance, samples)  # log q(z|x) is a sum over j: it cancels


def gaussian_total_correlation(mean: Array, variance: Array) -> float:
    """Total correlation, in nats, of the Gaussian with the aggregated posterior's covariance.

    (sum_j log C_jj - log det C) / 2 with C = Cov[mean] + diag(E variance): what linear dependence alone makes of it.

    Args:
        mean: of the Gaussian posteriors, (rows, latent).
        variance: likewise, positive.

    Source: Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of disentangled
    representations", arXiv:1811.12359 (there for the means alone).

    >>> round(gaussian_total_correlation(np.array([[1.0, 1.0], [-1.0, -1.0]]), np.ones((2, 2))), 4)
    0.1438
    """
    covariance = np.cov(mean, rowvar=False, ddof=0).reshape(mean.shape[1], -1) + np.diag(variance.mean(0))
    return 0.5 * float(np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])


def prior_gap(mean: Array, variance: Array, samples: Array, kl: Array) -> float:
    """KL(q(z) || p(z)) in nats: how far the codes of the data are from what is sampled.

    E KL(q(z|x) || p(z)) - I(x; z): 0 if samples from the prior are like codes of data.

    Args:
        mean: of the Gaussian posteriors, (rows, latent).
        variance: likewise.
        samples: one draw of z from each row's posterior, (rows, latent).
        kl: KL(q(z|x) || p(z)) of each row in nats, (rows,).

    Source: Hoffman & Johnson 2016, "ELBO surgery".

    >>> prior_gap(np.zeros((2, 1)), np.ones((2, 1)), np.array([[0.5], [-0.5]]), np.zeros(2))
    0.0
    """
    return float(kl.mean()) - mutual_information(mean, variance, samples)


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
