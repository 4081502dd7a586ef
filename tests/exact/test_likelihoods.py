"""Likelihoods against exact values, where single precision is at its limits."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy import integrate

from lowerbound.distributions import ContinuousBernoulli, kl, per_row
from lowerbound.likelihoods import Gaussian

LOGITS = torch.tensor([-80.0, -20.0, -16.0, -5.0, -0.31, -0.29, -1e-3, -1e-6, 0.0, 1e-4, 0.1, 0.301, 1.0, 10.0, 20.0])


def reference(logit: float) -> tuple[float, float, float]:
    """Log-normaliser, mean and variance by numerical integration in double precision."""
    top = max(logit, 0.0)

    def moment(power: int) -> float:
        nodes = [0.0, 0.02, 0.1, 0.5, 0.9, 0.98, 1.0]
        return sum(
            integrate.quad(lambda x: x**power * math.exp(logit * x - top), a, b, epsabs=0.0, epsrel=1e-12)[0]
            for a, b in pairwise(nodes)
        )

    total, first, second = (moment(power) for power in range(3))
    return math.log(total) + top, first / total, second / total - (first / total) ** 2


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 3e-6), (torch.float64, 2e-9)])
def test_the_continuous_bernoulli_is_right_for_every_logit(dtype: torch.dtype, error: float) -> None:
    p = ContinuousBernoulli(LOGITS.to(dtype))
    wanted = torch.tensor([reference(float(logit)) for logit in p.logits], dtype=torch.float64)
    for found, exact in zip((-p.log_prob(torch.zeros(())), p.mean, p.variance), wanted.unbind(1), strict=True):
        assert torch.allclose(found.double(), exact, atol=error, rtol=error)
    x = torch.tensor(0.3, dtype=dtype)
    assert torch.allclose(p.log_prob(x) - p.log_prob(torch.zeros(())), 0.3 * p.logits)


def test_its_gradient_is_right_for_every_logit() -> None:
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ContinuousBernoulli(logits).log_prob(torch.tensor(0.3)).sum(), logits)
    exact = torch.tensor([0.3 - reference(float(logit))[1] for logit in LOGITS])  # x minus the mean
    assert torch.allclose(gradient, exact, atol=3e-6)


def test_its_quantiles_are_right_for_every_logit() -> None:
    p = ContinuousBernoulli(LOGITS.double().unsqueeze(1))
    u = torch.tensor([0.0, 1e-3, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
    x = p.icdf(u)
    below = torch.where(p.logits == 0, x, torch.expm1(p.logits * x) / torch.expm1(p.logits))
    assert torch.allclose(below, u.expand_as(below), atol=1e-9)
    assert ((x >= 0) & (x <= 1)).all()


SCALES = ["learned", "fixed", "per_dimension", "predicted", "optimal"]


def gaussian(scale: Any, **options: Any) -> Gaussian:
    return Gaussian((2,), scale=scale, **options)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("low", [-1e4, -100.0, -10.0])
def test_a_constant_cell_leaves_everything_finite(scale: str, low: float) -> None:
    likelihood = gaussian(scale)
    with torch.no_grad():
        if scale not in ("fixed", "optimal"):
            likelihood.log_variance.fill_(low)  # where training drives it on cells without variance
    numbers = torch.zeros(5, *likelihood.numbers, requires_grad=True)
    x = torch.zeros(5, 2)
    p = likelihood(numbers)
    if likelihood.couples_rows:
        p = likelihood.couple(p, x, None)
    log_px = p.log_prob(x)
    gradients = torch.autograd.grad(log_px.sum(), [numbers, *likelihood.parameters()])
    assert all(values.isfinite().all() for values in (log_px, *gradients))
    assert float(p.stddev.detach().min()) >= 1e-3 * (1 - 1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_is_what_it_starts_from(scale: str) -> None:
    p = gaussian(scale, value=0.5, floor=1e-6)(torch.zeros(3, *gaussian(scale).numbers))
    assert torch.allclose(p.stddev, torch.full((3, 2), 0.5))
    assert p.log_prob(torch.zeros(3, 2)).shape == (3, 2)


def test_a_variance_that_is_stored_comes_back() -> None:
    for scale, variance in (("learned", 0.3), ("fixed", 0.3), ("per_dimension", torch.tensor([0.3, 2.0]))):
        likelihood = gaussian(scale, floor=0.1)
        likelihood.set_variance(variance)
        found = likelihood(torch.zeros(1, 2)).variance
        assert torch.allclose(found, torch.as_tensor(variance).expand(1, 2))


MASK = torch.tensor([[True, True], [True, False], [False, True], [True, True]])


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("value", [1.0, 0.2])
def test_the_optimal_variance_is_the_mean_squared_error(mask: torch.Tensor | None, value: float) -> None:
    likelihood = gaussian("optimal", value=value)
    x = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0], [-2.0, 1.0]])
    numbers = torch.full((4, 2), 0.25, requires_grad=True)
    seen = torch.ones_like(x) if mask is None else mask.float()
    error = ((x - numbers).square() * seen).sum() / seen.sum()
    p = likelihood.couple(likelihood(numbers), x, mask)
    assert torch.allclose(p.variance, error.expand(4, 2))
    loss = -(p.log_prob(x) * seen).sum()
    closed = 0.5 * seen.sum() * (math.log(2 * math.pi) + error.log() + 1)
    assert torch.allclose(loss, closed)
    gradients = [torch.autograd.grad(one, numbers, retain_graph=True)[0] for one in (loss, closed)]
    assert torch.allclose(*gradients, atol=1e-6)


def test_the_optimal_variance_is_settled_over_blocks() -> None:
    likelihood = gaussian("optimal", value=0.3)
    x = torch.arange(10.0).reshape(5, 2)
    sums = sum(likelihood.statistics(likelihood(torch.zeros(len(b), 2)), b, None) for b in x.split(2))
    likelihood.settle(torch.as_tensor(sums))
    assert torch.allclose(likelihood(torch.zeros(1, 2)).variance, x.square().mean().expand(1, 2))


def test_a_batch_without_any_observed_cell_is_harmless() -> None:
    likelihood = gaussian("optimal")
    numbers = torch.ones(3, 2, requires_grad=True)
    p = likelihood.couple(likelihood(numbers), torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(p.log_prob(torch.zeros(3, 2)).sum(), numbers)
    assert gradient.isfinite().all()


def test_kl_and_rows_of_a_joint_prior() -> None:
    q = torch.distributions.Normal(torch.ones(3, 2), torch.ones(3, 2), validate_args=False)
    p = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), 1)
    z = torch.ones(5, 3, 2)
    found = per_row(kl(q, p, z), q, p)
    assert torch.allclose(found, torch.ones(3))  # log q - log p at the mean: 2 * (0 + 1/2)
