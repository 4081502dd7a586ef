"""On a linear Gaussian model, draws of missing cells against the conditional Gaussian, entry by entry."""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.model import VAE
from lowerbound.selftests.base import affine, closed_form, rows_of, variance_of
from lowerbound.tasks.annealing import Annealing, doubled
from lowerbound.tasks.filling import Filling, Holes, chained, outcome, weighted

CHAINS, SEEDS, LEVEL = 2500, 250, 1e-4
ORACLE = ("digits", 10)


@cache
def oracle() -> VAE:
    """Probabilistic PCA of the digits with ten latent dimensions, its posterior exact."""
    return doubled(closed_form(*ORACLE))


def widened(factor: float) -> VAE:
    """The same with that many times the variance in q(z|x)."""
    model = deepcopy(oracle())
    affine(model.encoder).bias[model.latent :] += math.log(factor)
    return model


@cache
def hidden() -> Batch:
    """A digit without the cells of every fifth place, which vary."""
    x = rows_of("digits")
    mask = torch.ones(1, 64, dtype=torch.bool)
    mask[0, [place for place in range(0, 64, 5) if x[:, place].std() > 0.05]] = False
    return Batch(torch.where(mask, x[7:8], 0.0), mask)


def trained_on_holes(shift: float, factor: float) -> VAE:
    """The same with a q made for the hidden cells: off by that many standard deviations, its variance that factor."""
    model, mask = deepcopy(oracle()), hidden().mask
    assert mask is not None
    encoder, decoder, noise = affine(model.encoder), affine(model.decoder), variance_of(model)
    seen = decoder.weight * mask[0].unsqueeze(1)
    covariance = torch.linalg.inv(torch.eye(model.latent) + seen.T @ seen / noise)
    variance = 1 / torch.linalg.inv(covariance).diagonal()
    inward = covariance @ seen.T / noise
    encoder.weight[: model.latent] = inward
    encoder.bias[: model.latent] = -inward @ decoder.bias + shift * variance.sqrt()
    encoder.bias[model.latent :] = (factor * variance).log()
    return model


@cache
def conditional() -> tuple[Tensor, Tensor]:
    """Mean and covariance of the hidden cells given the others: conditioning of the joint Gaussian."""
    decoder, batch = affine(oracle().decoder), hidden()
    joint = decoder.weight @ decoder.weight.T + variance_of(oracle()) * torch.eye(64, dtype=torch.float64)
    assert batch.mask is not None
    seen, gone = batch.mask[0], ~batch.mask[0]
    slope = torch.linalg.solve(joint[seen][:, seen], joint[seen][:, gone])
    mean = decoder.bias[gone] + (batch.x[0, seen] - decoder.bias[seen]) @ slope
    return mean, joint[gone][:, gone] - joint[gone][:, seen] @ slope


def agrees(draws: Tensor) -> bool:
    """Whether independent estimates have the mean and the covariance they should, at one level for all entries.

    Args:
        draws: (independent, draws, cells); those of a row may depend on each other.
    """
    mean, covariance = conditional()
    off = draws - mean
    products = (off.unsqueeze(-1) * off.unsqueeze(-2)).mean(1) - covariance
    upper = torch.triu_indices(*covariance.shape)
    entries = torch.cat([off.mean(1), products[:, upper[0], upper[1]]], dim=1)
    scores = entries.mean(0) / (entries.std(0) / math.sqrt(len(entries)))
    return bool(scores.abs().max() < NormalDist().inv_cdf(1 - LEVEL / 2 / len(scores)))


def of_cells(filling: Filling) -> Tensor:
    mask = hidden().mask
    assert mask is not None
    return filling.draws[:, 0, ~mask[0]]


def chains(model: VAE, *, exact: bool, annealing: Annealing | None = None, sweeps: int = 40) -> Tensor:
    """The last state of many chains, (chains, 1, cells)."""
    with torch.no_grad():
        return of_cells(chained(Holes(model, hidden(), 0), CHAINS, 1, sweeps, exact=exact, annealing=annealing))[
            :, None
        ]


def importance(model: VAE) -> Tensor:
    """Draws by weight with many seeds, (seeds, draws, cells)."""
    with torch.no_grad():
        return torch.stack([of_cells(weighted(Holes(model, hidden(), seed), 2048, 32)) for seed in range(SEEDS)])


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_metropolis_needs_no_good_q(factor: float) -> None:
    assert agrees(chains(widened(factor), exact=True))


def test_annealed_starts_and_hamiltonian_moves_leave_the_law_as_it_is() -> None:
    short = Annealing(temperatures=32, chains=CHAINS, leapfrog=2)
    assert agrees(chains(widened(4.0), exact=True, annealing=short, sweeps=8))


def test_pseudo_gibbs_needs_the_exact_q() -> None:
    assert agrees(chains(oracle(), exact=False))
    assert not agrees(chains(widened(4.0), exact=False)), "a bias that the test must see"


@pytest.mark.parametrize(("shift", "factor"), [(0.0, 1.0), (0.5, 2.0)])
def test_importance_needs_no_exact_q(shift: float, factor: float) -> None:
    assert agrees(importance(trained_on_holes(shift, factor)))


def test_the_conditional_mean_is_that_of_the_gaussian() -> None:
    """Of the weights and of chains; it is not made of draws of x. To a tenth of the spread."""
    mean, covariance = conditional()
    mask = hidden().mask
    assert mask is not None
    with torch.no_grad():
        by_weight = weighted(Holes(trained_on_holes(0.3, 2.0), hidden(), 0), 20_000, 1)
        by_chain = chained(Holes(widened(4.0), hidden(), 0), 2000, 10, 20, exact=True, annealing=None)
    for found in (by_weight, by_chain):
        error = (found.mean[0, ~mask[0]] - mean) / covariance.diagonal().sqrt()
        assert float(error.abs().max()) < 0.1


LAWS: dict[str, Callable[[], torch.distributions.Distribution]] = {
    "normal": lambda: torch.distributions.Normal(torch.tensor(1.0), torch.tensor(2.0)),
    "student": lambda: torch.distributions.StudentT(torch.tensor(3.0), torch.tensor(1.0), torch.tensor(2.0)),
    "laplace": lambda: torch.distributions.Laplace(torch.tensor(1.0), torch.tensor(2.0)),
}


@pytest.mark.parametrize("name", LAWS)
def test_outcomes_are_draws(name: str) -> None:
    """Evenly spread noise gives the quantiles of the law: its distribution function at them is even again."""
    from scipy import stats

    p = LAWS[name]()
    level = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    theirs = {"normal": stats.norm(1, 2), "student": stats.t(3, 1, 2), "laplace": stats.laplace(1, 2)}[name]
    x = outcome(p.expand((99,)), torch.special.ndtri(level))
    assert x is not None
    np.testing.assert_allclose(theirs.cdf(x.numpy()), level.numpy(), atol=1e-6)


def test_outcomes_of_zeros_and_ones_and_of_laws_without_quantiles() -> None:
    eps = torch.special.ndtri(torch.linspace(0.005, 0.995, 100))
    found = outcome(torch.distributions.Bernoulli(torch.tensor(0.3)).expand((100,)), eps)
    assert found is not None and float(found.sum()) == 30
    assert outcome(torch.distributions.Poisson(torch.ones(100)), eps) is None
