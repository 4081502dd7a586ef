"""Labels of rows: from the model's own classifier, or from codes by a rule learnt on the labelled training rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.data import Data
from lowerbound.data.columns import Column, Schema
from lowerbound.data.conditions import LABEL, Condition
from lowerbound.errors import DataError, Incompatible, unknown
from lowerbound.evaluation import EVALUATION_ROWS, evaluating
from lowerbound.measures import Measure, calibration_error
from lowerbound.objectives.labelled import with_labels
from lowerbound.outputs import writable, write_array
from lowerbound.run import Run
from lowerbound.tasks.latent import encode
from lowerbound.tasks.score import DECODED, log_likelihood

Array = npt.NDArray[Any]
By = Literal["auto", "model", "bayes", "logistic", "spreading"]
BY = ("auto", "model", "bayes", "logistic", "spreading")
DRAWS = 32  # of log p(x|y), for each row and class
NINE_TENTHS = 1.645  # deviations of a normal to both sides
NEIGHBOURS = 7  # of the graph that labels spread over


@dataclass(frozen=True)
class Predictions:
    """What classes rows are of.

    Args:
        probabilities: (rows, classes).
        names: of the classes.
        by: what told them.
        truth: (rows,) codes of the labels that the rows came with, -1 where unknown.
    """

    probabilities: Array
    names: tuple[str, ...]
    by: str
    truth: Array

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def codes(self) -> Array:
        """(rows,), the most probable class."""
        found: Array = self.probabilities.argmax(1)
        return found

    @property
    def labels(self) -> Array:
        """(rows,), its name."""
        return np.array(self.names)[self.codes]

    @property
    def error(self) -> dict[str, float] | None:
        """Share of the rows with a label whose class is another, with standard error; None without labels."""
        known = self.truth >= 0
        if not known.any():
            return None
        share = float((self.codes != self.truth)[known].mean())
        return {"mean": share, "se": float(np.sqrt(share * (1 - share) / known.sum())), "rows": int(known.sum())}

    @property
    def calibration(self) -> Measure | None:
        """Expected calibration error over the rows with a label; None without."""
        known = self.truth >= 0
        return calibration_error(self.probabilities[known], self.truth[known]) if known.any() else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        found = self.calibration
        counts = np.bincount(self.codes, minlength=len(self.names))
        predicted = dict(zip(self.names, counts.tolist(), strict=True))
        return {"rows": len(self), "by": self.by, "error": self.error, "predicted": predicted,
                "calibration": None if found is None else found.as_dict()}  # fmt: skip

    def __str__(self) -> str:
        found = self.error
        if found is None:
            return f"{len(self)} rows by {self.by}"
        judged = f"error {found['mean']:.1%} ± {found['se']:.1%} of {found['rows']} labelled"
        return f"{len(self)} rows by {self.by}, {judged}; calibration error {self.calibration}"

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write labels and probabilities as a table (csv), or probabilities as an array (npy)."""
        path = writable(path, force=force, endings=(".csv", ".npy"))
        if path.suffix.lower() == ".npy":
            return write_array(self.probabilities, path, force=force)
        label = Column(LABEL, "categorical", "categorical", categories=self.names)
        schema = Schema((label, *(Column(f"p({name})", "real", "gaussian") for name in self.names)), {})
        values = np.column_stack([self.codes, self.probabilities])
        return write_array(values, path, columns=schema.names, schema=schema, force=force)


@dataclass(frozen=True)
class Values:
    """What numbers rows have, where the label is one.

    Args:
        mean: (rows,) of q(y|x), in the units of the data.
        deviation: (rows,) its standard deviation.
        name: of the number.
        truth: (rows,) that the rows came with, NaN where unknown.
    """

    mean: Array
    deviation: Array
    name: str
    truth: Array

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def error(self) -> dict[str, float] | None:
        """Over the rows whose number is known: root of the mean squared error, its standard error, how many they are.

        And ``within``, the share of them within 1.645 deviations, which should be 0.9. None where none is known.
        """
        known = ~np.isnan(self.truth)
        if not known.any():
            return None
        off = (self.mean - self.truth)[known]
        root, rows = float(np.sqrt((off**2).mean())), len(off)
        within = float((np.abs(off) <= NINE_TENTHS * self.deviation[known]).mean())
        return {"rmse": root, "se": float((off**2).std() / (2 * root * np.sqrt(rows))), "within": within, "rows": rows}

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        mean = float(self.mean.mean())
        about = {"rows": len(self), "by": "model", "error": self.error, "predicted": {self.name: mean}}
        return {**about, "calibration": None}

    def __str__(self) -> str:
        found = self.error
        if found is None:
            return f"{self.name} of {len(self)} rows by model"
        judged = f"root mean squared error {found['rmse']:.4g} ± {found['se']:.2g} of {found['rows']} rows"
        return f"{self.name} of {len(self)} rows by model, {judged}, {found['within']:.0%} within 90% intervals"

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write means and deviations as a table (csv) or an array (npy)."""
        path = writable(path, force=force, endings=(".csv", ".npy"))
        columns = () if path.suffix.lower() == ".npy" else (self.name, f"deviation({self.name})")
        return write_array(np.column_stack([self.mean, self.deviation]), path, columns=columns, force=force)


def predict(run: Run, data: Any = None, *, by: By = "auto") -> Predictions | Values:
    """Tell the classes of rows, or where the label is a number, that.

    Args:
        run: trained with a classifier (recipe ``m2``), or without a label as context.
        data: rows as ``load`` takes them, labelled or not; the run's test rows when left out.
        by: ``model``, its classifier q(y|x); ``bayes``, p(y|x) by log p(x|y) of 32 draws for each class and the
            model's p(y), of a run that is conditioned on the label alone; or a rule on codes that is learnt on the
            labelled training rows (M1): ``logistic`` regression, or ``spreading`` of labels over a graph of neighbours,
            which unlabelled training rows help; ``auto``: the model if it has a classifier, else bayes or spreading.

    Raises:
        Incompatible: ``model`` without a classifier, ``bayes`` without a label as context, or codes of a model that
            was told the labels.
        DataError: no labelled training rows at hand. UnknownName: another ``by``.

    Sources: Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298; Zhou et al. 2004, "Learning with local and
    global consistency", NIPS.

    >>> from lowerbound.train import fit
    >>> predict(fit("digits", latent=4, epochs=2, progress=False), by="logistic").error["rows"]
    180
    """
    if by not in BY:
        raise unknown("rule", by, BY, where="by")
    by, rows = _usual(run) if by == "auto" else by, run.rows(data, partial=True)
    number = None if run.conditions is None or run.conditions.members[0].values else run.conditions.members[0]
    if number is not None and by == "model":
        return _values(run, rows, number)
    if by in ("model", "bayes"):
        names = () if run.conditions is None else run.conditions.members[0].values
        found = _by_model(run, rows) if by == "model" else _by_bayes(run, rows, len(names))
        return Predictions(found, names, by, codes_of(rows, names))
    train = _train(run)
    return Predictions(_by_codes(run, train, rows, by), train.label_names, by, codes_of(rows, train.label_names))


def probabilities(run: Run, data: Any) -> Array:
    """q(y|x) of the classes by the run's classifier, (rows, classes)."""
    return _by_model(run, run.rows(data, partial=True))


