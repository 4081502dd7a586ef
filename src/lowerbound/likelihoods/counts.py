"""Counts: Poisson, negative binomial, and both with more zeros; the row's total as exposure if asked."""

import math
from abc import abstractmethod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid, softplus

from lowerbound.likelihoods.base import HASTE, Likelihood

Exposure = Literal["none", "library"]
Dispersion = Literal["per_dimension", "learned", "predicted"]
Array = npt.NDArray[np.float64]
EXACT = 1e6  # mean from which on quantiles are those of a continuous law
THIN = 1e7  # r in units of the mean, from which on counts are those of Poisson
LARGE = 16.0  # from here on Stirling's series is exact to rounding, and differences of lgamma are not


class CountDistribution(Distribution):
    """Counts by the logarithm of their mean; ``exposed`` multiplies the mean."""

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean
        super().__init__(log_mean.shape, validate_args=False)

    def icdf(self, value: Tensor) -> Tensor:
        """The least count at or above each level, by scipy in double precision; without a gradient.

        From a mean of a million on it is the quantile of the continuous law with that mean and variance.
        """
        mean, size = (part.detach().double().cpu().numpy() for part in torch.broadcast_tensors(self.mean, self.size))
        u = np.broadcast_to(value.detach().double().cpu().numpy(), np.broadcast_shapes(mean.shape, value.shape))
        with np.errstate(all="ignore"):  # where what is tried first is not finite, the other is taken
            near = np.ceil(_level(u, np.minimum(mean, EXACT), size)).clip(0)
            found = np.where(_share(near - 1, mean, size) >= u, near - 1, near)
            exact = np.isfinite(near) & (mean < EXACT)
            found = np.where(exact, found, np.rint(_smooth(u, mean, size)))
        return torch.from_numpy(found).to(value)

    @property
    def size(self) -> Tensor:
        """r, where the variance is m + m^2 / r."""
        return torch.full_like(self.log_mean, math.inf)

    @abstractmethod
    def exposed(self, log_exposure: Tensor) -> "CountDistribution":
        """The same with the mean multiplied by a factor that is given by its logarithm."""

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()


class LogPoisson(CountDistribution):
    """Poisson by log mean: log P(x) = x l - e^l - log x!."""

    def exposed(self, log_exposure: Tensor) -> "LogPoisson":
        return LogPoisson(self.log_mean + log_exposure)

    @property
    def variance(self) -> Tensor:
        return self.mean

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.log_mean - self.log_mean.exp() - torch.lgamma(value + 1)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return torch.poisson(self.mean.expand(self._extended_shape(sample_shape)))


class LogNegativeBinomial(CountDistribution):
    """Negative binomial by log mean l and log r: variance m + m^2 / r, Poisson in the limit of large r.

    log P(x) = log G(x + r) - log G(r) - log x! - r log(1 + m/r) + x (l - log(r + m)); the difference of the first two
    is taken by Stirling's series where r is large, and m/r by logarithms, so that single precision is enough.

    Args:
        log_mean: l, any shape.
        log_size: log r, broadcast against it.
    """

    def __init__(self, log_mean: Tensor, log_size: Tensor) -> None:
        self.log_size = log_size.expand_as(log_mean)
        super().__init__(log_mean)

    def exposed(self, log_exposure: Tensor) -> "LogNegativeBinomial":
        return LogNegativeBinomial(self.log_mean + log_exposure, self.log_size)

    @property
    def variance(self) -> Tensor:
        return self.mean + self.mean.square() / self.log_size.exp()

    @property
    def size(self) -> Tensor:
        return self.log_size.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        odds = softplus(self.log_mean - self.log_size)  # log(1 + m/r)
        rising = log_rising(value, self.log_size)
        return rising - torch.lgamma(value + 1) - self.log_size.exp() * odds + value * (self.log_mean - odds)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            size = self.log_size.exp().expand(self._extended_shape(sample_shape))
            rate = torch._standard_gamma(size) * (self.log_mean - self.log_size).exp()
            return torch.poisson(rate)


def _level(u: Array, mean: Array, size: Array) -> Array:
    """Where the distribution function of a negative binomial, made continuous, comes to u."""
    from scipy.special import nbdtrik, pdtrik  # a fifth of a second to load

    thin = _thin(mean, size)
    r = np.where(thin, 1.0, size)
    found: Array = np.where(thin, pdtrik(u, np.where(thin, mean, 1.0)), nbdtrik(u, r, r / (r + mean)))
    return found


