"""``fit``: from data to a trained run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lowerbound import audit, devices
from lowerbound.batches import Rows
from lowerbound.config import Config, check_parts, dotted, override
from lowerbound.data import Data, load
from lowerbound.data.known import KNOWN
from lowerbound.interrupts import Interrupts
from lowerbound.linear import fill_closed_form
from lowerbound.loop import Epoch, Loop, initialise, steps
from lowerbound.model import assemble
from lowerbound.objectives import Objective
from lowerbound.parts import build, import_file
from lowerbound.progress import Bar
from lowerbound.recipes import resolve as resolve_recipe
from lowerbound.run import Run, describe, refuse_existing

__all__ = ["Watcher", "fit", "steps"]

Watcher = Callable[[Epoch], None]


@dataclass(frozen=True)
class Watch:
    """Who looks on: a bar, a function called after each epoch, and a clock.

    Args:
        progress: True for a bar on stderr, a function, or False.
        budget: seconds after which training stops, or None.
    """

    progress: bool | Watcher = True
    budget: float | None = None

    @property
    def bar(self) -> bool:
        return self.progress is True

    def tell(self, epoch: Epoch) -> None:
        if callable(self.progress):
            self.progress(epoch)

    def spent(self, seconds: float) -> str | None:
        """The word for a budget that is used up."""
        return f"time budget of {self.budget:g} s spent" if self.budget is not None and seconds >= self.budget else None


def fit(
    data: Any, *, recipe: str | None = None, out: str | Path | None = None, seed: int = 0, config: Config | None = None,
    imports: Sequence[str | Path] = (), force: bool = False, progress: bool | Watcher = True,
    time_budget: float | None = None, download: bool = False, **overrides: Any,
) -> Run:  # fmt: skip
    """Train a model.

    Args:
        data: a known name, a path, an array (rows, ...), a frame, or ``Data``.
        recipe: a row of ``lowerbound recipes``, ``vae`` when left out; beside a ``config`` only the name that is kept.
        out: folder to write the run to; None writes nothing.
        seed: everything random derives from it.
        config: a whole configuration instead of a recipe.
        imports: files with parts of your own.
        force: write over a run that is there.
        progress: show a bar on stderr, or a function called after each epoch, or False.
        time_budget: seconds after which training stops and keeps what there is.
        download: whether a known set that is not on this machine may be fetched.
        overrides: config keys, ``latent=8``, ``epochs=20``, ``objective="elbo:beta=4"``, ``train__rate=1e-3``.

    Returns:
        The run: model, configuration, history (nats per row) and split. Ctrl-C stops, and keeps what there is.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: data that cannot be used, naming file, row and column.
        OutputExists: the folder is there already.
        NotFinite: a loss that is NaN or infinite.

    Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.

    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> run.summary["epochs"], run.model.latent
    (1, 2)
    """
    if out is not None:
        refuse_existing(out, force)
    for file in imports:
        import_file(file)
    base = config or resolve_recipe(recipe or "vae")
    chosen = override(base, {"seed": seed, **dotted(overrides)} if config is None or seed else dotted(overrides))
    devices.pick(chosen.train.device)  # refused before data are read
    source = _open(data, chosen, download)
    settled = audit.resolve(replace(chosen, data=replace(chosen.data, name=source.source or source.name)), source)
    settled = check_parts(settled, foreign=bool(imports))
    audit.check(settled, source)
    split = source.with_split(settled.data.validation, settled.data.test, settled.seed, settled.data.split)
    name = recipe or ("vae" if config is None else "config")
    known = isinstance(data, str) and data in KNOWN
    run = _train(settled, split, name, known=known, watch=Watch(progress, time_budget))
    if out is not None:
        run.save(out, force=force)
    return run


def _open(data: Any, config: Config, download: bool) -> Data:
    if isinstance(data, Data):
        return data
    options: dict[str, Any] = (
        {"download": download} if isinstance(data, str) and data in KNOWN else {"missing": config.data.missing}
    )
    return load(data, **options)


def prepare(data: Data, config: Config, device: torch.device) -> Rows:
    """Training rows on the device."""
    dtype = devices.storage(config.train.precision)
    return Rows(data.x, unit=data.unit, mask=data.mask, labels=data.labels, binarize=config.data.binarize,
                seed=config.seed, device=device, dtype=dtype)  # fmt: skip


def _train(config: Config, data: Data, recipe: str, *, known: bool, watch: Watch) -> Run:
    device = devices.pick(config.train.device)
    model = assemble(audit.specification(config, data), seed=config.seed)
    model.to(device, devices.storage(config.train.precision))
    objective: Objective = build("objective", config.objective, {})
    objective.accepts(model)
    loss = audit.loss(config, model, objective)
    rows = prepare(data.train, config, device)
    run = Run(model, config, loss, describe(data, known), {}, [], data)
    with devices.threads(config.train.threads):
        initialise(model, rows, config.train, config.seed)
        if config.model.start == "closed_form":
            fill_closed_form(model, torch.from_numpy(data.train.values(dtype=np.float64)).to(device))
        held_out = run.resident(data.validation) if len(data.validation.x) else None
        loop = Loop(model, objective, rows, config.train, seed=config.seed, held_out=held_out)
        run.summary = {"recipe": recipe, **_follow(loop, run.history, audit.line(loss), watch)}
    return run


def _follow(loop: Loop, history: list[dict[str, Any]], line: str, watch: Watch) -> Mapping[str, Any]:
    """Run the loop to its end, show it, and sum it up."""
    start, asked = time.perf_counter(), None
    with Bar(line, loop.settings.epochs, loop.objective.reports, visible=watch.bar) as bar, Interrupts() as interrupts:
        for epoch in loop.steps():
            bar.say(loop.notices)
            if epoch is not None:
                history.append(epoch.record)
                bar.show(epoch)
                watch.tell(epoch)
            asked = interrupts.asked or watch.spent(time.perf_counter() - start)
            if asked:
                loop.finish()
                break
    seconds = time.perf_counter() - start
    return {
        "epochs": len(history), "seconds": round(seconds, 3),
        "rows_per_second": round(len(loop.rows) * len(history) / seconds) if history else 0,
        "best": _best(history, loop.objective.reports), "stopped": asked or _why(loop),
    }  # fmt: skip


def _why(loop: Loop) -> str:
    if loop.epoch >= loop.settings.epochs:
        return "all epochs done"
    return f"no better validation bound for {loop.settings.patience} epochs"


def _best(history: Sequence[Mapping[str, Any]], reports: str) -> dict[str, Any] | None:
    """The epoch of the best held-out target, else the last one."""
    if not history:
        return None
    held = [line for line in history if "validation_target" in line]
    line = max(held, key=lambda line: float(line["validation_target"])) if held else history[-1]
    return {"epoch": line["epoch"], reports: line.get(f"validation_{reports}", line[f"train_{reports}"])}
