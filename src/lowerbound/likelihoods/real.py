"""Real values: normal, Laplace and Student-t around the decoder's location."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.distributions import Laplace as LaplaceDistribution

from lowerbound.distributions import Student
from lowerbound.likelihoods.base import HASTE, Scale, Scaled, Total, same
from lowerbound.parts import NonNegative, Positive

Freedom = Annotated[float, Field(gt=1, allow_inf_nan=False)]


class Gaussian(Scaled, name="gaussian"):
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

    relocates = True
    gathers = True

    def __init__(
        self, shape: tuple[int, ...], *,
        scale: Literal["learned", "fixed", "per_dimension", "predicted", "optimal"] = "learned",
        value: Positive = 1.0, floor: NonNegative = 1e-3, mean: Literal["identity", "sigmoid"] = "identity",
    ) -> None:  # fmt: skip
        super().__init__(shape, scale, value, floor)
        self.mean = mean
        self.relocates = mean == "identity"
        self.couples_rows = scale == "optimal"

    def forward(self, numbers: Tensor) -> Distribution:
        loc, sigma = self._located(numbers)
        return Normal(loc.sigmoid() if self.mean == "sigmoid" else loc, sigma, validate_args=False)

    def set_variance(self, variance: Tensor | float) -> None:
        """Store a variance of the scaled data, (), or (*shape) when per_dimension."""
        target = torch.as_tensor(variance, dtype=self.log_variance.dtype, device=self.log_variance.device)
        least = 0.0 if self.scale in ("fixed", "optimal") else self.floor**2
        with torch.no_grad():
            self.slow.copy_((target - least).clamp(min=1e-30).log() / HASTE)

    def couple(self, p: Distribution, x: Tensor, mask: Tensor | None, total: Total = same) -> Distribution:
        squares, count = total(self.statistics(p, x, mask))
        ratio = (squares / count.clamp(min=1)).clamp(min=(self.floor / self._sigma(self.log_variance)) ** 2).sqrt()
        return Normal(p.mean, p.stddev * ratio, validate_args=False)

    def statistics(self, p: Distribution, x: Tensor, mask: Tensor | None) -> Tensor:
        error = ((x - p.mean) / p.stddev).square()
        seen = torch.ones_like(error) if mask is None else mask.to(error).expand_as(error)
        return torch.stack([torch.where(seen > 0, error, 0.0).sum(), seen.sum()])

    def settle(self, statistics: Tensor) -> None:
        variance = (statistics[0] / statistics[1].clamp(min=1)) * self.log_variance.exp()
        self.set_variance(variance.clamp(min=self.floor**2))


class Laplace(Scaled, name="laplace"):
    """Laplace around the decoder's location: absolute errors instead of squared ones.

    p(x|z) = exp(-|x - m(z)| / b) / (2 b), with b ``fixed``, ``learned`` (one number), ``per_dimension`` or
    ``predicted`` by the decoder; b^2 is floor^2 + e^s unless fixed. Source: Laplace 1774, "Memoire sur la probabilite
    des causes par les evenemens"; as a likelihood of autoencoders: Mattei & Frellsen 2018, arXiv:1802.04826.

    Args:
        shape: of a row.
        scale: see above.
        value: b when ``fixed``, else its start; in units of the scaled data.
        floor: the least b, in units of the scaled data.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Laplace((1,), scale="fixed")(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1))
    tensor([[-0.6931]])
    """

    relocates = True

    def __init__(
        self, shape: tuple[int, ...], *, scale: Scale = "learned", value: Positive = 1.0, floor: NonNegative = 1e-3
    ) -> None:
        super().__init__(shape, scale, value, floor)

    def forward(self, numbers: Tensor) -> Distribution:
        return LaplaceDistribution(*self._located(numbers), validate_args=False)


class StudentT(Scaled, name="student_t"):
    """Student's t around the decoder's location: a normal of unsure variance, which outliers hardly move.

    p(x|z) = t((x - m(z)) / s; freedom) / s, with s ``fixed``, ``learned`` (one number), ``per_dimension`` or
    ``predicted`` by the decoder; s^2 is floor^2 + e^r unless fixed. Its standard deviation is s sqrt(f / (f - 2)), and
    infinite for f <= 2. Sources: Student 1908, "The probable error of a mean", Biometrika 6; as a likelihood of
    autoencoders: Takahashi et al. 2018, "Student-t variational autoencoder for robust density estimation", IJCAI.

    Args:
        shape: of a row.
        freedom: degrees of freedom f, above 1, for else there is no mean; the fewer, the heavier the tails.
        scale: see above.
        value: s when ``fixed``, else its start; in units of the scaled data.
        floor: the least s, in units of the scaled data.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> StudentT((1,), scale="fixed", freedom=2.0)(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1)).exp()  # 1 / sqrt 8
    tensor([[0.3536]])
    """

    relocates = True

    def __init__(
        self, shape: tuple[int, ...], *,
        freedom: Freedom = 5.0, scale: Scale = "learned", value: Positive = 1.0, floor: NonNegative = 1e-3,
    ) -> None:  # fmt: skip
        super().__init__(shape, scale, value, floor)
        self.freedom = freedom

    def forward(self, numbers: Tensor) -> Distribution:
        loc, sigma = self._located(numbers)
        return Student(torch.full_like(loc, self.freedom), loc, sigma)
