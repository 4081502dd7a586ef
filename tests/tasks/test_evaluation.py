"""Baselines, probes and the diagnosis of an evaluation: exact where they can be."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import UnknownName
from lowerbound.tasks import baselines as bars
from lowerbound.tasks.baselines import Reference, View, baselines
from lowerbound.tasks.doctor import aggregated, expected_dimensions, noise
from lowerbound.tasks.evaluate import bound_terms
from lowerbound.tasks.probes import probes


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=15, progress=False)


@pytest.fixture(scope="module")
def binary() -> lb.Run:
    images = (np.random.default_rng(0).random((120, 5, 4)) < 0.3).astype(np.uint8)
    return lb.fit(images, latent=2, epochs=1, progress=False)


def rows_of(run: lb.Run, part: str) -> Any:
    return run.rows(part=part).values(dtype=np.float64).reshape(run.facts["split"][part], -1)


def test_the_full_gaussian_is_that_of_ledoit_and_wolf(run: lb.Run) -> None:
    from sklearn.covariance import LedoitWolf

    x, y = rows_of(run, "train"), rows_of(run, "test")
    fitted, found = LedoitWolf().fit(x), baselines(Reference(run), run.rows())["gaussian"]
    assert found["log_likelihood"]["mean"] == pytest.approx(fitted.score(y), abs=1e-6)
    assert found["ridge"] == pytest.approx(fitted.shrinkage_ * np.cov(x.T, ddof=0).trace() / 64)
    assert found["rows"] == len(x)


def test_baselines_of_scaled_columns_are_in_the_units_given() -> None:
    """Scaled as the run scales: what is found does not depend on the units but for the Jacobian."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 4)) + 0.3 * rng.normal(size=(200, 4))
    units = np.array([1.0, 100.0, 0.01, 7.0])
    one, other = (lb.fit(some, latent=1, epochs=0, progress=False) for some in (x, x * units))
    first, second = (baselines(Reference(some), some.rows()) for some in (one, other))
    for name in ("ppca", "gaussian"):
        gap = first[name]["log_likelihood"]["mean"] - second[name]["log_likelihood"]["mean"]
        assert gap == pytest.approx(np.log(units).sum(), abs=1e-3), name
    assert second["mean"]["mse"] > 100 * first["mean"]["mse"]
    view = View(other, other.rows())
    assert view.error(view.scaled) == pytest.approx(0, abs=1e-9)


def test_binarised_rows_are_compared_with_binarised_rows() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (90, 6, 6), np.uint8)
    run = lb.fit(grey, latent=2, epochs=1, progress=False)
    found = baselines(Reference(run), run.rows())
    x, y = (run.resident(run.rows(part=part)).x.double().flatten(1) for part in ("train", "test"))
    assert set(np.unique(y)) == {0.0, 1.0}
    assert found["mean"]["mse"] == pytest.approx(float((y - x.mean(0)).square().mean()))
    assert "log_likelihood" not in found["ppca"] and "gaussian" not in found


def test_bits_are_of_probabilities_only(run: lb.Run, binary: lb.Run) -> None:
    found = lb.evaluate(binary, samples=4).as_dict()
    assert found["quantity"] == "probability"
    nats = found["log_likelihood"]
    assert found["bits_per_dimension"]["mean"] == pytest.approx(-nats["mean"] / (20 * math.log(2)))
    assert found["bits_per_dimension"]["se"] == pytest.approx(nats["se"] / (20 * math.log(2)))
    dense = lb.evaluate(run, samples=2)
    assert dense.as_dict()["bits_per_dimension"] is None and "of a density" in str(dense)


def test_autoencoders_are_trained_when_asked(run: lb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "EPOCHS", 2)
    trained: list[lb.Run] = []
    monkeypatch.setattr(bars, "fit", lambda *given, **named: trained.append(lb.fit(*given, **named)) or trained[-1])
    found = lb.evaluate(run, samples=2, against="all").as_dict()["baselines"]
    assert found["ae"]["epochs"] == found["dae"]["epochs"] == 2
    assert 0 < found["ae"]["mse"] < 2 * found["mean"]["mse"] and found["ae"] != found["dae"]
    for one in trained:
        assert np.array_equal(one.rows(part="train").x, run.rows(part="train").x), "the same rows"
        assert one.model.spec["encoder"] == run.model.spec["encoder"], "the same nets"
    assert "ae" not in lb.evaluate(run, samples=2).as_dict()["baselines"]
    with pytest.raises(UnknownName, match="fast"):
        lb.evaluate(run, against="slow")  # type: ignore[arg-type]


def test_probes_are_those_of_scikit_learn(run: lb.Run) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    found = probes(Reference(run), run.rows())
    assert found is not None
    train, test = run.rows(part="train"), run.rows()
    raw = KNeighborsClassifier(5).fit(rows_of(run, "train"), train.labels).score(rows_of(run, "test"), test.labels)
    codes = KNeighborsClassifier(5).fit(lb.encode(run, train), train.labels).score(lb.encode(run), test.labels)
    inside = found["in_distribution"]
    assert inside["raw"]["knn"]["mean"] == raw and inside["codes"]["knn"]["mean"] == pytest.approx(codes, abs=0.006)
    assert inside["chance"] == np.bincount(test.labels).max() / 180
    share = inside["raw"]["linear"]
    assert share["se"] == pytest.approx(math.sqrt(share["mean"] * (1 - share["mean"]) / 180))
    assert found["noisy"]["raw"]["knn"]["mean"] < raw
    assert found["unseen_classes"] is None
    assert found == probes(Reference(run), run.rows())


