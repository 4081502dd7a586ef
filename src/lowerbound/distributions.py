"""The few distributions torch lacks, changes of location and scale, and ``kl``.

Objects are made with ``validate_args=False`` one by one: torch's own switch for it is global, and data are validated
once, at the door, with a message that can name row and column.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Chi2,
    Distribution,
    Laplace,
    MultivariateNormal,
    Normal,
    StudentT,
    constraints,
    kl_divergence,
)
from torch.distributions.kl import _dispatch_kl
from torch.nn.functional import softplus

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
        raise Incompatible("a point mass has no density", mend="Choose the posterior 'gaussian'.")


class ContinuousBernoulli(Distribution):
    """Density eta e^(eta x) / (e^eta - 1) on [0, 1], eta the logits.

    torch's own clips the probability and goes wrong beyond logits of 15 in single precision. Here everything follows
    from the logits, by series around 0, where the formulas are 0 / 0.
    Source: Loaiza-Ganem & Cunningham 2019, "The continuous Bernoulli", arXiv:1907.06845.

    Args:
        logits: log s - log(1 - s), any shape.

    >>> ContinuousBernoulli(torch.tensor([-20.0, 0.0, 20.0])).mean
    tensor([0.0500, 0.5000, 0.9500])
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self._small = logits.abs() < 0.3
        self._safe = torch.where(self._small, 1.0, logits)
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        eta, s = self.logits, self._safe
        near = 0.5 + eta / 12 - eta**3 / 720 + eta**5 / 30240
        return torch.where(self._small, near, -1 / torch.expm1(-s) - 1 / s)

    @property
    def variance(self) -> Tensor:
        eta, s = self.logits, self._safe.abs()
        near = 1 / 12 - eta**2 / 240 + eta**4 / 6048 - eta**6 / 172800
        return torch.where(self._small, near, s**-2 - (-s).exp() / torch.expm1(-s).square())

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * value - self._log_normaliser()

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles; of a rising density they are taken from its mirror image, where nothing overflows."""
        eta = self.logits
        small = eta.abs() < 0.01
        s = -torch.where(small, 1.0, eta.abs())
        near = value + 0.5 * eta * value * (1 - value) * (1 + eta * (1 - 2 * value) / 3)
        u = torch.where(eta > 0, 1 - value, value)
        far = torch.log1p(u * torch.expm1(s)) / s
        return torch.where(small, near, torch.where(eta > 0, 1 - far, far)).clamp(0, 1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device))

    def _log_normaliser(self) -> Tensor:
        """log((e^eta - 1) / eta) = eta/2 + log(sinh(eta/2) / (eta/2))."""
        eta, s = self.logits, self._safe.abs()
        near = 0.5 * eta + eta**2 / 24 - eta**4 / 2880 + eta**6 / 181440
        return torch.where(self._small, near, eta.clamp(min=0) + (-torch.expm1(-s) / s).log())


class _LogBernoulli(torch.autograd.Function):
    """x l - log(1 + e^l), with gradient x - sigmoid(l): half the passes over memory of the general cross-entropy."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        return (x * logits).sub_(softplus(logits))

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, x = ctx.saved_tensors
        by_x = gradient[0] * logits if ctx.needs_input_grad[1] else None
        return gradient[0] * (x - logits.sigmoid()), by_x


