"""What claims are made of: rows, linear models with known answers, and findings."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from sklearn import datasets
from torch import Tensor, nn

from lowerbound.linear import fill_closed_form
from lowerbound.model import VAE, assemble

Finding = tuple[str, float, float, float]
"""A quantity, the value found, the exact one, and the tolerance."""
Claim = Callable[[], Iterator[Finding]]


@cache
def rows_of(name: str) -> Tensor:
    """Rows that come with scikit-learn, (rows, features) float64: digits / 16, breast z-scored, iris as it is."""
    load = {"digits": datasets.load_digits, "breast": datasets.load_breast_cancer, "iris": datasets.load_iris}[name]
    x = torch.from_numpy(load().data.astype("float64"))
    return {"digits": x / 16, "breast": (x - x.mean(0)) / x.std(0, correction=0), "iris": x}[name]


@cache
def points_of(name: str) -> Tensor:
    """Two rows a feature with mean and covariance of the rows, which is all that a linear model sees of them."""
    x = rows_of(name)
    variances, axes = torch.linalg.eigh(torch.cov(x.T, correction=0))
    steps = (axes * (len(axes) * variances.clamp(min=0)).sqrt()).T
    return torch.cat([x.mean(0) + steps, x.mean(0) - steps])


def linear_model(features: int, latent: int, *, posterior: str = "gaussian", **likelihood: Any) -> VAE:
    """A linear model with a gaussian likelihood and random weights, float64."""
    net = {"name": "linear"}
    table = {
        "shape": [features], "latent": latent, "encoder": net, "decoder": net, "posterior": {"name": posterior},
        "prior": {"name": "standard"}, "likelihood": {"name": "gaussian", **likelihood},
    }  # fmt: skip
    return assemble(table).double()


@cache
def closed_form(name: str, latent: int, posterior: str = "gaussian") -> VAE:
    """The linear model with the best weights for some rows."""
    x = rows_of(name)
    model = linear_model(x.shape[1], latent, posterior=posterior)
    fill_closed_form(model, x)
    return model


def affine(net: nn.Module) -> nn.Linear:
    """The map in the net 'linear'."""
    layer: nn.Linear = net.map  # type: ignore[assignment]
    return layer


@torch.no_grad()
def variance_of(model: VAE) -> float:
    """The one variance of p(x|z)."""
    return float(model.likelihood(torch.zeros(1, model.latent, dtype=torch.float64)).variance.flatten()[0])


@torch.no_grad()
def squared_error(model: VAE, x: Tensor) -> float:
    """Of the reconstruction from the posterior mean, per feature."""
    return float((model.likelihood(model.posterior(x).mean).mean - x).square().mean())


def printed(quantity: str, value: float, digits: str) -> Finding:
    """A value against a printed one: right if it rounds to the same digits."""
    return quantity, value, float(digits), 0.501 * 10.0 ** -len(digits.partition(".")[2])


def distance(found: Tensor, exact: Tensor) -> float:
    """The largest difference of any entry."""
    return float((found.double() - exact.double()).abs().max())
