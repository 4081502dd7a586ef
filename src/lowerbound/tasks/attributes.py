"""A yes-or-no question about rows, its direction in the latent space, and a classifier of real rows that answers it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.errors import DataError, unknown
from lowerbound.tasks.columns import MEASURED, Column, column, given_column

METHODS = ("means", "probe")
COMPONENTS = 50  # principal components of the cells that a classifier sees
STRENGTH = 0.1  # inverse of its penalty
LEVEL = 0.95  # of intervals

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Question:
    """An attribute that rows have or lack.

    Args:
        name: what is asked.
        on: (rows,) 1 for has, 0 for lacks, NaN where unknown.
        measured: the column, if it can be measured of rows that a model makes.
    """

    name: str
    on: Array
    measured: str | None = None


def question(data: Data, attribute: Any, train: Array) -> Question:
    """What an attribute asks of each row.

    Args:
        data: all rows.
        attribute: ``"COLUMN=VALUE"``; a column of two values, of which the larger is yes, or of more: above the
            median of the training rows; or numbers, (rows,), read like a column.
        train: numbers of the training rows.

    Raises:
        UnknownName: no such column or value. DataShape: numbers of the wrong length.
        DataError: all training rows have it, or none does.
    """
    if isinstance(attribute, str):
        name, equal, value = attribute.partition("=")
        chosen = column(data, name)
        if equal:
            on = _split(chosen, chosen.values == chosen.found(value))
            return _answered(Question(attribute, on), train)
        measured = name if name in MEASURED and name not in (*data.factor_names, *data.columns) else None
    else:
        chosen, measured = given_column(attribute, data.rows), None
    levels = np.unique(chosen.values[chosen.known])
    if len(levels) == 2:
        return _answered(Question(chosen.name, _split(chosen, chosen.values == levels[1])), train)
    middle = float(np.nanmedian(chosen.values[train]))
    return _answered(Question(f"{chosen.name} > {middle:.4g}", _split(chosen, chosen.values > middle), measured), train)


def _split(chosen: Column, yes: Array) -> Array:
    return np.where(chosen.known, yes.astype(np.float64), np.nan)


def _answered(asked: Question, train: Array) -> Question:
    found = asked.on[train]
    if not ((found == 1).any() and (found == 0).any()):
        what = f"{int((found == 1).sum())} of {len(found)} training rows have it"
        raise DataError("an attribute that all training rows have, or none", where=asked.name, found=what)
    return asked


@dataclass(frozen=True)
class Direction:
    """An attribute's vector with its interval.

    Args:
        vector: (latent,): added to a code once, it takes the mean code of rows without to that of rows with.
        low: lower ends of 95 % intervals of its components, by bootstrap, (latent,).
        high: upper ends, (latent,).
        cosine: of the angle to the vector, which 97.5 % of the bootstrap's vectors exceed: 1 is sure.
    """

    vector: Array
    low: Array
    high: Array
    cosine: float


def direction(
    codes: Array, on: Array, *, method: str = "means", within: Array | None = None, groups: Array | None = None,
    draws: int = 200, seed: int = 0,
) -> Direction:  # fmt: skip
    """The vector from rows without an attribute to rows with it.

    Args:
        codes: (rows, latent).
        on: (rows,) of 0 and 1.
        method: ``means``: their difference. ``probe``: the normal of logistic regression's plane, as long as the
            difference of the means along it.
        within: (rows,) compare only rows of the same kind (shots of one person): a mean of the kinds' differences,
            weighed by their shares of the rows with and of the rows without.
        groups: (rows,) rows that belong together, which the bootstrap draws as one.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UnknownName: another method. DataError: no kind has rows with and without.

    Sources: Larsen, Sønderby, Larochelle & Winther 2016, "Autoencoding beyond pixels using a learned similarity
    metric", arXiv:1512.09300 (differences of means); Efron & Tibshirani 1993, "An introduction to the bootstrap".

    >>> direction(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([0, 1]), draws=1).vector
    array([2., 0.])
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if within is not None:
        codes, on, groups = _centred(codes, on, within)
    vector = _vector(codes, on, np.ones(len(on)), method)
    rng = np.random.default_rng(seed)
    _, member = np.unique(np.arange(len(on)) if groups is None else groups, return_inverse=True)
    count = member.max() + 1
    weights = (np.bincount(rng.integers(0, count, count), minlength=count)[member] for _ in range(draws))
    usable = [one for one in weights if one[on == 1].any() and one[on == 0].any()]
    found = np.array([_vector(codes, on, one, method) for one in usable] or [vector])
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(vector)
    cosines = found @ vector / np.where(lengths > 0, lengths, 1)
    return Direction(vector, low, high, float(np.quantile(cosines, (1 - LEVEL) / 2)))


def _centred(codes: Array, on: Array, within: Array) -> tuple[Array, Array, Array]:
    """The rows of kinds that have both, each kind moved so that half its difference lies to either side of 0."""
    both = [kind for kind in np.unique(within) if len(np.unique(on[within == kind])) == 2]
    if not both:
        raise DataError("no rows of the same kind, some with the attribute and some without", where="within")
    kept = np.isin(within, both)
    moved, on, within = codes[kept].copy(), on[kept], within[kept]
    for kind in both:
        one = within == kind
        middle = (moved[one & (on == 1)].mean(0) + moved[one & (on == 0)].mean(0)) / 2
        moved[one] -= middle
    return moved, on, within


def _vector(codes: Array, on: Array, weights: Array, method: str) -> Array:
    yes, no = weights * (on == 1), weights * (on == 0)
    between: Array = yes @ codes / yes.sum() - no @ codes / no.sum()
    if method == "means":
        return between
    scale = np.where(codes.std(0) > 0, codes.std(0), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rule near its best is good enough
        from sklearn.linear_model import LogisticRegression  # takes a second to load

        normal = LogisticRegression(max_iter=300).fit(codes / scale, on, sample_weight=weights).coef_[0] / scale
    along: Array = normal * (normal @ between) / (normal @ normal)
    return along


class Judge:
    """A classifier of real rows: logistic regression on 50 principal components of the standardised cells.

    Args:
        rows: real ones, to learn from.
        kinds: (rows,), what to tell apart.
    """

    def __init__(self, rows: Data, kinds: Array) -> None:
        from sklearn.decomposition import PCA  # takes a second to load
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        x = rows.values().reshape(rows.rows, -1)
        axes = PCA(min(COMPONENTS, *x.shape), random_state=0)
        self._rule: Any = make_pipeline(StandardScaler(), axes, LogisticRegression(C=STRENGTH, max_iter=1000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._rule.fit(x, kinds)

    def probabilities(self, values: Array) -> Array:
        """Of each kind, ascending, for rows (n, *shape) in the units of the data: (n, kinds)."""
        found: Array = self._rule.predict_proba(values.reshape(len(values), -1).astype(np.float32))
        return found

    def told(self, values: Array) -> Array:
        """The likeliest kind of each row, (n,)."""
        kinds: Array = self._rule.classes_[self.probabilities(values).argmax(1)]
        return kinds

    def accuracy(self, rows: Data, kinds: Array) -> dict[str, float]:
        """The share of real rows that it tells rightly, with standard error, and that of the commonest kind."""
        right = float((self.told(rows.values()) == kinds).mean())
        chance = float(np.unique(kinds, return_counts=True)[1].max() / len(kinds))
        return {"mean": right, "se": float(np.sqrt(right * (1 - right) / len(kinds))), "chance": chance}
