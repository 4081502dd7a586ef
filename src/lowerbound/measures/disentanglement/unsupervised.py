"""Scores of codes alone: how far from independent they are. Noise is independent too, so they prove nothing alone."""

from collections.abc import Mapping

import numpy as np

from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings, jackknife
from lowerbound.measures.disentanglement.information import binned, mutual_information
from lowerbound.measures.latent import gaussian_total_correlation

UNSUPERVISED = ("total_correlation", "wasserstein_correlation", "pairwise_information")


def wasserstein_correlation(codes: Array) -> float:
    """Squared Wasserstein distance of the codes' Gaussian to that of independent codes, over the total variance.

    2 (tr C - tr (D^(1/2) C D^(1/2))^(1/2)) / tr C, with C the covariance and D its diagonal: 0 if none correlate.

    Args:
        codes: (rows, codes).

    Source: Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of disentangled
    representations", arXiv:1811.12359.

    >>> round(wasserstein_correlation(np.array([[1.0, 1.0], [-1.0, -1.0]])), 4)  # 2 (2 - 2^(1/2)) / 2
    0.5858
    """
    covariance = np.cov(codes, rowvar=False, ddof=0).reshape(codes.shape[1], -1)
    root = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(root[:, None] * covariance * root)
    total = np.diag(covariance).sum()
    return max(0.0, 2 * float((total - np.sqrt(values.clip(min=0)).sum()) / total))


def pairwise_information(codes: Array, bins: int) -> float:
    """Mean mutual information of two different codes in equal-width bins, in nats; 0 for a single code.

    Args:
        codes: (rows, codes).
        bins: of each code.

    Source: Locatello et al. 2019, arXiv:1811.12359.

    >>> pairwise_information(np.indices((4, 4)).reshape(2, -1).T.astype(float), 4)
    0.0
    """
    columns = binned(codes, bins).T
    found = [mutual_information(columns[i], columns[k]) for i in range(len(columns)) for k in range(i)]
    return float(np.mean(found)) if found else 0.0


def unsupervised(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``total_correlation`` of the codes' Gaussian, ``wasserstein_correlation`` and ``pairwise_information``.

    Of posterior means, in nats but for the second. Codes that do not vary are left out.
    """
    codes = data.codes[:, np.ptp(data.codes, axis=0) > 0]

    def values(rows: Array) -> tuple[float, float, float]:
        some = codes[rows]
        whole = gaussian_total_correlation(some, np.zeros_like(some))
        return whole, wasserstein_correlation(some), pairwise_information(some, settings.bins)

    found = values(np.arange(len(codes)))
    spread = jackknife(values, len(codes), seed) if errors else np.full(3, np.nan)
    return {name: (found[i], float(spread[i])) for i, name in enumerate(UNSUPERVISED)}
