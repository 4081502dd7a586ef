"""Claims that closed-form weights decide without sampling error."""

import math
from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lowerbound.batches import Batch
from lowerbound.embedding import Embedding
from lowerbound.linear import evidence, exact_elbo, fill_closed_form, principal
from lowerbound.model import VAE
from lowerbound.objectives import StepContext, Terms, elbo
from lowerbound.randomness import Draw, fill, generator
from lowerbound.selftests.base import (
    Claim,
    Finding,
    affine,
    closed_form,
    distance,
    linear_model,
    printed,
    rows_of,
    squared_error,
    variance_of,
)
from lowerbound.tasks.score import log_likelihood, log_weights

# Rows, latent, sigma^2, mean log p(x) per row, KL in all dimensions, squared error of PCA per feature (in nats, to the
# last digit that is right); computed apart from this package with numpy and scikit-learn.
ORACLE = (
    ("digits", 2, "0.05411698", "0.005707", "2.513657", "0.05242583"),
    ("digits", 5, "0.03619681", "8.907637", "6.481393", "0.03336894"),
    ("digits", 10, "0.02275137", "17.451947", "12.796141", "0.01919647"),
    ("digits", 20, "0.01127420", "27.277300", "25.438269", "0.00775101"),
    ("digits", 32, "0.00493466", "35.247022", "43.908024", "0.00246733"),
    ("breast", 2, "0.39382", "-31.684860", "3.0945", "0.36757"),
    ("breast", 5, "0.18319", "-24.625057", "7.5155", "0.15266"),
    ("breast", 10, "0.07265", "-18.185031", "14.9491", "0.04843"),
    ("iris", 1, "0.11413908", "-3.137796", "1.802717", "0.08560"),
    ("iris", 2, "0.05068215", "-2.699752", "2.988361", "0.02534"),
)


@torch.no_grad()
def cubature(model: VAE, x: Tensor) -> Terms:
    """The bound of a linear model with no sampling error: noise of +-sqrt(d) on each axis averages squares exactly."""
    axes = torch.eye(model.latent, dtype=x.dtype) * model.latent**0.5
    noise = {"posterior": torch.cat([axes, -axes]).expand(len(x), -1, -1)}
    context = StepContext(noise, rows_total=len(x), batch_rows=len(x))
    terms: Terms = elbo(samples=2 * model.latent)(model, Batch(x), context)
    return terms


def _oracle(name: str, latent: int, noise: str, log_px: str, divergence: str, error: str) -> Iterator[Finding]:
    x, model = rows_of(name), closed_form(name, latent)
    terms = cubature(model, x)
    yield printed("sigma2", variance_of(model), noise)
    yield printed("log-likelihood", float(evidence(model, x).mean()), log_px)
    yield printed("elbo", float(terms.value.mean()), log_px)
    yield printed("kl", float(terms.parts["kl"].mean()), divergence)
    yield printed("pca-mse", squared_error(closed_form(name, latent, "point"), x), error)


def _weights(precision: torch.dtype, tolerance: float) -> Iterator[Finding]:
    """With the exact posterior every weight p(x, z) / q(z|x) is p(x), whatever z was drawn."""
    x = rows_of("digits")
    exact = evidence(closed_form("digits", 10), x)
    model = deepcopy(closed_form("digits", 10)).to(precision)
    batch = Batch(x.to(precision))
    yield "mean", float(log_weights(model, batch, 1).mean()), 17.451947, max(tolerance, 5.01e-7)
    for seed in (0, 1, 2):
        yield f"seed-{seed}/every-weight", distance(log_weights(model, batch, 64, seed), exact), 0.0, tolerance
        for samples in (1, 64):
            estimate = torch.from_numpy(log_likelihood(model, batch, samples, seed)[0])
            yield f"seed-{seed}/iw-{samples}", distance(estimate, exact), 0.0, tolerance


