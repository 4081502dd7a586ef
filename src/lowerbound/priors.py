"""Priors p(z)."""

import math
from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from lowerbound.errors import BadOption, DataShape, Incompatible
from lowerbound.flows import Carried, Kind, invertible
from lowerbound.parts import Count, Part

Infer = Callable[[Tensor], Distribution]


class Prior(Part, kind="prior"):
    """A distribution over z, (latent,) or (rows, latent)."""

    has_density: ClassVar[bool] = True

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @abstractmethod
    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        """p(z), given the context if there is one; ``infer`` is the model's own posterior, for priors made of it."""

    def start_from_codes(self, z: Tensor) -> None:
        """Set weights from codes of training rows, (rows, latent), where these are known before the prior is fitted."""


class Standard(Prior, name="standard"):
    """The standard normal.

    p(z) = N(z; 0, I). Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, section 3.

    Args:
        latent: dimension of z.

    >>> Standard(2)().stddev
    tensor([1., 1.])
    """

    zero: Tensor
    one: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.register_buffer("zero", torch.zeros(latent), persistent=False)
        self.register_buffer("one", torch.ones(latent), persistent=False)

    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        return Normal(self.zero, self.one, validate_args=False)


class Mixture(Prior, name="mixture"):
    """A mixture of normals whose weights, means and covariances are learned.

    p(z) = sum_k w_k N(z; m_k, C_k), C_k ``diagonal`` or ``full``. Sources: Dilokthanakul et al. 2016, "Deep
    unsupervised clustering with Gaussian mixture variational autoencoders", arXiv:1611.02648; fitted afterwards:
    Ghosh, Sajjadi, Vergari, Black & Scholkopf 2020, "From variational to deterministic autoencoders", arXiv:1903.12436.

    Args:
        latent: dimension of z.
        components: how many normals.
        covariance: ``diagonal``, or ``full`` where latent is 2 or more.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Mixture(2, components=3)().sample((4,)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self, latent: int, *, components: Count = 10, covariance: Literal["diagonal", "full"] = "diagonal"
    ) -> None:
        super().__init__(latent)
        if covariance == "full" and latent < 2:
            raise BadOption(
                "one dimension has no covariances", where=f"{self.title}, option 'covariance'", found="latent = 1",
                expected="diagonal",
            )  # fmt: skip
        self.components, self.covariance = components, covariance
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, latent))
        self.log_scales = nn.Parameter(torch.zeros(components, latent))
        self.places = torch.tril_indices(latent, latent, -1)
        if covariance == "full":
            self.below = nn.Parameter(torch.zeros(components, self.places.shape[1]))

    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        scales = self.log_scales.exp()
        if self.covariance == "diagonal":
            return _mixed(self.logits, Normal(self.means, scales, validate_args=False))
        factor = torch.diag_embed(scales)
        factor[:, self.places[0], self.places[1]] = self.below
        return _mixed(self.logits, MultivariateNormal(self.means, scale_tril=factor, validate_args=False))

    def start_from_codes(self, z: Tensor) -> None:
        """Means at codes far from each other, scales those of all codes divided by components^(1 / latent)."""
        with torch.no_grad():
            self.means.copy_(_apart(z, self.components))
            spread = z.std(0).clamp(min=1e-3) * self.components ** (-1 / self.latent)
            self.log_scales.copy_(spread.log().expand_as(self.log_scales))


def _mixed(logits: Tensor, parts: Distribution) -> Distribution:
    """The mixture of distributions (components, latent), joint over the dimensions."""
    joint = parts if parts.event_shape else Independent(parts, 1, validate_args=False)
    return MixtureSameFamily(Categorical(logits=logits, validate_args=False), joint, validate_args=False)


def _apart(z: Tensor, count: int) -> Tensor:
    """So many rows of z, the next always the farthest from those before; the farthest twentieth is left out."""
    distance = (z - z.mean(0)).square().sum(1)
    inner = z[distance <= distance.quantile(0.95)]
    found = [inner[(inner - inner.mean(0)).square().sum(1).argmin()]]
    nearest = torch.full((len(inner),), math.inf, dtype=z.dtype, device=z.device)
    for _ in range(count - 1):
        nearest = torch.minimum(nearest, (inner - found[-1]).square().sum(1))
        found.append(inner[nearest.argmax()])
    return torch.stack(found)


class Vamp(Prior, name="vamp"):
    """The mean of the posteriors of learned pseudo-inputs.

    p(z) = (1 / K) sum_k q(z|u_k), q the model's own posterior. The u_k start at training rows, spread evenly over them,
    and stay within the range of their values. Source: Tomczak & Welling 2018, "VAE with a VampPrior", arXiv:1705.07120.

    Args:
        shape: of a row.
        latent: dimension of z.
        context: must be 0: a posterior that needs a context has none for the pseudo-inputs.
        components: K.

    Raises:
        BadOption: an option of the wrong type or range.
        Incompatible: a model with a context, or a call without a posterior.

    >>> plain = lambda u: Normal(u[:, :2], torch.ones(len(u), 2))
    >>> Vamp((3,), 2, 0, components=4)(infer=plain).mean.shape
    torch.Size([2])
    """

    shift: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor
    logits: Tensor

    def __init__(self, shape: tuple[int, ...], latent: int, context: int, *, components: Count = 50) -> None:
        super().__init__(latent)
        if context:
            raise Incompatible(
                f"{self.title} has no context for its pseudo-inputs; the model is conditioned on {context} numbers",
                mend="Choose the prior 'conditional' or 'mixture'.",
            )  # fmt: skip
        self.components = components
        self.inputs = nn.Parameter(torch.randn(components, *shape))
        for name, value in {"shift": 0.0, "spread": 1.0, "low": -math.inf, "high": math.inf}.items():
            self.register_buffer(name, torch.tensor(value))
        self.register_buffer("logits", torch.zeros(components), persistent=False)

    def start_from(self, sample: Tensor) -> None:
        rows = torch.linspace(0, len(sample) - 1, self.components, device=sample.device).long()
        spread = sample.std(correction=0).clamp(min=1e-6)
        found = {"shift": sample.mean(), "spread": spread, "low": sample.min(), "high": sample.max()}
        with torch.no_grad():
            for name, value in found.items():
                self.get_buffer(name).copy_(value)
            self.inputs.copy_((sample[rows] - self.shift) / self.spread)

    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        if infer is None:
            raise Incompatible(f"{self.title} is made of the model's posterior", found="a call without it")
        return _mixed(self.logits, infer((self.shift + self.spread * self.inputs).clamp(self.low, self.high)))


class Flow(Prior, name="flow"):
    """The standard normal, carried along a learned invertible map (extra ``flow``).

    z = T^-1(u), u ~ N(0, I), log p(z) = log N(T(z); 0, I) + log |det dT/dz|, T coupling layers. Sources: Rezende &
    Mohamed 2015, "Variational inference with normalizing flows", arXiv:1505.05770; as a prior: Chen et al. 2017,
    "Variational lossy autoencoder", arXiv:1611.02731.

    Args:
        latent: dimension of z.
        map: ``affine`` or ``spline`` coupling layers.
        layers: how many.
        widths: units of each hidden layer of the nets in them.

    Raises:
        BadOption: an option of the wrong type or range.
        Incompatible: latent = 1, which has no other half.
        MissingExtra: zuko is not installed.

    >>> Flow(2, layers=1, widths=[8])().log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    zero: Tensor
    one: Tensor

    def __init__(
        self, latent: int, *, map: Kind = "affine", layers: Count = 4,
        widths: list[Count] = [64, 64],  # noqa: B006  # never written to
    ) -> None:  # fmt: skip
        super().__init__(latent)
        if latent < 2:
            raise Incompatible(
                f"{self.title} changes one half of z by the other", found=f"latent = {latent}", expected="2 or more",
                mend="Choose the prior 'mixture'.",
            )  # fmt: skip
        self.map, self.layers, self.widths = map, layers, widths
        self.flow = invertible(map, latent, 0, layers, widths)
        self.register_buffer("zero", torch.zeros(latent), persistent=False)
        self.register_buffer("one", torch.ones(latent), persistent=False)

    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        return Carried(Normal(self.zero, self.one, validate_args=False), self.flow(None))


