"""What the encoder sees of the data, and the way back: scaling, filling of missing cells, mask channel."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.distributions import relocate
from lowerbound.randomness import row_digests

GRID = 2.0**-10  # of a standard deviation: what two rows differ by that are told apart when their noise is chosen


class Embedding(nn.Module):
    """Scaling fixed on the training rows, kept as weights: (x - shift) / scale goes in, densities are in x's units.

    Args:
        shape: of a row.
        mode: ``none``, ``global`` (one shift and scale), ``columns`` (one per cell) or ``log``: of counts, log(1 + x)
            with one shift and scale per cell; this the encoder sees, while densities stay those of the counts.
        masked: whether the encoder gets the mask as further channels.

    >>> Embedding((2,), mode="none", masked=False)(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]])
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], *, mode: str = "none", masked: bool = False) -> None:
        super().__init__()
        self.shape, self.mode, self.masked = shape, mode, masked
        size = shape if mode in ("columns", "log") else (1,) * len(shape)
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @property
    def spec(self) -> dict[str, Any]:
        """What, besides the weights, makes the same embedding."""
        return {"mode": self.mode, "masked": self.masked}

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of the encoder's input."""
        return (self.shape[0] * (1 + self.masked), *self.shape[1:])

    def start_from(self, x: Tensor, mask: Tensor | None = None) -> None:
        """Measure shift and scale on rows (rows, *shape); a constant column, rounding aside, keeps the scale 1."""
        if self.mode == "none":
            return
        x = x.log1p() if self.mode == "log" else x
        axes = tuple(range(x.dim())) if self.mode == "global" else (0,)
        seen = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        count = seen.sum(axes).clamp(min=1)
        mean = torch.where(seen, x, 0.0).sum(axes) / count
        spread = torch.where(seen, x - mean, 0.0).square().sum(axes).div(count).sqrt()
        rounding = 16 * torch.finfo(x.dtype).eps * mean.abs()
        self.shift.copy_(mean.reshape(self.shift.shape))
        self.scale.copy_(torch.where(spread > rounding, spread, 1.0).reshape(self.scale.shape))

    def scaled(self, x: Tensor) -> Tensor:
        """Values (..., *shape) as the scaling gives them, without a unit; as they are where there is no scaling."""
        if self.mode == "none":
            return x
        return ((x.log1p() if self.mode == "log" else x) - self.shift) / self.scale

    def forward(self, x: Tensor, mask: Tensor | None = None, spoil: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The encoder's input; missing cells are filled with 0, the mean after scaling.

        Args:
            x: (rows, *shape).
            mask: (rows, *shape), True where observed.
            spoil: what is done to the scaled values, and not to the mask channels: a corruption.
        """
        scaled = self.scaled(x)
        if mask is not None:
            scaled = torch.where(mask, scaled, 0.0)
        if spoil is not None:
            scaled = spoil(scaled)
        if not self.masked:
            return scaled
        seen = torch.ones_like(scaled) if mask is None else mask.to(scaled)
        return torch.cat([scaled, seen], dim=scaled.dim() - len(self.shape))

    def digests(self, x: Tensor, mask: Tensor | None = None) -> list[int]:
        """A digest per row that evaluation noise is keyed by, the same whatever the unit of scaled columns.

        It is one of what the encoder sees, rounded, so that the last digits, which a change of unit does change, do not
        count. Where nothing is scaled, and of counts, it is one of the values themselves.

        Args:
            x: (rows, *shape).
            mask: (rows, *shape), True where observed; what stands in missing cells does not count.
        """
        if self.mode in ("none", "log"):
            return row_digests(x, mask)
        precise = x if x.device.type == "mps" else x.double()  # mps knows no double precision
        seen = (self(precise, mask).flatten(1) / GRID).round()
        return row_digests(seen if mask is None else torch.cat([seen, mask.flatten(1).to(seen)], dim=1))

    def restore(self, p: Distribution) -> Distribution:
        """p(x|z) in the units of the data, from the same in the encoder's units."""
        return p if self.mode in ("none", "log") else relocate(p, self.shift, self.scale)