def _share(count: Array, mean: Array, size: Array) -> Array:
    """The probability of at most that count; 0 below 0."""
    from scipy.special import betainc, pdtr

    k, thin = count.clip(0), _thin(mean, size)
    r = np.where(thin, 1.0, size)
    found: Array = np.where(thin, pdtr(k, mean), betainc(r, k + 1, r / (r + mean)))
    return np.where(count < 0, 0.0, found)


def _thin(mean: Array, size: Array) -> npt.NDArray[np.bool_]:
    """Where counts are as good as Poisson."""
    found: npt.NDArray[np.bool_] = size > THIN * np.maximum(mean, 1.0)
    return found


def _smooth(u: Array, mean: Array, size: Array) -> Array:
    """Quantiles of the gamma law with the mean and variance of the counts."""
    from scipy.special import gammaincinv

    shape = 1 / (1 / mean + 1 / size)
    found: Array = gammaincinv(shape, u) * (mean / shape)
    return found


def log_rising(x: Tensor, log_size: Tensor) -> Tensor:
    """log(G(x + r) / G(r)) - x log r: small where r is large, however large it is."""
    r = log_size.exp()
    few, many = r.clamp(max=LARGE), r.clamp(min=LARGE)
    direct = torch.lgamma(x + few) - torch.lgamma(few) - x * few.log()
    series = (many + x - 0.5) * torch.log1p(x / many) - x + _stirling(x + many) - _stirling(many)
    return torch.where(r < LARGE, direct, series)


def _stirling(a: Tensor) -> Tensor:
    return 1 / (12 * a) - 1 / (360 * a**3) + 1 / (1260 * a**5)


class Inflated(CountDistribution):
    """Counts with further zeros: 0 with probability s(l), else a draw from the other distribution.

    Args:
        inner: of the counts.
        logits: l, of a further zero.
    """

    def __init__(self, inner: CountDistribution, logits: Tensor) -> None:
        self.inner, self.logits = inner, logits
        super().__init__(inner.log_mean)

    def exposed(self, log_exposure: Tensor) -> "Inflated":
        return Inflated(self.inner.exposed(log_exposure), self.logits)

    @property
    def mean(self) -> Tensor:
        return (-self.logits).sigmoid() * self.inner.mean

    @property
    def variance(self) -> Tensor:
        kept = (-self.logits).sigmoid()
        return kept * (self.inner.variance + self.inner.mean.square()) - self.mean.square()

    def log_prob(self, value: Tensor) -> Tensor:
        some = logsigmoid(-self.logits) + self.inner.log_prob(value)
        return torch.where(value == 0, torch.logaddexp(logsigmoid(self.logits).expand_as(some), some), some)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            x = self.inner.sample(sample_shape)
            return torch.where(torch.rand_like(x) < self.logits.sigmoid(), 0.0, x)


