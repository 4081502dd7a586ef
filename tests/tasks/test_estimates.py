"""log p(x) by every way there is: right where q is right, ordered and flagged where it is wrong on purpose."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.batches import Batch
from lowerbound.errors import BadOption, Incompatible, UnknownName
from lowerbound.linear import fill_closed_form
from lowerbound.selftests.base import affine, closed_form, rows_of
from lowerbound.tasks import gaps
from lowerbound.tasks import score as scoring
from lowerbound.tasks.annealing import Annealing
from lowerbound.tasks.estimators import METHODS
from lowerbound.tasks.gaps import Gaps
from lowerbound.tasks.score import Scores

BRIEF = Annealing(temperatures=60)


@pytest.fixture(scope="module")
def linear() -> Callable[..., lb.Run]:
    """A linear run with the best weights, q(z|x) exact but for what is added to its means and log-variances."""

    def make(latent: int, mean: float = 0.0, log_variance: float = 0.0, prior: bool = False) -> lb.Run:
        run = lb.fit("digits", latent=latent, encoder="linear", decoder="linear", epochs=0, progress=False)
        run.model.double()
        fill_closed_form(run.model, torch.from_numpy(run.rows(part="train").values()))
        layer = affine(run.model.encoder)
        with torch.no_grad():
            layer.bias[:latent] += mean
            layer.bias[latent:] += log_variance
            if prior:
                layer.weight.zero_()
                layer.bias.zero_()
        return run

    return make


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=8, progress=False)


def of(scores: Scores) -> tuple[Any, ...]:
    return scores.log_likelihood, scores.se, scores.ess, scores.pareto_k, scores.samples_per_row


def test_a_tolerance_takes_more_of_the_same_draws_where_they_are_needed(run: lb.Run) -> None:
    rows = run.rows().take(slice(0, 40))
    few, many = lb.score(run, rows, samples=50), lb.score(run, rows, samples=200)
    limit = float(np.median(few.se))
    found = lb.score(run, rows, samples=50, tolerance=limit, most=200)
    met = few.se <= limit
    assert 5 < met.sum() < 35
    for part, first in zip(of(found), of(few), strict=True):
        np.testing.assert_allclose(part[met], first[met], rtol=1e-5, equal_nan=True)
    last = found.samples_per_row == 200
    assert last.any()
    assert set(found.samples_per_row) <= {50, 100, 200}
    for part, whole in zip(of(found), of(many), strict=True):
        np.testing.assert_allclose(part[last], whole[last], rtol=1e-3, atol=1e-4, equal_nan=True)
    assert (found.se[found.samples_per_row < 200] <= limit).all()


def test_what_a_tolerance_could_not_reach_is_said(run: lb.Run) -> None:
    rows = run.rows().take(slice(0, 20))
    found = lb.score(run, rows, samples=10, tolerance=1e-6, most=30)
    assert found.unsettled.tolist() == list(range(20))
    assert (found.samples_per_row == 30).all()
    assert "20 of 20 rows are not known to be within a standard error of 1e-06 nats at K = 30" in found.warnings
    easy = lb.score(run, rows, samples=200, tolerance=100.0)
    assert not len(easy.unsettled)
    assert str(easy).endswith(f"(K = 200, ESS {np.median(easy.ess):.0f})")
    assert not len(lb.score(run, rows, samples=3).unsettled), "no tolerance was asked for"


def test_chunks_and_order_do_not_matter_to_a_tolerance(run: lb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run.rows().take(slice(0, 30))
    limit = float(np.median(lb.score(run, rows, samples=300).se))
    whole = lb.score(run, rows, samples=300, tolerance=limit, most=2000)
    back = lb.score(run, rows.take(np.arange(30)[::-1]), samples=300, tolerance=limit, most=2000)
    monkeypatch.setattr(scoring, "DECODED", 700)
    small = lb.score(run, rows, samples=300, tolerance=limit, most=2000)
    for part, turned, cut in zip(of(whole), of(back), of(small), strict=True):
        np.testing.assert_allclose(turned[::-1], part, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(cut, part, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(small.log_likelihood, whole.log_likelihood, rtol=1e-5)


def test_a_posterior_without_width_has_no_estimate_and_says_so(linear: Callable[..., lb.Run]) -> None:
    run = linear(2, log_variance=-1e4)  # so small a variance is 0 in any precision
    found = lb.score(run, run.rows().x[:20], samples=30)
    assert any(line.startswith("20 of 20 rows have no estimate") for line in found.warnings)


def test_progress_comes_to_all_rows(run: lb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "DECODED", 64)
    told: list[tuple[int, int]] = []
    lb.score(run, samples=2, progress=lambda done, rows: told.append((done, rows)))
    assert told[-1] == (180, 180)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) > 3


@pytest.mark.parametrize(
    "wrong", [{"tolerance": 0.0}, {"tolerance": math.nan}, {"tolerance": 1.0, "samples": 20, "most": 10}]
)
def test_impossible_tolerances_are_refused(run: lb.Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        lb.score(run, **wrong)


def test_where_q_is_exact_all_ways_agree(linear: Callable[..., lb.Run]) -> None:
    run = linear(2)
    found = lb.estimate(run, samples=60, rows=6, annealing=BRIEF)
    exact = found["exact"].values
    for one in found.found:
        if one.method in ("iwae", "importance"):
            np.testing.assert_allclose(one.values, exact, rtol=0, atol=1e-6)
    assert abs(found["ais"].mean - found["exact"].mean) < 0.2
    bdmc = found.as_dict()["bdmc"]
    assert bdmc["lower"] - 0.1 < bdmc["exact"] < bdmc["upper"] + 0.1
    assert bdmc["gap"] < 0.4
    scores = lb.score(run, samples=400)
    assert scores.warnings == []
    assert np.isnan(scores.pareto_k).all()


@pytest.mark.parametrize("wrong", [{"prior": True}, {"log_variance": math.log(4.0)}], ids=["prior", "variance x 4"])
def test_a_wrong_q_is_ordered_and_flagged(linear: Callable[..., lb.Run], wrong: dict[str, Any]) -> None:
    run = linear(20, **wrong)
    found = lb.estimate(run, methods=["exact", "iwae", "importance", "prior"], samples=1000, rows=20)
    bounds = [one.values for one in found.found if one.method in ("iwae", "importance")]
    assert len(bounds) == 5
    assert all((low <= high + 1e-9).all() for low, high in pairwise(bounds)), "K = 1, 5, 50, ..."
    assert bounds[-1].mean() < found["exact"].mean - 0.1
    assert found["importance"].doubtful == found["prior"].doubtful == 20
    assert all(f"{one.label}: not reliable in 20 of 20 rows" in "".join(found.warnings)
               for one in (found["importance"], found["prior"]))  # fmt: skip
    scores = lb.score(run, run.rows().take(slice(0, 20)), samples=1000)
    assert (scores.ess < 10).all()
    assert (scores.pareto_k > 0.7).mean() > 0.5
    assert len(scores.warnings) == 2
    assert not scores.reliable.any()


def test_prior_sampling_fails_in_many_dimensions_and_says_so(linear: Callable[..., lb.Run]) -> None:
    run = linear(20)
    found = lb.estimate(run, methods=["exact", "prior"], samples=2000, rows=10)
    assert found["prior"].doubtful == 10
    assert found["exact"].mean - found["prior"].mean > 5
    assert (found["prior"].ess < 3).all()


def test_prior_sampling_is_right_in_one(linear: Callable[..., lb.Run]) -> None:
    found = lb.estimate(linear(1), methods=["exact", "prior"], samples=4000, rows=10)
    away = np.abs(found["prior"].values - found["exact"].values)
    assert (away < 4 * found["prior"].se).all()


def test_estimates_say_what_they_are(run: lb.Run) -> None:
    told: dict[str, tuple[int, int]] = {}
    found = lb.estimate(
        run, samples=100, rows=5, annealing=Annealing(4, 8, 2), progress=lambda name, *of: told.update({name: of})
    )
    labels = [one.label for one in found.found]
    assert labels == [
        "ELBO", "IWAE bound, K = 5", "IWAE bound, K = 50", "importance sampling, K = 100", "prior sampling, K = 100",
        "annealing, 4 temperatures, 8 chains",
    ]  # fmt: skip
    facts = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [line["label"] for line in facts["estimates"]] == labels
    assert facts["bdmc"]["exact"] is None
    assert all(label in str(found) for label in labels)
    assert set(told) == set(METHODS) - {"exact"}
    assert all(done == of for done, of in told.values())
    elbo = lb.evaluate(run, run.rows().take(slice(0, 5)), samples=1).as_dict()["elbo"]["mean"]
    assert found["ELBO"].mean == pytest.approx(elbo, abs=4 * float(found["ELBO"].se.mean()) + 0.3)


def test_what_cannot_be_estimated_is_refused(run: lb.Run) -> None:
    with pytest.raises(UnknownName, match="unknown method 'hmc'"):
        lb.estimate(run, methods=["hmc"])
    with pytest.raises(BadOption):
        lb.estimate(run, rows=0)
    with pytest.raises(BadOption):
        lb.gap(run, samples=1)
    autoencoder = lb.fit("digits", recipe="ae", latent=2, epochs=1, progress=False)
    for task in (lb.estimate, lb.gap):
        with pytest.raises(Incompatible, match="no density"):
            task(autoencoder)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger steps and fewer checks than are usual: the problems here are easy."""
    monkeypatch.setattr(gaps, "RATE", 1e-2)
    monkeypatch.setattr(gaps, "PATIENCE", 3)


