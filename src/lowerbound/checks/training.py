"""Claims about objectives."""

from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.checks.base import ROWS, Case, Claim, apart, noise
from lowerbound.errors import Incompatible
from lowerbound.model import VAE, assemble
from lowerbound.objectives import Objective, StepContext, Terms
from lowerbound.parts import REGISTRY

SHAPE = (3,)
CLASSES = 3


def model_for(objective: Objective) -> VAE:
    """A small model that the objective accepts.

    Raises:
        Incompatible: it accepts none.
    """
    refusal = Incompatible(f"{objective.title} accepts no posterior")
    for name, scale in product(sorted(REGISTRY["posterior"]), ("learned", "fixed")):
        model = _model(name, scale, objective.labels)
        try:
            objective.accepts(model)
        except Incompatible as error:
            refusal = error
        else:
            return model
    raise refusal


def _model(posterior: str, scale: str, labels: bool) -> VAE:
    linear = {"name": "linear"}
    table = {
        "shape": SHAPE, "latent": 2, "encoder": linear, "decoder": linear, "posterior": {"name": posterior},
        "prior": {"name": "standard"}, "likelihood": {"name": "gaussian", "scale": scale},
    }  # fmt: skip
    told = {"context": CLASSES, "classes": CLASSES, "classifier": linear} if labels else {}
    return assemble({**table, **told}).double()


def step(case: Case) -> tuple[VAE, Batch, StepContext]:
    """A model, a batch and the noise of a step."""
    model = model_for(case.part)
    batch = Batch(2.0 * noise(ROWS, *SHAPE), labels=torch.arange(ROWS) % (CLASSES + 1) - 1, index=torch.arange(ROWS))
    return model, batch, StepContext.fresh(case.part, model, batch)


def part_of(batch: Batch, context: StepContext, rows: Tensor) -> tuple[Batch, StepContext]:
    """Some rows of a batch, with their noise, as a share of the whole."""
    labels, index = (None if values is None else values[rows] for values in (batch.labels, batch.index))
    noise = {name: values[rows] for name, values in context.noise.items()}
    return Batch(batch.x[rows], None, None, labels, index), replace(context, noise=noise)


def terms_of(case: Case, *shares: Tensor) -> tuple[Terms, list[Terms]]:
    """Terms of the batch and of shares of it."""
    model, batch, context = step(case)
    return case.part(model, batch, context), [case.part(model, *part_of(batch, context, rows)) for rows in shares]


def loss_of(case: Case) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and the weights of the model and of the objective."""
    model, batch, context = step(case)
    own = {f"objective.{name}": weight for name, weight in case.part.named_parameters()}
    return case.part(model, batch, context).loss, {**dict(model.named_parameters()), **own}


def unfit(case: Case) -> list[str]:
    """What is wrong with the terms of a batch."""
    terms = terms_of(case)[0]
    sizes = {"loss": (terms.loss, ()), "value": (terms.value, (ROWS,)), "target": (terms.target, (ROWS,))}
    found = [
        f"{name} {tuple(t.shape)} instead of {size}" for name, (t, size) in sizes.items() if tuple(t.shape) != size
    ]
    found += [f"{name} is not finite" for name, (t, _) in sizes.items() if not t.isfinite().all()]
    found += [f"part '{name}' has no row for each of the batch" for name, t in terms.parts.items() if len(t) != ROWS]
    return found + [f"{name} carries a gradient" for name in ("value", "target") if sizes[name][0].requires_grad]


def order(case: Case) -> float:
    """How far loss and values are from those of the batch in another order."""
    turned = torch.arange(ROWS).flip(0)
    whole, (other,) = terms_of(case, turned)
    return max(apart(whole.loss.detach(), other.loss.detach()), apart(whole.value[turned], other.value))


def shares(case: Case) -> float | None:
    """How far the losses of two shares are from adding up, and their values from those in the whole batch."""
    if case.part.couples_rows:
        return None
    first, second = torch.arange(2), torch.arange(2, ROWS)
    whole, (a, b) = terms_of(case, first, second)
    return max(
        apart(whole.loss.detach(), (a.loss + b.loss).detach()), apart(whole.value, torch.cat([a.value, b.value]))
    )


OBJECTIVE = (
    Claim("terms have their shapes and are finite", unfit),
    Claim("the order of the batch does not matter", order, 0.0, 1e-9),
    Claim("the losses of shares of a batch add up", shares, 0.0, 1e-9),
)
