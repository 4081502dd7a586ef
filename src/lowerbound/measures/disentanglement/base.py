"""Codes beside the factors that made the rows: checks, classes, splits of rows and what a score says of itself."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataError, DataMissing, DataRange, DataShape
from lowerbound.measures.base import Measure

Array = npt.NDArray[Any]

GROUPS = 10  # of rows that a jackknife leaves out in turn
CLASSES = 64  # a factor of more values is continuous
CUTS = 20  # classes that a continuous factor is cut into
LEAST = 50  # rows


@dataclass(frozen=True)
class Score(Measure):
    """A measure with what else it says on the same factors.

    Args:
        rotation: its value for the factors themselves, standardised and rotated at random.
        seed: of the draws.
        sensitivity: its value with other bins or rows, by what was changed.

    ``perfect`` is its value for the factors themselves, ``chance`` that of noise with as many codes.

    >>> print(Score(0.31, 0.01, perfect=0.9, chance=0.0, rotation=0.1))
    0.31 ± 0.01 (perfect 0.9, chance 0, rotation 0.1)
    """

    rotation: float = math.nan
    seed: int = 0
    sensitivity: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return super().__str__().removesuffix(")") + f", rotation {self.rotation:.4g})"


@dataclass(frozen=True)
class Settings:
    """What can be decided of the measures.

    Args:
        bins: of equal width that a code is cut into for mutual information.
        rows: that classifiers learn from at most; half as many judge them.
        pairs: in one question to the classifier measures; rows in one vote.
        trees: of DCI, ``forest`` or ``boosting``.

    Raises:
        BadOption: a number out of range, or other trees.
    """

    bins: int = 20
    rows: int = 10_000
    pairs: int = 64
    trees: str = "forest"

    def __post_init__(self) -> None:
        for name, least in (("bins", 2), ("rows", LEAST), ("pairs", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise BadOption("cannot be used", where=name, found=repr(value), expected=f"a whole number, {least} up")
        if self.trees not in ("forest", "boosting"):
            raise BadOption("unknown trees", where="trees", found=repr(self.trees), expected="forest or boosting")


@dataclass(frozen=True, eq=False)
class Labelled:
    """Codes and factors of the same rows; `labelled` makes it.

    Args:
        codes: (rows, codes), in an order and with signs of their own, so that those given do not matter.
        classes: (rows, factors), whole numbers from 0.
        values: (rows, factors), standardised.
        order: which of the codes given stands in each place.
        continuous: which factors were cut into classes.
        variance: of the posteriors, (rows, codes), or None.
    """

    codes: Array
    classes: Array
    values: Array
    order: Array
    continuous: tuple[bool, ...]
    variance: Array | None = None

    @property
    def counts(self) -> list[int]:
        """Classes of each factor."""
        return [int(classes.max()) + 1 for classes in self.classes.T]

    @cached_property
    def standard(self) -> Array:
        """Codes with mean 0 and variance 1; those that do not vary are 0."""
        return standardised(self.codes)

    def take(self, rows: Array) -> "Labelled":
        """Some of the rows; classes keep their numbers."""
        variance = None if self.variance is None else self.variance[rows]
        parts = self.codes[rows], self.classes[rows], self.values[rows]
        return Labelled(*parts, self.order, self.continuous, variance)

    def given(self, matrix: Array) -> Array:
        """A matrix (codes, …) in the order that the codes were given in."""
        found = np.empty_like(matrix)
        found[self.order] = matrix
        return found


Estimate = tuple[float, float]  # value and standard error
Family = Callable[[Labelled, Settings, int, bool], Mapping[str, Estimate]]
"""Names of measures to estimates, from data, settings and seed; the flag asks for standard errors."""


def labelled(codes: Any, factors: Any, *, variance: Any = None, names: Sequence[str] = ()) -> Labelled:
    """Check codes and factors and bring them into one form.

    A factor of more than 64 values (or of more than a fifth as many as there are rows) is continuous: where a measure
    needs classes it is cut into 20 of about equal count.

    Args:
        codes: (rows, codes), finite.
        factors: (rows, factors): numbers or texts; each row one combination.
        variance: of Gaussian posteriors with the codes as means, like ``codes``, positive.
        names: of the factors, for messages.

    Raises:
        DataShape: other shapes, lengths that differ, or fewer than 50 rows.
        DataMissing: a NaN. DataRange: an infinite code, or a variance that is not positive.
        DataError: no code varies, or a factor has one value only.

    >>> data = labelled(np.arange(60.0)[:, None], np.arange(60)[:, None] % 3)
    >>> data.counts, data.continuous
    ([3], (False,))
    """
    z, table = np.asarray(codes), np.asarray(factors)
    if z.ndim != 2 or table.ndim != 2 or len(z) != len(table) or 0 in (*z.shape, *table.shape) or len(z) < LEAST:
        expected = f"(rows, codes) and (rows, factors), {LEAST} rows or more"
        raise DataShape("codes and factors do not fit", found=f"{z.shape} and {table.shape}", expected=expected)
    names = names if len(names) == table.shape[1] else [str(k) for k in range(table.shape[1])]
    z = _finite(z, "code")
    if not np.ptp(z, axis=0).any():
        raise DataError("no code varies: there is nothing to measure", where="codes", found=f"{z.shape[1]} constants")
    parts = [_classes(table[:, k], name) for k, name in enumerate(names)]
    classes, values, continuous = (list(some) for some in zip(*parts, strict=True))
    spread = None if variance is None else _variance(variance, z)
    z, order = _canonical(z)
    spread = None if spread is None else spread[:, order]
    whole = np.stack(classes, 1), standardised(np.stack(values, 1))
    return Labelled(z, *whole, order, tuple(map(bool, continuous)), spread)


def standardised(columns: Array) -> Array:
    """Columns with mean 0 and variance 1; those that do not vary become 0."""
    away = columns - columns.mean(0)
    spread = away.std(0)
    return np.asarray(away / np.where(np.ptp(columns, axis=0) > 0, np.maximum(spread, 1e-300), np.inf))


def parts(data: Labelled, settings: Settings, seed: int) -> tuple[Labelled, Labelled]:
    """Rows to learn from and rows to be judged on, half as many, apart."""
    learn = min(settings.rows, 2 * len(data.codes) // 3)
    order = np.random.default_rng([seed, 0]).permutation(len(data.codes))
    return data.take(order[:learn]), data.take(order[learn : learn + max(1, learn // 2)])


def jackknife(statistic: Callable[[Array], Any], rows: int, seed: int) -> Array:
    """Standard error of a statistic of row numbers: a tenth of the rows, at random, is left out in turn.

    Source: Shao & Wu 1989, "A general theory for jackknife variance estimation", Annals of Statistics 17.

    >>> x = np.random.default_rng(0).normal(size=1000)
    >>> bool(0.02 < jackknife(lambda rows: x[rows].mean(), 1000, 0) < 0.05)
    True
    """
    order = np.random.default_rng([seed, 1]).permutation(rows)  # rows of a grid come in an order that groups could hit
    found = np.array([statistic(np.delete(order, np.s_[i::GROUPS])) for i in range(GROUPS)])
    return np.asarray(np.sqrt((GROUPS - 1) * found.var(axis=0)))


def gap(matrix: Array) -> Array:
    """The largest of each column less the second largest; of a single row, the largest less 0."""
    padded = np.concatenate([matrix, np.zeros((1, matrix.shape[1]))]) if len(matrix) == 1 else matrix
    ranked = np.sort(padded, axis=0)
    return np.asarray(ranked[-1] - ranked[-2])


def _finite(z: Array, what: str) -> Array:
    if z.dtype.kind not in "biuf":
        raise DataShape(f"a {what} is not a number", found=str(z.dtype), expected="numbers")
    bad = np.argwhere(~np.isfinite(z))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        kind = DataMissing if np.isnan(z[row, column]) else DataRange
        raise kind(f"a {what} is not finite", where=f"row {row}, column {column}", found=str(z[row, column]))
    return z.astype(np.float64)


def _variance(variance: Any, z: Array) -> Array:
    spread = _finite(np.asarray(variance), "variance")
    if spread.shape != z.shape:
        raise DataShape("variances do not fit the codes", found=str(spread.shape), expected=str(z.shape))
    if (spread <= 0).any():
        raise DataRange("a variance is not positive", found=f"{spread.min():g}", expected="above 0")
    return spread


def _classes(column: Array, name: str) -> tuple[Array, Array, bool]:
    """Classes and numeric values of one factor, and whether it was cut."""
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        row = int(np.argwhere(~np.isfinite(column))[0, 0])
        raise DataMissing("a factor has no value", where=f"factor '{name}', row {row}", mend="Leave such rows out.")
    if column.dtype.kind == "O":
        column = column.astype(str)
    kinds, inverse = np.unique(column, return_inverse=True)
    if len(kinds) < 2:
        where = f"factor '{name}'"
        raise DataError("a factor has one value only", where=where, found=str(kinds[0]), mend="Leave it out.")
    if column.dtype.kind not in "biuf" or len(kinds) <= min(CLASSES, len(column) // 5):
        return inverse, (column if column.dtype.kind in "biuf" else inverse).astype(np.float64), False
    cuts = np.unique(np.quantile(column.astype(np.float64), np.arange(1, CUTS) / CUTS))
    places = np.searchsorted(cuts, column, side="right")
    return np.unique(places, return_inverse=True)[1], column.astype(np.float64), True


def _canonical(z: Array) -> tuple[Array, Array]:
    """An order and signs that depend on the codes alone: the first row off the mean is above it, columns ascend."""
    away = z - z.mean(0)
    first = away[(away != 0).argmax(0), np.arange(z.shape[1])]
    signs = np.where(first < 0, -1.0, 1.0)
    turned = z * signs
    order = np.array(sorted(range(z.shape[1]), key=lambda j: tuple(turned[:, j])))
    return np.ascontiguousarray(turned[:, order]), order