def sums(found: Gaps) -> None:
    np.testing.assert_allclose(found.total, found.approximation + found.amortisation)
    facts = found.as_dict()
    parts = [facts[name] for name in ("approximation", "amortisation", "total")]
    assert parts[2]["mean"] == pytest.approx(parts[0]["mean"] + parts[1]["mean"])
    assert all(part["mean"] >= -2 * part["se"] - 1e-6 for part in parts)
    assert f"{parts[2]['mean']:.2f} ± {parts[2]['se']:.2f}" in str(found)


@pytest.mark.usefixtures("hasty")
def test_an_exact_posterior_has_no_gap(linear: Callable[..., lb.Run]) -> None:
    found = lb.gap(linear(5), rows=4, samples=300)
    for part in (found.total, found.approximation, found.amortisation):
        assert np.abs(part).max() < 1e-3


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("wrong", "exact"),
    [({"mean": 0.05}, None), ({"log_variance": math.log(4.0)}, 5 * 0.5 * (4 - 1 - math.log(4.0)))],
    ids=["mean", "variance x 4"],
)
def test_a_wrong_encoder_is_the_encoders_fault(
    linear: Callable[..., lb.Run], wrong: dict[str, float], exact: float | None
) -> None:
    run = linear(5, **wrong)
    if exact is None:
        precision = 1 / run.model.posterior(torch.zeros(1, 1, 8, 8).double()).variance
        exact = float(0.5 * (precision * 0.05**2).sum().detach())
    found = lb.gap(run, rows=4, samples=4000)
    sums(found)
    assert found.amortisation == pytest.approx(exact, abs=0.02 + 4 * float(found.amortisation_se.max()))
    assert np.abs(found.approximation).max() < 0.02


