"""Trials in processes of their own: one thread each, side by side; one that dies does not take the others along."""

import json
import math
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound import devices
from lowerbound.config import override
from lowerbound.data import Data, Split, load
from lowerbound.errors import LowerboundError, NotFinite
from lowerbound.files import write_whole
from lowerbound.interrupts import Interrupts
from lowerbound.recipes import resolve
from lowerbound.run import Run
from lowerbound.tasks.score import RELIABLE_ESS, score
from lowerbound.train import FINISHED, fit

RUN, MARK, SCORES = "run", "trial.json", "validation.npy"
ENDED = ("interrupted", "terminated")
LOOK = 0.2  # seconds between two looks at whether the sweep is to end
PATIENCE = 60.0  # seconds that trials get to write a checkpoint when the sweep is broken off

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """The rows of all trials with their one split; a worker reads them itself where they can be read again."""

    source: str
    settings: Mapping[str, Any]
    split: Split
    given: Data | None

    @classmethod
    def of(cls, data: Data, settings: Mapping[str, Any]) -> "Rows":
        """Of rows that have been split."""
        split: Any = data.split
        return cls(data.source, settings, split, None if data.source else data)

    def open(self) -> Data:
        """The rows."""
        if self.given is not None:
            return self.given
        return replace(load(self.source, **self.settings), split=self.split)