def _usual(run: Run) -> By:
    if run.model.classifier is not None:
        return "model"
    return "spreading" if run.conditions is None else "bayes"


def codes_of(rows: Data, names: tuple[str, ...]) -> Array:
    """The labels of rows as places among names, (rows,), -1 where they have none of these."""
    if rows.labels is None:
        return np.full(rows.rows, -1)
    own = rows.label_names or tuple(map(str, range(int(rows.labels.max(initial=-1)) + 1)))
    places = np.array([*(names.index(name) if name in names else -1 for name in own), -1])
    found: Array = places[rows.labels]
    return found


def _by_model(run: Run, rows: Data) -> Array:
    """Probabilities of classes, (rows, classes); of a number mean and deviation, (rows, 2), scaled."""
    with evaluating(run.model):
        told: list[Any] = [
            run.model.label(batch.x, batch.mask) for batch in run.resident(rows, partial=True).blocks(EVALUATION_ROWS)
        ]
    found = [q.probs if hasattr(q, "probs") else torch.stack([q.mean, q.stddev], 1) for q in told]
    return torch.cat(found).double().cpu().numpy()


def _values(run: Run, rows: Data, number: Condition) -> Values:
    mean, deviation = _by_model(run, rows).T
    truth = np.full(rows.rows, np.nan) if rows.context is None else rows.context[:, 0]
    return Values(number.shift + number.scale * mean, number.scale * deviation, number.name, truth)


def _by_bayes(run: Run, rows: Data, classes: int) -> Array:
    if run.conditions is None or run.conditions.names != (LABEL,):
        raise Incompatible("p(y|x) needs a model that is conditioned on the label and on nothing else",
                           mend="Train with the recipe 'cvae' or 'm2'.")  # fmt: skip
    weights = run.model.label_weights
    log_p_label = 0.0 if weights is None else np.log(weights.double().cpu().numpy())
    found = []
    for batch in run.resident(rows, partial=True).blocks(DECODED // DRAWS):
        made = [
            log_likelihood(run.model, with_labels(batch, torch.arange(len(batch.x)), label, classes), DRAWS)[0]
            for label in torch.arange(classes).repeat_interleave(len(batch.x)).reshape(classes, -1)
        ]
        log_p = np.stack(made, axis=1) + log_p_label
        found.append(np.exp(log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)))
    return np.concatenate(found)


def _train(run: Run) -> Data:
    """The training rows, some of which are labelled."""
    if run.conditions is not None and LABEL in run.conditions.names:
        raise Incompatible("codes of a model that is told the label are made to say nothing of it",
                           mend="Train without data.context, or with the recipe 'm2' and by = 'model'.")  # fmt: skip
    train = run.rows(part="train")
    if train.labels is None or len(np.unique(train.labels[train.labels >= 0])) < 2:
        raise DataError("no labelled training rows of two classes", where=train.name, mend="Fit with labels.")
    return train


def _by_codes(run: Run, train: Data, rows: Data, by: str) -> Array:
    from sklearn.linear_model import LogisticRegression  # the library takes a second to load
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.semi_supervised import LabelSpreading

    labels: Any = train.labels
    known = np.ones(train.rows, bool) if by == "spreading" else labels >= 0
    nearest = LabelSpreading(kernel="knn", n_neighbors=min(NEIGHBOURS, train.rows), max_iter=100)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    rule = nearest if by == "spreading" else linear  # distances count as they are: idle dimensions stay small
    found = np.zeros((rows.rows, len(train.label_names)))
    with np.errstate(invalid="ignore"):  # what lies apart from every label has no probabilities: all are alike
        rule.fit(encode(run, train.take(known)).astype(np.float64), labels[known])
        told = rule.predict_proba(encode(run, rows).astype(np.float64))
    found[:, rule.classes_] = np.where(np.isnan(told), 1 / len(rule.classes_), told)
    return found
