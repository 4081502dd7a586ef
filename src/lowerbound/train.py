"""``fit``: from data to a trained run."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lowerbound import audit, devices
from lowerbound.checkpoints import compare, differences
from lowerbound.config import Config, check_parts, dotted, override
from lowerbound.data import Data, load
from lowerbound.data.context import complete, separate
from lowerbound.data.known import KNOWN
from lowerbound.data.mapped import stays
from lowerbound.errors import BadOption, DiskError, Incompatible, RunError, unknown
from lowerbound.evaluation import reached
from lowerbound.initial import initialise
from lowerbound.interrupts import Interrupts
from lowerbound.keeper import EVERY, Keeper
from lowerbound.linear import fill_closed_form
from lowerbound.loop import Epoch, Loop, steps
from lowerbound.model import VAE, assemble
from lowerbound.objectives import Objective
from lowerbound.parts import build, file_digest, import_file
from lowerbound.progress import Bar
from lowerbound.randomness import scope
from lowerbound.ranks import PATIENCE, Ranks, together
from lowerbound.recipes import resolve as resolve_recipe
from lowerbound.run import Run, describe, refuse_existing
from lowerbound.run import open as open_run

__all__ = ["Watcher", "fit", "steps"]

Watcher = Callable[[Epoch], object]
RESUME = ("auto", "never")
FINISHED = "already finished: "  # how the reason begins why a run stopped of which nothing was left to do


@dataclass(frozen=True)
class Watch:
    """Who looks on: a bar, a function called after each epoch, and a clock.

    Args:
        progress: True for a bar on stderr, a function that ends training where it returns True, or False.
        budget: seconds after which training stops, or None.
    """

    progress: bool | Watcher = True
    budget: float | None = None

    @property
    def bar(self) -> bool:
        return self.progress is True

    def tell(self, epoch: Epoch) -> str | None:
        """Show an epoch to the function; the word for its wish to end there."""
        enough = callable(self.progress) and self.progress(epoch) is True
        return "ended by progress" if enough else None

    def spent(self, seconds: float) -> str | None:
        """The word for a budget that is used up."""
        return f"time budget of {self.budget:g} s spent" if self.budget is not None and seconds >= self.budget else None


def fit(
    data: Any, *, recipe: str | None = None, out: str | Path | None = None, seed: int = 0, config: Config | None = None,
    imports: Sequence[str | Path] = (), force: bool = False, resume: Literal["never", "auto"] = "never",
    init: Run | str | Path | None = None, go_on: bool = False, validation_data: Any = None,
    progress: bool | Watcher = True, time_budget: float | None = None, checkpoint_seconds: float = EVERY,
    download: bool = False, rank_timeout: float = PATIENCE, **overrides: Any,
) -> Run:  # fmt: skip
    """Train a model; started by torchrun, in several processes that share the rows of each batch.

    Args:
        data: a known name, a path, an array (rows, ...), a frame, ``Data``, or anything else that ``load`` reads.
        recipe: a row of ``lowerbound recipes``, ``vae`` when left out; beside a ``config`` only the name that is kept.
        out: folder to write the run to; None writes nothing.
        seed: everything random derives from it.
        config: a whole configuration instead of a recipe.
        imports: files with parts of your own.
        force: write over a run that is there.
        resume: ``auto`` goes on from the last checkpoint in ``out``, to the same bits as an unbroken run; where there
            is none it starts, and a run that was finished is left as it is.
        init: a run whose weights training starts from; its model must be of the same make.
        go_on: whether the optimiser goes on too from where ``init``, a run of this process, left it.
        validation_data: rows that decide when to stop, instead of a share of ``data``.
        progress: show a bar on stderr, or a function called after each epoch, which ends training where it returns
            True, or False.
        time_budget: seconds after which training stops and keeps what there is.
        checkpoint_seconds: between checkpoints, at least.
        download: whether a known set that is not on this machine may be fetched.
        rank_timeout: seconds after which one of several processes that does not answer is taken for lost.
        overrides: config keys, ``latent=8``, ``epochs=20``, ``objective="elbo:beta=4"``, ``train__rate=1e-3``.

    Returns:
        The run: model, configuration, history (nats per row) and split. Ctrl-C stops, and keeps what there is. Where
        the disk refuses to, training goes on, and ``summary["not_saved"]`` says why.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: data that cannot be used, naming file, row and column.
        OutputExists: the folder is there already.
        CheckpointMismatch: ``resume`` with another configuration than the checkpoint's.
        DataChanged: ``resume`` with other data.
        FolderLocked: another run writes to ``out``.
        DiskError: nothing can be written there.
        NotFinite: a loss that is NaN or infinite.
        RankLost: one of several processes ended, or does not answer.

    Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.

    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> run.summary["epochs"], run.model.latent
    (1, 2)
    """
    if resume not in RESUME:
        raise unknown("resume", resume, RESUME)
    if resume == "auto" and out is None:
        raise BadOption("nothing to resume", where="resume", found="no out", expected="the folder of the run")
    if not rank_timeout > 0:
        raise BadOption("no time to wait", where="rank_timeout", found=str(rank_timeout), expected="seconds above 0")
    goes_on = resume == "auto"
    for file in imports:
        import_file(file)
    base = config or resolve_recipe(recipe or "vae")
    chosen = override(base, {"seed": seed, **dotted(overrides)} if config is None or seed else dotted(overrides))
    with together(chosen.train.device, rank_timeout) as ranks:  # which refuses a device before data are read
        with ranks.agreed():
            folder = None if out is None or not ranks.first else refuse_existing(out, force or goes_on)
            if download and ranks.world > 1:
                raise BadOption(f"{ranks.world} processes would fetch the same files", where="download",
                                mend="Fetch them before, with: lowerbound data fetch NAME")  # fmt: skip
            source = _open(data, chosen, download)
            settled = _settle(chosen, _separate(source, chosen), foreign=bool(imports))
            split = _split(source, settled, validation_data is None)
            held_out = split.validation if validation_data is None else _open(validation_data, chosen, download)
            known = isinstance(data, str) and data in KNOWN
            run = Run(_model(settled, split, ranks.device), settled, {}, describe(split, known), {}, [], split)
            fingerprint = source.fingerprint if validation_data is None else _joined(source, held_out)
            identity = {**settled.as_dict(), **({"imports": sorted(map(file_digest, imports))} if imports else {})}
            weights = _weights(init, run) if ranks.first else None
            run.memory = _memory(init, go_on)
        _alike(ranks, identity, fingerprint)
        with Keeper(folder, identity, fingerprint, every=checkpoint_seconds, resume=goes_on, ranks=ranks) as keeper:
            watch = Watch(progress if ranks.first else False, time_budget)
            name = recipe or ("vae" if config is None else "config")
            idle = _train(run, held_out, weights, keeper, watch, name)
            if folder is not None:
                _leave(run, folder, imports, idle)
    return run


def _alike(ranks: Ranks, identity: Mapping[str, Any], fingerprint: str) -> None:
    """Refuse processes that were started with other settings or other data than the first."""
    config, rows = ranks.exchange([identity, fingerprint])[0]
    with ranks.agreed():
        compare({"config": config, "fingerprint": rows}, identity, fingerprint, where=f"rank {ranks.rank}")


def _joined(*sources: Data) -> str:
    """One fingerprint for several sets of rows."""
    return hashlib.sha256(" ".join(data.fingerprint for data in sources).encode()).hexdigest()


def _leave(run: Run, folder: Path, imports: Sequence[str | Path], idle: bool) -> None:
    """Write a run, unless there was nothing to do and it is there; what the disk refuses is said in the summary."""
    if idle and (there := _same(run, folder, imports)):
        reason = FINISHED + there.summary["stopped"]
        run.path, run.summary = folder, {**run.summary, **there.summary, "stopped": reason}
        return
    try:
        run.save(folder, force=True)
    except DiskError as error:
        run.summary["not_saved"] = str(error)


def _same(run: Run, folder: Path, imports: Sequence[str | Path]) -> Run | None:
    """The run in a folder, if it is this one."""
    try:
        there = open_run(folder, imports=imports)
    except (RunError, OSError, ValueError):
        return None
    weights, found = run.model.state_dict(), there.model.state_dict()
    same = weights.keys() == found.keys() and all(torch.equal(found[name], weights[name].cpu()) for name in weights)
    same = same and (there.config, there.history) == (run.config, run.history)
    return there if same and "not_saved" not in there.summary else None


def _open(data: Any, config: Config, download: bool) -> Data:
    if isinstance(data, Data):
        return data
    settings = config.data
    if isinstance(data, str) and data in KNOWN:
        return load(data, download=download, columns=settings.columns)
    return load(data, missing=settings.missing, query=settings.query or None, columns=settings.columns)


def _separate(source: Data, config: Config) -> Data:
    return separate(source, config.data.context, partial=config.model.classifier is not None)


def _split(source: Data, config: Config, validate: bool) -> Data:
    """The rows with their split, made before what they are conditioned on is taken off and measured."""
    settings = config.data
    whole = source.with_split(
        settings.validation if validate else 0, settings.test, config.seed, settings.split
    )  # fmt: skip
    data = _separate(whole, config)
    if data.conditions is None or data.context is None or data.split is None:
        return data
    return replace(data, conditions=data.conditions.measured(data.context[data.split.train]))


def _settle(config: Config, data: Data, foreign: bool) -> Config:
    """The configuration with nothing left to ``auto`` and every option written out, checked against the data."""
    named = replace(config, data=replace(config.data, name=data.source or data.name))
    settled = check_parts(audit.resolve(named, data), foreign=foreign)
    audit.check(settled, data)
    return settled


def _model(config: Config, data: Data, device: torch.device) -> VAE:
    model = assemble(audit.specification(config, data), seed=config.seed)
    return model.to(device, devices.storage(config.train.precision))


def _weights(init: Run | str | Path | None, run: Run) -> Mapping[str, torch.Tensor] | None:
    """The weights to start from."""
    if init is None:
        return None
    other = init if isinstance(init, Run) else open_run(init)
    changed = differences(other.model.spec, run.model.spec)
    if changed:
        both = "; ".join(f"{key} = {was} there, {now} here" for key, (was, now) in changed.items())
        raise Incompatible("the run to start from has another model", where=repr(other), found=both)
    return other.model.state_dict()


def _memory(init: Run | str | Path | None, go_on: bool) -> dict[str, torch.Tensor]:
    """What the optimiser starts with; nothing where it starts anew."""
    if not go_on:
        return {}
    if not isinstance(init, Run) or not init.memory:
        raise BadOption("no optimiser to go on with", where="go_on", found=f"init = {init!r}",
                        expected="a run that was trained in this process")  # fmt: skip
    return init.memory


def _train(
    run: Run, held_out: Data, weights: Mapping[str, torch.Tensor] | None, keeper: Keeper, watch: Watch, recipe: str
) -> bool:
    """Everything between an assembled model and a trained run; whether it was finished before."""
    config, data = run.config, run.rows(part="train", partial=True)
    weight = next(run.model.parameters())
    objective = _objective(config, run.model)
    run.loss = audit.loss(config, run.model, objective)
    rows = run.feed(data if objective.labels else complete(data), config.data.binarize)
    ranks = keeper.ranks
    with devices.threads(ranks.threads(config.train.threads)):
        initialise(run.model, rows, config.train, config.seed)
        if config.model.start == "closed_form":
            _refuse_large(data)
            fill_closed_form(run.model, torch.from_numpy(data.values(dtype=np.float64)).to(weight.device))
        if weights is not None:
            run.model.load_state_dict(dict(weights))
        outside = run.resident(run.rows(held_out), partial=objective.labels) if held_out.rows else None
        loop = Loop(run.model, objective, rows, config.train, seed=config.seed, held_out=outside, ranks=ranks)
        if run.memory:
            loop.optimiser.load(run.memory)
        resumed = keeper.resume(loop)
        idle = resumed is not None and loop.done
        run.summary = {"recipe": recipe, **_follow(loop, keeper, audit.line(run.loss), watch)}
        if resumed is not None:
            run.summary["resumed"] = resumed.step
    run.history, run.memory = keeper.history, loop.optimiser.tensors
    return idle


def _refuse_large(data: Data) -> None:
    if stays(data.x):
        raise BadOption("weights in closed form are made of all rows in memory", where="model.start", found=data.name,
                        mend="Set model.start = random, or give fewer rows.")  # fmt: skip


def _objective(config: Config, model: VAE) -> Objective:
    """The objective beside its model, with weights of its own, if it has some, from the seed."""
    weight = next(model.parameters())
    with scope(config.seed, "objective"):
        objective: Objective = build("objective", config.objective, {"latent": model.latent, "shape": model.shape})
    objective.accepts(model)
    return objective.to(weight.device, weight.dtype)


def _follow(loop: Loop, keeper: Keeper, line: str, watch: Watch) -> Mapping[str, Any]:
    """Run the loop to its end, show it, keep it, and sum it up."""
    start, asked, first, told = time.perf_counter(), None, len(keeper.history), None
    with Bar(line, loop.settings.epochs, loop.objective.reports, visible=watch.bar) as bar, Interrupts() as interrupts:
        while not (loop.done or asked):
            epoch = loop.advance()
            if epoch is not None:
                keeper.add(epoch, loop)
                bar.show(epoch)
                told = watch.tell(epoch)
            bar.say(loop.notices)
            asked = loop.ranks.agree(interrupts.asked or told or watch.spent(time.perf_counter() - start))
        keeper.save(loop)
        bar.say(loop.notices)
        loop.finish()
    seconds, epochs = time.perf_counter() - start, len(keeper.history) - first
    facts = {
        "epochs": len(keeper.history), "seconds": round(seconds, 3),
        "rows_per_second": round(len(loop.rows) * epochs / seconds) if epochs else 0,
        "best": _best(keeper.history, loop.objective.reports), "stopped": _why(loop) if loop.done else asked,
    }  # fmt: skip
    said: dict[str, Any] = {"notes": bar.said} if bar.said else {}
    aims = reached(loop.model, loop.objective, loop.rows, loop.seed, loop.ranks)
    said |= {"reached": aims} if aims else {}
    return {**facts, **said, **({} if keeper.failed is None else {"not_saved": keeper.failed})}


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
