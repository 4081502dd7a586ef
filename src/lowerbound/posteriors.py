"""Posterior families: the numbers the encoder gives, the distribution q(z|x) they mean, and how noise becomes z."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from lowerbound.distributions import PointMass
from lowerbound.parts import Part


class Posterior(Part, kind="posterior"):
    """A family of distributions over z, (rows, latent).

    ``has_density`` says whether bounds on log p(x) exist for it; ``noise_shape`` is the shape of the noise that one
    sample of one row needs, or None.
    """

    has_density: ClassVar[bool] = True

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers a row's distribution is made of."""

    @property
    def noise_shape(self) -> tuple[int, ...] | None:
        return (self.latent,)

    @abstractmethod
    def forward(self, numbers: Tensor) -> Distribution:
        """q(z|x) from the encoder's numbers, (rows, numbers)."""

    @abstractmethod
    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        """z = g(eps, x): noise (samples, rows, *noise_shape) to samples (samples, rows, latent)."""


class Gaussian(Posterior, name="gaussian"):
    """Normal with a mean and a variance per dimension, both from the encoder.

    q(z|x) = N(z; mu(x), diag sigma^2(x)), the encoder giving mu and log sigma^2; z = mu + sigma * eps.
    Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, appendix C.

    Args:
        latent: dimension of z.

    >>> Gaussian(2)(torch.zeros(1, 4)).stddev
    tensor([[1., 1.]])
    """

    @property
    def numbers(self) -> int:
        return 2 * self.latent

    def forward(self, numbers: Tensor) -> Distribution:
        mean, log_variance = numbers.chunk(2, dim=-1)
        return Normal(mean, (0.5 * log_variance).exp(), validate_args=False)

    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        return torch.addcmul(q.mean, q.stddev, eps)


class Point(Posterior, name="point"):
    """All mass at one code: the autoencoder. It has no density, hence no bound on log p(x).

    Source: Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323.

    Args:
        latent: dimension of z.

    >>> Point(2)(torch.ones(1, 2)).mean
    tensor([[1., 1.]])
    """

    has_density = False

    @property
    def numbers(self) -> int:
        return self.latent

    @property
    def noise_shape(self) -> tuple[int, ...] | None:
        return None

    def forward(self, numbers: Tensor) -> Distribution:
        return PointMass(numbers)

    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        return q.mean.unsqueeze(0)
