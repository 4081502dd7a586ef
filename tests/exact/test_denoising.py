"""Denoising: the target is the clean row, and with noise an overcomplete autoencoder does not learn the identity."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.model import VAE, assemble
from lowerbound.objectives import StepContext, reconstruction
from lowerbound.randomness import Draw, fill, generator
from lowerbound.selftests.base import affine, linear_model, rows_of
from lowerbound.selftests.trained import train

NOISE = 0.5


def autoencoder(noise: float) -> VAE:
    """Linear, with 8 codes for 4 cells; its objective is half the squared error, and a constant."""
    plain = linear_model(4, 8, posterior="point", scale="fixed").spec
    return assemble({**plain, "corruption": {"name": "gaussian", "scale": noise}} if noise else plain)


def linear_map(model: VAE) -> Tensor:
    """What the decoder makes of the encoder's input, (4, 4)."""
    return (affine(model.decoder).weight @ affine(model.encoder).weight).detach().double()


def test_the_loss_compares_with_the_clean_rows() -> None:
    model, x = autoencoder(NOISE), rows_of("iris").float()[:10]
    eps = fill(Draw((4,)), 10, generator(0, "test"))
    context = StepContext({"corruption": eps}, rows_total=10, batch_rows=10)
    restored = affine(model.decoder)(affine(model.encoder)(x + NOISE * eps)).detach()
    by_hand = (0.5 * (x - restored).square() + 0.5 * math.log(2 * math.pi)).sum(1).mean()
    assert float(reconstruction()(model, Batch(x), context).loss.detach()) == pytest.approx(float(by_hand), rel=1e-6)


def test_noise_that_the_encoder_does_not_see_changes_nothing() -> None:
    model, x = autoencoder(NOISE), rows_of("iris").float()[:10]
    affine(model.encoder).weight.data.zero_()
    losses = {
        float(reconstruction()(model, Batch(x), StepContext({"corruption": eps}, batch_rows=10)).loss.detach())
        for eps in (torch.zeros(10, 4), torch.ones(10, 4), torch.full((10, 4), 1e6))
    }
    assert len(losses) == 1


@cache
def trained(noise: float) -> Tensor:
    """The linear map that training ends with."""
    model = autoencoder(noise)
    x = rows_of("iris") - rows_of("iris").mean(0)
    train(model, reconstruction(), x, epochs=1500, batch=150, rate=0.02)
    return linear_map(model)


def error_from_noisy(linear: Tensor, noise: float) -> float:
    """Expected squared error of a row restored from x + noise * eps, exactly."""
    left = torch.eye(4).double() - linear
    return float((left @ covariance() @ left.T).trace() + noise**2 * linear.square().sum())


def covariance() -> Tensor:
    return torch.cov(rows_of("iris").T, correction=0)


def test_with_noise_each_direction_shrinks_as_the_formula_says() -> None:
    """The best map is S (S + s^2)^-1: the error is sum l s^2 / (l + s^2) over the eigenvalues l of S."""
    spectrum, axes = torch.linalg.eigh(covariance())
    shrunk = spectrum / (spectrum + NOISE**2)
    least = float((NOISE**2 * shrunk).sum())
    assert error_from_noisy(trained(NOISE), NOISE) == pytest.approx(least, rel=0.01)
    assert torch.allclose((axes.T @ trained(NOISE) @ axes).diag(), shrunk, atol=0.05)


def test_without_noise_it_is_the_identity_and_with_noise_it_is_not() -> None:
    identity = torch.eye(4).double()
    far = fill(Draw((4,)), 1000, generator(1, "test")).double()  # rows that look like no data
    errors = {noise: float((far - far @ trained(noise).T).square().mean()) for noise in (0.0, NOISE)}
    assert torch.allclose(trained(0.0), identity, atol=0.02)
    assert errors[0.0] < 1e-3
    assert errors[NOISE] > 0.3
    assert error_from_noisy(identity, NOISE) > 1.8 * error_from_noisy(trained(NOISE), NOISE)
