"""The aggregated posterior held to the prior by its second moments."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.batches import Batch
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms, need_moments
from lowerbound.objectives.bounds import bound
from lowerbound.parts import NonNegative


class DIP(Objective, name="dip"):
    """The ELBO less a penalty on the covariance of the codes for not being the identity.

    off_diagonal sum_{i != j} C_ij^2 + diagonal sum_i (C_ii - 1)^2, where C is, of the rows of the batch, for version
    ``i`` the covariance of the means of q(z|x), for version ``ii`` that of the samples, Cov[mean] + E[Cov q(z|x)].
    The reported value is the ELBO.
    Source: Kumar, Sattigeri & Balakrishnan 2018, "Variational inference of disentangled latent concepts from unlabeled
    observations", arXiv:1711.00848.

    Args:
        version: ``i`` or ``ii``.
        off_diagonal: weight of the covariances.
        diagonal: weight of the variances.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> DIP(version="i", diagonal=100.0).options["off_diagonal"]
    10.0
    """

    couples_rows = gathers = True
    beta: float = 1.0  # what the audit says of the KL

    def __init__(
        self, *, version: Literal["i", "ii"] = "ii", off_diagonal: NonNegative = 10.0, diagonal: NonNegative = 10.0
    ) -> None:
        super().__init__()
        self.version, self.off_diagonal, self.diagonal = version, off_diagonal, diagonal

    @property
    def says(self) -> str:
        of = "means" if self.version == "i" else "samples"
        weights = f"{self.off_diagonal:g} off, {self.diagonal:g} on the diagonal"
        return f"covariance of the {of} pulled to the identity ({weights})"

    def accepts(self, model: VAE) -> None:
        super().accepts(model)
        need_moments(self, model)

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        found = bound(model, batch, context)
        cost = self.penalty(covariance(found.decoded.q, within=self.version == "ii", gather=context.gather))
        loss = context.average(found.kl - found.likelihood) + context.once(cost)
        return found.terms(context, loss, cost, covariance_penalty=cost.expand_as(found.kl))

    def penalty(self, covariance: Tensor) -> Tensor:
        """How far a covariance, (latent, latent), is from the identity, weighed."""
        variances = covariance.diagonal()
        off = covariance.square().sum() - variances.square().sum()
        return self.off_diagonal * off + self.diagonal * (variances - 1).square().sum()


def covariance(q: Distribution, *, within: bool, gather: Callable[[Tensor], Tensor] = lambda own: own) -> Tensor:
    """Of the means of a batch of posteriors, divided by the rows; ``within`` adds the mean of their own: of samples.

    Args:
        q: (rows, latent).
        within: see above.
        gather: makes the rows of the whole batch of those at hand.
    """
    means = gather(q.mean)
    centred = means - means.mean(0)
    between = centred.T @ centred / len(centred)
    if not within:
        return between
    joint = getattr(q, "covariance_matrix", None)
    own: Tensor = torch.diag(gather(q.variance).mean(0)) if joint is None else gather(joint).mean(0)
    return between + own
