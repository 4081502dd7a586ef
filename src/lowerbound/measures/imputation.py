"""Ways to fill in missing cells that need no trained model: what any other way has to beat."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataRange, DataShape

RIDGE = 1e-4  # variance added to each cell's: with half the cells missing a covariance is soon singular
ITERATIONS = 100

Array = npt.NDArray[Any]
Fill = Callable[[Array, Array], Array]
"""Fitted on some rows (rows, cells), fills in others; NaN = missing in both."""


def fill_mean(train: npt.ArrayLike, rows: npt.ArrayLike) -> Array:
    """Each missing cell by the mean of its column.

    Args:
        train: (N, cells) that the means are of; NaN = missing.
        rows: (rows, cells), NaN = missing.

    Returns:
        (rows, cells) float64, observed cells as they are.

    Raises:
        DataShape: rows of different sizes, or a column without any value to learn from.
        DataRange: an infinite value.

    >>> fill_mean([[1.0, 2.0], [3.0, np.nan]], [[np.nan, 5.0]])
    array([[2., 5.]])
    """
    known, x = _checked(train, rows)
    return np.where(np.isnan(x), np.nanmean(known, axis=0), x)


def fill_neighbours(train: npt.ArrayLike, rows: npt.ArrayLike, count: int = 10) -> Array:
    """Each missing cell by its mean over the nearest rows that have it, by the distance over cells seen in both.

    Args:
        train: as of ``fill_mean``.
        rows: likewise.
        count: of neighbours.

    Returns:
        (rows, cells).

    Raises:
        DataShape: as of ``fill_mean``. BadOption: fewer than one neighbour. DataRange: an infinite value.

    Source: Troyanskaya et al. 2001, "Missing value estimation methods for DNA microarrays", Bioinformatics 17.

    >>> fill_neighbours([[0.0, 1.0], [9.0, 5.0]], [[8.0, np.nan]], count=1)
    array([[8., 5.]])
    """
    from sklearn.impute import KNNImputer  # takes a second to load

    known, x = _checked(train, rows)
    filled: Array = KNNImputer(n_neighbors=_count("count", count)).fit(known).transform(x)
    return filled


def fill_chained(train: npt.ArrayLike, rows: npt.ArrayLike, rounds: int = 10) -> Array:
    """Each column by ridge regression on all the others, round and round.

    Args:
        train: as of ``fill_mean``.
        rows: likewise.
        rounds: over all columns.

    Returns:
        (rows, cells).

    Raises:
        DataShape: as of ``fill_mean``. BadOption: fewer than one round. DataRange: an infinite value.

    Source: van Buuren & Groothuis-Oudshoorn 2011, "mice: multivariate imputation by chained equations in R", Journal of
    Statistical Software 45.

    >>> fill_chained([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], [[1.5, np.nan]]).round(2)
    array([[1.5, 3. ]])
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # the next line needs it
    from sklearn.impute import IterativeImputer

    known, x = _checked(train, rows)
    made = IterativeImputer(max_iter=_count("rounds", rounds), random_state=0)  # an order and no draws: no seed matters
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the rounds are the user's choice
        filled: Array = made.fit(known).transform(x)
    return filled


def fill_gaussian(
    train: npt.ArrayLike, rows: npt.ArrayLike, iterations: int = ITERATIONS, ridge: float = RIDGE
) -> Array:
    """Conditional means under a Gaussian with a full covariance, fitted to incomplete rows by EM.

    Args:
        train: as of ``fill_mean``.
        rows: likewise.
        iterations: of EM; one is enough where no cell is missing.
        ridge: added to each variance, in units of the mean variance of a column.

    Returns:
        (rows, cells).

    Raises:
        DataShape: as of ``fill_mean``. BadOption: no iterations, or a ridge that is not positive.
        DataRange: an infinite value.

    Source: Dempster, Laird & Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm", JRSS B 39.

    >>> line = np.linspace(-1, 1, 50)
    >>> fill_gaussian(np.stack([line, 2 * line], 1), [[0.5, np.nan]], ridge=1e-9).round(3)
    array([[0.5, 1. ]])
    """
    known, x = _checked(train, rows)
    if not 0 < ridge < np.inf:
        raise BadOption("a ridge is positive", where="ridge", found=str(ridge))
    start = fill_mean(known, known)
    mean, covariance = start.mean(0), np.cov(start.T, bias=True).reshape(len(start.T), -1)
    floor = ridge * max(float(covariance.diagonal().mean()), np.finfo(float).tiny) * np.eye(len(mean))
    covariance = covariance + floor
    rounds = _count("iterations", iterations)
    for _ in range(rounds if np.isnan(known).any() else 0):
        filled, spread = _expected(known, mean, covariance)
        mean = filled.mean(0)
        covariance = (filled - mean).T @ (filled - mean) / len(filled) + spread / len(filled) + floor
    return _expected(x, mean, covariance)[0]


