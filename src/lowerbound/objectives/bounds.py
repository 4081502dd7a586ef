"""Bounds on log p(x)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor
from torch.distributions import Distribution

from lowerbound.batches import Batch
from lowerbound.distributions import kl, per_row
from lowerbound.errors import BadOption
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms
from lowerbound.parts import Count, NonNegative
from lowerbound.schedules import Schedule, at


@dataclass(frozen=True)
class Decoded:
    """q(z|x), samples z (samples, rows, latent), p(x|z) and log p(x|z) (samples, rows) of the uncorrupted rows."""

    q: Distribution
    z: Tensor
    p: Distribution
    log_px: Tensor

    @cached_property
    def likelihood(self) -> Tensor:
        """The mean of log p(x|z) over the samples, (rows,)."""
        return self.log_px.squeeze(0) if len(self.log_px) == 1 else self.log_px.mean(0)


def decode(model: VAE, batch: Batch, context: StepContext, *, detach: bool = False) -> Decoded:
    """Through the encoder and the decoder once; detached samples carry no gradient to the encoder."""
    q = model.posterior(batch.x, batch.context, batch.mask, corruption=context.noise.get("corruption"))
    eps = context.noise.get("posterior")
    z = model.draw(q, None if eps is None else eps.transpose(0, 1))
    if detach:
        z = z.detach()
    p = model.likelihood(z, batch.context)
    return Decoded(q, z, p, model.log_likelihood(p, batch.x, batch.mask, context.ranks.total))


@dataclass(frozen=True)
class Bound:
    """The ELBO of a batch, in nats, for objectives that add to it or weigh its parts anew.

    Args:
        decoded: what the model makes of the rows.
        divergence: KL(q(z|x) || p(z)), (rows, latent), or (rows,) where it does not factorise.
        kl: the same, (rows,).
        prior: p(z).
    """

    decoded: Decoded
    divergence: Tensor
    kl: Tensor
    prior: Distribution

    @property
    def likelihood(self) -> Tensor:
        """E_q[log p(x|z)], (rows,)."""
        return self.decoded.likelihood

    def parts(self, **more: Tensor) -> dict[str, Tensor]:
        """Both sides of the bound, and what is added to them, without gradients."""
        found = {"log_likelihood": self.likelihood, "kl": self.kl, "kl_per_dimension": self.divergence, **more}
        return {name: part.detach() for name, part in found.items()}

    def terms(self, context: StepContext, loss: Tensor, cost: Tensor, **more: Tensor) -> Terms:
        """Terms whose value is the bound; the target is the bound less a cost, () or (rows,)."""
        parts = self.parts(**more)
        value = parts["log_likelihood"] - parts["kl"]
        return Terms(loss, value, value - cost.detach(), parts, context.rows_total)


def bound(model: VAE, batch: Batch, context: StepContext, *, detach: bool = False) -> Bound:
    """The ELBO of a batch and what it is made of."""
    decoded = decode(model, batch, context, detach=detach)
    q, p = decoded.q, model.prior(batch.context)
    divergence = kl(q, p, decoded.z)
    return Bound(decoded, divergence, per_row(divergence, q, p), p)


class ELBO(Objective, name="elbo"):
    """The evidence lower bound.

    E_q[log p(x|z)] - KL(q(z|x) || p(z)) <= log p(x); the loss is its negative with the KL weighted by beta.
    Sources: Kingma & Welling 2014, arXiv:1312.6114; beta: Higgins et al. 2017, "beta-VAE", ICLR; free bits: Kingma et
    al. 2016, arXiv:1606.04934, appendix C.8; score function: Williams 1992, "Simple statistical gradient-following
    algorithms", Machine Learning 8.

    Args:
        beta: weight of the KL, a number or a ramp; the reported value always has weight 1.
        samples: Monte-Carlo samples of z per row (L).
        free_bits: nats per dimension below which its batch-mean KL costs nothing more.
        gradient: ``reparameterized``, or ``score`` for the score-function estimator, kept for comparison.
        baseline: constant taken from log p(x|z) in the score-function estimator.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> ELBO(beta=4.0).options["beta"]
    4.0
    """

    gathers = True

    def __init__(
        self, *, beta: Schedule = 1.0, samples: Count = 1, free_bits: NonNegative = 0.0,
        gradient: Literal["reparameterized", "score"] = "reparameterized", baseline: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if baseline and gradient == "reparameterized":
            raise BadOption(
                "a baseline belongs to the score-function estimator", where="objective 'elbo', option 'baseline'",
                found=str(baseline), mend="Set gradient = 'score', or leave the baseline out.",
            )  # fmt: skip
        self.beta, self.samples, self.free_bits = beta, samples, free_bits
        self.gradient, self.baseline = gradient, baseline
        self.couples_rows = free_bits > 0

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        score = self.gradient == "score"
        found = bound(model, batch, context, detach=score)
        cost = context.average(found.kl) if not self.free_bits else self._free(found.divergence, context)
        gain = context.average(self._surrogate(found.decoded) if score else found.likelihood)
        beta = at(self.beta, context.progress)
        return found.terms(context, beta * cost - gain, (beta - 1) * found.kl.detach())

    def _free(self, divergence: Tensor, context: StepContext) -> Tensor:
        mean = context.ranks.total(divergence.sum(0)) / context.batch_rows
        return context.once(mean.clamp(min=self.free_bits).sum())

    def _surrogate(self, found: Decoded) -> Tensor:
        """Its gradient is (log p(x|z) - baseline) * grad log q(z) for the encoder, grad log p(x|z) for the decoder."""
        weight = (found.log_px - self.baseline).detach()
        return (weight * per_row(found.q.log_prob(found.z), found.q) + found.log_px).mean(0)


class Reconstruction(Objective, name="reconstruction"):
    """The log-likelihood of the reconstruction alone: the autoencoder's objective. Not a bound on log p(x).

    E_q[log p(x|z)]; with a Gaussian likelihood of fixed scale, the squared error. Corrupted inputs are compared with
    the clean rows. Sources: Rumelhart, Hinton & Williams 1986, Nature 323; Vincent et al. 2010, JMLR 11.

    Args:
        samples: Monte-Carlo samples of z per row, for posteriors that have noise.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Reconstruction(samples=2).options["samples"]
    2
    """

    needs_density = False
    reports = "reconstruction_log_likelihood"

    def __init__(self, *, samples: Count = 1) -> None:
        super().__init__()
        self.samples = samples

    def accepts(self, model: VAE) -> None:
        super().accepts(model)
        family = model.posterior_family
        if self.samples > 1 and family.noise_shape is None:
            where = "objective 'reconstruction', option 'samples'"
            raise BadOption(
                f"posterior '{family.name}' draws nothing", where=where, found=str(self.samples), expected="1"
            )

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        likelihood = decode(model, batch, context).likelihood
        value = likelihood.detach()
        return Terms(-context.average(likelihood), value, value, {"log_likelihood": value}, context.rows_total)
