"""The loop: ``steps`` does no I/O, touches no global state, and yields what a caller may show, write or stop at."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound.batches import Batch, Rows
from lowerbound.config import TrainConfig
from lowerbound.errors import NotFinite
from lowerbound.model import VAE
from lowerbound.objectives import Objective, StepContext
from lowerbound.randomness import Draw, generator, permutation, row_digests, row_noise, step_noise

EVALUATION_ROWS = 2048  # rows a block in evaluation: large enough for the matrix products, small enough for the cache
SETTLE_ROWS = 4096  # training rows that coupled values are fixed on between epochs; at the end all are used


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: means per row in nats, of the training batches as they were met and of the held-out rows."""

    number: int
    step: int
    seconds: float
    train: Mapping[str, float]
    validation: Mapping[str, float]

    @property
    def record(self) -> dict[str, Any]:
        """One line of ``history.jsonl``."""
        return {
            "epoch": self.number, "step": self.step, "seconds": round(self.seconds, 3),
            **{f"train_{name}": value for name, value in self.train.items()},
            **{f"validation_{name}": value for name, value in self.validation.items()},
        }  # fmt: skip


def optimiser(model: VAE, objective: Objective, settings: TrainConfig, rows: int) -> torch.optim.Optimizer:
    """The optimiser of the settings; the prior on the weights is a gradient of precision/N times the weight.

    An objective's own parameters form a second group, without that prior.
    """
    decay = settings.weight_prior / rows
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "weight_decay": decay, "name": "model"}]
    if own := list(objective.parameters()):
        groups.append({"params": own, "weight_decay": 0.0, "name": "objective"})
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.rate, fused=True)
    kind = {"adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}[settings.optimizer]
    return kind(groups, lr=settings.rate)


def initialise(model: VAE, rows: Rows, settings: TrainConfig, seed: int) -> None:
    """Everything that is fixed before step 0: scaling measured on the training rows, weights, parts that start from data."""
    sample = next(rows.blocks(min(len(rows), 65536)))
    with torch.no_grad():
        model.embedding.start_from(sample.x, sample.mask)
        if settings.init_scale:
            source = generator(seed, "initial")
            for net in (model.encoder, model.decoder):
                for weight in net.parameters():
                    weight.copy_(torch.randn(weight.shape, generator=source) * settings.init_scale)
        for part in (model.posterior_family, model.prior_family, model.likelihood_family):
            part.start_from(sample.x)


class HeldOut:
    """Rows set aside, with their noise: the same at every epoch, and keyed by the rows themselves."""

    def __init__(self, rows: Rows, objective: Objective, model: VAE, seed: int) -> None:
        self.rows, self.objective, self.seed = rows, objective, seed
        self.request = objective.requests(model).get("posterior")
        self.noise: list[dict[str, Tensor]] = [self._noise(batch) for batch in rows.blocks(EVALUATION_ROWS)]

    def means(self, model: VAE) -> dict[str, float]:
        """Means per row of the objective's target, value and parts."""
        totals: dict[str, Tensor] = {}
        with evaluating(model):
            for batch, noise in zip(self.rows.blocks(EVALUATION_ROWS), self.noise, strict=True):
                context = StepContext(noise, torch.ones((), device=batch.x.device), len(self.rows), len(self.rows))
                accumulate(totals, self._terms(model, batch, context))
        return {name: float(total) / len(self.rows) for name, total in totals.items()}

    def _terms(self, model: VAE, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        terms = self.objective(model, batch, context)
        return {"target": terms.target, self.objective.reports: terms.value, **scalars(terms.parts)}

    def _noise(self, batch: Batch) -> dict[str, Tensor]:
        if self.request is None:
            return {}
        draws, *shape = self.request.shape
        eps = row_noise(self.seed, "validation", row_digests(batch.x, batch.mask), Draw(tuple(shape)), 0, draws)
        return {"posterior": eps.transpose(0, 1).to(batch.x)}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients for a block, then the mode the model was in."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


def scalars(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts that have one number a row."""
    return {name: part for name, part in parts.items() if part.dim() == 1}


def accumulate(totals: dict[str, Tensor], per_row: Mapping[str, Tensor]) -> None:
    """Add sums over rows to running totals, on the device."""
    for name, values in per_row.items():
        total = values.sum()
        totals[name] = totals[name] + total if name in totals else total


@torch.no_grad()
def settle(model: VAE, rows: Rows, seed: int, limit: int | None = None) -> None:
    """Fix what couples rows (an optimal scale) on training rows, one sample of z each, as constants of the model."""
    family = model.likelihood_family
    if not family.couples_rows or not len(rows):
        return
    totals = torch.zeros(2, dtype=torch.float64)
    shape = model.posterior_family.noise_shape
    with evaluating(model):
        for batch in rows.blocks(EVALUATION_ROWS):
            eps = (
                None
                if shape is None
                else row_noise(seed, "settle", row_digests(batch.x), Draw(shape), 0, 1).to(batch.x)
            )
            p = model.likelihood(model.draw(model.posterior(batch.x, batch.context, batch.mask), eps), batch.context)
            totals += family.statistics(p, batch.x, batch.mask).double().cpu()
            if limit is not None and int(batch.index[-1]) + 1 >= limit:  # type: ignore[index]  # blocks carry their index
                break
    family.settle(totals)


class Loop:
    """Training in progress: the model, its optimiser and where it stands.

    Args:
        model: trained in place.
        objective: what is maximised.
        rows: training rows on the device.
        settings: of the config's ``train`` table.
        seed: everything random derives from it.
        held_out: rows that decide when to stop, or None.
    """

    def __init__(
        self, model: VAE, objective: Objective, rows: Rows, settings: TrainConfig, *, seed: int,
        held_out: Rows | None = None,
    ) -> None:  # fmt: skip
        objective.accepts(model)
        self.model, self.objective, self.rows, self.settings, self.seed = model, objective, rows, settings, seed
        self.held_out = HeldOut(held_out, objective, model, seed) if held_out is not None and len(held_out) else None
        self.optimiser = optimiser(model, objective, settings, len(rows))
        self.requests = {**objective.requests(model), **rows.requests()}
        self.epoch, self.step = 0, 0
        self.best: tuple[int, float] | None = None
        self.best_weights: dict[str, Tensor] = {}
        self._autocast = torch.autocast(rows.device.type, torch.bfloat16, enabled=settings.precision == "bf16")

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.rows) // self.settings.batch)

    def steps(self) -> Iterator[Epoch]:
        """Train epoch by epoch, and yield after each; stop early as the settings say.

        Raises:
            NotFinite: the loss of an epoch is NaN or infinite.
        """
        self.model.train()
        while self.epoch < self.settings.epochs and not self._patience_spent():
            start = time.perf_counter()
            train = self._run_epoch()
            settle(self.model, self.rows, self.seed, SETTLE_ROWS)
            validation = self.held_out.means(self.model) if self.held_out else {}
            self._remember(validation)
            yield Epoch(self.epoch, self.step, time.perf_counter() - start, train, validation)
        self.finish()

    def finish(self) -> None:
        """Put the best weights back where early stopping keeps them, and fix what couples rows on all training rows."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        settle(self.model, self.rows, self.seed)
        self.model.eval()

    def _run_epoch(self) -> dict[str, float]:
        order = permutation(len(self.rows), self.seed, self.epoch).to(self.rows.device)
        totals: dict[str, Tensor] = {}
        places = range(0, len(self.rows), self.settings.batch)
        whole = max(self.settings.epochs * self.steps_per_epoch - 1, 1)
        progress = (torch.arange(self.step, self.step + len(places), device=self.rows.device) / whole).unbind()
        for place, first in enumerate(places):
            accumulate(totals, self._one_step(order[first : first + self.settings.batch], progress[place]))
        self.epoch += 1
        means = {name: float(total) / len(self.rows) for name, total in totals.items()}
        if not all(abs(value) < float("inf") for value in means.values()):
            raise NotFinite(
                "the loss is not finite", where=f"epoch {self.epoch}", found=str(means),
                mend="Lower train.rate, set train.clip, or raise the likelihood's floor.",
            )  # fmt: skip
        return means

    def _one_step(self, index: Tensor, progress: Tensor) -> dict[str, Tensor]:
        noise = step_noise(self.seed, self.step, self.requests, self.settings.batch, self.rows.device, self.rows.dtype)
        noise = {name: eps[: len(index)] for name, eps in noise.items()}
        batch = self.rows.take(index, noise)
        with self._autocast:
            terms = self.objective(self.model, batch, StepContext(noise, progress, len(self.rows), len(index)))
        self.optimiser.zero_grad(set_to_none=True)
        terms.loss.backward()
        self._adjust(progress)
        self.optimiser.step()
        self.step += 1
        return {self.objective.reports: terms.value, **scalars(terms.parts)}

    def _adjust(self, progress: Tensor) -> None:
        if self.settings.clip:
            weights = [w for group in self.optimiser.param_groups for w in group["params"]]
            nn.utils.clip_grad_norm_(weights, self.settings.clip)
        if self.settings.schedule == "cosine":
            rate = 0.5 * self.settings.rate * (1 + torch.cos(torch.pi * progress))
            for group in self.optimiser.param_groups:
                group["lr"] = float(rate)

    def _remember(self, validation: Mapping[str, float]) -> None:
        if not validation:
            return
        target = validation["target"]
        if self.best is None or target > self.best[1]:
            self.best = (self.epoch, target)
            if self.settings.patience:
                self.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}

    def _patience_spent(self) -> bool:
        patience, best = self.settings.patience, self.best
        return bool(patience and best and self.epoch - best[0] >= patience)


def steps(
    model: VAE, objective: Objective, rows: Rows, settings: TrainConfig | None = None, *, seed: int = 0,
    held_out: Rows | None = None,
) -> Iterator[Epoch]:  # fmt: skip
    """Train a model and yield after each epoch: the loop for those who want to own what happens between.

    Args:
        model: trained in place.
        objective: what is maximised.
        rows: training rows.
        settings: epochs, batch, rate and so on; the defaults of the config when left out.
        seed: everything random derives from it.
        held_out: rows that decide when to stop.

    Raises:
        Incompatible: an objective that is not defined for the model.
        NotFinite: a loss that is NaN or infinite.
    """
    yield from Loop(model, objective, rows, settings or TrainConfig(), seed=seed, held_out=held_out).steps()


def best_epoch(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The record of the best held-out target, else the last one."""
    held = [line for line in history if "validation_target" in line]
    return max(held, key=lambda line: line["validation_target"]) if held else (history[-1] if history else None)
