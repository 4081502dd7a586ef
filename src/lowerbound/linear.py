"""The linear Gaussian model: probabilistic PCA in closed form, and exact values for every linear model.

Source: Tipping & Bishop 1999, "Probabilistic principal component analysis", JRSS B 61; as a linear VAE: Lucas et al.
2019, "Don't blame the ELBO!", arXiv:1911.02469.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from lowerbound.errors import ConfigError, DataShape, Incompatible
from lowerbound.likelihoods import Gaussian as GaussianLikelihood
from lowerbound.model import VAE
from lowerbound.nets import Linear
from lowerbound.posteriors import Gaussian as GaussianPosterior
from lowerbound.posteriors import Point


@dataclass(frozen=True)
class Principal:
    """Probabilistic PCA of data x (rows, D), fitted by maximum likelihood, float64.

    Args:
        mean: (D,).
        axes: eigenvectors, (D, latent), each with its entry of largest magnitude positive.
        eigenvalues: of the covariance divided by N, (D,), descending.
        noise: sigma^2, the mean of the eigenvalues left out.
    """

    mean: Tensor
    axes: Tensor
    eigenvalues: Tensor
    noise: float

    @property
    def weights(self) -> Tensor:
        """W = U (Lambda - sigma^2)^(1/2), (D, latent)."""
        kept = self.eigenvalues[: self.axes.shape[1]]
        return self.axes * (kept - self.noise).clamp(min=0).sqrt()

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats, (rows,), of x (rows, D)."""
        noise = torch.full_like(self.mean, self.noise)
        log_px: Tensor = _gaussian(self.mean, self.weights, noise).log_prob(x.double())
        return log_px

    def reconstruct(self, x: Tensor) -> Tensor:
        """Orthogonal projection of x (rows, D) on the principal axes."""
        centred = x.double() - self.mean
        return self.mean + centred @ self.axes @ self.axes.T


def principal(x: Tensor, latent: int, *, floor: float = 0.0) -> Principal:
    """Fit probabilistic PCA.

    Args:
        x: (rows, D).
        latent: dimension of z, less than D.
        floor: the least variance of the noise.

    Raises:
        DataShape: latent is not between 1 and D - 1, or there are no rows.
        ConfigError: the eigenvalues left out are all zero, so that the noise has no estimate.

    >>> round(principal(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]]), 1).noise, 4)
    0.125
    """
    rows, features = x.shape
    if not (0 < latent < features and rows > 0):
        raise DataShape("probabilistic PCA needs 0 < latent < features", found=f"latent {latent}, features {features}")
    mean = x.double().mean(0)
    values, vectors = torch.linalg.eigh((x.double() - mean).T @ (x.double() - mean) / rows)
    values, axes = values.flip(0).clamp(min=0), vectors.flip(1)[:, :latent]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    noise = max(float(values[latent:].mean()), floor)
    if noise <= 0:
        raise ConfigError(
            "no variance is left for the noise", found=f"latent {latent}", mend="Choose a smaller latent."
        )
    return Principal(mean, axes, values, noise)


def fill_closed_form(model: VAE, x: Tensor) -> None:
    """Set the weights of a linear model to the maximum-likelihood solution; its posterior is then the exact one.

    Args:
        model: linear encoder and decoder, gaussian likelihood; a point posterior gets the projection of PCA.
        x: training rows, (rows, *shape), in the units of the data.

    Raises:
        Incompatible: a model that is not linear and Gaussian.
    """
    encoder, decoder, likelihood = _linear(model)
    with torch.no_grad():
        fit = principal(model.embedding(x.double()).flatten(1), model.latent)
        exact = isinstance(model.posterior_family, GaussianPosterior)
        kept = fit.eigenvalues[: model.latent]
        spread = (kept - fit.noise).clamp(min=0).sqrt() if exact else torch.ones_like(kept)
        decoder.map.weight.copy_(fit.axes * spread)
        decoder.map.bias.copy_(fit.mean)
        inward = fit.axes.T * (spread / kept if exact else spread)[:, None]
        rest = encoder.outputs[0] - model.latent  # the log-variances, which do not depend on x
        encoder.map.weight.copy_(torch.cat([inward, torch.zeros(rest, inward.shape[1])]))
        encoder.map.bias.copy_(torch.cat([-inward @ fit.mean, (fit.noise / kept).log()[:rest]]))
        if likelihood.scale != "fixed":
            likelihood.set_variance(fit.noise)


