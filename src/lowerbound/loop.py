"""The loop: it does no I/O, touches no global state, and hands control back every few steps."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound import devices
from lowerbound.batches import Batch, Rows
from lowerbound.capture import Captured, cuda_graph
from lowerbound.config import TrainConfig
from lowerbound.diagnosis import diagnose
from lowerbound.errors import Incompatible, NotFinite
from lowerbound.evaluation import SETTLE_ROWS, HeldOut, scalars, settle
from lowerbound.model import VAE
from lowerbound.objectives import Objective, StepContext
from lowerbound.optimisers import Optimiser
from lowerbound.randomness import step_noise
from lowerbound.ranks import ALONE, Ranks

CHUNK = 64  # steps between two looks at the device: non-finite losses and requests to stop are noticed this late
SKIPS = 3  # refused steps in a chunk that are skipped; more roll the training back
ROLLBACKS = 3  # before giving up


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: means per row in nats, of the training batches as met and of the held-out rows."""

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


class Loop:
    """Training in progress: the model, its optimiser and where it stands.

    Args:
        model: trained in place.
        objective: what is maximised.
        rows: training rows on the device.
        settings: of the config's ``train`` table.
        seed: everything random derives from it.
        held_out: rows that decide when to stop, or None.
        ranks: the processes that train together: each has a loop of its own, and they go in step.

    Raises:
        Incompatible: an objective that is not defined for the model, or accumulation with parts that couple rows.
    """

    def __init__(
        self, model: VAE, objective: Objective, rows: Rows, settings: TrainConfig, *, seed: int,
        held_out: Rows | None = None, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        objective.accepts(model)
        objective.prepare(rows)
        ranks.check(model, objective, len(rows), settings.batch, compiled=settings.compile == "on")
        self.model, self.objective, self.rows, self.settings, self.seed = model, objective, rows, settings, seed
        self.held_out = HeldOut(held_out, objective, model, seed, ranks) if held_out else None
        self.optimiser = Optimiser(model, objective, settings, len(rows))
        self.weights = self.optimiser.weights
        self.average = [weight.detach().clone() for weight in self.weights] if settings.average else []
        self.requests = {**objective.requests(model), **rows.requests()}
        self.epoch, self.step, self.clock, self.rate_factor, self.rollbacks = 0, 0, 0.0, 1.0, 0
        self.careful = False  # look at every gradient: only once something went wrong
        self.ranks, self.pieces = ranks, self._checked(settings.accumulate)
        self.best: tuple[int, float] | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.notices: list[str] = []
        record = cuda_graph if rows.device.type == "cuda" and rows.at_hand and ranks.world == 1 else None
        self._replayed = Captured(self._update, rows.device, self.notices, record)
        self.names: list[str] = []
        self.good: tuple[dict[str, dict[str, Tensor]], dict[str, Any]] = ({}, {})
        self.totals = torch.zeros(0, device=rows.device)
        self.order = torch.zeros(0, dtype=torch.int64)
        self._fast = self._compiled()
        self._autocast = torch.autocast(rows.device.type, torch.bfloat16, enabled=settings.precision == "bf16")
        self._keep_good()

    @property
    def steps_per_epoch(self) -> int:
        """Steps that use every row once; the last may be short."""
        return -(-len(self.rows) // self.settings.batch)

    @property
    def done(self) -> bool:
        """Whether all epochs are done, or the held-out target has not improved for as long as it may."""
        patience, best = self.settings.patience, self.best
        return self.epoch >= self.settings.epochs or bool(patience and best and self.epoch - best[0] >= patience)

    def steps(self) -> Iterator[Epoch | None]:
        """Train to the end: None after a chunk of steps, a record after an epoch.

        Raises:
            NotFinite: losses or gradients stay NaN or infinite, though steps were skipped and the rate lowered.
        """
        while not self.done:
            yield self.advance()
        self.finish()

    def advance(self, limit: int = CHUNK) -> Epoch | None:
        """At most ``limit`` steps, not past the end of the epoch; there, the epoch's record."""
        start = time.perf_counter()
        self.model.train()
        first = self.step - self.epoch * self.steps_per_epoch
        places = range(first, min(first + limit, self.steps_per_epoch))
        if first == 0 or not len(self.order):
            self.order = self.rows.order(self.seed, self.epoch)
        progress = self._progress(len(places))
        with devices.kernels():
            refused = [self._one_step(place, progress[i]) for i, place in enumerate(places)]
        self._inspect(places, refused)
        finished = self.step == (self.epoch + 1) * self.steps_per_epoch
        self.clock += time.perf_counter() - start
        return self._close_epoch() if finished else None

    def finish(self) -> None:
        """Put the best weights back where early stopping keeps them, and fix what couples rows on all training rows."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        elif self.average:
            self._copy(self.average)
        settle(self.model, self.rows, self.seed, ranks=self.ranks)
        self.model.eval()

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """All that decides what follows: tensors by group and name, and plain values."""
        tensors = {
            "model": dict(self.model.state_dict()), "objective": dict(self.objective.state_dict()),
            "optimiser": self.optimiser.tensors, "best": self.best_weights,
            "average": {str(i): weight for i, weight in enumerate(self.average)}, "totals": {"sums": self.totals},
        }  # fmt: skip
        plain = {
            "epoch": self.epoch, "step": self.step, "clock": self.clock, "pieces": self.pieces, "names": self.names,
            "rate_factor": self.rate_factor, "rollbacks": self.rollbacks, "careful": self.careful, "best": self.best,
        }  # fmt: skip
        return tensors, plain

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], plain: Mapping[str, Any]) -> None:
        """Go on from a state that ``state`` gave."""
        self.model.load_state_dict(dict(tensors["model"]))
        self.objective.load_state_dict(dict(tensors["objective"]))
        self.optimiser.load(dict(tensors["optimiser"]))
        self.best_weights = {name: value.to(self.rows.device) for name, value in tensors["best"].items()}
        with torch.no_grad():
            for i, weight in enumerate(self.average):
                weight.copy_(tensors["average"][str(i)])
        self.totals = tensors["totals"]["sums"].to(self.rows.device).clone()
        for name in ("epoch", "step", "clock", "pieces", "names", "rate_factor", "rollbacks", "careful"):
            setattr(self, name, plain[name])
        self.best = None if plain["best"] is None else (int(plain["best"][0]), float(plain["best"][1]))
        self.order = self.order[:0]
        if self.step > self.epoch * self.steps_per_epoch:
            self.order = self.rows.order(self.seed, self.epoch)
        self._keep_good()

    def batch(self, place: int) -> tuple[Batch, dict[str, Tensor]]:
        """The rows and the noise of a step of this epoch: the same whenever it is asked."""
        index, noise = self._drawn(place)
        return self.rows.take(index, noise), noise

    def _drawn(self, place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Row numbers and noise of a step."""
        size, step = self.settings.batch, self.epoch * self.steps_per_epoch + place
        index = self.order[place * size : (place + 1) * size]
        noise = step_noise(self.seed, step, self.requests, size, self.rows.device, self.rows.dtype)
        return index, noise if len(index) == size else {name: eps[: len(index)] for name, eps in noise.items()}

    def _one_step(self, place: int, progress: Tensor) -> Tensor:
        """One update; 1 (on the device) where loss or gradient was not finite and the update was refused."""
        index, noise = self._drawn(place)
        given: tuple[Any, ...] = (index, progress, self._rate(), *noise.values())
        usual = len(index) == self.settings.batch and self.pieces == 1 and not self.careful
        refuse, sums = self._replayed(*given) if usual else self._update(*given)
        self.totals = sums if not len(self.totals) else self.totals + sums
        self.step += 1
        return refuse

    def _update(self, index: Tensor, progress: Tensor, rate: float | Tensor, *noise: Tensor) -> tuple[Tensor, Tensor]:
        """The update alone, all of it on the device: whether it was refused, and sums over its rows if not."""
        size, mine = len(index), self.ranks.share(len(index))
        named = {name: eps[mine] for name, eps in zip(self.requests, noise, strict=True)}
        found = self._gradients(self.rows.take(index[mine], named), named, progress, size, mine.start)
        *gradients, loss, sums = self.ranks.sum(found)
        refuse = 1.0 - torch.isfinite(self._clipped(gradients) + loss).float()
        self.optimiser.step(gradients, rate, refuse)
        if self.average:
            torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], 1 - self.settings.average)
        return refuse, sums.masked_fill(refuse > 0, 0.0)

    def _clipped(self, gradients: list[Tensor]) -> Tensor | float:
        """Clip the gradients if asked, group by group; their norm, or 0 where nobody needs it: it costs a pass."""
        if not (self.settings.clip or self.careful):
            return 0.0
        norms: list[Tensor] = []
        for some in self.optimiser.split(gradients):
            norms.append(torch.stack(torch._foreach_norm(some)).norm())
            if self.settings.clip:
                torch._foreach_mul_(some, (self.settings.clip / (norms[-1] + 1e-12)).clamp(max=1.0))
        return norms[0] if len(norms) == 1 else torch.stack(norms).norm()

    def _gradients(
        self, batch: Batch, noise: Mapping[str, Tensor], progress: Tensor, size: int, first: int
    ) -> list[Tensor]:
        """Gradients, loss, and sums over rows of a batch of ``size``, in as many pieces as memory asks for."""
        if not len(batch.x):  # fewer rows than ranks
            return [*map(torch.zeros_like, self.weights), progress * 0, torch.zeros_like(self.totals)]
        while True:
            try:
                cuts = _cuts(len(batch.x), self.pieces)
                whole = [self._piece(batch, noise, progress, rows, size, first) for rows in cuts]
                break
            except torch.OutOfMemoryError:
                self._smaller(len(batch.x))
        gradients, loss, sums = whole[0]
        for more, value, total in whole[1:]:
            torch._foreach_add_(gradients, more)
            loss, sums = loss + value, sums + total
        return [*gradients, loss, sums]

    def _piece(
        self, batch: Batch, noise: Mapping[str, Tensor], progress: Tensor, rows: slice, size: int, first: int
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        if self.pieces > 1:
            batch, noise = batch.cut(rows), {name: eps[rows] for name, eps in noise.items()}
        whole = size == self.settings.batch and self.pieces == 1
        forward = self._fast if self._fast is not None and whole else self._forward
        with self._autocast if self.settings.precision == "bf16" else nullcontext():
            loss, self.names, sums = forward(batch, noise, progress, size, first + rows.start)
        gradients = torch.autograd.grad(loss, self.weights, materialize_grads=True)
        return list(gradients), loss.detach(), sums.double() if sums.device.type != "mps" else sums

    def _forward(
        self, batch: Batch, noise: Mapping[str, Tensor], progress: Tensor, size: int, first: int
    ) -> tuple[Tensor, list[str], Tensor]:
        """The loss, and by name what the epoch's record is made of, summed over the rows after their count."""
        context = StepContext(noise, progress, len(self.rows), size, self.ranks.among(size), first)
        terms = self.objective(self.model, batch, context)
        per_row = {self.objective.reports: terms.value, **scalars(terms.parts)}
        return terms.loss, list(per_row), torch.stack([torch.ones_like(terms.value), *per_row.values()]).sum(1)

    def _compiled(self) -> Callable[..., tuple[Tensor, list[str], Tensor]] | None:
        """The forward pass compiled, where asked for or where it pays: decided before step 0 from sizes alone."""
        how, steps = self.settings.compile, self.settings.epochs * self.steps_per_epoch
        weights = sum(weight.numel() for weight in self.weights)
        dense = not any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in self.model.modules())
        work = 6.0 * weights * self.settings.batch * steps
        pays = dense and devices.compiling_pays(work) and self.rows.device.type == "cpu" and self.ranks.world == 1
        return devices.compiled(self._forward) if how == "on" or (how == "auto" and pays) else None

    def _checked(self, pieces: int) -> int:
        if pieces > 1 and (self.model.couples_rows or self.objective.couples_rows):
            parts = [p.title for p in (self.model.likelihood_family, self.objective) if p.couples_rows]
            raise Incompatible(f"train.accumulate = {pieces} splits batches; {' and '.join(parts)} couples their rows",
                               mend="Set train.accumulate = 1, and a batch that fits in memory.")  # fmt: skip
        return pieces

    def _smaller(self, rows: int) -> None:
        """Twice as many pieces: the effective batch, and up to rounding the result, stay the same."""
        if self.pieces * 2 > rows:
            raise NotFinite("out of memory even for one row", mend="Use a smaller model.")
        self.pieces = self._checked(self.pieces * 2)
        self.notices.append(f"out of memory: batches of {self.settings.batch} rows now go in {self.pieces} pieces")

    def _progress(self, count: int) -> Sequence[Tensor]:
        whole = max(self.settings.epochs * self.steps_per_epoch - 1, 1)
        return (torch.arange(self.step, self.step + count, device=self.rows.device) / whole).unbind()

    def _rate(self) -> float:
        rate = self.settings.rate * self.rate_factor
        if self.settings.schedule == "constant":
            return rate
        whole = max(self.settings.epochs * self.steps_per_epoch - 1, 1)
        return 0.5 * rate * (1 + math.cos(math.pi * self.step / whole))

    def _inspect(self, places: range, refused: list[Tensor]) -> None:
        """Look, once a chunk, whether steps were refused; say which, and roll back where it does not stop."""
        bad = [place for place, flag in zip(places, torch.stack(refused).tolist(), strict=True) if flag]
        if not (self.careful or self._finite()):
            self._go_back(careful=True)  # an update went through whose gradient alone was not finite: find it again
            return
        if not bad:
            return
        what = diagnose(self.model, self.objective, *self.batch(bad[0]), len(self.rows))
        where = f"step {self.epoch * self.steps_per_epoch + bad[0]}"
        if len(bad) <= SKIPS:
            self.notices.append(f"{where}: {what}; skipped ({len(bad)} in this chunk)")
            return
        if self.rollbacks >= ROLLBACKS:
            raise NotFinite(
                "the loss is not finite", where=where, found=what,
                mend="Lower train.rate, set train.clip, or raise the likelihood's floor.",
            )  # fmt: skip
        self._go_back(careful=True, rollbacks=self.rollbacks + 1, rate_factor=self.rate_factor / 2)
        self.notices.append(f"{where}: {what}; went back to step {self.step} and halved the rate")

    def _go_back(self, **changed: Any) -> None:
        """To the last state known to be good, with some of its values changed."""
        tensors, plain = self.good
        self.load(tensors, {**plain, **changed})

    def _finite(self) -> bool:
        return bool(torch.isfinite(torch.stack(torch._foreach_norm(list[Tensor](self.weights))).sum()))

    def _keep_good(self) -> None:
        """Copy the state, into the last copy's own memory where it still fits: new memory costs more than copying."""
        tensors, plain = self.state()
        before = self.good[0]
        copies = {
            group: {name: _copied(value, before.get(group, {}).get(name)) for name, value in some.items()}
            for group, some in tensors.items()
        }
        self.good = (copies, plain)

    def _close_epoch(self) -> Epoch:
        start = time.perf_counter()
        rows, *sums = self.totals.tolist()
        train = {name: total / max(rows, 1.0) for name, total in zip(self.names, sums, strict=True)}
        self.epoch, self.totals = self.epoch + 1, self.totals[:0]
        with self._averaged():
            settle(self.model, self.rows, self.seed, SETTLE_ROWS, self.ranks)
            validation = self.held_out.means(self.model) if self.held_out else {}
            self._remember(validation)
        self._keep_good()
        seconds, self.clock = self.clock + time.perf_counter() - start, 0.0
        return Epoch(self.epoch, self.step, seconds, train, validation)

    def _remember(self, validation: Mapping[str, float]) -> None:
        if validation and (self.best is None or validation["target"] > self.best[1]):
            self.best = (self.epoch, validation["target"])
            if self.settings.patience:
                self.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights, where they are kept, in place of the trained ones."""
        if not self.average:
            yield
            return
        trained = [weight.detach().clone() for weight in self.weights]
        self._copy(self.average)
        yield
        self._copy(trained)

    @torch.no_grad()
    def _copy(self, values: Sequence[Tensor]) -> None:
        for weight, value in zip(self.weights, values, strict=True):
            weight.copy_(value)


def _copied(value: Tensor, place: Tensor | None) -> Tensor:
    """A copy of the value, in ``place`` if that is of its kind."""
    if place is None or (place.shape, place.dtype, place.device) != (value.shape, value.dtype, value.device):
        return value.detach().clone()
    return place.copy_(value.detach())


def _cuts(rows: int, pieces: int) -> list[slice]:
    size = -(-rows // pieces)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def steps(
    model: VAE, objective: Objective, rows: Rows, settings: TrainConfig | None = None, *, seed: int = 0,
    held_out: Rows | None = None,
) -> Iterator[Epoch | None]:  # fmt: skip
    """Train a model and yield every few steps: the loop for those who want to own what happens between.

    Args:
        model: trained in place.
        objective: what is maximised.
        rows: training rows.
        settings: epochs, batch, rate and so on; the defaults of the config when left out.
        seed: everything random derives from it.
        held_out: rows that decide when to stop.

    Yields:
        None after a chunk of steps, an ``Epoch`` after an epoch.

    Raises:
        Incompatible: an objective that is not defined for the model.
        NotFinite: a loss that stays NaN or infinite.
    """
    yield from Loop(model, objective, rows, settings or TrainConfig(), seed=seed, held_out=held_out).steps()
