"""Claims about models trained from random weights, judged by formulas from the weights they end with."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from lowerbound.batches import Rows
from lowerbound.config import TrainConfig
from lowerbound.linear import exact_elbo, principal
from lowerbound.loop import steps
from lowerbound.model import VAE
from lowerbound.objectives import Objective, elbo, reconstruction
from lowerbound.selftests.base import (
    Claim,
    Finding,
    affine,
    distance,
    linear_model,
    rows_of,
    squared_error,
    variance_of,
)

# Rows, latent, samples of z, epochs, batch, first rate: batches that leave no short one, and a rate that falls to zero.
TRAINED = (
    ("digits", 2, 2, 300, 450, 0.05),
    ("digits", 10, 2, 800, 225, 0.05),
    ("iris", 1, 8, 800, 150, 0.05),
    ("iris", 2, 8, 2400, 150, 0.05),
)


def _trained(name: str, latent: int, samples: int, epochs: int, batch: int, rate: float) -> Iterator[Finding]:
    """Adam from random weights comes to probabilistic PCA; judged by formulas from the weights, not by a sampled bound.

    The rows are centred, which changes none of the quantities and lets the weights converge sooner.
    """
    x = rows_of(name) - rows_of(name).mean(0)
    fit, model = principal(x, latent), linear_model(x.shape[1], latent).float()
    train(model, elbo(samples=samples), x, epochs=epochs, batch=batch, rate=rate)
    bound, divergence = exact_elbo(model.double(), x)
    found = divergence.mean(0).sort(descending=True).values
    yield "elbo", float(bound.mean()), float(fit.log_prob(x).mean()), 0.05
    yield "sigma2", variance_of(model), fit.noise, 0.02 * fit.noise
    yield "angle", angle(affine(model.decoder).weight, fit.axes), 0.0, 2.0
    yield "kl-per-dimension", distance(found, 0.5 * (fit.eigenvalues[:latent] / fit.noise).log()), 0.0, 0.03


def _autoencoder() -> Iterator[Finding]:
    """A linear autoencoder, trained from random weights, reconstructs as well as PCA and in the same space."""
    x = rows_of("digits") - rows_of("digits").mean(0)
    model = linear_model(64, 10, posterior="point", scale="fixed").float()
    train(model, reconstruction(), x, epochs=200, batch=450, rate=0.02)
    fit = principal(x, 10)
    exact = float((fit.reconstruct(x) - x).square().mean())
    yield "mse", squared_error(model.double(), x), exact, 1e-4 * exact
    yield "angle", angle(affine(model.decoder).weight, fit.axes), 0.0, 2.0


def train(model: VAE, objective: Objective, x: Tensor, *, epochs: int, batch: int, rate: float) -> None:
    """Adam in batches of rows, with a rate that falls to zero."""
    settings = TrainConfig(epochs=epochs, batch=batch, rate=rate, schedule="cosine", patience=0)
    for _ in steps(model, objective, Rows(x.numpy()), settings):
        pass


def angle(weights: Tensor, axes: Tensor) -> float:
    """The largest principal angle between two column spaces, in degrees."""
    cosines = torch.linalg.svdvals(axes.T @ torch.linalg.qr(weights.detach().double())[0])
    return math.degrees(math.acos(min(1.0, float(cosines.min()))))


CLAIMS: dict[str, Claim] = {
    "trained/autoencoder": _autoencoder,
    **{f"trained/{line[0]}-q{line[1]}": partial(_trained, *line) for line in TRAINED},
}
