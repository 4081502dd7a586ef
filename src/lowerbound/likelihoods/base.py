"""What a likelihood family is, and what families with a location and a scale share."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.parts import Part

HASTE = 10.0  # sigma is stored as log sigma^2 / HASTE: a step of Adam then moves it ten times as far
Total = Callable[[Tensor], Tensor]
Scale = Literal["learned", "fixed", "per_dimension", "predicted"]


def same(own: Tensor) -> Tensor:
    """The sum over a batch that is whole already."""
    return own


class Likelihood(Part, kind="likelihood"):
    """A family of distributions over x, (rows, *shape), whose log_prob has one entry per cell.

    ``support`` names the values it gives a probability to, ``discrete`` whether that is a probability or a density,
    ``relocates`` whether data may be scaled around it, ``fill`` a value in the support for missing cells.
    """

    support: str = "real"
    discrete: ClassVar[bool] = False
    relocates: bool = False
    per_cell: int = 1
    fill: float = 0.0

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @classmethod
    def support_of(cls, table: Mapping[str, Any]) -> str:
        """The support with the options of a config table, for families where these decide."""
        return cls.support

    @property
    def numbers(self) -> tuple[int, ...]:
        """Shape of what the decoder gives for a row: the first axis holds all the numbers of each cell in turn."""
        return (self.per_cell * self.shape[0], *self.shape[1:])

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """Shape of log_prob for a row, and so of the mask it is summed with."""
        return self.shape

    @property
    def weights(self) -> Tensor | None:
        """Of the cells in training, (*shape); None where all count alike."""
        return None

    @abstractmethod
    def forward(self, numbers: Tensor) -> Distribution:
        """p(x|z) from the decoder's numbers, (..., *numbers)."""

    def condition(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Distribution:
        """p given what it takes as known of the rows x themselves, such as their totals (nothing by default).

        Args:
            p: from ``forward``, (..., rows, *shape).
            x: (rows, *shape), with values in the support in missing cells.
            mask: (rows, *shape), True where observed, or None.
        """
        return p

    def couple(self, p: Distribution, x: Tensor, mask: Tensor | None, total: Total = same) -> Distribution:
        """p with what a training batch decides (only where ``couples_rows``).

        Args:
            p: from ``forward``, (..., rows, *shape).
            x: (rows, *shape).
            mask: (rows, *shape), or None.
            total: makes sums over the whole batch of sums over the rows at hand.
        """
        return p

    def statistics(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Tensor:
        """Sums over a block of rows that ``settle`` fixes the coupled values from, (sum, count)."""
        return torch.zeros(2, dtype=x.dtype, device=x.device)

    def settle(self, statistics: Tensor) -> None:
        """Store what training batches decided, from the sums over the training rows."""

    def _split(self, numbers: Tensor) -> tuple[Tensor, ...]:
        return numbers.chunk(self.per_cell, dim=-len(self.shape))


class Scaled(Likelihood):
    """A family with a location and a scale around it; the variance, scale^2, is floor^2 + e^s unless it is fixed."""

    slow: Tensor

    def __init__(self, shape: tuple[int, ...], scale: str, value: float, floor: float) -> None:
        super().__init__(shape)
        self.scale, self.value, self.floor = scale, value, floor
        self.per_cell = 2 if scale == "predicted" else 1
        start = torch.full(shape if scale == "per_dimension" else (), 2 * math.log(value) / HASTE)
        if scale in ("learned", "per_dimension"):
            self.slow = nn.Parameter(start)
        else:
            self.register_buffer("slow", start)

    @property
    def log_variance(self) -> Tensor:
        """log of the squared scale of the scaled data, before the floor: (), or (*shape) when per_dimension."""
        return HASTE * self.slow

    def _located(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale from the decoder's numbers."""
        loc, *raw = self._split(numbers)
        return loc, self._sigma(self.log_variance + raw[0] if raw else self.log_variance)

    def _sigma(self, log_variance: Tensor) -> Tensor:
        if self.scale in ("fixed", "optimal"):
            return (0.5 * log_variance).exp()
        return (self.floor**2 + log_variance.exp()).sqrt()