class BernoulliLogits(Bernoulli):
    """Zeros and ones by their logits; on values between 0 and 1 ``log_prob`` is the cross-entropy's negative.

    Args:
        logits: any shape.

    >>> BernoulliLogits(torch.zeros(2)).log_prob(torch.tensor([0.0, 1.0])).exp()
    tensor([0.5000, 0.5000])
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        logits, x = torch.broadcast_tensors(self.logits, value)
        log_px: Tensor = _LogBernoulli.apply(logits, x)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return log_px

    def log_prob_row(self, value: Tensor, axes: int) -> Tensor:
        """``log_prob`` summed over the last ``axes`` axes, with one logarithm to sixteen cells; without a gradient.

        x l - log(1 + e^l) = (x - 1/2) l - |l| / 2 + log sigmoid(|l|), and a product of sixteen such sigmoids, each at
        least 1/2, neither underflows nor loses what the sum would keep.
        """
        logits, x = self.logits.flatten(-axes), value.flatten(-axes)
        size = logits.abs()
        linear = (logits * (x - 0.5)).sum(-1) - 0.5 * size.sum(-1)
        product, cells = size.sigmoid_(), size.shape[-1]
        for _ in range(4):
            if cells % 2:
                break
            cells //= 2
            product = product[..., :cells] * product[..., cells:]
        return linear + product.log().sum(-1)


class Student(StudentT):
    """torch's, whose degrees of freedom are not checked: no argument switches that off, and no graph has it.

    Args:
        df: degrees of freedom.
        loc: location, broadcast against it.
        scale: above 0, broadcast against both.
    """

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = torch.broadcast_tensors(df, loc, scale)
        self._chi2 = Chi2(self.df, validate_args=False)
        Distribution.__init__(self, self.df.size(), validate_args=False)


def relocate(p: Distribution, shift: Tensor, scale: Tensor) -> Distribution:
    """The distribution of ``shift + scale * y`` for y ~ p, so that densities are in the units of the data.

    Raises:
        Incompatible: p has no location and scale.
    """
    if isinstance(p, StudentT):
        return Student(p.df, shift + scale * p.loc, scale * p.scale)
    if isinstance(p, Normal | Laplace):
        return type(p)(shift + scale * p.loc, scale * p.scale, validate_args=False)
    name = type(p).__name__
    raise Incompatible(f"{name} has no location and scale", where="data.scaling", mend="Use scaling = none.")


def outcome(p: Distribution, eps: Tensor) -> Tensor | None:
    """A draw of p made of standard normal noise, by its quantile function; None where it has none.

    Of what is continuous it has a gradient in location and scale.

    Args:
        p: any distribution over single cells.
        eps: of its shape.

    >>> outcome(Normal(1.0, 2.0), torch.tensor([0.0, 1.0]))
    tensor([1., 3.])
    """
    if isinstance(p, Normal):
        normal: Tensor = p.loc + p.scale * eps
        return normal
    if hasattr(p, "outcome"):
        made: Tensor = p.outcome(eps)
        return made
    u = levels(eps)
    if isinstance(p, Bernoulli):
        ones: Tensor = (u < p.probs).to(eps)
        return ones
    try:
        x: Tensor = p.loc + p.scale * student(p.df, u) if isinstance(p, StudentT) else p.icdf(u)
    except NotImplementedError:
        return None
    return x


def levels(eps: Tensor) -> Tensor:
    """Probabilities that standard normal noise lies below, never 0 or 1, where quantiles are infinite."""
    tiny, last = torch.finfo(eps.dtype).tiny, 1 - torch.finfo(eps.dtype).eps / 2
    u: Tensor = torch.special.ndtr(eps).clamp(tiny, last)
    return u


def student(freedom: Tensor, level: Tensor) -> Tensor:
    """Quantiles of Student's t, which torch lacks; without a gradient."""
    from scipy.special import stdtrit  # which models without it need not wait for

    t = stdtrit(freedom.detach().expand(level.shape).cpu().numpy(), level.cpu().numpy())
    return torch.as_tensor(t).to(level)


def point(p: Distribution) -> Tensor:
    """What to show of p(x|z): its mean, and of what has categories the likeliest one."""
    found: Tensor = p.point if hasattr(p, "point") else p.mean
    return found


def kl(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p) in nats, per dimension where both factorise, else per row.

    Normal, of any covariance, against Normal in closed form; then torch's table; else log q(z) - log p(z) at samples.

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
    if type(q) is MultivariateNormal and type(p) is Normal:
        return _full_kl(q, p)
    if _has_closed_form(q, p):
        return kl_divergence(q, p)
    if q.event_shape or p.event_shape:
        return (per_row(q.log_prob(z), q) - per_row(p.log_prob(z), p)).mean(0)
    return (q.log_prob(z) - p.log_prob(z)).mean(0)


def _full_kl(q: MultivariateNormal, p: Normal) -> Tensor:
    """KL of a normal with any covariance to one with independent dimensions, per row."""
    square = (q.variance + (q.loc - p.loc).square()) / p.scale.square() - 1.0
    log_ratio = p.scale.log() - q.scale_tril.diagonal(dim1=-2, dim2=-1).log()
    return (0.5 * square + log_ratio).sum(-1)


def _has_closed_form(q: Distribution, p: Distribution) -> bool:
    return _dispatch_kl(type(q), type(p)) is not NotImplemented


def log_prob_row(p: Distribution, x: Tensor, axes: int) -> Tensor:
    """log p(x) in nats, summed over the last ``axes`` axes."""
    if isinstance(p, BernoulliLogits) and not torch.is_grad_enabled():
        return p.log_prob_row(x, axes)
    return p.log_prob(x).flatten(-axes).sum(-1)


def per_row(values: Tensor, *of: Distribution) -> Tensor:
    """Sum a per-dimension quantity of distributions over the dimensions; it is per row already if one is joint."""
    return values if any(one.event_shape for one in of) else values.sum(-1)
