"""Held-out rows in blocks, with noise keyed by the rows themselves, and what is fixed on training rows afterwards."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound import devices
from lowerbound.batches import Batch, Rows
from lowerbound.model import VAE
from lowerbound.objectives import Objective, StepContext
from lowerbound.randomness import Draw, row_digests, row_noise

EVALUATION_ROWS = 2048  # rows a block: large enough for the matrix products, small enough for the cache
SETTLE_ROWS = 4096  # training rows that coupled values are fixed on between epochs; at the end all are used


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients for a block, then the mode the model was in."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad(), devices.kernels():
            yield
    finally:
        model.train(before)


def scalars(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts that have one number a row."""
    return {name: part for name, part in parts.items() if part.dim() == 1}


class HeldOut:
    """Rows set aside, with their noise: the same at every epoch.

    Args:
        rows: on the device.
        objective: whose terms are reported.
        model: that will be evaluated.
        seed: of the noise.
    """

    def __init__(self, rows: Rows, objective: Objective, model: VAE, seed: int) -> None:
        self.rows, self.objective, self.seed = rows, objective, seed
        self.requests = {name: draw for name, draw in objective.requests(model).items() if name != "corruption"}
        self.noise = [self._noise(batch) for batch in rows.blocks(EVALUATION_ROWS)]

    def means(self, model: VAE) -> dict[str, float]:
        """Means per row of the objective's target, value and parts, in nats."""
        totals: dict[str, float] = {}
        with evaluating(model):
            for batch, noise in zip(self.rows.blocks(EVALUATION_ROWS), self.noise, strict=True):
                for name, values in self._terms(model, batch, noise).items():
                    totals[name] = totals.get(name, 0.0) + float(values.double().sum())
        return {name: total / len(self.rows) for name, total in totals.items()}

    def _terms(self, model: VAE, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        context = StepContext(noise, torch.ones((), device=batch.x.device), len(self.rows), len(batch.x))
        terms = self.objective(model, batch, context)
        return {"target": terms.target, self.objective.reports: terms.value, **scalars(terms.parts)}

    def _noise(self, batch: Batch) -> dict[str, Tensor]:
        digests = row_digests(batch.x, batch.mask) if self.requests else []
        found = {}
        for name, request in self.requests.items():
            draws, *shape = request.shape
            purpose = "validation" if name == "posterior" else f"validation {name}"
            eps = row_noise(self.seed, purpose, digests, Draw(tuple(shape), request.law), 0, draws)
            found[name] = eps.transpose(0, 1).to(batch.x)
        return found


def reached(model: VAE, objective: Objective, rows: Rows, seed: int) -> dict[str, Any]:
    """What an objective aims at beside what the model comes to: means over the training rows, in the parts' units.

    A multiplier, where the objective has one, is given with them.
    """
    if not objective.aims:
        return {}
    found = HeldOut(rows, objective, model, seed).means(model)
    both: dict[str, Any] = {name: {"aim": aim, "reached": found[name]} for name, aim in objective.aims.items()}
    return both | {name: found[name] for name in ("multiplier",) if name in found}


def settle(model: VAE, rows: Rows, seed: int, limit: int | None = None) -> None:
    """Fix what couples rows (an optimal scale) on training rows, one sample of z each, as constants of the model."""
    family = model.likelihood_family
    if not family.couples_rows or not len(rows):
        return
    totals = torch.zeros(2, dtype=torch.float64)
    shape = model.posterior_family.noise_shape
    with evaluating(model):
        for number, batch in enumerate(rows.blocks(EVALUATION_ROWS)):
            if limit is not None and number * EVALUATION_ROWS >= limit:
                break
            digests = row_digests(batch.x, batch.mask)
            eps = None if shape is None else row_noise(seed, "settle", digests, Draw(shape), 0, 1).to(batch.x)
            q = model.posterior(batch.x, batch.context, batch.mask)
            p = model.likelihood(model.draw(q, eps), batch.context)
            totals += family.statistics(p, batch.x, batch.mask).double().cpu()
    family.settle(totals)
