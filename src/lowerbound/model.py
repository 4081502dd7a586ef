"""The model: three verbs, each returning a distribution, and how it is assembled from its specification."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound import corruptions, likelihoods, nets, posteriors, priors
from lowerbound.corruptions import Corruption
from lowerbound.embedding import Embedding
from lowerbound.errors import ConfigError, DataShape, Incompatible
from lowerbound.likelihoods import Likelihood
from lowerbound.parts import Part, build, spec
from lowerbound.posteriors import Posterior
from lowerbound.priors import Prior
from lowerbound.randomness import scope

MEMBERS = (corruptions, likelihoods, nets, posteriors, priors)  # importing them registers their parts


class VAE(nn.Module):
    """A variational autoencoder: q(z|x), p(z) and p(x|z). Everything else is a function of these three verbs.

    Args:
        encoder: a net from the embedded row (and context) to the posterior's numbers; any ``nn.Module`` will do.
        posterior: family of q(z|x).
        prior: p(z).
        decoder: a net from z (and context) to the likelihood's numbers; any ``nn.Module`` will do.
        likelihood: family of p(x|z).
        corruption: of the encoder's input in training.
        embedding: scaling of the data; none by default.
        context: size of what the model is conditioned on.

    Raises:
        Incompatible: parts that do not fit together, naming both sides.

    Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.

    >>> from lowerbound.nets import Linear
    >>> from lowerbound.posteriors import Gaussian
    >>> from lowerbound.priors import Standard
    >>> from lowerbound.likelihoods import Bernoulli
    >>> model = VAE(encoder=Linear((5,), (4,)), posterior=Gaussian(2), prior=Standard(2),
    ...             decoder=Linear((2,), (5,)), likelihood=Bernoulli((5,)))
    >>> model.posterior(torch.zeros(3, 5)).mean.shape, model.likelihood(torch.zeros(1, 3, 2)).mean.shape
    (torch.Size([3, 2]), torch.Size([1, 3, 5]))
    """

    def __init__(
        self, *, encoder: nn.Module, posterior: Posterior, prior: Prior, decoder: nn.Module, likelihood: Likelihood,
        corruption: Corruption | None = None, embedding: Embedding | None = None, context: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.posterior_family, self.prior_family, self.likelihood_family = posterior, prior, likelihood
        self.corruption, self.context = corruption, context
        self.embedding = embedding or Embedding(likelihood.shape)
        self._check()

    @property
    def latent(self) -> int:
        """Dimension of z."""
        return self.posterior_family.latent

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row of x."""
        return self.likelihood_family.shape

    @property
    def couples_rows(self) -> bool:
        """Whether a row's terms depend on the rest of its training batch."""
        return any(module.couples_rows for module in self.modules() if isinstance(module, Part))

    @property
    def spec(self) -> dict[str, Any]:
        """The table that ``assemble`` makes the same model from, weights aside.

        Raises:
            Incompatible: a live module that is not a registered part.
        """
        tables = {name: _table(name, module) for name, module in self._members().items() if module is not None}
        sizes = {"shape": list(self.shape), "latent": self.latent, "context": self.context}
        return {**sizes, "embedding": self.embedding.spec, **tables}

    def posterior(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None, *, corruption: Tensor | None = None
    ) -> Distribution:
        """q(z|x), (rows, latent).

        Args:
            x: (rows, *shape), in the units of the data.
            context: (rows, context).
            mask: (rows, *shape), True where observed; what stands in missing cells has no effect.
            corruption: noise of the corruption, (rows, *shape); without it the input is clean.
        """
        q: Distribution = self.posterior_family(self.numbers(x, context, mask, corruption=corruption))
        return q

    def numbers(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None, *, corruption: Tensor | None = None
    ) -> Tensor:
        """What the encoder gives for each row, (rows, numbers); the posterior family makes q(z|x) of it."""
        if tuple(x.shape[1:]) != self.shape:
            raise DataShape("rows of another shape", found=str(tuple(x.shape[1:])), expected=str(self.shape))
        part = self.corruption
        spoil = None if part is None or corruption is None else lambda values: part(values, corruption)
        seen = self.embedding(x, mask, spoil)
        numbers: Tensor = self.encoder(self._given(seen, context)).to(x.dtype)  # nets may run in bf16, densities never
        return numbers

    def prior(self, context: Tensor | None = None) -> Distribution:
        """p(z), (latent,), or (rows, latent) where it depends on the context."""
        p: Distribution = self.prior_family(context, self.posterior)
        return p

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """p(x|z), in the units of the data.

        Args:
            z: (..., latent): any leading axes, usually (samples, rows, latent).
            context: (rows, context).
        """
        if z.shape[-1] != self.latent:
            raise DataShape("codes of another size", found=str(z.shape[-1]), expected=f"latent = {self.latent}")
        lead = z.shape[:-1]
        if context is not None:
            context = context.expand(*lead, -1).flatten(0, -2)
        numbers = self.decoder(self._given(z.reshape(-1, self.latent), context)).to(z.dtype)
        return self.embedding.restore(self.likelihood_family(numbers.unflatten(0, lead)))

    def draw(self, q: Distribution, eps: Tensor | None) -> Tensor:
        """Samples of z from noise: (samples, rows, *noise_shape) to (samples, rows, latent)."""
        return self.posterior_family.draw(q, torch.empty(0) if eps is None else eps)

    def log_likelihood(self, p: Distribution, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats, summed over the observed cells: (samples, rows).

        Args:
            p: from ``likelihood``.
            x: (rows, *shape).
            mask: (rows, *shape), True where observed. Missing cells are filled with a value in the support before the
                density is taken and dropped after, so that NaN there reaches neither the value nor the gradient.
        """
        log_px = self.cells(p, x, mask)
        return log_px.flatten(log_px.dim() - len(self.likelihood_family.mask_shape)).sum(-1)

    def cells(self, p: Distribution, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(x|z) of each cell in nats, (samples, rows, *mask_shape), 0 where one is missing.

        Args:
            p: from ``likelihood``.
            x: (rows, *shape).
            mask: as of ``log_likelihood``, which sums this.
        """
        family = self.likelihood_family
        if mask is not None:
            x = torch.where(mask, x, family.fill)
        if self.training and family.couples_rows:
            p = family.couple(p, x, mask)
        log_px = p.log_prob(x)
        return log_px if mask is None else torch.where(mask, log_px, 0.0)

    def _given(self, x: Tensor, context: Tensor | None) -> Tensor:
        """x with the context as further channels."""
        if not self.context:
            return x
        if context is None or context.shape[-1] != self.context:
            found = "none" if context is None else str(context.shape[-1])
            raise DataShape(
                "the model is conditioned on a context", found=found, expected=f"{self.context} numbers per row"
            )
        shape = (*context.shape, *x.shape[2:])
        return torch.cat([x, context.reshape(*context.shape, *(1,) * (x.dim() - 2)).expand(shape).to(x)], dim=1)

    def _members(self) -> dict[str, nn.Module | None]:
        return {
            "encoder": self.encoder, "posterior": self.posterior_family, "prior": self.prior_family,
            "decoder": self.decoder, "likelihood": self.likelihood_family, "corruption": self.corruption,
        }  # fmt: skip

    def _check(self) -> None:
        q, p, likelihood, mode = self.posterior_family, self.prior_family, self.likelihood_family, self.embedding.mode
        if q.latent != p.latent:
            raise Incompatible(f"{q.title} has latent = {q.latent}, {p.title} has latent = {p.latent}")
        if mode != "none" and not likelihood.relocates:
            raise Incompatible(
                f"scaling '{mode}' needs a likelihood with location and scale; {likelihood.title} has none",
                mend="Set data.scaling = none, or choose the likelihood 'gaussian'.",
            )
        sizes = _sizes(self.embedding, q, likelihood, self.context)
        for role, net in (("encoder", self.encoder), ("decoder", self.decoder)):
            if isinstance(net, nets.Net) and (net.inputs, net.outputs) != sizes[role]:
                raise Incompatible(
                    f"the {role} '{net.name}' maps {net.inputs} to {net.outputs}",
                    expected=f"{sizes[role][0]} to {sizes[role][1]}",
                )


Sizes = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def _sizes(embedding: Embedding, posterior: Posterior, likelihood: Likelihood, context: int) -> Sizes:
    """Shapes that the encoder and the decoder map between."""
    first, *rest = embedding.outputs
    return {
        "encoder": ((first + context, *rest), (posterior.numbers,)),
        "decoder": ((posterior.latent + context,), likelihood.numbers),
    }


def _table(name: str, module: nn.Module) -> dict[str, Any]:
    if isinstance(module, Part) and module.name:
        return spec(module)
    raise Incompatible(
        f"the {name} is a live module, which no config describes", found=type(module).__name__,
        mend=f"Register it as a part, or give it again: assemble(spec, {name}=module).",
    )  # fmt: skip


def assemble(spec: Mapping[str, Any], *, seed: int = 0, **live: nn.Module) -> VAE:
    """Make a model from its specification, with weights drawn from the seed.

    Args:
        spec: ``shape``, ``latent``, ``embedding``, and a table {name, options} each for ``encoder``, ``posterior``,
            ``prior``, ``decoder``, ``likelihood`` and, if there is one, ``corruption``: what ``VAE.spec`` gives.
        seed: of the first weights.
        live: ``encoder`` or ``decoder`` as a module, in place of its table.

    Raises:
        UnknownName: a part or option that does not exist.
        BadOption: an option of the wrong type or range.
        Incompatible: parts that do not fit together.

    >>> model = assemble({"shape": [4], "latent": 2, "encoder": {"name": "linear"}, "decoder": {"name": "linear"},
    ...                   "posterior": {"name": "gaussian"}, "prior": {"name": "standard"},
    ...                   "likelihood": {"name": "gaussian"}})
    >>> assemble(model.spec).spec == model.spec
    True
    """
    missing = {"shape", "latent", "posterior", "prior", "likelihood"} - spec.keys()
    if missing:
        raise ConfigError("an incomplete specification of a model", expected="also " + ", ".join(sorted(missing)))
    shape, context = tuple(spec["shape"]), int(spec.get("context", 0))
    given = {"shape": shape, "latent": spec["latent"], "context": context}
    with scope(seed, "weights"):
        families: dict[str, Any] = {
            kind: build(kind, spec[kind], given) for kind in ("posterior", "prior", "likelihood")
        }
        embedding = Embedding(shape, **spec.get("embedding", {}))
        sizes = _sizes(embedding, families["posterior"], families["likelihood"], context)
        both: dict[str, Any] = {role: live.get(role) or _net(role, spec, sizes) for role in ("encoder", "decoder")}
        table = spec.get("corruption")
        corruption = build("corruption", table, given) if table else None
        return VAE(**both, **families, corruption=corruption, embedding=embedding, context=context)


def _net(role: str, spec: Mapping[str, Any], sizes: Sizes) -> nn.Module:
    if role not in spec:
        raise ConfigError(f"no {role}", mend=f"Give its table in the specification, or a live module: {role}=module.")
    inputs, outputs = sizes[role]
    net: nn.Module = build("net", spec[role], {"inputs": inputs, "outputs": outputs})
    return net
