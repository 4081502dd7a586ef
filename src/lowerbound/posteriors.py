"""Posterior families: the numbers the encoder gives, the distribution q(z|x) they mean, and how noise becomes z."""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, Normal
from torch.distributions import Laplace as LaplaceDistribution
from torch.nn.functional import logsigmoid

from lowerbound.distributions import PointMass
from lowerbound.errors import BadOption
from lowerbound.flows import Carried, Kind, invertible
from lowerbound.parts import Count, Part, Positive

LOG2 = math.log(2.0)
MOST = 5.0  # nats in a dimension that the posterior 'delta' may be told to spend
ROUNDING = 1e-4  # a share by which a least rate is exceeded, so that it holds in single precision


class Posterior(Part, kind="posterior"):
    """A family of distributions over z, (rows, latent).

    ``has_density`` says whether bounds on log p(x) exist for it; ``noise_shape`` is the shape of the noise that one
    sample of one row needs, or None.
    """

    has_density: ClassVar[bool] = True
    needs_prior: ClassVar[str] = ""  # the only prior that the family means anything with

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers a row's distribution is made of."""

    @property
    def noise_shape(self) -> tuple[int, ...] | None:
        return (self.latent,)

    @abstractmethod
    def forward(self, numbers: Tensor) -> Distribution:
        """q(z|x) from the encoder's numbers, (rows, numbers)."""

    @abstractmethod
    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        """z = g(eps, x): noise (samples, rows, *noise_shape) to samples (samples, rows, latent)."""


class Gaussian(Posterior, name="gaussian"):
    """Normal with a mean and a variance per dimension, both from the encoder.

    q(z|x) = N(z; mu(x), diag sigma^2(x)), the encoder giving mu and log sigma^2; z = mu + sigma * eps.
    Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, appendix C.

    Args:
        latent: dimension of z.

    >>> Gaussian(2)(torch.zeros(1, 4)).stddev
    tensor([[1., 1.]])
    """

    @property
    def numbers(self) -> int:
        return 2 * self.latent

    def forward(self, numbers: Tensor) -> Distribution:
        mean, log_variance = numbers.chunk(2, dim=-1)
        return Normal(mean, (0.5 * log_variance).exp(), validate_args=False)

    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        return torch.addcmul(q.mean, q.stddev, eps)


class Point(Posterior, name="point"):
    """All mass at one code: the autoencoder. It has no density, hence no bound on log p(x).

    Source: Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323.

    Args:
        latent: dimension of z.

    >>> Point(2)(torch.ones(1, 2)).mean
    tensor([[1., 1.]])
    """

    has_density = False

    @property
    def numbers(self) -> int:
        return self.latent

    @property
    def noise_shape(self) -> tuple[int, ...] | None:
        return None

    def forward(self, numbers: Tensor) -> Distribution:
        return PointMass(numbers)

    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        return q.mean.unsqueeze(0)


class Full(Posterior, name="full"):
    """Normal with a mean and a whole covariance matrix, so that dimensions of z may depend on each other.

    q(z|x) = N(z; m(x), L(x) L(x)^T), L lower triangular with a positive diagonal; z = m + L eps. The encoder gives
    latent (latent + 3) / 2 numbers. Source: Kingma & Welling 2019, "An introduction to variational autoencoders",
    arXiv:1906.02691, section 2.5.1.

    Args:
        latent: dimension of z.

    >>> Full(2)(torch.zeros(1, 5)).covariance_matrix
    tensor([[[1., 0.],
             [0., 1.]]])
    """

    places: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.register_buffer("places", torch.tril_indices(latent, latent, -1), persistent=False)

    @property
    def numbers(self) -> int:
        return self.latent * (self.latent + 3) // 2

    def forward(self, numbers: Tensor) -> Distribution:
        mean, log_diagonal, below = numbers.split([self.latent, self.latent, self.places.shape[1]], dim=-1)
        factor = torch.diag_embed(log_diagonal.exp())
        factor[..., self.places[0], self.places[1]] = below
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)

    def draw(self, q: Any, eps: Tensor) -> Tensor:
        z: Tensor = q.mean + (q.scale_tril @ eps.unsqueeze(-1)).squeeze(-1)
        return z


