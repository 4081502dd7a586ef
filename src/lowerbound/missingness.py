"""Missingness: p(mask | x), which cells are observed given the values of all, for values that are missing for a reason.

Source: Ipsen, Mattei & Frellsen 2021, "not-MIWAE: deep generative modelling with missing not at random data",
arXiv:2006.12871.
"""

import math
from abc import abstractmethod
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from lowerbound.distributions import BernoulliLogits
from lowerbound.parts import Count, Part

HASTE = 10.0  # weights of a threshold have far to go: a step of Adam then moves them ten times as far


class Missingness(Part, kind="missingness"):
    """A family of distributions over masks (1 = observed) given rows without holes, one probability a cell."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Distribution:
        """p(mask|x), (..., *shape), of scaled rows (..., *shape)."""
        return BernoulliLogits(self.logits(x))

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """log odds of each cell being observed, (..., *shape)."""


class SelfMasking(Missingness, name="self_masking"):
    """Whether a cell is observed depends on its own value alone.

    p(s_j = 1 | x) = sigmoid(c_j - w_j x_j), a threshold of any sharpness. It is identifiable where the sign of w is
    known, or where the values themselves are modelled tightly enough. Source: Ipsen, Mattei & Frellsen 2021,
    "not-MIWAE", arXiv:2006.12871, section 3.

    Args:
        shape: of a row.
        gone: which values go missing: ``high`` (w > 0), ``low`` (w < 0), or ``any`` where that is not known.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> part = SelfMasking((1,), gone="high")
    >>> part(torch.tensor([[-3.0], [0.0], [3.0]])).probs.detach().round(decimals=2).T
    tensor([[0.8900, 0.5000, 0.1100]])
    """

    def __init__(self, shape: tuple[int, ...], *, gone: Literal["any", "high", "low"] = "any") -> None:
        super().__init__(shape)
        self.gone = gone
        self.slope, self.offset = nn.Parameter(torch.zeros(self.shape)), nn.Parameter(torch.zeros(self.shape))

    def logits(self, x: Tensor) -> Tensor:
        slope = HASTE * self.slope
        if self.gone != "any":
            slope = softplus(slope) if self.gone == "high" else -softplus(slope)
        found: Tensor = HASTE * self.offset - slope * x
        return found


class Agnostic(Missingness, name="agnostic"):
    """Whether a cell is observed depends on all values of the row: a linear map to log odds, or a net.

    p(s_j = 1 | x) = sigmoid(f_j(x)). It says least about the reason, and needs the most data. Source: Ipsen, Mattei &
    Frellsen 2021, "not-MIWAE", arXiv:2006.12871, section 4.

    Args:
        shape: of a row.
        widths: units of each hidden layer, with tanh between; none for a linear map.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Agnostic((2,), widths=[4])(torch.zeros(3, 2)).probs.shape
    torch.Size([3, 2])
    """

    def __init__(self, shape: tuple[int, ...], *, widths: list[Count] = []) -> None:  # noqa: B006  # never written to
        super().__init__(shape)
        self.widths = widths
        cells = math.prod(self.shape)
        layers = [nn.Linear(before, after) for before, after in pairwise([cells, *widths, cells])]
        self.net = nn.Sequential(*(part for layer in layers for part in (nn.Tanh(), layer)))[1:]

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x.flatten(-len(self.shape))).unflatten(-1, self.shape)
        return found
