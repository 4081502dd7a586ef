"""Labels told by the model, by Bayes' rule and from codes; and codes that should not tell them."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.errors import BadOption, DataError, Incompatible, UnknownName
from lowerbound.tasks.labels import Predictions, codes_of

SMALL = {"encoder": "mlp:widths=[16]", "decoder": "mlp:widths=[16]", "progress": False, "train__rate": 1e-2}


def clouds(rows: int = 300, known: int = 300) -> Data:
    """Three classes on a line; only so many labels are known."""
    generator = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(rows) % 3
    x = np.stack([8.0 * labels, generator.standard_normal(rows)], 1) + 0.5 * generator.standard_normal((rows, 2))
    return Data(x, labels=np.where(np.arange(rows) < known, labels, -1), label_names=("u", "v", "w"))


@pytest.fixture(scope="module")
def half() -> lb.Run:
    return lb.fit(clouds(known=30), recipe="m2", latent=1, epochs=40, classifier="mlp:widths=[16]", **SMALL)


@pytest.fixture(scope="module")
def plain() -> lb.Run:
    return lb.fit(clouds(known=60), latent=2, epochs=60, **SMALL)


@pytest.mark.parametrize("by", ["auto", "bayes"])
def test_a_run_with_some_labels_tells_the_rest(half: lb.Run, by: Any) -> None:
    found = lb.predict(half, clouds(), by=by)
    assert found.by == ("model" if by == "auto" else by)
    assert found.error is not None and found.error["mean"] < 0.05 and found.error["rows"] == 300
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("by", ["auto", "logistic", "spreading"])
def test_codes_tell_labels(plain: lb.Run, by: Any) -> None:
    found = lb.predict(plain, clouds(), by=by)
    assert found.by == ("spreading" if by == "auto" else by)
    assert found.error is not None and found.error["mean"] < 0.05


def test_what_lies_apart_from_every_label_has_even_chances() -> None:
    labels = np.r_[np.arange(20) % 2, np.full(20, -1)]
    x = np.r_[np.random.default_rng(0).standard_normal((20, 2)), np.random.default_rng(1).standard_normal((20, 2)) + 99]
    data = Data(x, labels=labels, label_names=("a", "b"))
    run = lb.fit(data, latent=2, epochs=30, validation=0, test=0, **SMALL)
    found = lb.predict(run, data, by="spreading").probabilities
    np.testing.assert_allclose(found[20:], 0.5)
    assert (found[:20].max(1) > 0.5).all()


def test_it_comes_back_from_the_disk_and_says_the_same(half: lb.Run, tmp_path: Path) -> None:
    before = lb.predict(half, clouds())
    again = lb.predict(lb.open(half.save(tmp_path / "run")), clouds().x)
    assert np.array_equal(before.probabilities, again.probabilities) and again.error is None
    again.save(tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == before.labels.tolist() and float(rows[0]["p(u)"]) <= 1


def test_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    options = {"recipe": "m2", "latent": 1, "classifier": "mlp:widths=[4]", "checkpoint_seconds": 0.0, **SMALL}
    whole = lb.fit(clouds(known=30), epochs=4, out=tmp_path / "whole", **options)
    lb.fit(clouds(known=30), epochs=4, out=tmp_path / "cut", time_budget=0.0, **options)
    again = lb.fit(clouds(known=30), epochs=4, out=tmp_path / "cut", resume="auto", **options)
    assert "resumed" in again.summary
    assert np.array_equal(lb.predict(again, clouds()).probabilities, lb.predict(whole, clouds()).probabilities)


def test_errors_are_counted_where_labels_are_known() -> None:
    found = Predictions(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), ("a", "b"), "model", np.array([0, 0, -1]))
    assert found.labels.tolist() == ["a", "b", "a"]
    assert found.error == {"mean": 0.5, "se": pytest.approx(0.5 / np.sqrt(2)), "rows": 2}
    assert found.as_dict()["predicted"] == {"a": 2, "b": 1}


def test_labels_are_matched_by_name() -> None:
    rows = Data(np.zeros((3, 1)), labels=np.array([0, 1, -1]), label_names=("w", "x"))
    assert codes_of(rows, ("u", "v", "w")).tolist() == [2, -1, -1]


def test_what_cannot_tell_labels_is_refused(plain: lb.Run, half: lb.Run) -> None:
    with pytest.raises(Incompatible, match="no classifier"):
        lb.predict(plain, by="model")
    with pytest.raises(Incompatible, match="conditioned on the label"):
        lb.predict(plain, by="bayes")
    with pytest.raises(Incompatible, match="told the label"):
        lb.predict(half, by="logistic")
    with pytest.raises(UnknownName, match="spreading"):
        lb.predict(half, by="spread")  # type: ignore[arg-type]  # on purpose
    bare = lb.fit(clouds().x, latent=1, epochs=1, **SMALL)
    with pytest.raises(DataError, match="no labelled training rows"):
        lb.predict(bare)
    with pytest.raises(BadOption, match="an ending"):
        lb.predict(half).save("labels.png")


def test_a_style_does_not_tell_the_label_and_a_plain_code_does(plain: lb.Run) -> None:
    told = lb.fit(clouds(), recipe="cvae", latent=1, epochs=60, **SMALL)
    found = lb.independence(told, clouds(), beside=plain)
    assert found.beside is not None and found.beside.mean > 0.95
    assert found.mean < 0.75 and found.chance == pytest.approx(1 / 3)
    assert found.mean == max(found.accuracy.values()) and 0 < found.se < 0.05
    with pytest.raises(DataError, match="no labels"):
        lb.independence(plain, replace(clouds(), labels=None))
