"""Mutual information between codes and factors from histograms, in nats, and what is made of it."""

from collections.abc import Mapping

import numpy as np

from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings, gap, jackknife

ROUNDING = 1e-12  # nats: sums of logarithms are not exact


def binned(codes: Array, bins: int) -> Array:
    """The bin of each value, of equal width over the range of its column; a constant column is in one bin.

    Args:
        codes: (rows, codes).
        bins: of each column.

    >>> binned(np.array([[0.0], [0.4], [1.0]]), 2).ravel().tolist()
    [0, 0, 1]
    """
    low, wide = codes.min(0), np.ptp(codes, axis=0)
    share = (codes - low) / np.where(wide > 0, wide, 1.0)
    return np.asarray(np.minimum((share * bins).astype(np.int64), bins - 1))


def entropy(counts: Array) -> float:
    """Of the shares of a table of counts, in nats."""
    share = counts[counts > 0] / counts.sum()
    return -float((share * np.log(share)).sum())


def mutual_information(a: Array, b: Array) -> float:
    """Of two columns of whole numbers from 0, in nats, from the shares of their pairs: never below 0.

    >>> a = np.array([0, 0, 1, 1])
    >>> round(mutual_information(a, a), 4), mutual_information(a, np.array([0, 1, 0, 1]))
    (0.6931, 0.0)
    """
    wide = int(b.max()) + 1
    table = np.bincount(a * wide + b, minlength=(int(a.max()) + 1) * wide).reshape(-1, wide)
    found = entropy(table.sum(0)) + entropy(table.sum(1)) - entropy(table)
    return found if found > ROUNDING else 0.0


def information(data: Labelled, bins: int) -> Array:
    """Mutual information of every binned code and factor, (codes, factors), in nats.

    Args:
        data: from `labelled`.
        bins: that each code is cut into.
    """
    cells = binned(data.codes, bins)
    return np.array([[mutual_information(code, factor) for factor in data.classes.T] for code in cells.T])


def entropies(data: Labelled) -> Array:
    """Of each factor's classes, (factors,), in nats."""
    return np.array([entropy(np.bincount(classes)) for classes in data.classes.T])


def modularity_of(matrix: Array) -> float:
    """How far each code informs of one factor alone: 1 - sum of the other squares / (largest square (factors - 1)).

    The mean over codes; a code that informs of nothing counts 0.

    Args:
        matrix: mutual information, (codes, factors).

    Source: Ridgeway & Mozer 2018, "Learning deep disentangled embeddings with the F-statistic loss", NeurIPS,
    arXiv:1802.05312.

    >>> modularity_of(np.diag([1.0, 2.0, 0.0])), modularity_of(np.zeros((3, 3)))
    (0.6666666666666666, 0.0)
    """
    square = matrix**2
    top = square.max(1)
    others = (square.sum(1) - top) / np.where(top > 0, top, 1.0) / max(1, matrix.shape[1] - 1)
    return float(np.where(top > 0, 1 - others, 0.0).mean())


def mig_of(matrix: Array, entropy_of_factors: Array) -> float:
    """The mutual information gap: (largest - second largest over codes) / entropy, the mean over factors.

    Args:
        matrix: mutual information in nats, (codes, factors).
        entropy_of_factors: (factors,), in nats.

    Source: Chen, Li, Grosse & Duvenaud 2018, "Isolating sources of disentanglement in VAEs", arXiv:1802.04942.

    >>> mig_of(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 1.0]))
    0.75
    """
    return float((gap(matrix) / entropy_of_factors).mean())


def from_histograms(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``mig`` (codes in equal-width bins, as Locatello et al. 2019 estimate it) and ``modularity``."""

    def both(rows: Array) -> tuple[float, float]:
        some = data.take(rows)
        matrix = information(some, settings.bins)
        return mig_of(matrix, entropies(some)), modularity_of(matrix)

    rows = len(data.codes)
    values = both(np.arange(rows))
    spread = jackknife(both, rows, seed) if errors else np.full(2, np.nan)
    return {name: (values[i], float(spread[i])) for i, name in enumerate(("mig", "modularity"))}
