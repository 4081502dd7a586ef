"""Priors, posteriors and likelihoods against closed forms, scipy and each other."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from lowerbound import likelihoods, posteriors, priors
from lowerbound.distributions import kl
from lowerbound.errors import DataShape, Incompatible, LowerboundError
from lowerbound.parts import build
from lowerbound.randomness import scope

COUNTS = torch.tensor([0.0, 1.0, 2.0, 7.0, 100.0, 5000.0])


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def likelihood(name: str, shape: tuple[int, ...] = (1,), **options: Any) -> Any:
    return build("likelihood", {"name": name, **options}, {"shape": shape}).double()


def prior(name: str, latent: int = 2, **options: Any) -> Any:
    with scope(0, "test"):
        return build("prior", {"name": name, **options}, {"latent": latent, "shape": (3,), "context": 0}).double()


@pytest.mark.parametrize(
    ("name", "options", "exact"),
    [
        ("laplace", {}, stats.laplace(0.7, 0.5)),
        ("student_t", {"freedom": 3.0}, stats.t(3.0, 0.7, 0.5)),
        ("gaussian", {}, stats.norm(0.7, 0.5)),
    ],
)
def test_real_values_have_the_density_of_scipy(name: str, options: dict[str, Any], exact: Any) -> None:
    p = likelihood(name, scale="fixed", value=0.5, **options)(torch.full((1, 1), 0.7, dtype=torch.float64))
    x = torch.tensor([-30.0, -1.0, 0.7, 2.0]).double()
    np.testing.assert_allclose(p.log_prob(x.reshape(-1, 1, 1)).flatten(), exact.logpdf(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [0.01, 1.0, 15.9, 16.1, 1e3, 1e8])
@pytest.mark.parametrize("mean", [1e-3, 1.0, 80.0])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_the_negative_binomial_is_right_for_every_dispersion(
    size: float, mean: float, dtype: torch.dtype, error: float
) -> None:
    family = likelihood("negative_binomial", dispersion="predicted").to(dtype)
    numbers = torch.tensor([[math.log(mean), math.log(size)]], dtype=dtype)
    found = family(numbers).log_prob(COUNTS.to(dtype).reshape(-1, 1, 1)).flatten().double()
    exact = (
        stats.nbinom(size, size / (size + mean)).logpmf(COUNTS) if size < 1e7 else stats.poisson(mean).logpmf(COUNTS)
    )
    rough = 3e-4 if size > 1e7 else error  # the limit is not reached for the largest counts
    seen = COUNTS < 1000 if size > 1e7 else COUNTS >= 0
    np.testing.assert_allclose(found[seen], exact[seen.numpy()], rtol=max(rough, error), atol=max(rough, error))


def test_counts_with_further_zeros() -> None:
    p = likelihood("zero_inflated", base="poisson")(torch.tensor([[math.log(3.0), math.log(0.25 / 0.75)]]).double())
    plain = stats.poisson(3.0).pmf(COUNTS)
    exact = 0.25 * (COUNTS == 0).numpy() + 0.75 * plain
    np.testing.assert_allclose(p.log_prob(COUNTS.double().reshape(-1, 1, 1)).exp().flatten(), exact, rtol=1e-5)
    assert float(p.mean) == pytest.approx(2.25)
    assert float(p.variance) == pytest.approx(0.75 * (3 + 9) - 2.25**2)


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "zero_inflated"])
def test_the_exposure_is_the_total_of_the_row(name: str) -> None:
    """Counts of a row with twice the total have twice the mean, and given the total still probabilities."""
    family = likelihood(name, (3,), exposure="library")
    rows = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 0.0]]).double()
    family.start_from(rows[:2])
    p = family(torch.zeros(1, *family.numbers).double().expand(3, -1))
    given = family.condition(p, rows, None)
    assert torch.allclose(given.mean[1], 2 * given.mean[0]) and torch.allclose(given.mean[0], 6 * given.mean[2])
    if name != "zero_inflated":
        assert torch.allclose(given.mean[:2], rows[:2])  # the decoder's zero is the mean composition of the data
    every = torch.arange(4000.0).double().reshape(-1, 1, 1).expand(-1, 3, 3)
    assert torch.allclose(given.log_prob(every).exp().sum(0), torch.ones(3, 3).double(), atol=5e-3)
    mask = torch.tensor([[True, True, False]]).expand(3, 3)
    masked = family.condition(p, rows.masked_fill(~mask, 0.0), mask)
    assert torch.allclose(masked.mean[0] / p.mean[0], (given.mean[0] / p.mean[0]) * 4.5 / 6)  # (1 + 2) * 3 / 2 of 6


@pytest.mark.parametrize("options", [{}, {"components": 3, "scale": "predicted"}, {"components": 2}])
def test_grey_levels_are_intervals_of_logistics(options: dict[str, Any]) -> None:
    family = likelihood("discretised_logistic", (1,), **options)
    k = options.get("components", 1)
    numbers = 0.3 * noise(4, *family.numbers)
    p = family(numbers)
    parts = numbers.unflatten(1, (-1, k))
    loc = p.loc[..., 0].numpy()
    scale = 1e-4 + np.exp(math.log(0.1) + (parts[:, 1].numpy() if "scale" in options else np.zeros((4, k))))
    weight = np.ones((4, 1)) if k == 1 else parts[:, -1].softmax(-1).numpy()
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    below = (weight[..., None] * stats.logistic.cdf((edges - loc[..., None]) / scale[..., None])).sum(1)
    levels = (torch.arange(256.0).double() / 255).reshape(-1, 1, 1).expand(-1, 4, 1)
    found = p.log_prob(levels).exp()[..., 0].detach()
    np.testing.assert_allclose(found.T, np.diff(below), atol=1e-12)
    np.testing.assert_allclose(found.sum(0), 1.0)
    mean = (found * levels[..., 0]).sum(0)
    np.testing.assert_allclose(p.mean[:, 0].detach(), mean)
    np.testing.assert_allclose(p.variance[:, 0].detach(), (found * (levels[..., 0] - mean) ** 2).sum(0), atol=1e-12)


@pytest.mark.parametrize("far", [-1e3, -30.0, 30.0, 1e3])
def test_grey_levels_stay_finite_far_away(far: float) -> None:
    family = likelihood("discretised_logistic", (1,), scale="predicted").float()
    numbers = torch.tensor([[far, -8.0]]).requires_grad_()
    log_p = family(numbers).log_prob(torch.tensor([[0.0], [0.5019608], [1.0]]))
    assert torch.isfinite(log_p).all()
    assert torch.isfinite(torch.autograd.grad(log_p.sum(), numbers)[0]).all()


def test_categories_are_a_softmax() -> None:
    logits = torch.tensor(
        [[0.1, -1.0, 2.0, 0.5, 0.0, 1.0]]
    ).double()  # two cells of three categories, category by category
    p = likelihood("categorical", (2,), categories=3)(logits)
    exact = logits.reshape(3, 2).softmax(0)
    for k in range(3):
        assert torch.allclose(p.log_prob(torch.full((1, 2), float(k))).exp()[0], exact[k])
    assert torch.allclose(p.mean[0], (exact * torch.arange(3.0)[:, None]).sum(0))


def test_a_full_covariance() -> None:
    family = posteriors.Full(3)
    numbers = noise(4, 9)
    q = family(numbers)
    wide = Normal(noise(3, seed=1), noise(3, seed=2).exp())
    joint = MultivariateNormal(wide.loc, torch.diag(wide.scale**2))
    assert torch.allclose(kl(q, wide, torch.empty(0)), kl_divergence(q, joint))
    eps = noise(20000, 4, 3, seed=3)
    centred = family.draw(q, eps) - q.mean
    found = torch.einsum("sri,srj->rij", centred, centred) / len(eps)
    assert torch.allclose(found, q.covariance_matrix, rtol=0.05, atol=0.05 * float(q.variance.max()))


def test_a_laplace_draw_is_a_quantile() -> None:
    q = posteriors.Laplace(1)(torch.tensor([[0.3, math.log(2.0)]]).double())
    eps = torch.tensor([-30.0, -8.0, -1.0, 0.0, 0.5, 8.0, 30.0]).double().reshape(-1, 1, 1)
    found, at = posteriors.Laplace(1).draw(q, eps).flatten().numpy(), eps.flatten().numpy()
    tail = np.log(2.0) + stats.norm.logcdf(-np.abs(at))
    np.testing.assert_allclose(found, 0.3 - 2.0 * np.sign(at) * tail, atol=1e-6)


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_a_flow_changes_variables(kind: str) -> None:
    with scope(0, "test"):
        family = posteriors.Flow(3, map=kind, layers=3, widths=[16], features=2).double()  # type: ignore[arg-type]
    numbers = noise(1, family.numbers)
    family.requires_grad_(False)
    q, eps = family(numbers), noise(1, 1, 3, seed=5)
    z = family.draw(q, eps)[0, 0]
    slope = torch.autograd.functional.jacobian(lambda e: family.draw(q, e[None, None])[0, 0], eps[0, 0])
    exact = Normal(0.0, 1.0).log_prob(eps).sum() - torch.linalg.slogdet(slope).logabsdet
    assert torch.allclose(q.log_prob(z[None]), exact)
    with scope(1, "test"):
        drawn = q.rsample((40000,))[:, 0]
    assert torch.allclose(q.mean[0], drawn.mean(0), atol=0.05 * float(drawn.std(0).max()))
    assert torch.allclose(q.variance[0], drawn.var(0), rtol=0.1)
    assert torch.equal(q.mean, family(numbers).mean)


def test_importing_a_flow_leaves_torch_alone() -> None:
    """Validation and argument constraints of torch's distributions are as before, for everybody else."""
    prior("flow", layers=1, widths=[4])
    with pytest.raises(ValueError, match="constraint"):
        Normal(0.0, -1.0)
    assert isinstance(torch.distributions.Distribution.__dict__["arg_constraints"], property)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_mixture_is_a_weighted_sum(covariance: str) -> None:
    made = prior("mixture", components=3, covariance=covariance).requires_grad_(False)
    for seed, weight in enumerate(made.parameters()):
        weight.copy_(noise(*weight.shape, seed=seed))
    z = noise(5, 2, seed=9)
    weights, scales = made.logits.softmax(0), made.log_scales.exp()
    exact = torch.zeros(5).double()
    for k in range(3):
        factor = torch.diag(scales[k])
        if covariance == "full":
            factor[1, 0] = made.below[k, 0]
        one = stats.multivariate_normal(made.means[k], factor @ factor.T)
        exact += float(weights[k]) * torch.as_tensor(one.pdf(z))
    assert torch.allclose(made().log_prob(z), exact.log())


