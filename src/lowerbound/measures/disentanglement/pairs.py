"""Classifier measures: which factor do rows share? Pairs and groups are rows with equal factor values.

On a full grid rows that share one factor are independent in the others. On other data they follow the data: where
factors go together, rows that share one share others too, and the question has no single answer.
"""

import warnings
from collections.abc import Mapping

import numpy as np

from lowerbound.measures.base import share
from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings
from lowerbound.measures.disentanglement.information import entropies, mutual_information

INACTIVE = 0.05  # of the largest standard deviation: codes below it do not vote


class Sharing:
    """Draws rows that share the value of a factor, each value as often as it occurs.

    Args:
        classes: (rows,) of one factor.

    >>> rows = Sharing(np.array([0, 1, 0, 1, 0])).like(np.array([[0, 1]]), np.random.default_rng(0))
    >>> (rows % 2).tolist()
    [[0, 1]]
    """

    def __init__(self, classes: Array) -> None:
        self.classes = classes
        self.order = np.argsort(classes, kind="stable")
        self.counts = np.bincount(classes)
        self.starts = np.cumsum(self.counts) - self.counts
        self.usable = np.flatnonzero(self.counts[classes] > 1)  # a row alone with its value could only meet itself
        self.place = np.empty(len(classes), np.int64)
        self.place[self.order] = np.arange(len(classes))

    def rows(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Rows that share their value with another."""
        return np.asarray(self.usable[rng.integers(0, len(self.usable), shape)])

    def like(self, rows: Array, rng: np.random.Generator) -> Array:
        """For each row another one with its value."""
        kind = self.classes[rows]
        step = 1 + (rng.random(rows.shape) * (self.counts[kind] - 1)).astype(np.int64)
        there = (self.place[rows] - self.starts[kind] + step) % self.counts[kind]
        return np.asarray(self.order[self.starts[kind] + there])

    def group(self, rows: Array, size: int, rng: np.random.Generator) -> Array:
        """For each row so many rows with its value, (rows, size), drawn with repetition."""
        kind = self.classes[rows][:, None]
        there = (rng.random((len(rows), size)) * self.counts[kind]).astype(np.int64)
        return np.asarray(self.order[self.starts[kind] + there])


def beta_vae(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``beta_vae``: accuracy at telling which factor 64 pairs share, from their mean |z - z'|, by a linear rule.

    It saturates: early in training it is often above 0.95, and a rotation of the factors keeps 0.8. Codes are
    standardised, so that their scale does not matter. The standard error is binomial.

    Source: Higgins et al. 2017, "beta-VAE: Learning basic visual concepts with a constrained variational framework",
    ICLR.
    """
    from sklearn.exceptions import ConvergenceWarning  # the library takes a second to load
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng([seed, 3])
    (x, y), (x_new, y_new) = (_questions(data, rows, settings.pairs, rng) for rows in _sizes(settings))
    middle, scale = x.mean(0), x.std(0)
    scale[scale < 1e-12] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rule = LogisticRegression(max_iter=1000).fit((x - middle) / scale, y)
    return {"beta_vae": share(rule.predict((x_new - middle) / scale) == y_new)}


def _sizes(settings: Settings) -> tuple[int, int]:
    return settings.rows, settings.rows // 2


def _questions(data: Labelled, rows: int, pairs: int, rng: np.random.Generator) -> tuple[Array, Array]:
    factor = rng.permutation(np.arange(rows) % len(data.counts))
    found = np.empty((rows, data.codes.shape[1]))
    for k, classes in enumerate(data.classes.T):
        sharing, chosen = Sharing(classes), np.flatnonzero(factor == k)
        one = sharing.rows((len(chosen), pairs), rng)
        found[chosen] = np.abs(data.standard[one] - data.standard[sharing.like(one, rng)]).mean(1)
    return found, factor


def factor_vae(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``factor_vae``: accuracy at telling which factor 64 rows share, from the code that varies least among them.

    Variances are divided by those over all rows; a code votes for the factor that it varied least for most often. Codes
    whose standard deviation is below a twentieth of the largest do not vote. The standard error is binomial.

    Source: Kim & Mnih 2018, "Disentangling by factorising", ICML, arXiv:1802.05983; numbers of votes of Locatello et
    al. 2019, arXiv:1811.12359.
    """
    voting, rng = data.standard[:, active(data)], np.random.default_rng([seed, 4])
    (code, factor), new = (_votes(voting, data, rows, settings.pairs, rng) for rows in _sizes(settings))
    table = np.zeros((voting.shape[1], len(data.counts)))
    np.add.at(table, (code, factor), 1)
    return {"factor_vae": share(table.argmax(1)[new[0]] == new[1])}


def active(data: Labelled) -> Array:
    """Which codes vary, (codes,) of bool: their standard deviation is a twentieth of the largest or more."""
    spread = data.codes.std(0)
    return np.asarray((spread >= INACTIVE * spread.max()) & (np.ptp(data.codes, axis=0) > 0))


def _votes(codes: Array, data: Labelled, rows: int, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    factor = rng.permutation(np.arange(rows) % len(data.counts))
    found = np.empty(rows, np.int64)
    for k, classes in enumerate(data.classes.T):
        sharing, chosen = Sharing(classes), np.flatnonzero(factor == k)
        groups = sharing.group(sharing.rows((len(chosen),), rng), size, rng)
        found[chosen] = codes[groups].var(1).argmin(1)
    return found, factor


def dependence(data: Labelled) -> float:
    """The largest mutual information of two factors, as a share of the smaller entropy: 0 on a full grid.

    >>> from lowerbound.measures.disentanglement.base import labelled
    >>> grid = np.indices((8, 8)).reshape(2, -1).T
    >>> dependence(labelled(grid, grid))
    0.0
    """
    least, columns = entropies(data), data.classes.T
    pairs = [(i, k) for i in range(len(columns)) for k in range(i)]
    found = (mutual_information(columns[i], columns[k]) / min(least[i], least[k]) for i, k in pairs)
    return float(max(found, default=0.0))
