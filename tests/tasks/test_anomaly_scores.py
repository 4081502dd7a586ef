"""Anomaly scores: exact on a linear model, and what rivals, p-values and backgrounds must be."""

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import multivariate_normal

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.linear import evidence, principal
from lowerbound.measures import auroc
from lowerbound.tasks import anomaly as task

Array = npt.NDArray[Any]
WEIGHTS = np.array([[1.5, 0.0], [0.0, 1.0], [0.5, -0.5], [0.0, 0.3]])


def rows(seed: int, count: int, shift: float = 0.0) -> Array:
    """Of a linear model with two latent dimensions."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 2)) @ WEIGHTS.T + 0.4 * rng.normal(size=(count, 4)) + shift


@pytest.fixture(scope="module")
def exact() -> lb.Run:
    """Probabilistic PCA: its posterior is exact."""
    return lb.fit(rows(0, 600), recipe="pca", latent=2, precision="fp64", validation=0.3, progress=False)


@pytest.fixture(scope="module")
def digits() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=3, progress=False)


def test_on_a_linear_model_the_score_is_exact(exact: lb.Run) -> None:
    some = rows(1, 40, shift=0.5)
    found = lb.anomaly(exact, some, samples=3)
    np.testing.assert_allclose(found.score, -evidence(exact.model, torch.from_numpy(some)).numpy(), rtol=1e-6)


@pytest.mark.parametrize("wider", [1.0, 4.0])
def test_contributions_of_a_linear_model(exact: lb.Run, wider: float) -> None:
    """E[-log p(x_j|z)] = (log 2 pi s^2 + ((x_j - E x_j)^2 + w_j' C w_j) / s^2) / 2, with mean and C of p(z|x).

    Whatever q: also one of four times the variance.
    """
    exact = replace(exact, model=deepcopy(exact.model))
    with torch.no_grad():
        exact.model.encoder.map.bias[2:] += math.log(wider)
    some = torch.from_numpy(rows(1, 30))
    weights, bias = exact.model.decoder.map.weight.detach(), exact.model.decoder.map.bias.detach()
    noise = float(exact.model.likelihood(torch.zeros(1, 2, dtype=torch.float64)).variance.detach().flatten()[0])
    spread = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + weights.T @ weights / noise)
    mean = (some - bias) @ weights @ spread / noise
    error = (some - mean @ weights.T - bias) ** 2 + torch.einsum("ji,ik,jk->j", weights, spread, weights)
    cells, code = task.contributions(exact, some.numpy(), samples=4000)
    np.testing.assert_allclose(cells, 0.5 * (math.log(2 * math.pi * noise) + error / noise), atol=0.25)
    divergence = 0.5 * (mean**2).sum(1) + 0.5 * float(spread.trace() - 2 - spread.logdet())
    np.testing.assert_allclose(code, divergence, atol=0.25)
    np.testing.assert_allclose(cells.sum(1) + code, -evidence(exact.model, some).numpy(), atol=0.1)


@pytest.mark.parametrize("samples", [1, 40])
def test_cells_and_code_make_up_the_score_of_any_model(digits: lb.Run, samples: int) -> None:
    found = lb.anomaly(digits, samples=samples)
    whole = found.contributions.reshape(180, -1).sum(1) + found.code
    np.testing.assert_allclose(whole, found.score, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.score, -lb.score(digits, samples=samples).log_likelihood, rtol=1e-12)


def test_missing_cells_add_nothing() -> None:
    x = rows(0, 80)
    x[::7, 1] = math.nan
    run = lb.fit(x, latent=2, epochs=2, missing="nan", progress=False)
    found = lb.anomaly(run, x, samples=20)
    absent = np.isnan(x)
    assert (found.contributions[absent] == 0).all() and (found.contributions[~absent] != 0).all()
    assert np.isfinite(found.score).all() and not found.rivals and np.isnan(found.likelihood_ratio).all()


def test_order_and_choice_of_rows_do_not_matter(digits: lb.Run) -> None:
    data = digits.rows(part="validation")
    whole = lb.anomaly(digits, data, samples=8).table()[1]
    some = lb.anomaly(digits, data.take([7, 3]), samples=8).table()[1]
    np.testing.assert_allclose(some, whole[[7, 3]], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(lb.anomaly(digits, data, samples=8).table()[1], whole)


def test_p_values_are_ranks_among_held_out_rows(exact: lb.Run) -> None:
    """Against test rows if others are given, else against validation rows."""
    log_p = {part: lb.score(exact, exact.rows(part=part)).log_likelihood for part in ("validation", "test")}
    own = lb.anomaly(exact)
    assert own.held_out == len(log_p["validation"]) == 180
    rank = (1 + (log_p["validation"][:, None] <= log_p["test"]).sum(0)) / 181
    np.testing.assert_allclose(own.p_value, rank)
    other = (1 + (log_p["validation"][:, None] >= log_p["test"]).sum(0)) / 181
    np.testing.assert_allclose(own.typicality_p_value, np.minimum(1, 2 * np.minimum(rank, other)))
    np.testing.assert_allclose(own.typicality, np.abs(log_p["test"] - log_p["validation"].mean()))
    assert lb.anomaly(exact, rows(2, 5)).held_out == len(log_p["test"]) == 60
    fresh = lb.anomaly(exact, rows(2, 500)).p_value
    assert (fresh <= 0.2).mean() == pytest.approx(0.2, abs=0.12)  # 60 held-out rows alone move it by 0.05


def test_without_held_out_rows_there_are_no_p_values() -> None:
    run = lb.fit(rows(0, 50), latent=2, epochs=1, validation=0, test=0, progress=False)
    found = lb.anomaly(run, rows(1, 5), samples=4)
    assert np.isnan(found.p_value).all() and np.isnan(found.typicality).all() and found.held_out == 0
    assert found.as_dict()["strange"]["score"] is None and "no p-values" in str(found)
    assert sorted(found.rivals) == ["knn", "norm", "ppca"]
    memoryless = replace(run, data=None)
    assert not lb.anomaly(memoryless, rows(1, 5), samples=4).rivals


def test_strange_rows_are_found_and_where(exact: lb.Run) -> None:
    some = rows(3, 200)
    some[:20, 2] += 4.0
    found = lb.anomaly(exact, some)
    strange = np.arange(200) < 20
    assert auroc(found.score, strange).value > 0.98
    assert (found.p_value[strange] < 0.05).mean() > 0.9
    assert (found.contributions[strange].argmax(1) == 2).mean() > 0.9
    assert "of 200 rows" in str(found)


def test_rows_beyond_the_arithmetic_are_the_strangest(digits: lb.Run) -> None:
    far = digits.rows().values(slice(0, 3))
    far[1] *= 1e30
    found = lb.anomaly(digits, far, samples=4)
    assert np.isposinf(found.score[1]) and np.isfinite(found.score[[0, 2]]).all()
    assert found.p_value[1] == 1 / 181 and np.isposinf(found.likelihood_ratio[1])


def test_a_run_is_no_background_to_itself_and_another_is(exact: lb.Run) -> None:
    some = rows(1, 10)
    np.testing.assert_array_equal(lb.anomaly(exact, some, background=exact).likelihood_ratio, np.zeros(10))
    train = exact.rows(part="train").values(dtype=np.float64)
    cells = multivariate_normal(train.mean(0), np.diag(train.var(0))).logpdf(some)
    found = lb.anomaly(exact, some)
    np.testing.assert_allclose(found.likelihood_ratio, cells + found.score, rtol=1e-6)


def test_the_background_of_zeros_and_ones_is_their_frequency() -> None:
    x = (np.random.default_rng(0).random((60, 3)) < [0.1, 0.5, 0.9]).astype(np.float32)
    run = lb.fit(x, latent=1, epochs=1, progress=False)
    found = lb.anomaly(run, x[:9], samples=4)
    train = run.rows(part="train").values()
    rate = (train.sum(0) + 1) / (len(train) + 2)
    np.testing.assert_allclose(
        found.likelihood_ratio - found.score, np.log(np.where(x[:9] > 0, rate, 1 - rate)).sum(1), rtol=1e-5
    )


def test_rivals_by_their_definitions() -> None:
    train, some = rows(0, 300) * [1, 2, 3, 0] + [0, 5, 0, 7], rows(1, 50) * [1, 2, 3, 1]
    found = task.rivals(train, some)
    scale = np.where(train.std(0) > 1e-9, train.std(0), 1)
    x, y = (train - train.mean(0)) / scale, (some - train.mean(0)) / scale
    np.testing.assert_allclose(found["norm"], (y**2).sum(1))
    np.testing.assert_allclose(found["knn"], np.sort(((y[:, None] - x) ** 2).sum(-1), 1)[:, 4] ** 0.5, rtol=1e-6)
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    kept = 2  # of the eigenvalues 0, 0.2, 0.9, 1.9 two explain 90 % of the variance
    noise = values[:-kept].mean()
    covariance = noise * np.eye(4) + (vectors[:, -kept:] * (values[-kept:] - noise)) @ vectors[:, -kept:].T
    np.testing.assert_allclose(found["ppca"], -multivariate_normal(np.zeros(4), covariance).logpdf(y), rtol=1e-6)


def test_the_noise_of_cells_that_depend_on_each_other_has_a_floor() -> None:
    x = np.repeat(rows(0, 50)[:, :1], 2, axis=1)
    assert principal(torch.from_numpy(x), 1, floor=1e-6).noise == 1e-6
    assert np.isfinite(task.rivals(x, x)["ppca"]).all()
    assert sorted(task.rivals(x[:, :1], x[:3, :1])) == ["knn", "norm"]


def test_the_table_names_its_columns(exact: lb.Run) -> None:
    data = replace(lb.load(rows(1, 6)), columns=("a", "b", "c", "d"))
    assert isinstance(data, Data)
    run = replace(exact, facts={**exact.facts, "columns": ["a", "b", "c", "d"]})
    names, values = lb.anomaly(run, data).table()
    assert names[:6] == ("score", "p_value", "typicality", "typicality_p_value", "likelihood_ratio", "code")
    assert names[6:] == ("norm", "ppca", "knn", "cell a", "cell b", "cell c", "cell d")
    assert values.shape == (6, 13)