class Laplace(Posterior, name="laplace"):
    """Laplace with a location and a scale per dimension: heavier tails than the normal, a peak at the location.

    q(z|x) = prod_j exp(-|z_j - m_j(x)| / b_j(x)) / (2 b_j(x)), the encoder giving m and log b. Source: Kingma & Welling
    2014, arXiv:1312.6114, section 2.4 (the families that have a quantile function).

    Args:
        latent: dimension of z.

    >>> Laplace(2)(torch.zeros(1, 4)).scale
    tensor([[1., 1.]])
    """

    @property
    def numbers(self) -> int:
        return 2 * self.latent

    def forward(self, numbers: Tensor) -> Distribution:
        loc, log_scale = numbers.chunk(2, dim=-1)
        return LaplaceDistribution(loc, log_scale.exp(), validate_args=False)

    def draw(self, q: Any, eps: Tensor) -> Tensor:
        """The quantile of a normal draw's probability: -log(2 (1 - F)) above the median, mirrored below it."""
        tail = -(torch.special.log_ndtr(-eps.abs()) + LOG2)
        z: Tensor = q.mean + q.scale * torch.copysign(tail, eps)
        return z


class Flow(Posterior, name="flow"):
    """A normal from the encoder, carried along an invertible map that the encoder steers too (extra ``flow``).

    z = T^-1(m(x) + s(x) eps; h(x)), log q(z|x) = log N(T(z); m, diag s^2) + log |det dT/dz|, T coupling layers. The
    encoder gives m, log s and h. Its mean has no closed form: it is a sum over fixed points. Sources: Rezende & Mohamed
    2015, "Variational inference with normalizing flows", arXiv:1505.05770; Kingma et al. 2016, "Improved variational
    inference with inverse autoregressive flow", arXiv:1606.04934 (the numbers h).

    Args:
        latent: dimension of z.
        map: ``affine`` or ``spline`` coupling layers.
        layers: how many.
        widths: units of each hidden layer of the nets in them.
        features: how many numbers h are.

    Raises:
        BadOption: an option of the wrong type or range.
        MissingExtra: zuko is not installed.

    >>> Flow(2, layers=1, widths=[8])(torch.zeros(3, 12)).log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(
        self, latent: int, *, map: Kind = "affine", layers: Count = 4,
        widths: list[Count] = [64, 64], features: Count = 8,  # noqa: B006  # never written to
    ) -> None:  # fmt: skip
        super().__init__(latent)
        self.map, self.layers, self.widths, self.features = map, layers, widths, features
        self.flow = invertible(map, latent, features, layers, widths)

    @property
    def numbers(self) -> int:
        return 2 * self.latent + self.features

    def forward(self, numbers: Tensor) -> Distribution:
        mean, log_scale, h = numbers.split([self.latent, self.latent, self.features], dim=-1)
        return Carried(Normal(mean, log_scale.exp(), validate_args=False), self.flow(h))

    def draw(self, q: Any, eps: Tensor) -> Tensor:
        z: Tensor = q.carry(q.base.loc + q.base.scale * eps)
        return z


class Delta(Posterior, name="delta"):
    """Normal whose variance is kept so small that its KL from the standard prior is never below a rate.

    KL(N(m, s^2) || N(0, 1)) >= (s^2 - 1 - log s^2) / 2, which is rate / latent at the largest s^2 there is:
    s^2 = ceiling * sigmoid(r), the encoder giving m and r. Whatever the weights, no row's KL is less than the rate, so
    the codes cannot be ignored to save it. It holds for the standard prior alone; others are refused.
    Source: Razavi, van den Oord, Poole & Vinyals 2019, "Preventing posterior collapse with delta-VAEs",
    arXiv:1901.03416, section 2.

    Args:
        latent: dimension of z.
        rate: the least KL of a row, in nats; at most 5 for each dimension.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> q = Delta(2, rate=3.0)(torch.tensor([[0.0, 0.0, 50.0, 50.0]]))  # as near to the prior as it comes
    >>> torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum()
    tensor(3.0003)
    """

    needs_prior = "standard"

    def __init__(self, latent: int, *, rate: Positive = 1.0) -> None:
        super().__init__(latent)
        if rate > MOST * latent:
            raise BadOption(
                f"a standard deviation below e^-{MOST:g}", where="posterior 'delta', option 'rate'", found=f"{rate:g}",
                expected=f"at most {MOST:g} nats for each of {latent} dimensions",
            )  # fmt: skip
        self.rate = rate
        self.log_ceiling = _log_variance(rate / latent * (1 + ROUNDING))

    @property
    def numbers(self) -> int:
        return 2 * self.latent

    def forward(self, numbers: Tensor) -> Distribution:
        mean, raw = numbers.chunk(2, dim=-1)
        return Normal(mean, (0.5 * (self.log_ceiling + logsigmoid(raw))).exp(), validate_args=False)

    def draw(self, q: Distribution, eps: Tensor) -> Tensor:
        return torch.addcmul(q.mean, q.stddev, eps)


def _log_variance(rate: float) -> float:
    """The log s^2 below 0 at which (s^2 - 1 - log s^2) / 2 is a rate, by Newton's steps from beyond: they only rise."""
    found = -2 * rate - 1
    for _ in range(100):
        found -= (math.expm1(found) - found - 2 * rate) / math.expm1(found)
    return found
