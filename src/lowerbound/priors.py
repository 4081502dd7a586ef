"""Priors p(z)."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from lowerbound.parts import Part

Infer = Callable[[Tensor], Distribution]


class Prior(Part, kind="prior"):
    """A distribution over z, (latent,) or (rows, latent)."""

    has_density: ClassVar[bool] = True

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @abstractmethod
    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        """p(z), given the context if there is one; ``infer`` is the model's own posterior, for priors made of it."""


class Standard(Prior, name="standard"):
    """The standard normal.

    p(z) = N(z; 0, I). Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, section 3.

    Args:
        latent: dimension of z.

    >>> Standard(2)().stddev
    tensor([1., 1.])
    """

    zero: Tensor
    one: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.register_buffer("zero", torch.zeros(latent), persistent=False)
        self.register_buffer("one", torch.ones(latent), persistent=False)

    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        return Normal(self.zero, self.one, validate_args=False)
