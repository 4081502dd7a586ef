"""Paths against geometry: the arc, Clairaut's relation, a straight line where nothing is dearer."""

import math

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import DataError
from lowerbound.tasks.paths import FLOOR, centre, cost, dense, linear, prior_draws, quantiles, spherical


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=2, recipe="pca", progress=False)


@pytest.fixture(scope="module")
def mixed(run: lb.Run) -> lb.Run:
    """The same with a mixture that is known: half at (-2, 0), half at (2, 1), standard deviations 0.5 and 1."""
    refitted = lb.refit_prior(run, "mixture:components=2", steps=1)
    with torch.no_grad():
        refitted.model.prior_family.means.copy_(torch.tensor([[-2.0, 0.0], [2.0, 1.0]]))
        refitted.model.prior_family.log_scales.copy_(torch.tensor([[0.5, 1.0], [0.5, 1.0]]).log())
        refitted.model.prior_family.logits.zero_()
    return refitted


def test_the_straight_line(run: lb.Run) -> None:
    found = linear(np.array([0.0, 1.0]), np.array([4.0, -1.0]), 5, run)
    np.testing.assert_allclose(found, [[0, 1], [1, 0.5], [2, 0], [3, -0.5], [4, -1]])


def test_the_arc_keeps_its_length_and_turns_evenly(run: lb.Run) -> None:
    found = spherical(np.array([3.0, 0.0]), np.array([0.0, 3.0]), 4, run)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 3)
    np.testing.assert_allclose(np.degrees(np.arctan2(found[:, 1], found[:, 0])), [0, 30, 60, 90], atol=1e-9)
    sixth = spherical(np.array([2.0, 0.0]), np.array([1.0, np.sqrt(3)]), 3, run)
    np.testing.assert_allclose(sixth[1], [np.sqrt(3), 1])
    np.testing.assert_allclose(spherical(np.array([1.0, 1.0]), np.array([3.0, 3.0]), 3, run)[1], [2, 2])


def test_the_arc_goes_about_the_mean_of_the_prior(mixed: lb.Run) -> None:
    np.testing.assert_allclose(centre(mixed).detach(), [0, 0.5])
    found = spherical(np.array([1.0, 0.5]), np.array([0.0, 1.5]), 3, mixed)
    np.testing.assert_allclose(found[1], [math.sqrt(0.5), 0.5 + math.sqrt(0.5)], atol=1e-6)


def test_between_opposite_codes_there_is_no_shortest_arc(run: lb.Run) -> None:
    with pytest.raises(DataError, match="no arc is the shortest"):
        spherical(np.array([1.0, 2.0]), np.array([-2.0, -4.0]), 5, run)


def test_the_dense_way_obeys_clairaut(run: lb.Run) -> None:
    """Where the cost of a step depends on the radius alone, cost * radius * sin(angle to the radius) stays the same."""
    start, end = np.array([2.0, 0.0]), np.array([-1.0, 1.8])
    z = torch.from_numpy(dense(start, end, 33, run))
    top = float((-0.5 * torch.from_numpy(linear(start, end, 33, run)).square().sum(1)).max())
    middle, step = (z[1:] + z[:-1]) / 2, z[1:] - z[:-1]
    each = cost(-0.5 * middle.square().sum(1) - top, 2).sqrt()
    across = (middle[:, 0] * step[:, 1] - middle[:, 1] * step[:, 0]) / step.norm(dim=1)
    kept = each * across
    assert float(kept.max() - kept.min()) < 5e-3 * float(kept.mean())
    lengths = each * step.norm(dim=1)
    assert float(lengths.max() - lengths.min()) < 5e-3 * float(lengths.mean()), "evenly spaced by cost"
    line = torch.from_numpy(linear(start, end, 33, run))
    straight = cost(-0.5 * ((line[1:] + line[:-1]) / 2).square().sum(1) - top, 2).sqrt() * (line[1:] - line[:-1]).norm(
        dim=1
    )
    assert float(lengths.sum()) < 0.98 * float(straight.sum())


def test_the_dense_way_through_the_mean_is_straight(run: lb.Run) -> None:
    found = dense(np.array([-2.0, -1.0]), np.array([2.0, 1.0]), 9, run)
    np.testing.assert_allclose(found[:, 1], found[:, 0] / 2, atol=1e-4)
    np.testing.assert_allclose(found[[0, -1]], [[-2, -1], [2, 1]])
    assert np.diff(found[:, 0])[0] < np.diff(found[:, 0])[4], "small steps where they are dear"


def test_the_dense_way_keeps_to_the_mixture(mixed: lb.Run) -> None:
    """From one component to the other it costs less than the straight line, and ends where it should."""
    start, end = np.array([-2.0, -1.5]), np.array([2.0, 3.0])
    mixed.model.zero_grad(set_to_none=True)
    with torch.no_grad():
        p = mixed.model.prior()
    way, line = (torch.from_numpy(path(start, end, 33, mixed)).float() for path in (dense, linear))

    def price(z: torch.Tensor) -> float:
        with torch.no_grad():
            each = cost(p.log_prob((z[1:] + z[:-1]) / 2) - p.log_prob(line).max(), 2).sqrt()
        return float((each * (z[1:] - z[:-1]).norm(dim=1)).sum())

    assert price(way) < 0.9 * price(line)
    np.testing.assert_allclose(way[[0, -1]], [start, end])
    assert all(weight.grad is None for weight in mixed.model.parameters()), "a search leaves no gradients behind"
    assert cost(torch.tensor(-50.0), 2) == pytest.approx(1 / FLOOR, rel=1e-4)


def test_quantiles_of_a_prior(run: lb.Run, mixed: lb.Run) -> None:
    from scipy.stats import norm

    shares = [0.01, 0.5, 0.9]
    np.testing.assert_allclose(quantiles(run, shares)[:, 1], norm.ppf(shares), atol=1e-12)
    found = quantiles(mixed, shares)
    for share, value in zip(shares, found[:, 1], strict=True):
        exact = 0.5 * norm.cdf(value, 0, 1.0) + 0.5 * norm.cdf(value, 1, 1.0)
        assert exact == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4096))
    assert torch.equal(prior_draws(mixed, 5, 1, "x"), prior_draws(mixed, 5, 1, "x"))
