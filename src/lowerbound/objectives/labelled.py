"""The bound where labels are known of some rows only: marginalised where they are not."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

from lowerbound.batches import Batch, Fed, Rows
from lowerbound.errors import DataMissing
from lowerbound.labelling import NUMBER
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms
from lowerbound.objectives.bounds import bound
from lowerbound.parts import Count, NonNegative
from lowerbound.randomness import Draw

FEW = 0.5  # share of labelled rows below which the classifier is shown more of them than a batch has
SHOWN = "labelled "  # begins the names of their noise
WHICH = SHOWN + "rows"


class Labelled(Objective, name="labelled"):
    """The semi-supervised bound M2: log p(x, y) of rows whose label y is known, log p(x) of the others.

    Known: L(x, y) = E_q[log p(x|y,z)] - KL(q(z|x,y) || p(z|y)) + log p(y). Unknown: E_q(y|x)[L(x, y)] + H(q(y|x)), for
    classes by the sum over all of them, none drawn; a label that is a number is drawn, y = m(x) + s(x) eps. p(y) is the
    model's. The loss adds alpha times the mean over the known rows of -log q(y|x); where these are few, as many rows as
    a batch has are drawn among them at each step. Source: Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised
    learning with deep generative models", arXiv:1406.5298, equations 6 to 9; their alpha is 0.1 times the number of
    rows, and so it is here.

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
        self.classes = 0
        self.known: Rows | None = None
        self.register_buffer("share", torch.ones(()), persistent=False)

    @property
    def says(self) -> str:
        return f"classifier x {self.alpha:g}"

    def accepts(self, model: VAE) -> None:
        super().accepts(model)
        self.classes = model.classes

    def prepare(self, rows: Rows) -> None:
        """Count the share of the rows whose label is known, and keep these where they are few.

        Raises:
            DataMissing: there is none.
        """
        context = rows.context.whole() if isinstance(rows.context, Fed) else rows.context
        bare = Batch(torch.empty(len(rows), 0, device=rows.device), context=context, labels=rows.labels)
        known = _told(bare, self.classes)[1]
        if not known.any():
            raise DataMissing("no training row has a label", expected="some rows of every class with their label")
        self.share = known.double().mean().to(self.share)
        self.known = rows.only(known.nonzero()[:, 0]) if self.share < FEW and rows.at_hand else None

    def requests(self, model: VAE) -> dict[str, Draw]:
        asked = super().requests(model)
        if model.classes == NUMBER:
            asked["label"] = Draw((1,), "normal")
        if self.known is not None:
            asked |= {SHOWN + name: draw for name, draw in self.known.requests().items()}
            asked[WHICH] = Draw((1,), "uniform")
        return asked

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        q: Any = model.label(batch.x, batch.mask)
        p: Any = model.label_prior
        y, known = _told(batch, model.classes)
        row, label, weights = _completed(q, y, known, context)
        noise = {name: eps[row] for name, eps in context.noise.items()}
        found = bound(model, with_labels(batch, row, label, model.classes), replace(context, noise=noise))
        parts = {name: _summed(values, row, weights.detach(), len(y)) for name, values in found.parts().items()}
        gain = _summed(found.likelihood - found.kl, row, weights, len(y))
        gain = gain + torch.where(known, p.log_prob(y), -kl_divergence(q, p))
        cross, share = self._cross(model, batch, q, context)
        cost, value = self.alpha / share * cross, gain.detach()
        parts |= {"entropy": torch.where(known, 0.0, q.entropy()).detach(), "cross_entropy": cross.detach()}
        return Terms(context.average(cost - gain), value, value - cost.detach(), parts, context.rows_total)

    def _cross(self, model: VAE, batch: Batch, q: Any, context: StepContext) -> tuple[Tensor, Tensor | float]:
        """Minus log q(y|x) of labelled rows, (rows,), 0 for others; and the share of those that are labelled."""
        noise = context.noise
        if self.known is None or not model.training or WHICH not in noise:
            y, known = _told(batch, model.classes)
            return torch.where(known, -q.log_prob(y), 0.0), self.share
        place = context.first + torch.arange(len(batch.x), device=batch.x.device) + noise[WHICH][:, 0]
        index = (place * (len(self.known) / context.batch_rows)).long()  # from as many equal parts, one of each
        eps = {name.removeprefix(SHOWN): values for name, values in noise.items() if name.startswith(SHOWN)}
        drawn = self.known.take(index.clamp(max=len(self.known) - 1), eps)
        shown: Any = model.label(drawn.x, drawn.mask)
        return -shown.log_prob(_told(drawn, model.classes)[0]), 1.0


def with_labels(batch: Batch, row: Tensor, label: Tensor, classes: int) -> Batch:
    """Rows of a batch, each as if its label were that: the first numbers of the context say so."""
    made = batch.cut(row)
    first = label[:, None] if classes == NUMBER else one_hot(label, classes)
    rest = first[:, :0] if made.context is None else made.context[:, classes:]
    return replace(made, context=torch.cat([first.to(made.x.dtype), rest.to(made.x.dtype)], dim=1))


def _told(rows: Batch, classes: int) -> tuple[Tensor, Tensor]:
    """Labels, (rows,), codes of classes or numbers, and of which rows they are known; 0 elsewhere."""
    if classes == NUMBER:
        unknown = torch.full((len(rows.x),), torch.nan, device=rows.x.device)
        y = unknown if rows.context is None else rows.context[:, 0]
        return y.nan_to_num(), ~y.isnan()
    labels = torch.full((len(rows.x),), -1, device=rows.x.device) if rows.labels is None else rows.labels
    return labels.clamp(min=0), labels >= 0


def _completed(q: Any, y: Tensor, known: Tensor, context: StepContext) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with a label each, known or not: which row, which label, and its weight; (n,) each."""
    if "label" in context.noise:
        drawn = q.mean + q.stddev * context.noise["label"][:, 0]
        return torch.arange(len(y), device=y.device), torch.where(known, y.to(drawn), drawn), torch.ones_like(drawn)
    one = one_hot(y, q.probs.shape[1])
    row, label = (one.bool() | ~known[:, None]).nonzero(as_tuple=True)
    return row, label, torch.where(known[:, None], one.to(q.probs), q.probs)[row, label]


def _summed(values: Tensor, row: Tensor, weights: Tensor, rows: int) -> Tensor:
    """Weighted sums of what was found for rows and labels, a row each: (rows, ...)."""
    weighted = values * weights.reshape(-1, *(1,) * (values.dim() - 1))
    return torch.zeros(rows, *values.shape[1:], dtype=values.dtype, device=values.device).index_add(0, row, weighted)
