"""Grey levels of 8-bit images as whole numbers."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from lowerbound.likelihoods.base import HASTE, Likelihood
from lowerbound.parts import Count, Positive

LEVELS = 256
LEAST = 1e-4  # scale, from black to white being 1: far below the distance of two levels


class Levels(Distribution):
    """The 256 values k/255 with the probabilities that a mixture of logistics gives the intervals around them.

    P(k) = F((k + 1/2) / 255) - F((k - 1/2) / 255), F the distribution function; all below 1/2 belongs to 0, all above
    254 1/2 to 255, so that the probabilities add up to one.

    Args:
        log_weights: of the components, (..., components, *cell), or None for a single one, (..., 1, *cell).
        loc: (..., components, *cell), 0 to 1 from black to white.
        scale: of the logistics, likewise.
        axis: of the components, counted from the end.
    """

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, log_weights: Tensor | None, loc: Tensor, scale: Tensor, axis: int) -> None:
        self.log_weights, self.loc, self.scale, self.axis = log_weights, loc, scale, axis
        shape = list(torch.broadcast_shapes(loc.shape, scale.shape))
        del shape[axis]
        super().__init__(torch.Size(shape), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        level = (LEVELS - 1) * value.unsqueeze(self.axis)
        high = ((level + 0.5) / (LEVELS - 1) - self.loc) / self.scale
        low = ((level - 0.5) / (LEVELS - 1) - self.loc) / self.scale
        width = 1 / ((LEVELS - 1) * self.scale)
        inside = logsigmoid(high) + logsigmoid(-low) + (-torch.expm1(-width)).log()  # log(F(high) - F(low)), exactly
        log_p = torch.where(level < 0.5, logsigmoid(high), torch.where(level > LEVELS - 1.5, logsigmoid(-low), inside))
        weighted = log_p if self.log_weights is None else log_p + self.log_weights
        return weighted.logsumexp(self.axis)

    @property
    def mean(self) -> Tensor:
        return self._moments()[0]

    @property
    def variance(self) -> Tensor:
        first, second = self._moments()
        return second - first.square()

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            shape = torch.Size((*sample_shape, *torch.broadcast_shapes(self.loc.shape, self.scale.shape)))
            u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device).clamp(1e-7, 1 - 1e-7)
            values = self.loc + self.scale * u.logit()
            if self.log_weights is not None:
                noise = -(-torch.rand_like(u).clamp(1e-7, 1 - 1e-7).log()).log()
                chosen = (self.log_weights + noise).argmax(self.axis, keepdim=True)
                values = values.gather(self.axis, chosen)
            else:
                values = values.narrow(self.axis, 0, 1)
            return ((LEVELS - 1) * values.squeeze(self.axis)).round().clamp(0, LEVELS - 1) / (LEVELS - 1)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """E x and E x^2, from P(level >= k) for each k."""
        first = torch.zeros((), dtype=self.loc.dtype, device=self.loc.device)
        second = first
        for k in range(1, LEVELS):
            above = ((self.loc - (k - 0.5) / (LEVELS - 1)) / self.scale).sigmoid()
            share = above if self.log_weights is None else above * self.log_weights.exp()
            tail = share.sum(self.axis)
            first, second = first + tail, second + (2 * k - 1) * tail
        return first / (LEVELS - 1), second / (LEVELS - 1) ** 2


class DiscretisedLogistic(Likelihood, name="discretised_logistic"):
    """Probabilities of the 256 grey levels of 8-bit images, from a logistic or a mixture of them per cell.

    P(x|z) = sum_i w_i [F((x + 1/510 - m_i) / s_i) - F((x - 1/510 - m_i) / s_i)], F the logistic function, x in
    {0, 1/255, ..., 1}; what lies outside belongs to black and white. The decoder gives m and, of several components, w
    of each; s is ``learned`` (one number), ``per_dimension`` or ``predicted`` too. Bits per dimension of images compare
    with published ones.
    Sources: Kingma et al. 2016, "Improved variational inference with inverse autoregressive flow", arXiv:1606.04934;
    mixtures: Salimans, Karpathy, Chen & Kingma 2017, "PixelCNN++", arXiv:1701.05517.

    Args:
        shape: of a row.
        components: logistics per cell.
        scale: see above.
        value: what s starts from, from black to white being 1.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> grey = torch.arange(256.0).reshape(256, 1) / 255
    >>> DiscretisedLogistic((1,))(torch.zeros(1, 1)).log_prob(grey).exp().sum().detach()
    tensor(1.)
    """

    support = "byte"
    discrete = True
    slow: Tensor

    def __init__(
        self, shape: tuple[int, ...], *, components: Count = 1,
        scale: Literal["predicted", "learned", "per_dimension"] = "learned", value: Positive = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(shape)
        self.components, self.scale, self.value = components, scale, value
        self.kinds = 1 + (scale == "predicted") + (components > 1)
        self.per_cell = self.kinds * components
        start = torch.full(shape if scale == "per_dimension" else (), math.log(value) / HASTE)
        if scale == "predicted":
            self.register_buffer("slow", start)
        else:
            self.slow = nn.Parameter(start)

    def forward(self, numbers: Tensor) -> Distribution:
        axis = -len(self.shape) - 1
        loc, *rest = numbers.unflatten(axis + 1, (self.kinds, self.components, self.shape[0])).unbind(axis - 1)
        log_weights = rest.pop().log_softmax(axis) if self.components > 1 else None
        log_scale = HASTE * self.slow + rest[0] if rest else HASTE * self.slow
        return Levels(log_weights, 0.5 + self._spread(loc, axis), LEAST + log_scale.exp(), axis)

    def _spread(self, loc: Tensor, axis: int) -> Tensor:
        """Components start apart from each other, so that they can become different."""
        if self.components == 1:
            return loc
        places = torch.linspace(-0.4, 0.4, self.components, dtype=loc.dtype, device=loc.device)
        return loc + places.reshape(-1, *(1,) * (-axis - 1))
