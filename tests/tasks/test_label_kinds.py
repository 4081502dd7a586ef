"""Labels that are numbers, classes that are not alike, codes drawn anew, and bars that are told what the run is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.data.context import label_prior, separate
from lowerbound.errors import BadOption, DataMissing, Incompatible, UnknownName
from lowerbound.evaluation import HeldOut
from lowerbound.linear import principal
from lowerbound.model import assemble
from lowerbound.tasks.labels import Values

SMALL: dict[str, Any] = {
    "encoder": "mlp:widths=[16]", "decoder": "mlp:widths=[16]", "progress": False, "train__rate": 1e-2
}  # fmt: skip


def line(rows: int = 300, known: int = 60) -> Data:
    """Two columns that lie on a line but for noise, and how far along it, which only some rows know."""
    generator = np.random.Generator(np.random.PCG64(0))
    y = generator.normal(50.0, 10.0, rows)
    x = np.stack([y / 10, -y / 5], 1) + 0.2 * generator.standard_normal((rows, 2))
    mask = np.ones((rows, 3), bool)
    mask[known:, 2] = False
    return Data(np.c_[x, y], mask=mask, columns=("u", "v", "far"))


@pytest.fixture(scope="module")
def half() -> lb.Run:
    return lb.fit(line(), recipe="m2", context="far", latent=1, epochs=60, classifier="mlp:widths=[16]", **SMALL)


def test_a_number_is_told_from_rows_that_know_it_and_rows_that_do_not(half: lb.Run, tmp_path: Path) -> None:
    data = replace(line(known=300), mask=None)
    found = lb.predict(half, data)
    assert isinstance(found, Values) and found.error is not None and found.error["rows"] == 300
    assert found.error["rmse"] < 2 and 0.75 < found.error["within"] <= 1
    assert "root mean squared error" in str(found) and found.as_dict()["error"] == found.error
    bare = lb.predict(lb.open(half.save(tmp_path / "run")), Data(data.x[:, :2], columns=("u", "v")))
    np.testing.assert_array_equal(bare.mean, found.mean)  # type: ignore[union-attr]  # a number
    assert bare.error is None
    found.save(tmp_path / "far.csv")
    assert (tmp_path / "far.csv").read_text().startswith("far,deviation(far)")


def test_its_error_is_that_of_the_rows_that_know_it() -> None:
    found = Values(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 1.0]), "far", np.array([2.0, 5.0, np.nan]))
    off = np.array([1.0, 9.0])
    root = np.sqrt(off.mean())
    assert found.error == {
        "rmse": pytest.approx(root), "se": pytest.approx(off.std() / (2 * root * np.sqrt(2))), "within": 0.5, "rows": 2
    }  # fmt: skip


def test_tasks_other_than_predict_need_the_number(half: lb.Run) -> None:
    assert np.isfinite(lb.score(half, samples=4).log_likelihood).all()
    with pytest.raises(DataMissing, match="missing"):
        lb.encode(half, line(known=3))
    with pytest.raises(DataMissing, match="column 'far'"):
        lb.fit(line(), recipe="cvae", context="far", latent=1, epochs=1, **SMALL)
    with pytest.raises(Incompatible, match="conditioned on the label"):
        lb.predict(half, line(), by="bayes")
    with pytest.raises(UnknownName, match="far"):
        lb.encode(half, Data(line().x[:, :2], columns=("u", "v")))


def clouds(rows: int = 300) -> Data:
    """Two classes, the second three times as frequent, that overlap."""
    generator = np.random.Generator(np.random.PCG64(0))
    labels = (np.arange(rows) % 4 > 0).astype(np.int64)
    return Data(generator.standard_normal((rows, 2)) + labels[:, None], labels=labels, label_names=("a", "b"))


def test_the_prior_of_the_label_is_that_of_the_training_rows() -> None:
    data = clouds()
    some = np.where(np.arange(300) < 200, data.labels, -1)
    known = separate(replace(data.with_split(0.2, 0.2), labels=some), "label")
    split: Any = known.split
    train = known.labels[split.train]  # type: ignore[index]  # it has some
    assert label_prior(known, "frequencies") == [(train == code).sum() / (train >= 0).sum() for code in (0, 1)]
    assert label_prior(known, "given:0.1,0.9") == [0.1, 0.9]
    with pytest.raises(BadOption, match="2 numbers"):
        label_prior(known, "given:0.1;0.9")
    with pytest.raises(Incompatible, match="without labels"):
        label_prior(data, "frequencies")
    with pytest.raises(DataMissing, match="no training row of a class"):
        label_prior(separate(replace(data, label_names=("a", "b", "c")), "label"), "frequencies")


def test_bayes_rule_and_the_run_know_the_prior(tmp_path: Path) -> None:
    even = lb.fit(clouds(), recipe="cvae", latent=1, epochs=2, **SMALL)
    uneven = lb.fit(clouds(), recipe="cvae", latent=1, epochs=2, label_prior="given:0.2,0.8", **SMALL)
    p, q = (lb.predict(run, clouds(), by="bayes").probabilities for run in (even, uneven))  # type: ignore[union-attr]
    expected = p * [0.2, 0.8] / (p * [0.2, 0.8]).sum(1, keepdims=True)
    np.testing.assert_allclose(q, expected, rtol=1e-6)
    again = lb.open(uneven.save(tmp_path / "run"))
    assert again.model.label_weights is not None and again.model.label_weights.tolist() == pytest.approx([0.2, 0.8])
    with pytest.raises(Incompatible, match="without labels"):
        lb.fit(clouds(), latent=1, epochs=1, label_prior="frequencies", **SMALL)


def test_codes_are_rows_for_another_run_and_drawn_as_often_as_asked() -> None:
    run = lb.fit(clouds(), latent=2, epochs=3, **SMALL)
    data: Any = run.data
    means, drawn = lb.codes(run), lb.codes(run, draws=400)
    assert means.labels is not None and (means.labels == data.labels).all() and means.label_names == ("a", "b")
    np.testing.assert_array_equal(means.x, lb.encode(run, data))
    np.testing.assert_array_equal(drawn.test.x, means.test.x)
    some = drawn.train.x.reshape(400, -1, 2).astype(float)
    sd = np.sqrt(lb.encode(run, data.train, variance=True))
    np.testing.assert_allclose(some.std(0), sd, rtol=0.2)
    assert (np.abs(some.mean(0) - lb.encode(run, data.train)) < 5 * sd / 20).all()
    assert (drawn.train.labels.reshape(400, -1) == data.train.labels).all()  # type: ignore[union-attr]  # it has some
    second = lb.fit(lb.codes(run, draws=3), recipe="m1-m2", latent=1, epochs=1, classifier="mlp:widths=[4]", **SMALL)
    assert second.facts["split"]["train"] == 3 * run.facts["split"]["train"]
    with pytest.raises(BadOption, match="number of draws"):
        lb.codes(run, draws=-1)


def test_bars_are_told_what_the_run_is_told() -> None:
    """Probabilistic PCA about the mean of each class, computed here by itself, beside the run's baselines."""
    data = clouds(400)
    data = replace(data, x=np.c_[data.x, data.x[:, 0] + np.random.default_rng(0).standard_normal(400)])
    run = lb.fit(data, recipe="cvae", latent=1, epochs=1, scaling="none", **SMALL)
    found = lb.evaluate(run, samples=2)
    train, test = run.rows(part="train"), run.rows()
    means = np.stack([train.x[train.labels == code].mean(0) for code in (0, 1)])
    fit = principal(torch.from_numpy(train.x - means[train.labels]), 1)
    expected = float(fit.log_prob(torch.from_numpy(test.x - means[test.labels])).mean())
    facts = found.as_dict()
    assert facts["baselines"]["ppca"]["log_likelihood"]["mean"] == pytest.approx(expected, abs=1e-6)
    errors = ((test.x - means[test.labels]) ** 2).mean()
    assert facts["baselines"]["mean"]["mse"] == pytest.approx(errors, abs=1e-6)
    assert facts["loss"]["given"] == "label" and "log p(x|label)" in str(found) and "told label" in str(found)
    assert "log p(x)" not in str(found)


