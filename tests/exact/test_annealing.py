"""Annealed importance sampling against log p(x) that a formula knows."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lowerbound.batches import Batch
from lowerbound.errors import BadOption
from lowerbound.linear import evidence
from lowerbound.model import VAE
from lowerbound.selftests.base import affine, closed_form, distance, linear_model, rows_of, variance_of
from lowerbound.tasks.annealing import ACCEPTED, Annealing, Path, annealed, sandwich, simulated
from lowerbound.tasks.tally import Tally

BRIEF = Annealing(temperatures=60, chains=64)


def iris(latent: int = 2) -> tuple[VAE, Batch]:
    return closed_form("iris", latent), Batch(rows_of("iris")[::10])


def assert_near(tally: Tally, exact: Tensor) -> None:
    away = tally.log_mean - exact.numpy()
    assert abs(away.mean()) < 3 * np.sqrt(np.mean(tally.se**2) / len(away)) < 0.2
    assert np.abs(away).max() < 6 * tally.se.max() < 3


def test_annealing_from_the_prior_comes_to_the_exact_value() -> None:
    model, batch = iris()
    tally = annealed(model, batch, BRIEF)
    assert_near(tally, evidence(model, batch.x))


def toy() -> VAE:
    """z ~ N(0, 1), x|z ~ N(z, 1/2), q the prior: the weights are bounded."""
    model = linear_model(1, 1, scale="fixed", value=0.5**0.5)
    for weight in model.parameters():
        weight.data.zero_()
    affine(model.decoder).weight.data.fill_(1.0)
    return model


@pytest.mark.parametrize("temperatures", [3, 8])
def test_the_weights_have_no_bias_however_few_the_temperatures(temperatures: int) -> None:
    """The mean of weight / p(x) forwards, and of p(x) / weight backwards, is one: exact before chains have settled."""
    model, chains = toy(), 40_000
    path = Path(model, Batch(torch.tensor([[1.0], [2.0]]).double()), Annealing(temperatures, chains, leapfrog=3), 0)
    exact = evidence(model, path.batch.x)
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        steps = path.tuned(lambda: None)
        forward = path.forward(steps, lambda: None) - exact
        z = path.batch.x / 1.5 + 3**-0.5 * torch.randn(chains, 2, 1, generator=source).double()  # of p(z|x)
        backward = exact - path.reverse(z, steps, lambda: None)
    for share in (forward.exp(), backward.exp()):
        assert torch.allclose(share.mean(0), torch.ones(2).double(), rtol=0, atol=4 * float(share.std()) / chains**0.5)
        assert share.std() < 5


def test_from_an_exact_posterior_or_to_an_idle_likelihood_nothing_varies() -> None:
    model, batch = iris()
    tally = annealed(model, batch, Annealing(temperatures=7, chains=3, start="posterior"))
    assert distance(torch.from_numpy(tally.log_mean), evidence(model, batch.x)) < 1e-10
    assert np.allclose(tally.ess, 3)
    idle = deepcopy(model)
    affine(idle.decoder).weight.data.zero_()
    assert distance(torch.from_numpy(annealed(idle, batch, Annealing(7, 3)).log_mean), evidence(idle, batch.x)) < 1e-10


def test_from_a_wrong_posterior_it_comes_to_the_exact_value() -> None:
    model, batch = deepcopy(iris()[0]), iris()[1]
    affine(model.encoder).bias.data[2:] += math.log(4.0)
    tally = annealed(model, batch, replace(BRIEF, start="posterior"))
    assert_near(tally, evidence(model, batch.x))


def test_missing_cells_are_left_out() -> None:
    model, batch = iris()
    seen = torch.tensor([True, False, True, True])
    mask = seen.expand_as(batch.x)
    tally = annealed(model, Batch(torch.where(mask, batch.x, math.nan), mask), BRIEF)
    layer = affine(model.decoder)
    w, b = layer.weight.detach()[seen], layer.bias.detach()[seen]
    covariance = w @ w.T + variance_of(model) * torch.eye(3).double()
    exact = MultivariateNormal(b, covariance, validate_args=False).log_prob(batch.x[:, seen])
    assert_near(tally, exact)


def test_the_sandwich_holds_the_exact_value() -> None:
    model, _ = iris(1)
    batch, lower, upper = sandwich(model, 30, Annealing(temperatures=100, chains=32))
    exact = evidence(model, batch.x).numpy()
    below, above = exact - lower.log_mean, -upper.log_mean - exact
    for side in (below, above):
        assert -2 * side.std() / len(side) ** 0.5 < side.mean() < 0.06
    assert 0 < (below + above).mean() < 0.1


def test_rows_are_made_by_the_model_with_their_z() -> None:
    model, _ = iris()
    batch, z = simulated(model, 20_000, 0)
    with torch.no_grad():
        residual = batch.x - model.likelihood(z.unsqueeze(0)).mean[0]
    assert float(residual.var()) == pytest.approx(variance_of(model), rel=0.02)
    assert torch.allclose(z.T @ z / len(z), torch.eye(2).double(), atol=0.03)


def test_a_row_has_the_same_chains_in_any_company() -> None:
    model, batch = iris()
    brief = Annealing(temperatures=10, chains=4)
    whole = annealed(model, batch, brief).log_mean
    some = annealed(model, batch.cut(torch.tensor([7, 2])), brief).log_mean
    assert np.allclose(some, whole[[7, 2]], rtol=0, atol=1e-9)
    assert not np.allclose(annealed(model, batch, brief, seed=1).log_mean, whole)


def test_steps_are_tuned_to_the_wanted_acceptance() -> None:
    model, batch = iris()
    path = Path(model, batch, Annealing(temperatures=200), 0)
    chances: list[float] = []

    def transition(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z, chance = Path._transition(path, *given)  # type: ignore[arg-type]
        chances.append(float(chance.mean()))
        return z, chance

    path._transition = transition  # type: ignore[method-assign, assignment]
    with torch.no_grad():
        path.tuned(lambda: None)
    assert np.mean(chances[100:]) == pytest.approx(ACCEPTED, abs=0.07)


@pytest.mark.parametrize("wrong", [{"temperatures": 0}, {"chains": 0}, {"leapfrog": 0}, {"start": "middle"}])
def test_impossible_annealing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadOption, match="annealing"):
        Annealing(**wrong)  # type: ignore[arg-type]


def test_the_schedule_is_slow_at_both_ends() -> None:
    t = Annealing(temperatures=100).schedule
    assert (t[0], t[-1], len(t)) == (0.0, 1.0, 101)
    assert t.diff().min() == t.diff()[[0, -1]].min()
    assert torch.allclose(t + t.flip(0), torch.ones(101).double())


def test_every_step_is_told() -> None:
    model, batch = iris()
    told: list[int] = []
    annealed(model, batch, Annealing(temperatures=5, chains=2), tell=lambda: told.append(1))
    sandwich(model, 2, Annealing(temperatures=5, chains=2), tell=lambda: told.append(1))
    assert len(told) == 2 * 4 + 3 * 4
