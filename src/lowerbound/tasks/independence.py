"""Whether codes say what the model was told anyway: how well the label is recovered from the style."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.data.conditions import LABEL
from lowerbound.errors import DataError, unknown
from lowerbound.run import Run
from lowerbound.tasks.baselines import spread
from lowerbound.tasks.labels import codes_of
from lowerbound.tasks.latent import drawn_codes, encode

MOST = 50_000  # codes that classifiers learn from, and that they are judged on
NEIGHBOURS = 5
CODES = ("mean", "draw")

Array = npt.NDArray[Any]
Codes = Literal["mean", "draw"]


@dataclass(frozen=True)
class Recovery:
    """How often a classifier of codes tells the label.

    Args:
        accuracy: share of rows, by classifier.
        chance: share of the commonest class.
        rows: that they were judged on.
        learnt_from: codes.
        beside: the same of another run, or None.
    """

    accuracy: dict[str, float]
    chance: float
    rows: int
    learnt_from: int
    beside: "Recovery | None" = None

    @property
    def best(self) -> str:
        """The classifier that tells it best: what the codes say, they say to it."""
        return max(self.accuracy, key=lambda name: self.accuracy[name])

    @property
    def mean(self) -> float:
        """Its accuracy."""
        return self.accuracy[self.best]

    @property
    def se(self) -> float:
        """Standard error of it over the rows."""
        return math.sqrt(self.mean * (1 - self.mean) / self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        own = {"mean": self.mean, "se": self.se, "best": self.best, "accuracy": self.accuracy, "chance": self.chance}
        other = None if self.beside is None else self.beside.as_dict()
        return {**own, "rows": self.rows, "learnt_from": self.learnt_from, "beside": other}

    def __str__(self) -> str:
        line = (
            f"label recovered from codes: {self.mean:.1%} ± {self.se:.1%} ({self.best}; chance {self.chance:.1%}; "
            f"{self.rows} rows, learnt from {self.learnt_from})"
        )
        return line if self.beside is None else f"{line}\nbeside: {self.beside}"


def independence(
    run: Run, data: Any = None, *, beside: Run | None = None, of: Codes = "mean", seed: int = 0
) -> Recovery:
    """Measure how well the label can be told from codes, by the best of three classifiers.

    Logistic regression, 5 nearest neighbours and boosted trees learn from the codes of the training rows and are judged
    on others. Where a model is told the label its codes need not say it: chance is the goal. The theory promises it of
    draws alone, q(z|y) = p(z); means may still tell how sure q(z|x) is, and so the label, where z does not.

    Args:
        run: trained; its training rows at hand.
        data: labelled rows to judge on; the run's test rows when left out.
        beside: another run, one without context, say.
        of: the posterior's ``mean``, or one ``draw`` from it.
        seed: of the trees and the draws.

    Raises:
        UnknownName: ``of`` is neither.
        DataError: rows without labels, or none at hand.

    >>> from lowerbound.train import fit
    >>> found = independence(fit("digits", latent=2, epochs=1, progress=False))
    >>> sorted(found.accuracy), 0 <= found.mean <= 1
    (['knn', 'logistic', 'trees'], True)
    """
    if of not in CODES:
        raise unknown("codes", of, CODES, where="of")
    train, rows = spread(_labelled(run.rows(part="train")), MOST), spread(_labelled(run.rows(data)), MOST)
    names = train.label_names
    known, truth = codes_of(train, names), codes_of(rows, names)
    x, codes = (_codes(run, some, of, seed) for some in (train, rows))
    accuracy = {name: float((judge(x, known, seed)(codes) == truth).mean()) for name, judge in JUDGES.items()}
    chance = float(np.bincount(truth).max() / rows.rows)
    other = None if beside is None else independence(beside, data, of=of, seed=seed)
    return Recovery(accuracy, chance, rows.rows, train.rows, other)


def _codes(run: Run, rows: Data, of: Codes, seed: int) -> Array:
    found: Array = encode(run, rows) if of == "mean" else drawn_codes(run, rows, 1, seed)[0]
    return found.astype(np.float64)


def _labelled(rows: Data) -> Data:
    if rows.labels is None or not (rows.labels >= 0).any():
        raise DataError("no labels to recover", where=rows.name, mend=f"Give rows with their {LABEL}.")
    return rows.take(rows.labels >= 0)


Judge = Callable[[Array, Array, int], Callable[[Array], Array]]


def _logistic(x: Array, labels: Array, seed: int) -> Callable[[Array], Array]:
    from sklearn.exceptions import ConvergenceWarning  # the library takes a second to load
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a linear rule near its best is good enough
        found = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, labels)
    predict: Callable[[Array], Array] = found.predict
    return predict


def _nearest(x: Array, labels: Array, seed: int) -> Callable[[Array], Array]:
    from sklearn.neighbors import KNeighborsClassifier

    predict: Callable[[Array], Array] = KNeighborsClassifier(min(NEIGHBOURS, len(x))).fit(x, labels).predict
    return predict


def _trees(x: Array, labels: Array, seed: int) -> Callable[[Array], Array]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    found = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=seed)
    predict: Callable[[Array], Array] = found.fit(x, labels).predict
    return predict


JUDGES: dict[str, Judge] = {"logistic": _logistic, "knn": _nearest, "trees": _trees}