def test_classes_that_were_held_out_are_told_apart_among_themselves() -> None:
    digits = lb.load("digits")
    run = lb.fit(digits, latent=2, epochs=1, split="group:label", test=400, validation=0, progress=False)
    held = np.unique(run.rows().labels)
    assert not set(held) & set(np.unique(run.rows(part="train").labels)) and len(held) >= 2
    found = probes(Reference(run), run.rows())
    assert found is not None and found["in_distribution"] is None and found["noisy"] is None
    fresh = found["unseen_classes"]
    assert fresh["classes"] == len(held) and fresh["rows"] + fresh["learnt_from"] == run.rows().rows
    assert fresh["raw"]["knn"]["mean"] > 0.9 > fresh["chance"]


def test_without_labels_there_are_no_probes(binary: lb.Run) -> None:
    assert lb.evaluate(binary, samples=2).as_dict()["probes"] is None


@pytest.mark.parametrize(("theta", "kept"), [(0.46743, 3), (0.18657, 7), (0.0955, 12), (0.0529, 18), (0.01879, 30)])
def test_the_best_linear_model_keeps_as_many_dimensions(theta: float, kept: int) -> None:
    """In the gaps of the eigenvalues of all digits; only beta * sigma^2 counts."""
    likelihood = {"name": "gaussian", "scale": "fixed", "value": math.sqrt(theta / 4)}
    run = lb.fit("digits", latent=40, epochs=0, validation=0, test=0, likelihood=likelihood, progress=False)
    found = noise(run, run.resident(run.rows(part="train")))
    assert found is not None and found["single"]
    assert expected_dimensions(Reference(run), 4.0, found) == kept


def test_a_fixed_noise_that_is_too_large_is_found_out() -> None:
    run = lb.fit("digits", latent=4, epochs=8, likelihood="gaussian:scale=fixed,value=1.0", progress=False)
    found = lb.evaluate(run, samples=4).as_dict()
    doctor = found["doctor"]
    assert doctor["state"] == "collapsed" and doctor["expected_dimensions"] == 0
    assert doctor["noise"]["sigma"] == pytest.approx(1)
    assert doctor["noise"]["calibration"] == pytest.approx(found["reconstruction"]["mse"], rel=1e-4)
    said = " ".join(found["verdict"])
    assert "collapsed: the code says next to nothing" in said and "sigma is too large" in said
    assert "likelihood = gaussian:scale=learned" in said


def test_a_beta_that_is_too_large_is_found_out() -> None:
    run = lb.fit("digits", latent=4, epochs=12, objective="elbo:beta=50", progress=False)
    doctor = lb.evaluate(run, samples=4).as_dict()["doctor"]
    change = doctor["findings"][0]["change"]
    assert doctor["state"] == "collapsed" and "lower beta" in change and "scale=learned" not in change


def test_a_model_that_works_is_healthy_and_an_autoencoder_has_nothing_to_collapse(run: lb.Run) -> None:
    doctor = lb.evaluate(run, samples=4).as_dict()["doctor"]
    assert (doctor["state"], doctor["informative_dimensions"]) == ("healthy", 3)
    autoencoder = lb.fit("digits", recipe="ae", latent=2, epochs=1, progress=False)
    found = lb.evaluate(autoencoder).as_dict()
    assert found["doctor"]["state"] == "autoencoder" and found["aggregated_posterior"] is None


def test_the_parts_of_the_divergence_add_up(run: lb.Run) -> None:
    terms = bound_terms(run, run.resident(run.rows()), 0)
    found = aggregated(terms)
    assert found["information"] + found["kl_to_prior"] == pytest.approx(terms["kl"].mean())
    assert found["total_correlation"] + found["dimension_kl"] == pytest.approx(found["kl_to_prior"])
    assert found["rows"] == 180


def test_posteriors_equal_to_the_prior_have_no_part_at_all() -> None:
    rng = np.random.default_rng(0)
    flat = {"mean": np.zeros((300, 2)), "variance": np.ones((300, 2)), "draw": rng.normal(size=(300, 2))}
    found = aggregated({**flat, "kl": np.zeros(300)})
    assert all(abs(found[name]) < 1e-9 for name in ("information", "kl_to_prior", "total_correlation", "dimension_kl"))


def test_where_training_rows_are_gone_the_rest_is_still_told(run: lb.Run, tmp_path: Any) -> None:
    made = lb.fit(np.random.default_rng(0).normal(size=(40, 3)), latent=1, epochs=1, progress=False)
    made.save(tmp_path / "run")
    found = lb.evaluate(lb.open(tmp_path / "run"), torch.zeros(9, 3), samples=2).as_dict()
    assert found["baselines"] == {} and found["probes"] is None
    assert found["doctor"]["expected_dimensions"] is None and found["rows"] == 9
