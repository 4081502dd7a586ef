"""Likelihood families p(x|z): the numbers they need of the decoder, and the distribution these mean, cell by cell."""

import math
from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from lowerbound.distributions import BernoulliLogits
from lowerbound.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from lowerbound.parts import NonNegative, Part, Positive

HASTE = 10.0  # sigma is stored as log sigma^2 / HASTE: a step of Adam then moves it ten times as far


class Likelihood(Part, kind="likelihood"):
    """A family of distributions over x, (rows, *shape), whose log_prob has one entry per cell.

    ``support`` names the values it gives a probability to, ``discrete`` whether that is a probability or a density,
    ``relocates`` whether data may be scaled around it, ``fill`` a value in the support for missing cells.
    """

    support: ClassVar[str] = "real"
    discrete: ClassVar[bool] = False
    relocates: bool = False
    per_cell: int = 1
    fill: float = 0.0

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Shape of what the decoder gives for a row: the first axis holds all the numbers of each cell in turn."""
        return (self.per_cell * self.shape[0], *self.shape[1:])

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """Shape of log_prob for a row, and so of the mask it is summed with."""
        return self.shape

    @abstractmethod
    def forward(self, numbers: Tensor) -> Distribution:
        """p(x|z) from the decoder's numbers, (..., *numbers)."""

    def couple(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Distribution:
        """p with what a training batch decides (only where ``couples_rows``)."""
        return p

    def statistics(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Tensor:
        """Sums over a block of rows that ``settle`` fixes the coupled values from, (sum, count)."""
        return torch.zeros(2, dtype=x.dtype, device=x.device)

    def settle(self, statistics: Tensor) -> None:
        """Store what training batches decided, from the sums over the training rows."""

    def _split(self, numbers: Tensor) -> tuple[Tensor, ...]:
        return numbers.chunk(self.per_cell, dim=-len(self.shape))


class Bernoulli(Likelihood, name="bernoulli"):
    """Zeros and ones with a probability per cell.

    log p(x|z) = x log s(l) + (1 - x) log(1 - s(l)), l the decoder's logits. A probability of x in {0, 1} only: on grey
    levels it is a cross-entropy. Source: Kingma & Welling 2014, arXiv:1312.6114, appendix C.1.

    Args:
        shape: of a row.

    >>> Bernoulli((1,))(torch.zeros(1, 1)).log_prob(torch.ones(1, 1)).exp()
    tensor([[0.5000]])
    """

    support = "binary"
    discrete = True

    def forward(self, numbers: Tensor) -> Distribution:
        return BernoulliLogits(numbers)


class ContinuousBernoulli(Likelihood, name="continuous_bernoulli"):
    """A density on [0, 1], for grey levels that are not zeros and ones.

    p(x|z) = C(s) s^x (1 - s)^(1 - x), s = s(l), l the decoder's logits. Source: Loaiza-Ganem & Cunningham 2019,
    "The continuous Bernoulli", arXiv:1907.06845.

    Args:
        shape: of a row.

    >>> ContinuousBernoulli((1,))(torch.zeros(1, 1)).log_prob(torch.full((1, 1), 0.3)).abs() < 1e-6
    tensor([[True]])
    """

    support = "unit"

    def forward(self, numbers: Tensor) -> Distribution:
        return ContinuousBernoulliDistribution(numbers)


class Gaussian(Likelihood, name="gaussian"):
    """Normal around the decoder's mean.

    p(x|z) = N(x; mu(z), sigma^2), with sigma ``fixed``, ``learned`` (one number), ``per_dimension``, ``predicted`` by
    the decoder, sigma(z), or ``optimal`` (the batch's root mean squared error, which maximises the bound; at evaluation
    that of the training rows). Every learned or predicted variance is floor^2 + e^s, so it stays finite on constant
    cells. Sources: Kingma & Welling 2014, arXiv:1312.6114, appendix C.2; ``optimal``: Rybkin, Daniilidis & Levine 2021,
    "Simple and effective VAE training with calibrated decoders", arXiv:2006.13202.

    Args:
        shape: of a row.
        scale: see above.
        value: sigma when ``fixed``, else its start; in units of the scaled data.
        floor: the least sigma, in units of the scaled data.
        mean: ``identity``, or ``sigmoid`` to keep the mean in (0, 1).

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Gaussian((1,), scale="fixed", value=1.0)(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1))
    tensor([[-0.9189]])
    """

    support = "real"
    relocates = True
    slow: Tensor

    def __init__(
        self, shape: tuple[int, ...], *,
        scale: Literal["learned", "fixed", "per_dimension", "predicted", "optimal"] = "learned",
        value: Positive = 1.0, floor: NonNegative = 1e-3, mean: Literal["identity", "sigmoid"] = "identity",
    ) -> None:  # fmt: skip
        super().__init__(shape)
        self.scale, self.value, self.floor, self.mean = scale, value, floor, mean
        self.per_cell = 2 if scale == "predicted" else 1
        self.relocates = mean == "identity"
        self.couples_rows = scale == "optimal"
        start = torch.full(shape if scale == "per_dimension" else (), 2 * math.log(value) / HASTE)
        if scale in ("learned", "per_dimension"):
            self.slow = nn.Parameter(start)
        else:
            self.register_buffer("slow", start)

    @property
    def log_variance(self) -> Tensor:
        """log sigma^2 of the scaled data, before the floor: (), or (*shape) when per_dimension."""
        return HASTE * self.slow

    def forward(self, numbers: Tensor) -> Distribution:
        loc, *raw = self._split(numbers)
        if self.mean == "sigmoid":
            loc = loc.sigmoid()
        return Normal(loc, self._sigma(self.log_variance + raw[0] if raw else self.log_variance), validate_args=False)

    def _sigma(self, log_variance: Tensor) -> Tensor:
        if self.scale in ("fixed", "optimal"):
            return (0.5 * log_variance).exp()
        return (self.floor**2 + log_variance.exp()).sqrt()

    def set_variance(self, variance: Tensor | float) -> None:
        """Store a variance of the scaled data, (), or (*shape) when per_dimension."""
        target = torch.as_tensor(variance, dtype=self.log_variance.dtype, device=self.log_variance.device)
        least = 0.0 if self.scale in ("fixed", "optimal") else self.floor**2
        with torch.no_grad():
            self.slow.copy_((target - least).clamp(min=1e-30).log() / HASTE)

    def couple(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Distribution:
        total, count = self.statistics(p, x, mask)
        ratio = (total / count.clamp(min=1)).clamp(min=(self.floor / self._sigma(self.log_variance)) ** 2).sqrt()
        return Normal(p.mean, p.stddev * ratio, validate_args=False)

    def statistics(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Tensor:
        error = ((x - p.mean) / p.stddev).square()
        seen = torch.ones_like(error) if mask is None else mask.to(error).expand_as(error)
        return torch.stack([torch.where(seen > 0, error, 0.0).sum(), seen.sum()])

    def settle(self, statistics: Tensor) -> None:
        variance = (statistics[0] / statistics[1].clamp(min=1)) * self.log_variance.exp()
        self.set_variance(variance.clamp(min=self.floor**2))
