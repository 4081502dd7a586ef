"""The bound with its KL, or its error, held to a value that is given in advance."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lowerbound.batches import Batch
from lowerbound.errors import Incompatible
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, Pace, StepContext, Terms
from lowerbound.objectives.bounds import Decoded, bound
from lowerbound.parts import Positive
from lowerbound.schedules import Schedule, at


class Capacity(Objective, name="capacity"):
    """The KL pulled towards a capacity in nats, from both sides.

    The loss is gamma |KL - C| - E_q[log p(x|z)], KL the mean of the batch. A large gamma holds the KL at C, but for
    a likelihood that gains more than gamma nats from a nat of KL. The reported value is the ELBO.
    Source: Burgess et al. 2018, "Understanding disentangling in beta-VAE", arXiv:1804.03599.

    Args:
        nats: C, a number or a ramp.
        gamma: nats of loss for each nat that the KL is off.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Capacity(nats={"start": 0.0, "end": 25.0, "over": 0.5}).aims
    {'kl': 25.0}
    """

    couples_rows = gathers = True

    def __init__(self, *, nats: Schedule = 25.0, gamma: Positive = 1000.0) -> None:
        super().__init__()
        self.nats, self.gamma = nats, gamma

    @property
    def aims(self) -> dict[str, float]:
        return {"kl": float(at(self.nats, torch.ones(())))}

    @property
    def says(self) -> str:
        return f"KL pulled to {self.aims['kl']:g} nats (gamma {self.gamma:g})"

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        found = bound(model, batch, context)
        mean = context.ranks.total(context.average(found.kl))
        off = self.gamma * (mean - at(self.nats, context.progress)).abs()
        return found.terms(context, context.once(off) - context.average(found.likelihood), off - mean)


class Constrained(Objective, name="constrained"):
    """The best model under a limit, the weight of what is limited being found in training: a Lagrange multiplier.

    ``kl``: the largest E_q[log p(x|z)] whose KL is at most the limit, in nats; the multiplier comes to the beta of the
    beta-VAE with that KL. ``error``: the least KL whose squared error, summed over the observed cells in the units of
    the data, is at most the limit (GECO). One backward pass serves both: the nets descend the Lagrangian, and the
    multiplier's logarithm ascends by the share of the limit that is passed, so it is never negative and its steps know
    neither the units nor the multiplier; Adam forgets fast for it, since the first violations are many times the last.
    The reported value is the ELBO; early stopping looks at what is maximised, and at the limit.
    Sources: Rezende & Viola 2018, "Taming VAEs", arXiv:1810.00597; Higgins et al. 2017, "beta-VAE", ICLR, section 2.

    Args:
        limit: in nats (``kl``) or in squared units of the data (``error``), the mean of the rows.
        on: what is limited.
        start: the multiplier at first.
        speed: of the multiplier's logarithm, times the rate of the nets.

    Raises:
        BadOption: an option of the wrong type or range.
        Incompatible: ``error`` with a likelihood whose scale it would not train.

    >>> Constrained(limit=5.0).aims
    {'kl': 5.0}
    """

    def __init__(
        self, *, limit: Positive, on: Literal["kl", "error"] = "kl", start: Positive = 1.0, speed: Positive = 10.0
    ) -> None:
        super().__init__()
        self.limit, self.on, self.start, self.speed = limit, on, start, speed
        self.pace = Pace(speed, betas=(0.9, 0.99))
        self.log_multiplier = nn.Parameter(torch.tensor(start).log())

    @property
    def aims(self) -> dict[str, float]:
        return {self._limited: self.limit}

    @property
    def says(self) -> str:
        what = "greatest log p(x|z)" if self.on == "kl" else "least KL"
        return f"{what} with {self._limited.replace('_', ' ')} at most {self.limit:g}"

    @property
    def multiplier(self) -> Tensor:
        """The weight of what is limited, ()."""
        return self.log_multiplier.exp()

    def accepts(self, model: VAE) -> None:
        super().accepts(model)
        family = model.likelihood_family
        if self.on == "error" and (family.numbers != model.shape or list(family.parameters())):
            raise Incompatible(
                f"objective 'constrained' on the error trains a mean and nothing else; {family.title} has more",
                mend="Use the likelihood 'gaussian' with scale = optimal, or set objective.on = kl.",
            )

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        found = bound(model, batch, context)
        limited = found.kl if self.on == "kl" else squared_error(model, found.decoded, batch)
        rest = -found.likelihood if self.on == "kl" else found.kl
        over, weight = limited - self.limit, self.multiplier
        loss = context.average(rest + weight.detach() * over - self.log_multiplier * over.detach() / self.limit)
        cost = found.likelihood - found.kl + rest + self._excess(over, model)
        more = {} if self.on == "kl" else {self._limited: limited}
        return found.terms(context, loss, cost, multiplier=weight.expand_as(over), **more)

    def _excess(self, over: Tensor, model: VAE) -> Tensor:
        """What being over the limit costs the target, in nats, (): one that does not change with the multiplier.

        A cell is worth a nat for each time the limit is exceeded, which is more than it gains by being exceeded.
        """
        return math.prod(model.shape) * (over.mean() / self.limit).clamp(min=0)

    @property
    def _limited(self) -> str:
        return "kl" if self.on == "kl" else "squared_error"


def squared_error(model: VAE, found: Decoded, batch: Batch) -> Tensor:
    """Of the means of p(x|z) from x, summed over the observed cells, the mean over the samples: (rows,)."""
    x, mask = batch.x, batch.mask
    if mask is not None:
        x = torch.where(mask, x, model.likelihood_family.fill)
    error = (found.p.mean - x).square()
    return (error if mask is None else torch.where(mask, error, 0.0)).flatten(2).sum(2).mean(0)
