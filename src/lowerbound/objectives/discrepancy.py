"""The aggregated posterior held to the prior by samples of both."""

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Normal

from lowerbound.batches import Batch
from lowerbound.errors import Incompatible
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms
from lowerbound.objectives.bounds import bound, decode
from lowerbound.parts import NonNegative, Positive
from lowerbound.randomness import Draw

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel that is a sum of many, as Tolstikhin et al. have it
Kernel = Literal["gaussian", "inverse_multiquadratic"]


class MMD(Objective, name="mmd"):
    """The likelihood less a weighed discrepancy between codes and samples of the prior, and some or none of the KL.

    The loss is beta KL - E_q[log p(x|z)] + weight MMD^2(q(z), p(z)), by the estimate without bias over the pairs of a
    batch. In the letters of InfoVAE beta = 1 - alpha and weight = alpha + lambda - 1; beta = 0 is the Wasserstein
    autoencoder, which takes a posterior without density too. With a KL the reported value is the ELBO, without it the
    log-likelihood of the reconstruction, which is no bound.
    Sources: Zhao, Song & Ermon 2019, "InfoVAE", arXiv:1706.02262; Tolstikhin, Bousquet, Gelly & Schölkopf 2018,
    "Wasserstein auto-encoders", arXiv:1711.01558.

    Args:
        weight: of the discrepancy, in nats a row.
        beta: weight of the KL.
        kernel: ``gaussian``, exp(-r^2 / S), or ``inverse_multiquadratic``, the sum over seven scales s of
            s S / (s S + r^2), with S = 2 latent width^2: the mean squared distance of two samples of a standard prior.
        width: see kernel.

    Raises:
        BadOption: an option of the wrong type or range.
        Incompatible: a prior that is not normal.

    >>> MMD(beta=0.0).reports
    'reconstruction_log_likelihood'
    """

    couples_rows = gathers = True

    def __init__(
        self, *, weight: NonNegative = 100.0, beta: NonNegative = 1.0, kernel: Kernel = "gaussian",
        width: Positive = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight, self.beta, self.kernel, self.width = weight, beta, kernel, width
        self.needs_density = beta > 0
        if not beta:
            self.reports = "reconstruction_log_likelihood"

    @property
    def says(self) -> str:
        return f"MMD of codes and prior x {self.weight:g}"

    def requests(self, model: VAE) -> dict[str, Draw]:
        return {**super().requests(model), "prior": Draw((1, model.latent), "normal")}

    def accepts(self, model: VAE) -> None:
        super().accepts(model)
        family, weight = model.prior_family, next(model.parameters())
        if type(model.prior(weight.new_zeros(1, model.context) if model.context else None)) is not Normal:
            raise Incompatible(
                f"objective 'mmd' makes samples of a normal prior; '{family.name}' is another",
                mend="Use the prior 'standard'.",
            )

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        p = model.prior(batch.context)
        there = context.gather(p.mean + p.stddev * context.noise["prior"][:, 0])
        if self.beta:
            found = bound(model, batch, context)
            apart = self._discrepancy(context.gather(found.decoded.z[0]), there)
            cost = (self.beta - 1) * found.kl + self.weight * apart
            loss = context.average(self.beta * found.kl - found.likelihood) + context.once(self.weight * apart)
            return found.terms(context, loss, cost, mmd=apart.expand_as(found.kl))
        decoded = decode(model, batch, context)
        apart, value = self._discrepancy(context.gather(decoded.z[0]), there), decoded.likelihood.detach()
        cost = self.weight * apart
        parts = {"log_likelihood": value, "mmd": apart.detach().expand_as(value)}
        loss = context.once(cost) - context.average(decoded.likelihood)
        return Terms(loss, value, value - cost.detach(), parts, context.rows_total)

    def _discrepancy(self, here: Tensor, there: Tensor) -> Tensor:
        return discrepancy(here, there, self.kernel, 2 * here.shape[1] * self.width**2)


def discrepancy(here: Tensor, there: Tensor, kernel: Kernel, scale: float) -> Tensor:
    """MMD^2 of two samples of as many rows, (rows, latent), without bias: it can be negative.

    >>> discrepancy(torch.zeros(2, 1), torch.ones(2, 1), "gaussian", 1.0)
    tensor(1.2642)
    """
    within = [_mean_of_others(_kernel(z, z, kernel, scale)) for z in (here, there)]
    return within[0] + within[1] - 2 * _kernel(here, there, kernel, scale).mean()


def _mean_of_others(values: Tensor) -> Tensor:
    """Over all pairs of different rows; 0 where there is one row alone."""
    rows = len(values)
    return (values.sum() - values.diagonal().sum()) / max(rows * (rows - 1), 1)


def _kernel(here: Tensor, there: Tensor, kernel: Kernel, scale: float) -> Tensor:
    distance = (here.square().sum(1)[:, None] + there.square().sum(1) - 2 * here @ there.T).clamp(min=0)
    if kernel == "gaussian":
        return (-distance / scale).exp()
    return torch.stack([s * scale / (s * scale + distance) for s in SCALES]).sum(0)