def fill_principal(train: npt.ArrayLike, rows: npt.ArrayLike, latent: int, iterations: int = ITERATIONS) -> Array:
    """Conditional means under probabilistic PCA, fitted to incomplete rows by EM.

    Args:
        train: as of ``fill_mean``.
        rows: likewise.
        latent: dimensions, fewer than cells.
        iterations: of EM.

    Returns:
        (rows, cells).

    Raises:
        DataShape: as of ``fill_mean``. BadOption: no iterations, or a latent that cannot be.
        DataRange: an infinite value.

    Source: Tipping & Bishop 1999, "Probabilistic principal component analysis", JRSS B 61; Ilin & Raiko 2010,
    "Practical approaches to principal component analysis in the presence of missing values", JMLR 11.

    >>> line = np.linspace(-1, 1, 50)
    >>> fill_principal(np.stack([line, 2 * line, -line], 1), [[0.5, np.nan, np.nan]], latent=1).round(2)
    array([[ 0.5,  1. , -0.5]])
    """
    known, x = _checked(train, rows)
    if not 0 < latent < known.shape[1]:
        raise BadOption("not a latent size", where="latent", found=str(latent), expected=f"1 to {known.shape[1] - 1}")
    weights, noise = _principal_start(fill_mean(known, known), latent)
    for _ in range(_count("iterations", iterations)):
        weights, noise = _principal_step(known, weights, noise)
    z, _ = _codes(x, weights, noise)
    return np.where(np.isnan(x), z @ weights.T, x)


def _count(what: str, number: int) -> int:
    if number < 1:
        raise BadOption("not a number of them", where=what, found=str(number), expected="1 or more")
    return number


def _checked(train: npt.ArrayLike, rows: npt.ArrayLike) -> tuple[Array, Array]:
    known, x = np.asarray(train, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if known.ndim != 2 or x.ndim != 2 or known.shape[1] != x.shape[1]:
        raise DataShape("rows that cannot be compared", found=f"{known.shape}, {x.shape}", expected="equal cells")
    empty = np.isnan(known).all(0)
    if empty.any():
        raise DataShape("no value to learn from", where=f"column {int(empty.argmax())}", found="only missing cells")
    if np.isinf(known).any() or np.isinf(x).any():
        raise DataRange("an infinite value", where="rows to fill in", expected="numbers, or NaN for a missing cell")
    return known, x


def _patterns(x: Array) -> Iterator[tuple[Array, Array]]:
    """Row numbers that share what is missing, and that, (cells,) True = missing."""
    missing, which = np.unique(np.isnan(x), axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    for gone, rows in zip(missing, np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1]), strict=True):
        yield rows, gone


def _expected(x: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Rows with conditional means in missing cells, and the sum over rows of the conditional covariances."""
    filled, spread = x.copy(), np.zeros_like(covariance)
    for rows, gone in _patterns(x):
        if gone.any():
            seen = ~gone
            slope = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gone)])
            filled[np.ix_(rows, gone)] = mean[gone] + (x[np.ix_(rows, seen)] - mean[seen]) @ slope
            left = covariance[np.ix_(gone, gone)] - covariance[np.ix_(gone, seen)] @ slope
            spread[np.ix_(gone, gone)] += len(rows) * left
    return filled, spread


def _principal_start(x: Array, latent: int) -> tuple[Array, float]:
    """Weights with the mean as a last column, (cells, latent + 1), and the noise's variance, of complete rows."""
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    noise = max(float(values[latent:].mean()), np.finfo(float).eps * float(values[0]), np.finfo(float).tiny)
    spread = np.sqrt((values[:latent] - noise).clip(0))
    return np.column_stack([vectors[:, :latent] * spread, mean]), noise


def _codes(x: Array, weights: Array, noise: float) -> tuple[Array, Array]:
    """Mean of (z, 1) given what is observed of each row, (rows, latent + 1), and its second moment."""
    w, mean = weights[:, :-1], weights[:, -1]
    size = w.shape[1]
    seen = ~np.isnan(x)
    inner = seen @ (w[:, :, None] * w[:, None]).reshape(len(w), -1)  # of the observed cells of each row, W'W
    inverse = np.linalg.inv(inner.reshape(-1, size, size) + noise * np.eye(size))
    along = np.where(seen, x - mean, 0.0) @ w
    z = np.column_stack([(inverse @ along[..., None])[..., 0], np.ones(len(x))])
    moments = z[:, :, None] * z[:, None]
    moments[:, :size, :size] += noise * inverse
    return z, moments


def _principal_step(x: Array, weights: Array, noise: float) -> tuple[Array, float]:
    """One step of EM: each cell's weights by regression on the codes of the rows that have it."""
    seen = (~np.isnan(x)).astype(float)
    value = np.nan_to_num(x)
    z, moments = _codes(x, weights, noise)
    second = np.tensordot(seen.T, moments, 1)
    first = value.T @ z
    weights = np.linalg.solve(second, first[..., None])[..., 0]
    error = (value**2).sum() - 2 * (weights * first).sum() + np.einsum("di,dij,dj->", weights, second, weights)
    return weights, max(float(error / seen.sum()), 1e-9 * noise)
