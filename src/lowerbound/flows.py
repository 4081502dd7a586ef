"""Flows: a distribution carried along an invertible map, and the maps, which are those of zuko (extra ``flow``)."""

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints

from lowerbound.errors import MissingExtra

POINTS = 512  # of a low-discrepancy sequence, that moments without a closed form are summed over
BINS = 8  # of a spline
Kind = Literal["affine", "spline"]


class Carried(Distribution):
    """z = T^-1(u) for u ~ N(loc, scale^2): log p(z) = log N(T(z)) + log |det dT/dz|, jointly over the last axis.

    Mean and variance have no closed form: they are sums over a fixed low-discrepancy sequence, the same on every call.
    Source: Rezende & Mohamed 2015, "Variational inference with normalizing flows", arXiv:1505.05770.

    Args:
        base: of u, (..., latent).
        transform: T, with ``inv`` and ``log_abs_det_jacobian``, or ``call_and_ladj`` which gives both at once.

    >>> Carried(Normal(torch.zeros(2), torch.ones(2)), torch.distributions.ExpTransform().inv).sample().shape
    torch.Size([2])
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Normal, transform: Any) -> None:
        self.base, self.transform = base, transform
        super().__init__(base.batch_shape[:-1], base.batch_shape[-1:], validate_args=False)

    def carry(self, u: Tensor) -> Tensor:
        """T^-1(u), of any number of draws."""
        z: Tensor = self.transform.inv(u)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)  # zuko's maps do not broadcast by themselves
        u, ladj = _forward(self.transform, value.expand(*shape, value.shape[-1]))
        log_u: Tensor = self.base.log_prob(u).sum(-1)
        return log_u + ladj

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.carry(self.base.loc + self.base.scale * torch.randn(shape, dtype=self.base.loc.dtype,
                                                                       device=self.base.loc.device))  # fmt: skip

    @property
    def mean(self) -> Tensor:
        return self._draws().mean(0)

    @property
    def variance(self) -> Tensor:
        return self._draws().var(0)

    def _draws(self) -> Tensor:
        loc = self.base.loc
        sequence = torch.quasirandom.SobolEngine(loc.shape[-1], scramble=True, seed=0)
        eps = torch.special.ndtri(sequence.draw(POINTS, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)).to(loc)
        return self.carry(loc + self.base.scale * eps.reshape(POINTS, *(1,) * (loc.dim() - 1), loc.shape[-1]))


def _forward(transform: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    if hasattr(transform, "call_and_ladj"):
        u, ladj = transform.call_and_ladj(z)
    else:
        u = transform(z)
        ladj = transform.log_abs_det_jacobian(z, u)
    return u, ladj if transform.domain.event_dim else ladj.sum(-1)


def invertible(kind: Kind, latent: int, context: int, layers: int, widths: list[int]) -> nn.Module:
    """Coupling layers, each changing half of z by what a small net makes of the other half and of the context.

    Args:
        kind: ``affine``, or ``spline``: rational-quadratic on [-5, 5], the identity outside.
        latent: dimension of z.
        context: numbers per row that the nets see as well, or 0.
        layers: how many; the halves change places from one to the next.
        widths: units of each hidden layer of the nets.

    Returns:
        A module: called with the context, or with None, it gives T.

    Raises:
        MissingExtra: zuko is not installed.

    Sources: Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP", arXiv:1605.08803; Durkan,
    Bekasov, Murray & Papamakarios 2019, "Neural spline flows", arXiv:1906.04032.
    """
    flows, lazy, transforms = _zuko()
    shapes: list[tuple[int, ...]] = [(), ()]
    univariate = transforms.MonotonicAffineTransform
    if kind == "spline":
        univariate, shapes = partial(transforms.MonotonicRQSTransform, bound=5.0), [(BINS,), (BINS,), (BINS - 1,)]
    orders = [torch.arange(latent), torch.arange(latent).flip(0)]
    made: nn.Module = lazy.LazyComposedTransform(*(
        flows.MaskedAutoregressiveTransform(
            latent, context, passes=2, order=orders[layer % 2], univariate=univariate, shapes=shapes,
            hidden_features=widths,
        )
        for layer in range(layers)
    ))  # fmt: skip
    return made


def _zuko() -> tuple[Any, Any, Any]:
    """zuko's flows, lazy and transforms; what importing them changes in torch, for everybody, is put back."""
    before = {name: Distribution.__dict__.get(name) for name in ("_validate_args", "arg_constraints")}
    try:
        from zuko import flows, lazy, transforms
    except ImportError as error:
        raise MissingExtra("a flow", "flow") from error
    finally:
        for name, value in before.items():
            setattr(Distribution, name, value)
    return flows, lazy, transforms