def _elbo() -> Iterator[Finding]:
    """With the exact posterior the bound is tight in each row, by formula and through the objective."""
    x, model = rows_of("digits"), closed_form("digits", 10)
    exact = principal(x, 10).log_prob(x)
    yield "formula", distance(exact_elbo(model, x)[0], exact), 0.0, 1e-8
    yield "objective", distance(cubature(model, x).value, exact), 0.0, 1e-8
    yield "evidence", distance(evidence(model, x), exact), 0.0, 1e-8


def _full_data() -> Iterator[Finding]:
    """The N/M estimate is unbiased: over all minibatches its mean is the bound of all the data."""
    x, size = rows_of("digits")[:1700], 100
    model, objective = linear_model(64, 10), elbo()
    noise = fill(Draw((1, 10)), len(x), generator(0, "selftest")).double()
    whole = objective(model, Batch(x), StepContext({"posterior": noise}, rows_total=len(x), batch_rows=len(x)))
    parts = [
        objective(model, Batch(some), StepContext({"posterior": eps}, rows_total=len(x), batch_rows=size))
        for some, eps in zip(x.split(size), noise.split(size), strict=True)
    ]
    exact = float(whole.value.sum())
    close = 1e-6 * abs(exact)
    yield "one-batch", float(whole.full_data), exact, close
    yield "minibatches", sum(float(part.full_data) for part in parts) / len(parts), exact, close
    yield "loss", -sum(part.loss.item() for part in parts) / len(parts) * len(x), exact, close


def _half_images() -> Iterator[Finding]:
    """With the upper half of a digit observed and q(z|x) exact for it, every weight is the density of that half.

    The latent axes are turned until the posterior given that half is diagonal, which leaves p(x) as it was.
    """
    x, seen = rows_of("digits")[:40], torch.arange(64) < 32
    model = deepcopy(closed_form("digits", 10))
    noise, layer = variance_of(model), affine(model.decoder)
    turned = layer.weight.detach() @ torch.linalg.svd(layer.weight.detach()[seen])[2].T
    half, bias = turned[seen], layer.bias.detach()[seen]
    precision = 1 + half.square().sum(0) / noise
    inward = torch.zeros(10, 64).double()
    inward[:, seen] = half.T / noise / precision[:, None]
    layer.weight.data = turned
    encoder = affine(model.encoder)
    encoder.weight.data = torch.cat([inward, torch.zeros_like(inward)])
    encoder.bias.data = torch.cat([-inward[:, seen] @ bias, -precision.log()])
    covariance = half @ half.T + noise * torch.eye(32).double()
    exact = MultivariateNormal(bias, covariance, validate_args=False).log_prob(x[:, seen])
    mask = seen.expand_as(x)
    batch, draws = Batch(torch.where(mask, x, math.nan), mask), 8
    yield "every-weight", distance(log_weights(model, batch, draws), exact), 0.0, 1e-8
    yield f"iw-{draws}", distance(torch.from_numpy(log_likelihood(model, batch, draws)[0]), exact), 0.0, 1e-8


def _scaling(mode: str) -> Iterator[Finding]:
    """Densities are in the units of the data: a model of scaled rows gains the Jacobian of its scaling."""
    x = rows_of("iris") * torch.tensor([1.0, 10.0, 0.1, 3.0]) + 5
    model = linear_model(4, 2)
    model.embedding = Embedding((4,), mode=mode).double()
    model.embedding.start_from(x)
    fill_closed_form(model, x)
    exact = principal(model.embedding(x), 2).log_prob(model.embedding(x))
    shifted = exact - model.embedding.scale.expand(4).log().sum()
    yield "evidence", distance(evidence(model, x), shifted), 0.0, 1e-8
    yield "every-weight", distance(log_weights(model, Batch(x), 4), shifted), 0.0, 1e-8


CLAIMS: dict[str, Claim] = {
    **{f"oracle/{line[0]}-q{line[1]}": partial(_oracle, *line) for line in ORACLE},
    "bound/digits-q10": _elbo,
    "bound/full-data": _full_data,
    "weights/float64": partial(_weights, torch.float64, 1e-8),
    "weights/float32": partial(_weights, torch.float32, 1e-3),
    "mask/half-images": _half_images,
    "scaling/global": partial(_scaling, "global"),
    "scaling/columns": partial(_scaling, "columns"),
}