class Counts(Likelihood):
    """What families of counts share: a log mean per cell around that of the data, and the exposure of a row."""

    support = "count"
    discrete = True
    level: Tensor
    usual: Tensor

    def __init__(self, shape: tuple[int, ...], exposure: str) -> None:
        super().__init__(shape)
        self.exposure = exposure
        self.register_buffer("level", torch.zeros(shape))
        self.register_buffer("usual", torch.zeros(()))

    def start_from(self, sample: Tensor) -> None:
        """Put the decoder's zero at the mean of each cell, per unit of exposure; keep the usual exposure."""
        exposure = _log_exposure(sample, None, len(self.shape)) if self.exposure == "library" else torch.zeros(1)
        self.usual.copy_(exposure.median())
        total = exposure.exp().mean() if self.exposure == "library" else 1.0
        self.level.copy_((sample.mean(0) / total).clamp(min=0.1 / len(sample) / total).log())

    def condition(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Distribution:
        if self.exposure == "none" or not isinstance(p, CountDistribution):
            return p
        return p.exposed(_log_exposure(x, mask, len(self.shape)) - self.usual)

    def _log_mean(self, number: Tensor) -> Tensor:
        """At the usual exposure."""
        return number + self.level + self.usual


def _log_exposure(x: Tensor, mask: Tensor | None, cells: int) -> Tensor:
    """log of the total of each row, at least 1; where cells are missing, of the mean of the others times all cells."""
    axes = tuple(range(-cells, 0))
    total = x.sum(axes, keepdim=True)
    if mask is not None:
        seen = mask.to(x)
        total = (x * seen).sum(axes, keepdim=True) * seen[0].numel() / seen.sum(axes, keepdim=True).clamp(min=1)
    return total.clamp(min=1).log()


class Poisson(Counts, name="poisson"):
    """Counts whose variance is their mean.

    P(x|z) = m^x e^-m / x!, m = e_i exp(f(z) + c), f the decoder, c the log mean of each cell in the training rows. The
    exposure e_i is 1, or the observed total of the row (``library``): log p(x) is then a probability given that total,
    and samples are made at the median one. Sources: Nelder & Wedderburn 1972, "Generalized linear models", JRSS A 135.

    Args:
        shape: of a row.
        exposure: ``none``, or ``library``, the row's own total.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Poisson((1,))(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1))
    tensor([[-1.]])
    """

    def __init__(self, shape: tuple[int, ...], *, exposure: Exposure = "none") -> None:
        super().__init__(shape, exposure)

    def forward(self, numbers: Tensor) -> Distribution:
        return LogPoisson(self._log_mean(numbers))


class NegativeBinomial(Counts, name="negative_binomial"):
    """Counts whose variance exceeds their mean.

    P(x|z) with mean m = e_i exp(f(z) + c) and variance m + m^2 / r, f the decoder, c the log mean of each cell in the
    training rows; r is ``per_dimension``, ``learned`` (one number) or ``predicted`` by the decoder. The exposure e_i is
    1, or the observed total of the row (``library``): log p(x) is then a probability given that total, and samples are
    made at the median one. Sources: Greenwood & Yule 1920, JRSS 83; Lopez, Regier, Cole, Jordan & Yosef 2018, "Deep
    generative modeling for single-cell transcriptomics", Nature Methods 15.

    Args:
        shape: of a row.
        dispersion: what r depends on.
        exposure: ``none``, or ``library``, the row's own total.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> NegativeBinomial((1,))(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1)).exp()  # r = 1, mean 1: geometric
    tensor([[0.5000]], grad_fn=<ExpBackward0>)
    """

    def __init__(
        self, shape: tuple[int, ...], *, dispersion: Dispersion = "per_dimension", exposure: Exposure = "none"
    ) -> None:
        super().__init__(shape, exposure)
        self.dispersion = dispersion
        self.per_cell = 2 if dispersion == "predicted" else 1
        self.sizes = Sizes(shape, dispersion)

    def forward(self, numbers: Tensor) -> Distribution:
        mean, *size = self._split(numbers)
        return LogNegativeBinomial(self._log_mean(mean), self.sizes(*size))


class Sizes(nn.Module):
    """log r: one number, one per cell, or what the decoder says."""

    def __init__(self, shape: tuple[int, ...], dispersion: str) -> None:
        super().__init__()
        if dispersion != "predicted":
            self.slow = nn.Parameter(torch.zeros(shape if dispersion == "per_dimension" else ()))

    def forward(self, said: Tensor | None = None) -> Tensor:
        return HASTE * self.slow if said is None else said


class ZeroInflated(Counts, name="zero_inflated"):
    """Counts with more zeros than their family has.

    P(x|z) = s(l) [x = 0] + (1 - s(l)) P'(x|z), l from the decoder, P' the ``base``: ``negative_binomial``, with r per
    cell, or ``poisson``. The mean of P' and the exposure are as there. Sources: Lambert 1992, "Zero-inflated Poisson
    regression", Technometrics 34; Lopez et al. 2018, Nature Methods 15.

    Args:
        shape: of a row.
        base: of the counts that are not further zeros.
        exposure: ``none``, or ``library``, the row's own total.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> ZeroInflated((1,), base="poisson")(torch.zeros(1, 2)).mean
    tensor([[0.5000]])
    """

    def __init__(
        self, shape: tuple[int, ...], *,
        base: Literal["negative_binomial", "poisson"] = "negative_binomial", exposure: Exposure = "none",
    ) -> None:  # fmt: skip
        super().__init__(shape, exposure)
        self.base, self.per_cell = base, 2
        self.sizes = Sizes(shape, "predicted" if base == "poisson" else "per_dimension")

    def forward(self, numbers: Tensor) -> Distribution:
        number, logits = self._split(numbers)
        log_mean = self._log_mean(number)
        counts = LogPoisson(log_mean) if self.base == "poisson" else LogNegativeBinomial(log_mean, self.sizes())
        return Inflated(counts, logits)
