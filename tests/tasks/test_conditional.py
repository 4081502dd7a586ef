"""Runs that are conditioned on labels and columns: context goes wherever rows go, and style stays where it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.data.conditions import Condition, Conditions
from lowerbound.data.context import conditioned, separate
from lowerbound.errors import BadOption, DataError, DataMissing, DataRange, DataShape, Incompatible, UnknownName

SMALL = {"encoder": "mlp:widths=[16]", "decoder": "mlp:widths=[16]", "progress": False}
TABLE = "sex,age,dose,effect\n" + "".join(
    f"{'mf'[i % 2]},{20.5 + i % 31},{(i * 7) % 11 / 4},{(i * 5) % 13 / 3}\n" for i in range(120)
)


def two_kinds(rows: int = 200) -> Data:
    """Class b lies at 10, class a at -10; a style of unit variance in both."""
    generator = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(rows) % 2
    x = generator.standard_normal((rows, 2)) + np.where(labels, 10.0, -10.0)[:, None]
    return Data(x, labels=labels, label_names=("a", "b"))


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit(two_kinds(), recipe="cvae", latent=2, epochs=120, train__rate=1e-2, **SMALL)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> lb.Run:
    folder = tmp_path_factory.mktemp("table")
    (folder / "t.csv").write_text(TABLE)
    return lb.fit(folder / "t.csv", context="age, sex", prior="conditional", latent=1, epochs=3, out=folder / "run",
                  **SMALL)  # fmt: skip


def test_samples_carry_what_was_asked(run: lb.Run) -> None:
    for label, sign in (("a", -1), ("b", 1)):
        made = lb.sample(run, 50, kind="draw", given={"label": label})
        assert (np.sign(made.values) == sign).all() and (made.context == (sign + 1) / 2).all()
    assert np.abs(lb.sample(run.at({"label": "b"}), 20).values - 10).max() < 6


def test_what_is_not_given_is_drawn_from_the_training_rows(run: lb.Run, table: lb.Run) -> None:
    made: Any = lb.sample(run, 400).context
    assert set(made.ravel()) == {0.0, 1.0} and abs(made.mean() - 0.5) < 0.1
    ages = {age for age, sex in table.rows(part="train").context if sex == 1}  # type: ignore[union-attr]  # it has one
    drawn: Any = lb.sample(table, 60, given={"sex": "m"}).context
    assert (drawn[:, 1] == 1).all() and set(drawn[:, 0]) <= ages and len(set(drawn[:, 0])) > 5


def test_the_same_code_decodes_by_its_condition(run: lb.Run) -> None:
    codes = [[0.0, 0.0], [1.0, -1.0]]
    low, high = (lb.decode(run.at({"label": label}), codes) for label in ("a", "b"))
    assert (low < 0).all() and (high > 0).all()
    with pytest.raises(DataShape, match="--given label=7"):
        lb.decode(run, codes)


def test_every_task_is_told_the_label(run: lb.Run) -> None:
    data, wrong = two_kinds(), replace(two_kinds(), labels=1 - np.arange(200) % 2)
    for task in (lb.encode, lb.reconstruct, lambda r, d: lb.score(r, d, samples=8).log_likelihood):
        right, other = task(run, data), task(run, wrong)
        assert np.isfinite(right).all() and not np.allclose(right, other)
    assert lb.score(run, data, samples=8).mean > lb.score(run, wrong, samples=8).mean + 5
    assert lb.reconstruct(run, data)[:, 0].round(-1).tolist() == np.where(data.labels, 10.0, -10.0).tolist()
    assert run.loss["value"] == "a lower bound on log p(x|label)" and "log p(x|label)" in str(lb.score(run, samples=2))


def test_a_fixed_condition_serves_the_tasks_of_the_latent_space(run: lb.Run) -> None:
    at = run.at({"label": "b"})
    path = lb.interpolate(at, 0, 2, steps=5)
    assert (path.values > 0).all()
    np.testing.assert_array_equal(path.codes[0, 0], lb.encode(run, lb.load(two_kinds().take([0])))[0])  # as an a
    assert (lb.traverse(at, 2, steps=3).values > 0).all()
    filled = lb.impute(at, Data(np.array([[9.0, 0.0]]), mask=np.array([[True, False]])), draws=4)
    assert (filled.values > 5).all()
    assert run.model.fixed is None and at.model.encoder is run.model.encoder


def test_styles_are_held_while_labels_change(run: lb.Run) -> None:
    found = lb.analogies(run, [0, 3])
    assert found.values.shape == (2, 2, 2) and found.steps == ("a", "b") and found.rows == ("a", "b")
    assert (found.values[:, 0] < 0).all() and (found.values[:, 1] > 0).all()
    own = lb.reconstruct(run, run.rows().take([0, 3]))
    which = [found.steps.index(name) for name in found.rows]
    np.testing.assert_allclose(found.values[[0, 1], which], own, atol=1e-5)


def test_columns_of_a_table_leave_it_and_are_scaled_on_the_training_rows(table: lb.Run) -> None:
    assert table.model.shape == (2,) and table.model.context == 3
    assert table.facts["columns"] == ["dose", "effect"] and table.schema is not None
    conditions: Any = table.conditions
    train: Any = table.rows(part="train").context
    age = conditions.members[0]
    assert age.shift == pytest.approx(train[:, 0].mean()) and age.scale == pytest.approx(train[:, 0].std())
    assert conditions.members[1].values == ("f", "m")
    assert lb.analogies(table, 2, over="sex").values.shape == (2, 2, 2)
    assert lb.analogies(table, 2, over="age").steps[4] == f"{age.shift:g}"


def test_a_run_comes_back_with_its_conditions(table: lb.Run, tmp_path: Path) -> None:
    again = lb.open(str(table.path))
    assert again.conditions == table.conditions and again.model.spec == table.model.spec
    assert lb.score(again, samples=3).mean == lb.score(table, samples=3).mean
    (tmp_path / "new.csv").write_text("sex,age,dose,effect\nm,33,1.0,2.0\n")
    new = again.rows(tmp_path / "new.csv")
    assert new.x.shape == (1, 2) and new.context.tolist() == [[33.0, 1.0]]  # type: ignore[union-attr]  # it has one


def test_labels_are_known_by_name_not_by_number(run: lb.Run) -> None:
    only_b = Data(np.full((2, 2), 10.0), labels=np.zeros(2, np.int64), label_names=("b",))
    assert run.rows(only_b).context.tolist() == [[1.0], [1.0]]  # type: ignore[union-attr]  # it has one
    with pytest.raises(DataRange, match="unknown label"):
        run.rows(replace(only_b, label_names=("c",)))


def test_rows_without_a_label_are_refused_or_left_out() -> None:
    data = two_kinds()
    part = replace(data, labels=np.where(np.arange(200) % 3, data.labels, -1))
    with pytest.raises(DataMissing, match="row has no label"):
        lb.fit(part, recipe="cvae", latent=1, epochs=1, **SMALL)
    run = lb.fit(part, recipe="m2", latent=1, epochs=1, classifier="mlp:widths=[4]", **SMALL)
    assert (run.rows().labels >= 0).all() and run.rows(partial=True).rows > run.rows().rows
    with pytest.raises(DataMissing, match="row has no label"):
        lb.encode(run, part)
    with pytest.raises(DataError, match="these rows have none"):
        lb.encode(run, data.x)
    assert len(lb.predict(run, data.x)) == 200


@pytest.mark.parametrize(
    ("given", "error"),
    [({"label": "c"}, UnknownName), ({"colour": 1}, UnknownName), ({}, BadOption)],
    ids=["value", "name", "nothing"],
)
def test_a_wrong_condition_is_refused_by_name(run: lb.Run, given: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        run.at(given)


def test_wrong_uses_are_refused(run: lb.Run) -> None:
    plain = lb.fit(two_kinds(), latent=1, epochs=1, **SMALL)
    for use in (lambda: lb.sample(plain, 2, given={"label": "a"}), lambda: lb.analogies(plain), lambda: plain.at({})):
        with pytest.raises(BadOption, match="conditioned on nothing"):
            use()
    with pytest.raises(BadOption, match="not a number"):
        Condition("age").raw("old")
    with pytest.raises(Incompatible, match="vamp"):
        lb.fit(two_kinds(), recipe="cvae", prior="vamp:components=2", latent=1, epochs=1, **SMALL)


@pytest.mark.parametrize(
    ("names", "error"), [("colour", UnknownName), ("label", DataError), ("dose, effect", DataShape)]
)
def test_what_cannot_be_separated_is_refused(names: str, error: type[Exception]) -> None:
    data = Data(np.ones((4, 2)), columns=("dose", "effect"))
    with pytest.raises(error):
        separate(data, names)


def test_a_missing_condition_names_its_cell() -> None:
    data = Data(np.ones((4, 2)), columns=("dose", "effect"), mask=np.array([[True, True]] * 3 + [[True, False]]))
    with pytest.raises(DataMissing, match="row 3, column 'effect'"):
        separate(data, "effect")
    kept = separate(data, "dose")
    assert kept.columns == ("effect",) and kept.mask is not None and kept.context is not None


def test_conditions_keep_their_place_and_survive_json() -> None:
    data = Data(
        np.arange(8.0).reshape(4, 2), columns=("u", "v"), labels=np.array([0, 1, -1, 0]), label_names=("a", "b")
    )
    found = separate(data, "v, label")
    conditions: Any = found.conditions
    assert conditions.names == ("label", "v") and conditions.width == 3
    numbers = conditions.measured(found.context).numbers(found.context)
    assert numbers[:, :2].tolist() == [[1, 0], [0, 1], [0, 0], [1, 0]] and abs(numbers[:, 2].mean()) < 1e-12
    assert Conditions.from_dict(conditions.as_dict()) == conditions
    assert conditioned(data, conditions).labels.tolist() == [0, 1, -1, 0]  # type: ignore[union-attr]  # it has some
    assert separate(found, "label, v") is found and separate(found, "").context is None
    assert found.fingerprint == conditioned(data, conditions.measured(found.context)).fingerprint


def test_context_goes_through_every_batch_of_rows(run: lb.Run) -> None:
    rows = run.resident(run.rows(two_kinds()))
    whole = torch.cat([batch.context for batch in rows.blocks(7)])  # type: ignore[misc]  # there is one
    assert whole.tolist() == np.eye(2)[np.arange(200) % 2].tolist()
    assert torch.equal(rows.take(torch.tensor([3, 4]), {}).context, whole[3:5])  # type: ignore[arg-type]