def test_zeros_and_ones_have_a_rate_for_each_class() -> None:
    labels = np.arange(200) % 2
    x = (np.random.default_rng(0).random((200, 3)) < np.where(labels, 0.9, 0.2)[:, None]).astype(np.uint8)
    run = lb.fit(Data(x, labels=labels, label_names=("a", "b")), recipe="cvae", latent=1, epochs=1, **SMALL)
    train, test = run.rows(part="train"), run.rows()
    rate = np.stack([(train.x[train.labels == k].sum(0) + 1) / ((train.labels == k).sum() + 2) for k in (0, 1)])
    own = rate[test.labels]
    expected = np.log(np.where(test.x, own, 1 - own)).sum(1).mean()
    bars = lb.evaluate(run, samples=2).as_dict()["baselines"]
    assert bars["independent"]["log_likelihood"]["mean"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("net", "inputs"), [("mlp", (67,)), ("residual", (67,)), ("linear", (67,)), ("conv", (4, 8, 8))]
)
def test_an_image_keeps_its_places_only_where_the_encoder_knows_them(net: str, inputs: tuple[int, ...]) -> None:
    """A context at every cell of an image would move a flat net as many times as there are cells."""
    spec = {
        "shape": [1, 8, 8], "latent": 2, "context": 3, "encoder": {"name": net}, "decoder": {"name": "mlp"},
        "posterior": {"name": "gaussian"}, "prior": {"name": "standard"}, "likelihood": {"name": "bernoulli"},
    }  # fmt: skip
    model: Any = assemble(spec)
    assert model.encoder.inputs == inputs and assemble(model.spec).spec == model.spec
    x, c = torch.zeros(2, 1, 8, 8), torch.eye(3)[:2]
    both = model.numbers(x, c)
    assert both.shape == (2, 4) and not torch.equal(both[0], both[1])
    if net == "linear":
        torch.testing.assert_close(both - model.encoder.map.bias, model.encoder.map.weight[:, 64:66].T)


def test_rows_held_out_have_no_noise_for_labelled_ones() -> None:
    run = lb.fit(
        replace(clouds(), labels=np.where(np.arange(300) < 20, clouds().labels, -1)), recipe="m2", latent=1, epochs=1,
        classifier="mlp:widths=[4]", validation=0.2, **SMALL,
    )  # fmt: skip
    objective = lb.objectives.labelled()
    objective.accepts(run.model)
    rows = run.resident(run.rows(part="train", partial=True), partial=True)
    objective.prepare(rows)
    assert set(HeldOut(rows, objective, run.model, 0).requests) == {"posterior"} != set(objective.requests(run.model))
