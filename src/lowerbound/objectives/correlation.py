"""The KL taken apart over the data set: what a code tells of the row, how its dimensions depend, how each is spread."""

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.batches import Batch
from lowerbound.distributions import per_row
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms, need_dimensions
from lowerbound.objectives.bounds import bound
from lowerbound.parts import NonNegative

Estimator = Literal["stratified", "weighted"]
PAIRS = 2**22  # densities at a time: the table of all pairs of rows goes through memory in pieces


class TotalCorrelation(Objective, name="total_correlation"):
    """The ELBO with the three parts of its KL weighed one by one.

    With q(z) the mean of q(z|x) over the data, KL = mutual information of x and z + KL(q(z) || prod_j q(z_j)), the
    total correlation, + KL(prod_j q(z_j) || p(z)), the dimension-wise KL. With all weights at 1 it is the ELBO, with
    all at beta the beta-VAE. q(z) is estimated from the batch, see ``aggregated``; the KL itself is not, so the three
    parts of a row add up to its KL whatever the estimates. The reported value is the ELBO.
    Source: Chen, Li, Grosse & Duvenaud 2018, "Isolating sources of disentanglement in VAEs", arXiv:1802.04942.

    Args:
        total_correlation: weight of the dependence between dimensions (beta of the paper).
        mutual_information: weight of what z tells of the row (its alpha).
        dimension_kl: weight of the distance of each dimension from the prior (its gamma).
        estimator: of q(z): ``stratified`` or ``weighted``.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> TotalCorrelation(total_correlation=4.0).says
    'mutual information x 1, total correlation x 4, dimension-wise KL x 1'
    """

    couples_rows = gathers = True

    def __init__(
        self, *, total_correlation: NonNegative = 6.0, mutual_information: NonNegative = 1.0,
        dimension_kl: NonNegative = 1.0, estimator: Estimator = "stratified",
    ) -> None:  # fmt: skip
        super().__init__()
        self.total_correlation, self.mutual_information = total_correlation, mutual_information
        self.dimension_kl, self.estimator = dimension_kl, estimator

    @property
    def says(self) -> str:
        weights = self.mutual_information, self.total_correlation, self.dimension_kl
        names = "mutual information", "total correlation", "dimension-wise KL"
        return ", ".join(f"{name} x {weight:g}" for name, weight in zip(names, weights, strict=True))

    def accepts(self, model: VAE) -> None:
        super().accepts(model)
        need_dimensions(self, model)

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        found = bound(model, batch, context)
        z = found.decoded.z[0]
        log_qz, log_qzj = aggregated(found.decoded.q, z, context.rows_total, self.estimator, context)
        correlation = log_qz - log_qzj
        spread = log_qzj - per_row(found.prior.log_prob(z), found.prior)
        information = found.kl - correlation - spread
        extra = (self.mutual_information - 1) * information + (self.total_correlation - 1) * correlation
        cost = extra + (self.dimension_kl - 1) * spread
        loss = context.average(found.kl - found.likelihood + cost)
        parts = {"mutual_information": information, "total_correlation": correlation, "dimension_kl": spread}
        return found.terms(context, loss, cost, **parts)


def aggregated(
    q: Distribution, z: Tensor, rows_total: int, estimator: Estimator = "stratified", context: StepContext | None = None
) -> tuple[Tensor, Tensor]:
    """log q(z) and sum_j log q(z_j) of a sample of each row, from the posteriors of a batch of M of N rows: (rows,).

    ``stratified``: the row that z was drawn for counts 1/N, as it does in q(z); the others share the rest alike,
    (N - 1) / (N (M - 1)) each. The weights of a row sum to one, the estimate of the density is right on average, and
    exact where the batch is the data set. It is Chen et al.'s, averaged over which row stands for those left out.
    ``weighted``: 1 / (N M) each, as in their appendix C.1: too small, for z is nearest to its own row.

    Args:
        q: q(z|x) of the batch, (rows, latent), with a density per dimension.
        z: (rows, latent), row i drawn from q(z|x_i).
        rows_total: N.
        estimator: see above.
        context: of the step, where other processes have rows of the batch too. Each compares all samples with its own
            posteriors, and what they find is added up, so that only samples and sums are sent.
    """
    context = context or StepContext({})
    every, own = context.gather(z), slice(context.first, context.first + len(z))
    rows = len(every)
    log_weights = batch_weights(rows, rows_total, estimator)[:, own].log().to(z)
    pieces = []
    for start in range(0, rows, step := max(1, PAIRS // z.numel())):
        weight = log_weights[start : start + step]
        pairs = q.log_prob(every[start : start + step, None])
        joint = (pairs.sum(2) + weight).logsumexp(1)
        pieces.append(torch.cat([joint[:, None], (pairs + weight[:, :, None]).logsumexp(1)], 1))
    found = context.ranks.logsumexp(torch.cat(pieces))[own]
    return found[:, 0], found[:, 1:].sum(1)


def batch_weights(rows: int, rows_total: int, estimator: Estimator) -> Tensor:
    """The share of row j of a batch in the density at the sample of row i, (rows, rows), float64.

    >>> batch_weights(3, 10, "stratified").sum(1), batch_weights(3, 10, "stratified")[0]
    (tensor([1., 1., 1.], dtype=torch.float64), tensor([0.1000, 0.4500, 0.4500], dtype=torch.float64))
    """
    if estimator == "weighted":
        return torch.full((rows, rows), 1 / (rows_total * rows), dtype=torch.float64)
    if rows == 1:  # nothing stands for the rest
        return torch.ones(1, 1, dtype=torch.float64)
    others = (rows_total - 1) / (rows_total * (rows - 1))
    return torch.full((rows, rows), others, dtype=torch.float64).fill_diagonal_(1 / rows_total)
