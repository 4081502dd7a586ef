"""Claims about estimators and densities on problems small enough for the answer to be known."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Laplace, MixtureSameFamily, Normal

from lowerbound.batches import Batch
from lowerbound.checks.base import cases
from lowerbound.checks.observed import total
from lowerbound.distributions import kl
from lowerbound.linear import evidence, exact_elbo
from lowerbound.model import VAE, assemble
from lowerbound.objectives import elbo
from lowerbound.parts import find
from lowerbound.randomness import Draw, fill, generator
from lowerbound.selftests.base import Claim, Finding, affine, distance, linear_model, printed
from lowerbound.tasks.score import log_likelihood, log_weights

Estimator = Literal["reparameterized", "score"]

# Dimensions, estimator, constant taken from f, variance of the gradient in one mean.
GRADIENTS: tuple[tuple[int, Estimator, float, float], ...] = (
    (1, "reparameterized", 0.0, 4.0),
    (1, "score", 0.0, 30.0),
    (1, "score", 4.0, 14.0),
    (10, "reparameterized", 0.0, 4.0),
    (10, "score", 0.0, 552.0),
    (10, "score", 22.0, 68.0),
)

POISONS = (math.nan, math.inf, -math.inf, 1e30)


def _toy() -> Iterator[Finding]:
    """z ~ N(0, 1), x|z ~ N(z, 1/2), x = 2, and the prior as q(z|x): bounds far apart, and known."""
    model, x = linear_model(1, 1, scale="fixed", value=0.5**0.5), torch.full((1, 1), 2.0).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        affine(model.decoder).weight.fill_(1.0)
    log_w = log_weights(model, Batch(x), 1_000_000).flatten()
    yield printed("log-likelihood", float(evidence(model, x)), "-2.455004")
    yield printed("elbo", float(exact_elbo(model, x)[0]), "-5.572365")
    for samples, exact, tolerance in ((1, -5.572365, 0.02), (5, -2.908, 0.01), (50, -2.486, 0.005)):
        bounds = log_w.reshape(-1, samples).logsumexp(1) - math.log(samples)
        yield f"iw-{samples}", float(bounds.mean()), exact, tolerance
    estimates = log_likelihood(model, Batch(torch.cat([x, 0 * x])), 100_000)[0]
    for place, estimate, exact in zip((2, 0), estimates, (-2.455004, -1.121671), strict=True):
        yield f"iw-100000-at-{place}", float(estimate), exact, 0.02


class PerRow(nn.Module):
    """An encoder with numbers of its own for each row, so that one backward gives as many independent gradients."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = nn.Parameter(numbers)

    def forward(self, x: Tensor) -> Tensor:
        """The same whatever x is."""
        return self.numbers


def _gradient(size: int, gradient: Estimator, constant: float, exact: float) -> Iterator[Finding]:
    """The gradient of E sum z^2 in one mean of q = N(1, 1): both estimators have the mean 2; their variances differ.

    With a likelihood N(x; z, 1/2) and x = 0, log p(x|z) is -sum z^2 and a constant, which goes with the baseline.
    """
    rows = 1_000_000 // size
    likelihood, x = {"scale": "fixed", "value": 0.5**0.5}, torch.zeros(rows, size).double()
    encoder = PerRow(torch.cat([x + 1, x], dim=1))
    parts = linear_model(size, size, **likelihood)
    model = VAE(encoder=encoder, posterior=parts.posterior_family, prior=parts.prior_family, decoder=nn.Identity(),
                likelihood=parts.likelihood_family)  # fmt: skip
    baseline = -0.5 * size * math.log(math.pi) - constant if gradient == "score" else 0.0
    loss = elbo(beta=0.0, gradient=gradient, baseline=baseline)(model, Batch(x)).loss
    found = torch.autograd.grad(loss, encoder.numbers)[0][:, :size] * rows
    yield "mean", float(found.mean()), 2.0, 5 * (exact / found.numel()) ** 0.5
    yield "variance", float(found.var(0).mean()), exact, 0.03 * exact


def _masked_model(likelihood: str) -> VAE:
    net = {"name": "mlp", "widths": [8], "activation": "tanh"}
    table = {
        "shape": [6], "latent": 2, "encoder": net, "decoder": net, "posterior": {"name": "gaussian"},
        "prior": {"name": "standard"}, "likelihood": {"name": likelihood}, "embedding": {"masked": True},
    }  # fmt: skip
    return assemble(table).double()


def _loss_and_gradients(model: VAE, x: Tensor, mask: Tensor) -> Tensor:
    loss = elbo()(model, Batch(x, mask)).loss
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([loss.detach().reshape(1), *(gradient.flatten() for gradient in gradients)])


def _masked(likelihood: str) -> Iterator[Finding]:
    """What stands in a missing cell reaches neither the loss nor a gradient."""
    source = generator(0, "selftest")
    x = fill(Draw((6,), "uniform"), 20, source).round().double()
    mask = fill(Draw((6,), "uniform"), 20, source) < 0.6
    model = _masked_model(likelihood)
    clean = _loss_and_gradients(model, torch.where(mask, x, 0.0), mask)
    for poison in POISONS:
        yield f"{poison:g}", distance(_loss_and_gradients(model, torch.where(mask, x, poison), mask), clean), 0.0, 0.0


def _kl() -> Iterator[Finding]:
    """KL in closed form, from torch's table and by sampling against an integral on a grid."""
    line = (torch.arange(200_000).double() + 0.5) / 5_000 - 20
    narrow, wide = _normal(0.7, 0.6), _normal(-0.4, 1.5)
    even, both = Categorical(torch.ones(2).double(), validate_args=False), _normal([-1.0, 2.0], [0.5, 1.0])
    mixture = MixtureSameFamily(even, both, validate_args=False)
    pairs: dict[str, tuple[Distribution, Distribution, float]] = {
        "closed-form": (narrow, wide, 1e-9),
        "table": (Laplace(narrow.loc, narrow.scale, validate_args=False), wide, 1e-6),
        "sampled": (narrow, mixture, 5e-3),
    }
    for name, (q, p, tolerance) in pairs.items():
        density = q.log_prob(line)
        exact = float((density.exp() * (density - p.log_prob(line))).sum() / 5_000)
        z = narrow.loc + narrow.scale * fill(Draw(()), 400_000, generator(0, "selftest")).double()
        yield name, float(kl(q, p, z)), exact, tolerance


def _normal(mean: float | Sequence[float], scale: float | Sequence[float]) -> Normal:
    return Normal(torch.tensor(mean).double(), torch.tensor(scale).double(), validate_args=False)


def _sums_to_one(likelihood: str) -> Iterator[Finding]:
    """The probability of everything is one, with every value of every option in turn."""
    sums = [one for case in cases(find("likelihood", likelihood)) if (one := total(case)) is not None]
    yield "total", max(sums, key=lambda one: abs(one - 1)), 1.0, 1e-5


CLAIMS: dict[str, Claim] = {
    "toy": _toy,
    **{f"gradient/{kind}-{constant:g}-d{size}": partial(_gradient, size, kind, constant, exact)
       for size, kind, constant, exact in GRADIENTS},
    "mask/gaussian": partial(_masked, "gaussian"),
    "mask/bernoulli": partial(_masked, "bernoulli"),
    "kl": _kl,
    **{f"density/{name}": partial(_sums_to_one, name) for name in ("bernoulli", "continuous_bernoulli", "gaussian")},
}  # fmt: skip