@torch.no_grad()
def evidence(model: VAE, x: Tensor) -> Tensor:
    """Exact log p(x) of a linear Gaussian model, from its weights: nats, (rows,).

    Args:
        model: linear decoder, gaussian likelihood whose scale is not predicted.
        x: (rows, *shape), in the units of the data.
    """
    decoder, noise, y, jacobian = _standardised(model, x)
    log_px: Tensor = _gaussian(decoder.map.bias.double(), decoder.map.weight.double(), noise).log_prob(y)
    return log_px - jacobian


@torch.no_grad()
def exact_elbo(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """The ELBO of a linear decoder with its expectation taken exactly, and the KL per dimension, both in nats.

    E_q ||x - W z - b||^2 = ||x - W m - b||^2 + sum_i s_i^2 ||w_i||^2, each cell divided by its noise.

    Args:
        model: linear decoder, gaussian posterior and likelihood whose scale is not predicted.
        x: (rows, *shape), in the units of the data.

    Returns:
        elbo (rows,) and kl (rows, latent).
    """
    decoder, noise, y, jacobian = _standardised(model, x)
    q = model.posterior(x.to(decoder.map.weight.dtype))
    mean, variance = q.mean.double(), q.variance.double()
    weight = decoder.map.weight.double()
    error = (y - mean @ weight.T - decoder.map.bias.double()).square() @ (1 / noise)
    error = error + variance @ (weight.square().T @ (1 / noise))
    log_px = -0.5 * (error + noise.log().sum() + len(noise) * math.log(2 * math.pi)) - jacobian
    divergence = 0.5 * (mean.square() + variance - 1 - variance.log())
    return log_px - divergence.sum(1), divergence


def _gaussian(mean: Tensor, weights: Tensor, noise: Tensor) -> LowRankMultivariateNormal:
    return LowRankMultivariateNormal(mean, weights, noise, validate_args=False)


def _standardised(model: VAE, x: Tensor) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """Decoder, noise variance per cell, scaled rows, and the log-Jacobian of the scaling, float64."""
    _, decoder, likelihood = _linear(model)
    scale = model.embedding.scale.double().expand(model.shape)
    y = (x.double() - model.embedding.shift.double()) / scale
    sigma = likelihood(torch.zeros(1, *model.shape, dtype=decoder.map.weight.dtype)).stddev
    noise = sigma.double().square().expand(1, *model.shape)
    return decoder, noise.flatten(), y.flatten(1), scale.log().sum()


def _linear(model: VAE) -> tuple[Linear, Linear, GaussianLikelihood]:
    encoder, decoder, likelihood = model.encoder, model.decoder, model.likelihood_family
    if not (isinstance(encoder, Linear) and isinstance(decoder, Linear)):
        raise Incompatible(
            "the closed form needs linear nets", found="nets that are not", mend="Set encoder and decoder to linear."
        )
    if (
        not isinstance(likelihood, GaussianLikelihood)
        or likelihood.scale == "predicted"
        or likelihood.mean != "identity"
    ):
        raise Incompatible("the closed form needs a gaussian likelihood with one scale", found=likelihood.title)
    if not isinstance(model.posterior_family, GaussianPosterior | Point):
        raise Incompatible("the closed form needs a gaussian or point posterior", found=model.posterior_family.title)
    return encoder, decoder, likelihood