def posterior_of(u: torch.Tensor) -> Any:
    return Independent(Normal(u[:, :2], (0.1 * u[:, 1:]).exp()), 1)


def test_a_vamp_prior_is_the_mean_of_posteriors() -> None:
    made = prior("vamp", components=4).requires_grad_(False)
    made.start_from(noise(9, 3))
    rows = torch.tensor([0, 2, 5, 8])  # spread evenly over nine
    z = noise(6, 2, seed=3)
    exact = posterior_of(noise(9, 3)[rows]).log_prob(z[:, None]).logsumexp(1) - math.log(4)
    assert torch.allclose(made(None, posterior_of).log_prob(z), exact)
    made.inputs.mul_(100.0)  # whatever is learned stays in the range of the data
    seen: list[torch.Tensor] = []

    def infer(u: torch.Tensor) -> Any:
        seen.append(u)
        return posterior_of(u)

    made(None, infer)
    assert float(seen[0].max()) == float(noise(9, 3).max()) and float(seen[0].min()) == float(noise(9, 3).min())


def test_a_conditional_prior_needs_its_context() -> None:
    with scope(0, "test"):
        made = priors.Conditional(2, 3)
    assert not torch.equal(made(torch.zeros(1, 3)).mean, made(torch.ones(1, 3)).mean)
    with pytest.raises(DataShape, match="prior 'conditional' needs the context of the rows: found none"):
        made(None)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: priors.Conditional(2, 0), "prior 'conditional' needs a context; the model has none"),
        (lambda: priors.Vamp((3,), 2, 1), "prior 'vamp' has no context for its pseudo-inputs"),
        (lambda: prior("vamp")(None, None), "prior 'vamp' is made of the model's posterior"),
        (lambda: priors.Flow(1), "changes one half of z by the other: found latent = 1"),
        (lambda: priors.Mixture(1, covariance="full"), "one dimension has no covariances"),
        (lambda: likelihoods.StudentT((1,), freedom=1.0), "greater than 1"),
        (lambda: likelihoods.Categorical((1,), categories=1), "greater than or equal to 2"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(LowerboundError, match=words):
        make()
    assert issubclass(Incompatible, LowerboundError)
