"""Sums of weights that arrive in pieces, and the shape of their tail."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lowerbound.tasks.tally import Tally, pareto_shape

ROWS = 30


def uniform(draws: int, seed: int = 0) -> Tensor:
    return torch.rand(draws, ROWS, generator=torch.Generator().manual_seed(seed)).double().clamp(min=1e-12)


def tallied(log_w: Tensor, *cuts: int) -> Tally:
    """The tally of weights that come in pieces, rows in two halves."""
    tally = Tally(log_w.shape[1], len(log_w))
    for rows in torch.arange(log_w.shape[1]).chunk(2):
        for piece in log_w.tensor_split(list(cuts)):
            tally.add(rows, piece[:, rows])
    return tally


def test_pieces_make_the_whole() -> None:
    log_w = 300 - 4 * uniform(700).log()
    whole, pieces = tallied(log_w), tallied(log_w, 1, 250, 506)
    w = (log_w - 300).exp()
    exact = {
        "log_mean": w.mean(0).log() + 300, "ess": w.sum(0) ** 2 / w.square().sum(0),
        "se": w.std(0) / w.mean(0) / 700**0.5, "pareto_k": pareto_shape(log_w.sort(0, descending=True).values[:81].T),
    }  # fmt: skip
    for name, value in exact.items():
        np.testing.assert_allclose(getattr(pieces, name), value, rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(getattr(whole, name), value, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.7, 1.0])
def test_the_shape_of_pareto_weights(k: float) -> None:
    """Of w = u^-k, u uniform, whose moments below 1 / k exist."""
    found = tallied(-k * uniform(5000).log()).pareto_k
    assert found.mean() == pytest.approx(k, abs=0.08)
    assert found.std() < 0.2


def test_bounded_weights_have_a_negative_shape() -> None:
    assert (tallied(uniform(5000).log()).pareto_k < -0.5).all(), "uniform weights: k = -1"


def test_without_a_tail_there_is_no_shape() -> None:
    assert np.isnan(tallied(uniform(99)[:90]).pareto_k).all(), "too few"
    assert np.isnan(tallied(torch.full((1000, 3), -7.0).double()).pareto_k).all(), "all equal"
    assert np.isnan(tallied(-7 + 1e-5 * uniform(1000)).pareto_k).all(), "rounding"


def test_rows_may_have_different_numbers_of_weights() -> None:
    log_w = -0.9 * uniform(1000).log()
    tally = Tally(ROWS, 1000)
    tally.add(torch.arange(ROWS), log_w[:200])
    tally.add(torch.tensor([3, 5]), log_w[200:][:, [3, 5]])
    few, many = tallied(log_w[:200]), tallied(log_w)
    for name in ("log_mean", "se", "ess", "pareto_k"):
        expected = np.array(getattr(few, name))
        expected[[3, 5]] = getattr(many, name)[[3, 5]]
        np.testing.assert_allclose(getattr(tally, name), expected, rtol=1e-9, err_msg=name)
    assert tally.drawn.tolist() == [1000 if row in (3, 5) else 200 for row in range(ROWS)]


def test_weights_of_zero_count() -> None:
    log_w = torch.tensor([[-math.inf], [0.0], [-math.inf], [0.0]]).double()
    tally = tallied(log_w, 1)
    assert tally.log_mean[0] == pytest.approx(math.log(0.5))
    assert tally.ess[0] == pytest.approx(2)
    assert tallied(log_w[:1]).log_mean[0] == -math.inf


def test_one_weight_has_no_error() -> None:
    tally = tallied(uniform(1))
    assert np.isnan(tally.se).all()
    assert (tally.ess == 1).all()
