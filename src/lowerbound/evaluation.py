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
from lowerbound.objectives.base import TRAINING
from lowerbound.randomness import Draw, row_noise
from lowerbound.ranks import ALONE, Ranks

EVALUATION_ROWS = 2048  # rows a block: large enough for the matrix products, small enough for the cache
SETTLE_ROWS = 4096  # training rows that coupled values are fixed on between epochs
MOST_ROWS = 100_000  # that are looked at to judge or settle a model: of more, so many that are evenly spread


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
        rows: set aside; of more than 100,000, so many that are evenly spread are looked at.
        objective: whose terms are reported.
        model: that will be evaluated.
        seed: of the noise.
        ranks: processes that the blocks are dealt out to; each is whole in one of them: the number is the same.
    """

    def __init__(self, rows: Rows, objective: Objective, model: VAE, seed: int, ranks: Ranks = ALONE) -> None:
        self.rows, self.objective, self.seed, self.ranks = rows.spread(MOST_ROWS), objective, seed, ranks
        asked = objective.requests(model)
        self.requests = {name: draw for name, draw in asked.items() if name.split()[0] not in TRAINING}
        self.noise = [self._noise(model, batch) for batch in self.rows.blocks(EVALUATION_ROWS, ranks.every)]

    def means(self, model: VAE) -> dict[str, float]:
        """Means per row of the objective's target, value and parts, in nats."""
        with evaluating(model):
            blocks = zip(self.rows.blocks(EVALUATION_ROWS, self.ranks.every), self.noise, strict=True)
            found = [self._sums(model, batch, noise) for batch, noise in blocks]
        every = self.ranks.in_turn(found)
        return {name: sum(sums[name] for sums in every) / len(self.rows) for name in every[0]}

    def _sums(self, model: VAE, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, float]:
        return {name: float(values.double().sum()) for name, values in self._terms(model, batch, noise).items()}

    def _terms(self, model: VAE, batch: Batch, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        context = StepContext(noise, torch.ones((), device=batch.x.device), len(self.rows), len(batch.x))
        terms = self.objective(model, batch, context)
        return {"target": terms.target, self.objective.reports: terms.value, **scalars(terms.parts)}

    def _noise(self, model: VAE, batch: Batch) -> dict[str, Tensor]:
        digests = model.embedding.digests(batch.x, batch.mask) if self.requests else []
        found = {}
        for name, request in self.requests.items():
            draws, *shape = request.shape
            purpose = "validation" if name == "posterior" else f"validation {name}"
            eps = row_noise(self.seed, purpose, digests, Draw(tuple(shape), request.law), 0, draws)
            found[name] = eps.transpose(0, 1).to(batch.x)
        return found


def reached(model: VAE, objective: Objective, rows: Rows, seed: int, ranks: Ranks = ALONE) -> dict[str, Any]:
    """What an objective aims at beside what the model comes to: means over the training rows, in the parts' units.

    A multiplier, where the objective has one, is given with them.
    """
    if not objective.aims:
        return {}
    found = HeldOut(rows, objective, model, seed, ranks).means(model)
    both: dict[str, Any] = {name: {"aim": aim, "reached": found[name]} for name, aim in objective.aims.items()}
    return both | {name: found[name] for name in ("multiplier",) if name in found}


def settle(model: VAE, rows: Rows, seed: int, limit: int = MOST_ROWS, ranks: Ranks = ALONE) -> None:
    """Fix what couples rows (an optimal scale) on training rows, one sample of z each, as constants of the model.

    Of more than ``limit`` rows, so many that are evenly spread are looked at.
    """
    family = model.likelihood_family
    if not family.couples_rows or not len(rows):
        return
    found: list[list[float]] = []
    shape = model.posterior_family.noise_shape
    with evaluating(model):
        for batch in rows.spread(limit).blocks(EVALUATION_ROWS, ranks.every):
            digests = model.embedding.digests(batch.x, batch.mask)
            eps = None if shape is None else row_noise(seed, "settle", digests, Draw(shape), 0, 1).to(batch.x)
            q = model.posterior(batch.x, batch.context, batch.mask)
            p = model.likelihood(model.draw(q, eps), batch.context)
            found.append(family.statistics(p, batch.x, batch.mask).double().tolist())
    family.settle(torch.tensor(ranks.in_turn(found), dtype=torch.float64).sum(0))
