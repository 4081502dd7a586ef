"""`VAEClassifier` as scikit-learn sees it, what counts as no label, and probabilities that mean what they say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from lowerbound import VAEClassifier
from lowerbound.errors import BadOption, DataError, DataRange, DataShape, Incompatible
from lowerbound.estimators.classifier import temperature

NET = "mlp:widths=[16]"
SMALL: dict[str, Any] = {"encoder": NET, "decoder": NET, "classifier": "mlp:widths=[32]", "train.rate": 1e-2}


def small(**changes: Any) -> VAEClassifier:
    return VAEClassifier(1, **{"settings": SMALL, "epochs": 30, "calibration": 0.0, "random_state": 0, **changes})


def moons(rows: int = 200) -> tuple[Any, Any]:
    """Two far apart clouds, a and b."""
    generator = np.random.Generator(np.random.PCG64(1))
    y = np.arange(rows) % 2
    return generator.standard_normal((rows, 2)) + 6.0 * y[:, None], np.array(["a", "b"], dtype=object)[y]


def test_it_passes_every_check_of_scikit_learn() -> None:
    before = np.random.get_state()  # which the checks draw from
    try:
        found = check_estimator(small(epochs=8), on_skip=None)
    finally:
        np.random.set_state(before)
    assert {one["status"] for one in found} <= {"passed", "skipped"}
    assert not [one for one in found if one["status"] == "skipped" and "installed" not in str(one["exception"])
                and "SCIPY_ARRAY_API" not in str(one["exception"])]  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "unlabeled", "kind"),
    [(None, None, object), (np.nan, None, float), (-1, -1, int), ("?", "?", object), (-1, -1, float)],
    ids=["None", "NaN", "-1", "text", "-1.0"],
)
def test_rows_without_a_label_are_learnt_from(mark: Any, unlabeled: Any, kind: type) -> None:
    X, names = moons()
    y = names.copy() if kind is object else (names == "b").astype(kind)
    truth = y.copy()
    y[4:] = mark
    model = small(unlabeled=unlabeled).fit(X, y)
    assert model.classes_.tolist() == sorted(set(truth.tolist()))
    assert (model.predict(X) == truth).mean() > 0.97
    assert (model.run_.rows(part="train", partial=True).labels >= 0).sum() == 4


def test_minus_one_is_a_class_unless_asked_otherwise() -> None:
    X, names = moons(40)
    y = np.where(names == "a", -1, 1)
    assert small(epochs=1).fit(X, y).classes_.tolist() == [-1, 1]
    with pytest.raises(DataError, match="1 class"):
        small(unlabeled=-1).fit(X, y)


def test_missing_cells_are_told_as_well() -> None:
    X, y = moons()
    X[::3, 0] = np.nan
    assert (small().fit(X, y).predict(X) == y).mean() > 0.95


@pytest.mark.parametrize(
    ("change", "options", "error"),
    [
        (lambda y: y[:-1], {}, DataShape),
        (lambda y: np.full(len(y), np.inf), {}, DataRange),
        (lambda y: [None] * len(y), {}, DataError),
        (lambda y: y, {"calibration": 1.0}, BadOption),
        (lambda y: y, {"recipe": "vae"}, Incompatible),
        (lambda y: y, {"recipe": "vae", "settings": {}}, Incompatible),
    ],
    ids=["length", "infinite", "none", "share", "recipe", "recipe without a net"],
)
def test_wrong_input_is_refused(change: Callable[[Any], Any], options: dict[str, Any], error: type[Exception]) -> None:
    X, y = moons(40)
    with pytest.raises(error):
        small(epochs=1, **options).fit(X, change(y))


def test_the_temperature_is_the_one_that_makes_labels_likeliest() -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    logits = generator.standard_normal((20000, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) < generator.random((20000, 1))).sum(1)
    assert temperature(logits, labels) == pytest.approx(1.0, rel=0.06)
    assert temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.06)


def test_probabilities_are_calibrated_on_labels_held_out() -> None:
    generator = np.random.Generator(np.random.PCG64(2))
    X = generator.standard_normal((1200, 2))
    y = (generator.random(1200) < 1 / (1 + np.exp(-1.5 * X[:, 0]))).astype(int)
    over = {**SMALL, "classifier": "mlp:widths=[64]"}  # enough to learn single rows by heart
    options = {"settings": over, "epochs": 150, "calibration": 0.3}
    model = small(**options).fit(X[:200], y[:200])
    raw = small(**{**options, "calibration": 0.0}).fit(X[:200], y[:200])
    assert model.temperature_ > 1.1 and raw.temperature_ == 1.0
    loss = [-np.log(m.predict_proba(X[200:])[np.arange(1000), y[200:]]).mean() for m in (model, raw)]
    assert loss[0] < loss[1] - 0.005
    assert np.array_equal(model.predict(X), raw.predict(X))  # the same net, flattened
    confidence = model.predict_proba(X[200:]).max(1)
    assert abs(confidence.mean() - (model.predict(X[200:]) == y[200:]).mean()) < 0.06
