"""`VAEClassifier`: a classifier that learns from rows without labels too."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from lowerbound.errors import BadOption, DataError, DataMissing, DataRange, DataShape, Incompatible
from lowerbound.estimators.base import Array, Estimator, as_data
from lowerbound.run import Run
from lowerbound.tasks.labels import probabilities

LEAST = 30  # labels held out below which no temperature is told from them
TEMPERATURES = np.geomspace(0.05, 20.0, 241)


class VAEClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]  # scikit-learn has no types
    """The semi-supervised VAE M2 as a classifier of scikit-learn.

    Rows without a label are learnt from as well: their classes are summed over. NaN in X is a missing cell.
    Probabilities are calibrated: a temperature is found on labels held out of a first training, and a second one has
    them all. Sources: Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298; temperature: Guo et al. 2017, "On
    calibration of modern neural networks", arXiv:1706.04599.

    Args:
        latent: dimension of z.
        unlabeled: the value of y that means no label, beside NaN and None; -1 as in ``SelfTrainingClassifier``.
        recipe: ``m2``, or another with a classifier.
        likelihood: family of p(x|y, z).
        epochs: passes over the rows.
        calibration: share of the labels held out for the temperature; 0 for none, and none below 30 of them.
        settings: further keys of the configuration, ``{"train.rate": 1e-3}``.
        random_state: seed, generator, or None.

    Attributes:
        classes_: what y may be.
        temperature_: that the logits are divided by.
        run_: the trained run.

    >>> X, y = np.array([[0.0, 1.0], [5.0, 4.0]] * 20), np.array(["a", "b"] * 20, dtype=object)
    >>> y[4:] = None
    >>> VAEClassifier(latent=1, epochs=20, random_state=0).fit(X, y).classes_.tolist()
    ['a', 'b']
    """

    classes_: Array
    temperature_: float
    run_: Run

    def __init__(
        self, latent: int = 8, *, unlabeled: Any = None, recipe: str = "m2", likelihood: str = "gaussian",
        epochs: int = 100, calibration: float = 0.2, settings: dict[str, Any] | None = None, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.latent, self.unlabeled, self.recipe, self.likelihood = latent, unlabeled, recipe, likelihood
        self.epochs, self.calibration, self.settings, self.random_state = epochs, calibration, settings, random_state

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train.

        Args:
            X: (rows, columns).
            y: (rows,) classes; NaN, None and ``unlabeled`` where unknown.

        Raises:
            DataError: fewer than two classes, or none at all. DataShape: another number of labels than of rows.
            BadOption: an option out of its range.
        """
        x, labels = self._rows(X, reset=True), self._labels(y)
        if len(labels) != len(x):
            raise DataShape("y does not fit X", found=f"{len(labels)} labels", expected=f"{len(x)} rows")
        if not 0 <= self.calibration < 1:
            raise BadOption(
                "not a share", where="calibration", found=str(self.calibration), expected="0 or more, below 1"
            )
        seed = self._seed()
        held = self._held_out(labels, seed)
        self.temperature_ = 1.0
        if len(held):
            shown = labels.copy()
            shown[held] = -1
            first = self._learnt(x, shown, seed)
            told = probabilities(first, as_data(x[held]))
            self.temperature_ = temperature(np.log(told.clip(1e-300)), labels[held])
        self.run_ = self._learnt(x, labels, seed)
        self.run_.model.temperature.fill_(self.temperature_)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, (rows, classes), in the order of ``classes_``."""
        check_is_fitted(self)
        return probabilities(self.run_, as_data(self._rows(X)))

    def predict(self, X: Any) -> Array:
        """The most probable class of each row, (rows,)."""
        best = self.predict_proba(X).argmax(1)
        found: Array = self.classes_[best]
        return found

    def _learnt(self, x: Array, labels: Array, seed: int) -> Run:
        data = as_data(x, labels=labels, label_names=tuple(map(str, range(len(self.classes_)))))
        given = {"latent": self.latent, "likelihood": self.likelihood, "epochs": self.epochs}
        run = self._trained(data, recipe=self.recipe, seed=seed, **given, **(self.settings or {}))
        if run.model.classifier is None:
            raise Incompatible("the recipe has no classifier", found=self.recipe, expected="m2")
        return run

    def _labels(self, y: Any) -> Array:
        """Codes, -1 where unknown; sets ``classes_``."""
        if y is None:
            raise DataMissing("VAEClassifier requires y to be passed, but the target y is None")
        values = column_or_1d(np.asarray(y), warn=True)
        known = ~_unknown(values, self.unlabeled)
        told = values[known]
        told = np.array(told.tolist()) if told.dtype == object and len(told) else told
        if told.dtype.kind == "f" and np.isinf(told).any():
            raise DataRange("a label is infinite", where=f"y, row {np.flatnonzero(known)[np.isinf(told).argmax()]}")
        if len(told):
            check_classification_targets(told)
        self.classes_, codes = np.unique(told, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                "nothing to tell apart", found=f"{len(self.classes_)} class", expected="two classes or more"
            )
        labels = np.full(len(values), -1)
        labels[known] = codes
        return labels

    def _held_out(self, labels: Array, seed: int) -> Array:
        """Rows whose labels the temperature is found on: the same share of each class."""
        generator = np.random.Generator(np.random.PCG64(seed))
        by_class = [generator.permutation(np.flatnonzero(labels == code)) for code in range(len(self.classes_))]
        held = np.concatenate([rows[: int(self.calibration * len(rows))] for rows in by_class])
        return held if len(held) >= LEAST else held[:0]


def _unknown(values: Array, unlabeled: Any) -> npt.NDArray[np.bool_]:
    """(rows,), whether a label says that there is none."""
    marks = [None] if unlabeled is None else [None, unlabeled]
    return np.array([any(v is m or (m is not None and v == m) for m in marks) or v != v for v in values.tolist()], bool)


def temperature(log_probabilities: Array, labels: Array) -> float:
    """What logits are to be divided by so that the labels are most probable: one of 241, from 0.05 to 20.

    Args:
        log_probabilities: (rows, classes).
        labels: (rows,) codes.

    >>> temperature(np.log([[0.99, 0.01]] * 4), np.array([0, 0, 0, 1])) > 2
    True
    """
    place = np.arange(len(labels))

    def loss(t: float) -> float:
        scaled = log_probabilities / t
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[place, labels]).mean())

    return float(min(TEMPERATURES, key=loss))
