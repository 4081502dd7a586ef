"""The few distributions torch lacks, changes of location and scale, and ``kl``.

Objects are made with ``validate_args=False`` one by one: torch's own switch for it is global, and data are validated
once, at the door, with a message that can name row and column.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Laplace, Normal, StudentT, constraints, kl_divergence
from torch.distributions.kl import _dispatch_kl

from lowerbound.errors import Incompatible


class PointMass(Distribution):
    """All probability at one point: the posterior of a plain autoencoder. It has no density.

    Args:
        loc: the point, any shape.
    """

    arg_constraints = {"loc": constraints.real}
    support = constraints.real

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.loc.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        raise Incompatible("a point mass has no density", mend="Choose the posterior 'gaussian' for bounds on log p(x).")


def relocate(p: Distribution, shift: Tensor, scale: Tensor) -> Distribution:
    """The distribution of ``shift + scale * y`` for y ~ p, so that densities are in the units of the data.

    Raises:
        Incompatible: p has no location and scale.
    """
    if isinstance(p, StudentT):
        return StudentT(p.df, shift + scale * p.loc, scale * p.scale, validate_args=False)
    if isinstance(p, Normal | Laplace):
        return type(p)(shift + scale * p.loc, scale * p.scale, validate_args=False)
    raise Incompatible(f"{type(p).__name__} has no location and scale", where="data.scaling", mend="Use scaling = none.")


def kl(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p) in nats, per dimension where both factorise, else per row.

    Normal against Normal in closed form; then torch's table; else log q(z) - log p(z) at the samples given.

    Args:
        q: posterior, (rows, latent).
        p: prior, broadcast against it.
        z: samples from q, (samples, rows, latent); used only where no closed form is known.

    >>> kl(Normal(1.0, 1.0), Normal(0.0, 1.0), torch.zeros(1))
    tensor(0.5000)
    """
    if type(q) is Normal and type(p) is Normal:
        ratio = q.scale / p.scale
        shift = (q.loc - p.loc) / p.scale
        return 0.5 * (ratio.square() + shift.square() - 1.0) - ratio.log()
    if _has_closed_form(q, p):
        return kl_divergence(q, p)
    return (q.log_prob(z) - p.log_prob(z)).mean(0)


def _has_closed_form(q: Distribution, p: Distribution) -> bool:
    return _dispatch_kl(type(q), type(p)) is not NotImplemented


def per_row(values: Tensor, q: Distribution) -> Tensor:
    """Sum a per-dimension quantity of a latent distribution over its dimensions; per-row values stay."""
    return values if q.event_shape else values.sum(-1)
