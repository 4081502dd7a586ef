"""The bound where labels are known of some rows only: marginalised exactly over the classes where they are not."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lowerbound.batches import Batch, Rows
from lowerbound.errors import DataMissing
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms
from lowerbound.objectives.bounds import bound
from lowerbound.parts import Count, NonNegative


class Labelled(Objective, name="labelled"):
    """The semi-supervised bound M2: log p(x, y) of rows whose class y is known, log p(x) of the others.

    Known: L(x, y) = E_q[log p(x|y,z)] - KL(q(z|x,y) || p(z|y)) + log p(y). Unknown: sum_y q(y|x) L(x, y) + H(q(y|x)),
    the sum over all classes, none drawn. p(y) is uniform. The loss adds alpha times the mean over the known rows of
    -log q(y|x). Source: Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised learning with deep generative
    models", arXiv:1406.5298, equations 6 to 9; their alpha is 0.1 times the number of rows, and so it is here.

    Args:
        alpha: weight of the classifier's cross-entropy, beside bounds averaged over the rows.
        samples: Monte-Carlo samples of z for each row and class.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Labelled(alpha=0.5).options["alpha"]
    0.5
    """

    labels = True
    beta: float = 1.0  # what the audit says of the KL
    share: Tensor

    def __init__(self, *, alpha: NonNegative = 0.1, samples: Count = 1) -> None:
        super().__init__()
        self.alpha, self.samples = alpha, samples
        self.register_buffer("share", torch.ones(()), persistent=False)

    @property
    def says(self) -> str:
        return f"classifier x {self.alpha:g}"

    def prepare(self, rows: Rows) -> None:
        """Count the share of the rows whose class is known.

        Raises:
            DataMissing: there is none.
        """
        known = torch.zeros(1) if rows.labels is None else (rows.labels >= 0).double()
        if not known.any():
            raise DataMissing("no training row has a label", expected="some rows of every class with their label")
        self.share = known.mean().to(self.share)

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        q, labels = model.label(batch.x, batch.mask), _labels(batch)
        known = labels >= 0
        one = one_hot(labels.clamp(min=0), model.classes).to(q.probs)
        weights = torch.where(known[:, None], one, q.probs)
        row, label = (one.bool() | ~known[:, None]).nonzero(as_tuple=True)
        noise = {name: eps[row] for name, eps in context.noise.items()}
        found = bound(model, with_classes(batch, row, label, model.classes), replace(context, noise=noise))
        parts = {
            name: _summed(values, row, weights[row, label].detach(), len(known))
            for name, values in found.parts().items()
        }
        gain = _summed(found.likelihood - found.kl, row, weights[row, label], len(known))
        entropy = torch.where(known, 0.0, q.entropy())
        cross = torch.where(known, -q.log_prob(labels.clamp(min=0)), 0.0)
        gain, cost = gain + entropy - math.log(model.classes), self.alpha / self.share * cross
        value = gain.detach()
        parts |= {"entropy": entropy.detach(), "cross_entropy": cross.detach()}
        return Terms(context.average(cost - gain), value, value - cost.detach(), parts, context.rows_total)


def with_classes(batch: Batch, row: Tensor, label: Tensor, classes: int) -> Batch:
    """Rows of a batch, each as if its class were that: the first numbers of the context say so."""
    made = batch.cut(row)
    one = one_hot(label, classes).to(made.x.dtype)
    rest = one[:, :0] if made.context is None else made.context[:, classes:]
    return replace(made, context=torch.cat([one, rest], dim=1), labels=label)


def _labels(batch: Batch) -> Tensor:
    """Of each row, -1 where unknown."""
    unknown = torch.full((len(batch.x),), -1, device=batch.x.device)
    return unknown if batch.labels is None else batch.labels


def _summed(values: Tensor, row: Tensor, weights: Tensor, rows: int) -> Tensor:
    """Weighted sums of what was found for rows and classes, a row each: (rows, ...)."""
    weighted = values * weights.reshape(-1, *(1,) * (values.dim() - 1))
    return torch.zeros(rows, *values.shape[1:], dtype=values.dtype, device=values.device).index_add(0, row, weighted)