@pytest.mark.usefixtures("hasty")
def test_a_family_that_is_too_small_is_the_familys_fault(linear: Callable[..., lb.Run]) -> None:
    """With the latent axes turned p(z|x) has correlations; the best factorised q has its precisions, and no others."""
    run = linear(5)
    model = run.model
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double())[0]
    with torch.no_grad():
        decoder, encoder = affine(model.decoder), affine(model.encoder)
        decoder.weight.copy_(decoder.weight @ turn.T)
        noise = float(model.likelihood(torch.zeros(1, 5).double()).variance.flatten()[0])
        precision = torch.eye(5).double() + decoder.weight.T @ decoder.weight / noise
        inward = torch.linalg.inv(precision) @ decoder.weight.T / noise
        encoder.weight[:5], encoder.weight[5:] = inward, 0.0
        encoder.bias[:5], encoder.bias[5:] = -inward @ decoder.bias, -precision.diagonal().log()
    exact = 0.5 * float(precision.diagonal().log().sum() - precision.logdet())
    assert exact > 0.1
    found = lb.gap(run, rows=4, samples=4000)
    sums(found)
    assert found.approximation == pytest.approx(exact, abs=0.01 + 4 * float(found.approximation_se.max()))
    assert np.abs(found.amortisation).max() < 0.01


def test_noise_of_gradients_in_one_call() -> None:
    batch = Batch(rows_of("digits")[:2])
    found = lb.gradient_noise(closed_form("digits", 10), batch, samples=2, draws=300)
    spread = {name: one.total_variance for name, one in found.found.items()}
    assert spread["score"] > 5 * spread["score_baseline"] > 5 * spread["reparameterized"] > 1
    assert max(spread["sticking"], spread["dreg"]) < 1e-20 < spread["iwae"]
    assert found["iwae"].mean.shape == (2, 20)
    assert json.loads(json.dumps(found.as_dict()))["estimators"]["score"]["draws"] == 300
    assert all(name in str(found) for name in spread)
    assert [label.get_text() for label in found.figure().axes[0].get_yticklabels()] == list(spread)
    with pytest.raises(UnknownName, match="unknown estimator 'dregs'"):
        lb.gradient_noise(closed_form("digits", 10), batch, ["dregs"])
    with pytest.raises(BadOption):
        lb.gradient_noise(closed_form("digits", 10), batch, draws=1)