@dataclass(frozen=True)
class Trial:
    """One training: its folder, what it changes in the recipe, and how it is judged.

    Args:
        folder: of the run and of what came of it.
        recipe: its name.
        point: what the sweep varies, by path.
        seed: of the training.
        common: what is the same for all trials.
        samples: K of log p(x).
        fingerprint: of the data.
    """

    folder: Path
    recipe: str
    point: Mapping[str, Any]
    seed: int
    common: Mapping[str, Any]
    samples: int
    fingerprint: str
    fresh: bool = field(default=False, compare=False)

    @property
    def asked(self) -> Row:
        """What tells it from another trial."""
        return {"recipe": self.recipe, "point": dict(self.point), "seed": self.seed, "common": dict(self.common),
                "samples": self.samples, "data": self.fingerprint}  # fmt: skip

    def changes(self) -> dict[str, Any]:
        """All that is changed in the recipe; the rows are split, and there is one thread."""
        fixed = {"data.split": "given", "data.validation": 0.0, "data.test": 0.0, "train.threads": 1}
        return {**self.common, **self.point, **fixed}

    def check(self) -> None:
        """Refuse settings that the configuration does not take, before anything is trained."""
        override(resolve(self.recipe), self.changes(), where="sweep")

    def keep(self, row: Row) -> Row:
        """Write what came of it beside the run, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / MARK, json.dumps({"asked": self.asked, **row}, indent=1) + "\n")
        return row


def known(trial: Trial) -> tuple[Row | None, Row | None]:
    """What was asked of the trial that is in the folder, and what came of it."""
    try:
        row: Row = json.loads((trial.folder / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return None, None
    return row.pop("asked", None), row


def attempt(trial: Trial, data: Data) -> Row | None:
    """Train and judge; None where it was broken off, else ``state``, ``reason`` and what was reached."""
    try:
        run = fit(data, recipe=trial.recipe, seed=trial.seed, out=trial.folder / RUN, force=trial.fresh, progress=False,
                  resume="never" if trial.fresh else "auto", **trial.changes())  # fmt: skip
        if run.summary["stopped"] in ENDED:
            return None
        found = _judged(trial, run)
        if not math.isfinite(found["log_likelihood"]["mean"]):
            return failed("diverged", "log p(x) of the validation rows is not finite")
        return {"state": "done", "reason": "", **found}
    except NotFinite as error:
        return failed("diverged", str(error))
    except Exception as error:  # whatever it is, the other trials go on
        about = "" if isinstance(error, LowerboundError) else f"{type(error).__name__}: "
        return failed("failed", f"{about}{error}")


def failed(state: str, reason: str) -> Row:
    """What is kept of a trial that came to nothing."""
    return {"state": state, "reason": " ".join(reason.split()), "log_likelihood": None}


def _judged(trial: Trial, run: Run) -> Row:
    """log p(x) of the validation rows; its values are kept, since differences of trials are taken row by row."""
    scores = score(run, run.rows(part="validation"), samples=trial.samples)
    np.save(trial.folder / SCORES, scores.log_likelihood, allow_pickle=False)
    family, ess = run.model.likelihood_family, float(np.median(scores.ess))
    return {
        "log_likelihood": {"mean": scores.mean, "se": scores.mean_se, "samples": scores.samples, "ess_median": ess,
                           "reliable": ess >= min(RELIABLE_ESS, scores.samples)},
        "quantity": "probability" if family.discrete else "density", "binarize": run.config.data.binarize,
        "epochs": run.summary["epochs"], "seconds": run.summary["seconds"],
        "stopped": run.summary["stopped"].removeprefix(FINISHED),
    }  # fmt: skip


def serve(pipe: Connection, rows: Rows) -> None:
    """What a worker does: trials as they come, until there are no more."""
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt), devices.threads(1):
        data = rows.open()
        while True:
            trial: Trial = pipe.recv()
            row = attempt(trial, data)
            pipe.send(None if row is None else trial.keep(row))


@dataclass
class Worker:
    """A process, the pipe to it and the trial that it is at."""

    process: SpawnProcess
    pipe: Connection
    trial: Trial | None = None

    @classmethod
    def start(cls, rows: Rows) -> "Worker":
        """A new process."""
        context = get_context("spawn")  # a fork would inherit threads that hold locks
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, rows), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def give(self, trial: Trial) -> None:
        """Have it begin a trial; one whose process is gone is found out at the answer."""
        self.trial = trial
        with suppress(BrokenPipeError):
            self.pipe.send(trial)

    def answer(self) -> Row | None:
        """What came of the trial; None where it was broken off. Its process may have died of it."""
        try:
            found: Row | None = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            found = failed("died", _cause(self.process.exitcode or 0))
        return found

    def stop(self, deadline: float = PATIENCE) -> None:
        """End the process; a trial that is under way writes a checkpoint first."""
        self.pipe.close()
        if self.trial is not None:
            self.process.terminate()
        self.process.join(deadline)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_all(
    trials: Callable[[], Trial | None], rows: Rows, workers: int, tell: Callable[[Trial, Row], None]
) -> None:  # fmt: skip
    """Run trials side by side until there are no more.

    Args:
        trials: the next one; None: none at the moment, and none at all if none is under way.
        rows: of all of them.
        workers: processes at a time.
        tell: called with each trial and what came of it.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; what is under way is left so that it can go on.
    """
    crew: list[Worker] = []
    try:
        with Interrupts() as interrupts:
            while True:
                _employ(crew, trials, rows, workers)
                busy = [worker for worker in crew if worker.trial is not None]
                if not busy:
                    return
                for worker, trial, row in _answers(busy):
                    if not interrupts.asked:
                        tell(trial, _noted(crew, worker, trial, row))
                if interrupts.asked:
                    raise KeyboardInterrupt
    finally:
        for worker in crew:
            if worker.trial is not None:
                worker.process.terminate()  # all at once, then wait for each
        for worker in crew:
            worker.stop()


def _noted(crew: list[Worker], worker: Worker, trial: Trial, row: Row | None) -> Row:
    """What came of a trial, its worker free or gone; a trial that nobody but its process was told to end has died."""
    worker.trial = None
    if row is not None and row["state"] == "died":
        crew.remove(worker)
    died = failed("died", "its process was told to end") if row is None else row
    return trial.keep(died) if died["state"] == "died" else died


def _employ(crew: list[Worker], trials: Callable[[], Trial | None], rows: Rows, workers: int) -> None:
    """Give every idle worker a trial; start workers while there are trials for them."""
    idle = [worker for worker in crew if worker.trial is None]
    while idle or len(crew) < workers:
        trial = trials()
        if trial is None:
            return
        if not idle:
            crew.append(Worker.start(rows))
        (idle.pop() if idle else crew[-1]).give(trial)


def _answers(busy: list[Worker]) -> Iterator[tuple[Worker, Trial, Row | None]]:
    """Workers that have an answer, or are gone, with their trials."""
    ready = wait([worker.pipe for worker in busy], LOOK)
    for worker in busy:
        if worker.pipe in ready and worker.trial is not None:
            yield worker, worker.trial, worker.answer()


def _cause(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"its process was killed ({name}); out of memory, if nobody did it"
