"""The model: three verbs, each returning a distribution, and how it is assembled from its specification."""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal

from lowerbound import corruptions, labelling, likelihoods, missingness, nets, posteriors, priors
from lowerbound.corruptions import Corruption
from lowerbound.data.columns import Column, plain
from lowerbound.distributions import log_prob_row
from lowerbound.embedding import Embedding
from lowerbound.errors import ConfigError, DataShape, Incompatible
from lowerbound.likelihoods import Likelihood
from lowerbound.likelihoods.base import Total, same
from lowerbound.missingness import Missingness
from lowerbound.parts import Part, build, find, spec
from lowerbound.posteriors import Posterior
from lowerbound.priors import Prior
from lowerbound.randomness import scope
from lowerbound.tabular import TableEmbedding

MEMBERS = (corruptions, likelihoods, missingness, nets, posteriors, priors)  # importing them registers their parts


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
        classifier: a net from the embedded row to the numbers of q(y|x), where the first ``classes`` numbers of the
            context say which class y the row is of.
        classes: how many; 1 for a label that is a number itself.
        label_prior: p(y) of the classes; alike where left out.
        missingness: family of p(mask|x), where cells are missing for a reason that is in their values.

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

    fixed: Tensor | None
    label_weights: Tensor | None
    temperature: Tensor

    def __init__(
        self, *, encoder: nn.Module, posterior: Posterior, prior: Prior, decoder: nn.Module, likelihood: Likelihood,
        corruption: Corruption | None = None, embedding: Embedding | None = None, context: int = 0,
        classifier: nn.Module | None = None, classes: int = 0, missingness: Missingness | None = None,
        label_prior: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.posterior_family, self.prior_family, self.likelihood_family = posterior, prior, likelihood
        self.corruption, self.context, self.classifier, self.classes = corruption, context, classifier, classes
        self.missingness_family = missingness
        weights = torch.tensor(label_prior, dtype=torch.float64) if label_prior else None
        self.register_buffer("fixed", None, persistent=False)
        self.register_buffer("label_weights", weights, persistent=False)
        if classifier is not None:
            self.register_buffer("temperature", torch.ones(()))
        self.embedding = embedding or _embedding(likelihood, {})
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
        sizes: dict[str, Any] = {"shape": list(self.shape), "latent": self.latent, "context": self.context}
        if columns := getattr(self.likelihood_family, "columns", ()):
            sizes["columns"] = [plain(column) for column in columns]
        if self.classes:
            sizes["classes"] = self.classes
        if self.label_weights is not None:
            sizes["label_prior"] = self.label_weights.double().tolist()
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
        numbers: Tensor = self.encoder(self._given(seen, context, _flat(self.encoder)))
        return numbers.to(x.dtype)  # nets may run in bf16, densities never

    def prior(self, context: Tensor | None = None) -> Distribution:
        """p(z), (latent,), or (rows, latent) where it depends on the context."""
        p: Distribution = self.prior_family(self.fixed if context is None else context, self.posterior)
        return p

    def label(self, x: Tensor, mask: Tensor | None = None) -> Categorical | Normal:
        """q(y|x), (rows,): which class a row is of, or its number, scaled as in the context.

        Args:
            x: (rows, *shape), in the units of the data.
            mask: (rows, *shape), True where observed.

        Raises:
            Incompatible: the model has no classifier.
        """
        if self.classifier is None:
            raise Incompatible("the model has no classifier", mend="Train one with the recipe 'm2'.")
        return labelling.told(self.classifier(self.embedding(x, mask)).to(x.dtype), self.classes, self.temperature)

    @property
    def label_prior(self) -> Distribution:
        """p(y), of one label."""
        return labelling.prior(self.label_weights, self.classes, self.temperature)

    def missingness(self, x: Tensor) -> Distribution:
        """p(mask|x), (..., *shape): how likely each cell is to be observed.

        Args:
            x: (..., *shape), in the units of the data, without holes.

        Raises:
            Incompatible: the model has none.
        """
        if self.missingness_family is None:
            raise Incompatible("the model has no p(mask|x)", mend="Train one with the recipe 'not-miwae'.")
        p: Distribution = self.missingness_family(self.embedding.scaled(x))
        return p

    def at(self, context: Tensor) -> "VAE":
        """The model where the context is this one, (context,): it stands wherever none is given. Weights are shared."""
        made = copy(self)
        made._buffers = {**self._buffers, "fixed": context}
        return made

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

    def conditioned(self, p: Distribution, x: Tensor, mask: Tensor | None = None) -> Distribution:
        """p(x|z) given what the likelihood takes as known of the rows, such as their totals; mostly p itself.

        Args:
            p: from ``likelihood``.
            x: (rows, *shape).
            mask: (rows, *shape), True where observed.
        """
        family = self.likelihood_family
        return family.condition(p, x if mask is None else torch.where(mask, x, family.fill), mask)

    def draw(self, q: Distribution, eps: Tensor | None) -> Tensor:
        """Samples of z from noise: (samples, rows, *noise_shape) to (samples, rows, latent)."""
        return self.posterior_family.draw(q, torch.empty(0) if eps is None else eps)

    def log_likelihood(self, p: Distribution, x: Tensor, mask: Tensor | None = None, total: Total = same) -> Tensor:
        """log p(x|z) in nats, summed over the observed cells: (samples, rows).

        Args:
            p: from ``likelihood``.
            x: (rows, *shape).
            mask: (rows, *shape), True where observed. Missing cells are filled with a value in the support before the
                density is taken and dropped after, so that NaN there reaches neither the value nor the gradient.
            total: makes sums over the whole training batch of sums over the rows at hand.
        """
        axes = len(self.likelihood_family.mask_shape)
        if mask is None and not (self.training and self.likelihood_family.weights is not None):
            return log_prob_row(self._known(p, x, None, total), x, axes)
        return self.cells(p, x, mask, total).flatten(-axes).sum(-1)

    def cells(self, p: Distribution, x: Tensor, mask: Tensor | None = None, total: Total = same) -> Tensor:
        """log p(x|z) of each cell in nats, (samples, rows, *mask_shape), 0 where one is missing.

        Args:
            p: from ``likelihood``.
            x: (rows, *shape).
            mask: as of ``log_likelihood``, which sums this.
            total: as of ``log_likelihood``.
        """
        if mask is not None:
            x = torch.where(mask, x, self.likelihood_family.fill)
        log_px = self._known(p, x, mask, total).log_prob(x)
        if self.training and (weights := self.likelihood_family.weights) is not None:
            log_px = weights * log_px
        return log_px if mask is None else torch.where(mask, log_px, 0.0)

    def _known(self, p: Distribution, x: Tensor, mask: Tensor | None, total: Total) -> Distribution:
        """p(x|z) with what the likelihood takes from the rows themselves: a scale of the batch, a known total."""
        family = self.likelihood_family
        if self.training and family.couples_rows:
            p = family.couple(p, x, mask, total)
        return family.condition(p, x, mask)

    def _given(self, x: Tensor, context: Tensor | None, flat: bool = True) -> Tensor:
        """x with the context: as further numbers, or where an image stays one, as further channels."""
        if not self.context:
            return x
        x = x.flatten(1) if flat else x
        if context is None and self.fixed is not None:
            context = self.fixed.expand(x.shape[0], -1)
        if context is None or context.shape[-1] != self.context:
            found = "none" if context is None else str(context.shape[-1])
            raise DataShape(
                "the model is conditioned on a context", found=found, expected=f"{self.context} numbers per row",
                mend="Say for which: given={'label': '7'}, or --given label=7.",
            )  # fmt: skip
        shape = (*context.shape, *x.shape[2:])
        return torch.cat([x, context.reshape(*context.shape, *(1,) * (x.dim() - 2)).expand(shape).to(x)], dim=1)

    def _members(self) -> dict[str, nn.Module | None]:
        return {
            "encoder": self.encoder, "posterior": self.posterior_family, "prior": self.prior_family,
            "decoder": self.decoder, "likelihood": self.likelihood_family, "corruption": self.corruption,
            "classifier": self.classifier, "missingness": self.missingness_family,
        }  # fmt: skip

    def _check(self) -> None:
        q, p, likelihood, mode = self.posterior_family, self.prior_family, self.likelihood_family, self.embedding.mode
        if q.latent != p.latent:
            raise Incompatible(f"{q.title} has latent = {q.latent}, {p.title} has latent = {p.latent}")
        if q.needs_prior and p.name != q.needs_prior:
            raise Incompatible(
                f"{q.title} needs the prior '{q.needs_prior}', not '{p.name}'", mend="Choose that prior, or 'gaussian'."
            )
        if self.missingness_family is not None and likelihood.support != "real":
            raise Incompatible(
                f"{self.missingness_family.title} needs a likelihood of real values; {likelihood.title} has support "
                f"'{likelihood.support}'",
                mend="Choose the likelihood 'gaussian', or leave model.missingness out.",
            )
        if mode == "log" and likelihood.support != "count":
            raise Incompatible(
                f"scaling 'log' needs a likelihood of counts; {likelihood.title} has support '{likelihood.support}'",
                mend="Set data.scaling = none, or choose the likelihood 'negative_binomial'.",
            )
        if mode not in ("none", "log") and not likelihood.relocates:
            raise Incompatible(
                f"scaling '{mode}' needs a likelihood with location and scale; {likelihood.title} has none",
                mend="Set data.scaling = none, or choose the likelihood 'gaussian'.",
            )
        labelling.check(self.classifier is not None, self.classes, self.context, self.label_weights)
        sizes = _sizes(self.embedding, q, likelihood, self.context, self.classes, _flat(self.encoder))
        for role, net in (("encoder", self.encoder), ("decoder", self.decoder), ("classifier", self.classifier)):
            if isinstance(net, nets.Net) and (net.inputs, net.outputs) != sizes[role]:
                raise Incompatible(
                    f"the {role} '{net.name}' maps {net.inputs} to {net.outputs}",
                    expected=f"{sizes[role][0]} to {sizes[role][1]}",
                )


Sizes = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def _flat(net: nn.Module | type[nn.Module]) -> bool:
    return bool(getattr(net, "flat", False))


def _sizes(
    embedding: Embedding, posterior: Posterior, likelihood: Likelihood, context: int, classes: int, flat: bool
) -> Sizes:
    """Shapes that the nets map between.

    A context that stood at every cell of an image would weigh with a flat net as many times as there are cells.
    """
    first, *rest = (math.prod(embedding.outputs),) if flat and context else embedding.outputs
    return {
        "encoder": ((first + context, *rest), (posterior.numbers,)),
        "decoder": ((posterior.latent + context,), likelihood.numbers),
        "classifier": (embedding.outputs, (labelling.outputs(classes),)),
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
            ``prior``, ``decoder``, ``likelihood`` and, if there are such, ``corruption``, ``missingness`` and, with
            ``classes``, ``classifier``: what ``VAE.spec`` gives.
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
    shape, context, classes = tuple(spec["shape"]), int(spec.get("context", 0)), int(spec.get("classes", 0))
    given = {"shape": shape, "latent": spec["latent"], "context": context, "columns": spec.get("columns", ())}
    labelling.check(bool(spec.get("classifier")), classes, context)
    with scope(seed, "weights"):
        families: dict[str, Any] = {
            kind: build(kind, spec[kind], given) for kind in ("posterior", "prior", "likelihood")
        }
        embedding = _embedding(families["likelihood"], spec.get("embedding", {}))
        encoder = live.get("encoder") or find("net", spec.get("encoder", {}).get("name", "mlp"))
        sizes = _sizes(embedding, families["posterior"], families["likelihood"], context, classes, _flat(encoder))
        roles = ("encoder", "decoder", "classifier") if spec.get("classifier") else ("encoder", "decoder")
        made: dict[str, Any] = {role: live.get(role) or _net(role, spec, sizes) for role in roles}
        more = {kind: build(kind, spec[kind], given) for kind in ("corruption", "missingness") if spec.get(kind)}
        made |= {"context": context, "classes": classes, "label_prior": spec.get("label_prior", ())}
        return VAE(**made, **families, **more, embedding=embedding)


def _embedding(likelihood: Likelihood, options: Mapping[str, Any]) -> Embedding:
    """The encoder's input: of a table by its columns."""
    columns: Sequence[Column] = getattr(likelihood, "columns", ())
    if columns and options.get("mode", "none") not in ("none", "columns"):
        what = f"scaling '{options['mode']}' is not one for a table"
        raise Incompatible(what, mend="Set data.scaling = columns, or none.")
    return TableEmbedding(columns, **options) if columns else Embedding(likelihood.shape, **options)


def _net(role: str, spec: Mapping[str, Any], sizes: Sizes) -> nn.Module:
    if role not in spec:
        raise ConfigError(f"no {role}", mend=f"Give its table in the specification, or a live module: {role}=module.")
    inputs, outputs = sizes[role]
    net: nn.Module = build("net", spec[role], {"inputs": inputs, "outputs": outputs})
    return net