class Conditional(Prior, name="conditional"):
    """A normal whose mean and variance are those of the row's context, by a small net.

    p(z|c) = N(z; m(c), diag s^2(c)). Source: Sohn, Lee & Yan 2015, "Learning structured output representation using
    deep conditional generative models", NIPS.

    Args:
        latent: dimension of z.
        context: how many numbers the context of a row has; at least one.
        widths: units of each hidden layer.

    Raises:
        BadOption: an option of the wrong type or range.
        Incompatible: a model without a context.

    >>> Conditional(2, 3)(torch.zeros(5, 3)).mean.shape
    torch.Size([5, 2])
    """

    def __init__(
        self, latent: int, context: int, *, widths: list[Count] = [64]  # noqa: B006  # never written to
    ) -> None:  # fmt: skip
        super().__init__(latent)
        if context < 1:
            raise Incompatible(
                f"{self.title} needs a context; the model has none", mend="Choose the prior 'standard' or 'mixture'."
            )
        self.widths, self.context = widths, context
        hidden = [layer for a, b in pairwise([context, *widths]) for layer in (nn.Linear(a, b), nn.Tanh())]
        self.net = nn.Sequential(*hidden, nn.Linear([context, *widths][-1], 2 * latent))

    def forward(self, context: Tensor | None = None, infer: Infer | None = None) -> Distribution:
        if context is None or context.shape[-1] != self.context:
            found = "none" if context is None else str(context.shape[-1])
            raise DataShape(f"{self.title} needs the context of the rows", found=found, expected=str(self.context))
        mean, log_scale = self.net(context).chunk(2, dim=-1)
        return Normal(mean, log_scale.exp(), validate_args=False)
