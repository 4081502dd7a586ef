"""Settings tried side by side in processes of one thread, the best chosen by held-out log-likelihood."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lowerbound.config import dotted, full_path, override
from lowerbound.data import Data
from lowerbound.errors import BadOption, CheckpointMismatch, unknown
from lowerbound.files import Lock, make_folder
from lowerbound.recipes import resolve
from lowerbound.tasks.choosing import Row, Sweep, chosen, comparable, name_of, notes, ranked, shown
from lowerbound.tasks.compare import UNSAFE, one_split, reading
from lowerbound.tasks.searching import Grid, Optuna, Point, Range, Search, axis
from lowerbound.tasks.trials import RUN, SCORES, Rows, Trial, known, run_all

SEARCHES = ("grid", "optuna")
SHARED = ("data.name", "data.query", "data.columns", "data.missing", "data.split", "data.validation", "data.test",
          "seed", "train.threads")  # fmt: skip
"""What is one thing for all trials: which rows there are and how they are set aside, and how many threads there are."""
LONGEST = 80  # letters in the name of a trial's folder

Told = Callable[[Row, int, int | None], None]
"""Called with a trial that has ended, how many have, and how many there are if that is known."""


def sweep(
    data: Any, over: Mapping[str, Sequence[Any] | Range] | Sequence[str], *, out: str | Path,
    seeds: int | Sequence[int] = 1, recipe: str = "vae", search: Literal["grid", "optuna"] = "grid",
    trials: int | None = None, workers: int | None = None, samples: int = 200, retry: bool = False, force: bool = False,
    progress: Told | None = None, download: bool = False, **overrides: Any,
) -> Sweep:  # fmt: skip
    """Train a recipe with many settings, and choose by the log-likelihood of the validation rows.

    Every trial is a training in a process of its own with one thread, and a run folder like any other. One that
    diverges, fails or is killed is recorded with its reason, and the others go on. What is there already is used as it
    is, and what was broken off goes on from its checkpoint, to the same bits. Processes are spawned: a script that
    calls this needs ``if __name__ == "__main__"``.

    Args:
        data: as ``fit`` takes it.
        over: path or short name of a setting -> values, or `Range`; or texts, as ``latent=2,5,10``.
        out: folder: ``trials/NAME/run`` (the runs, each with a ``trial.json`` beside it), and the table as csv, md,
            json and png.
        seeds: how many, counted from ``seed``, or which.
        recipe: its name.
        search: ``grid``: all combinations. ``optuna``: so many points as ``trials`` says, each where those before it
            were good; with several processes not the same ones at every call.
        trials: points of optuna.
        workers: processes side by side; the cores there are when left out.
        samples: K of log p(x).
        retry: train again what failed, diverged or was killed.
        force: train again what is there with other settings.
        progress: called with every trial that has ended.
        download: whether a known set that is not on this machine may be fetched.
        overrides: config keys that are the same for all trials, as of ``fit``.

    Returns:
        Trials and points with log p(x) of the validation rows (nats), the best, and what is not told apart from it.

    Raises:
        ConfigError: a setting or an axis that cannot be used. DataError: data that cannot be used, or no validation
        rows. CheckpointMismatch: ``out`` holds a trial of that name with other settings. FolderLocked: another sweep
        writes there. MissingExtra: optuna is not installed.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     found = sweep("digits", {"latent": [1, 2]}, out=folder, samples=4, workers=1, epochs=1)
    >>> [(row["point"], row["state"]) for row in found.as_dict()["rows"]]
    [({'model.latent': 1}, 'done'), ({'model.latent': 2}, 'done')]
    """
    if search not in SEARCHES:
        raise unknown("search", search, SEARCHES)
    workers = cores() if workers is None else workers
    if min(workers, samples) < 1:
        raise BadOption("not a number", where="workers, samples", found=f"{workers}, {samples}", expected="1 or more")
    changes = {full_path(path): value for path, value in dotted(overrides).items()}
    first = int(changes.pop("seed", 0))
    numbers = list(range(first, first + seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    space = _space(over, changes)
    if not numbers or len({*numbers}) < len(numbers) or (search == "grid") != (trials is None):
        raise BadOption("nothing to sweep", where="sweep", found=f"seeds {numbers}, {search}, trials {trials}",
                        expected="seeds, each once; trials for optuna, and for it alone")  # fmt: skip
    how = reading(override(resolve(recipe), {path: value for path, value in changes.items() if path in SHARED}))
    rows = one_split(data, changes, numbers[0], download)
    if rows.split is None or not len(rows.split.validation):
        raise BadOption("nothing to choose by", where="data.validation", found="no validation rows",
                        expected="a share of the rows, 0.1")  # fmt: skip
    make_folder(out)
    with Lock(out):
        asked = _Asked(Path(out), recipe, changes, numbers, samples, rows.fingerprint, retry, force)
        plan = _Plan(asked, _search(search, space, trials, numbers[0], asked), progress)
        broken = True
        try:
            run_all(plan.next, Rows.of(rows, how), workers, plan.ended)
            broken = False
        finally:
            made = _summed(rows, list(space), plan.in_order(), broken)
            made.facts["notes"].extend(made.save(out))  # of what there is, however it ended
    return made


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _space(over: Mapping[str, Any] | Sequence[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The axes by full path."""
    pairs = over.items() if isinstance(over, Mapping) else map(axis, [over] if isinstance(over, str) else over)
    full = [(full_path(path.replace("__", ".")), values) for path, values in pairs]
    space = dict(full)
    for path in space:
        if path in SHARED or path in changes:
            why = "is also given for all trials" if path in changes else "is the same for all trials"
            raise BadOption(f"'{path}' {why}", where="over", expected="another setting; seeds by seeds")
    if not space or len(space) < len(full):
        raise BadOption("not what to sweep over", where="over", found=str([path for path, _ in full]),
                        expected="settings, each once")  # fmt: skip
    return space


@dataclass(frozen=True)
class _Asked:
    """What all trials of a sweep have in common."""

    out: Path
    recipe: str
    changes: Mapping[str, Any]
    seeds: Sequence[int]
    samples: int
    fingerprint: str
    retry: bool
    force: bool

    def trial(self, point: Point, seed: int, fresh: bool = False) -> Trial:
        name = UNSAFE.sub("-", f"{name_of(point)}-seed-{seed}")
        rounded = any(isinstance(value, float) and float(shown(value)) != value for value in point.values())
        if rounded or len(name) > LONGEST:
            digest = hashlib.sha256(json.dumps([point, seed]).encode()).hexdigest()
            name = f"{name[: LONGEST - 9]}-{digest[:8]}"
        return Trial(self.out / "trials" / name, self.recipe, point, seed, self.changes, self.samples,
                     self.fingerprint, fresh)  # fmt: skip

    def there(self) -> list[Point]:
        """Points of which trials are in the folder, asked for as now."""
        found = []
        for folder in sorted((self.out / "trials").glob("*")):
            asked, _ = known(Trial(folder, self.recipe, {}, 0, {}, self.samples, ""))
            if asked is not None and asked == self.trial(asked["point"], asked["seed"]).asked:
                found.append(asked["point"])
        return [point for i, point in enumerate(found) if point not in found[:i]]


@dataclass
class _Plan:
    """Which trial comes next, and what came of those that have ended."""

    asked: _Asked
    search: Search
    progress: Told | None
    waiting: list[Trial] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def in_order(self) -> list[Row]:
        """The trials that have ended, in the order they came in."""
        return sorted(self.rows, key=lambda row: self.order.index(row["run"]))

    def next(self) -> Trial | None:
        """A trial that is not done, with a note in its folder that it has begun."""
        while True:
            while self.waiting:
                trial = self.waiting.pop(0)
                ready, row = self._found(trial)
                if row is None:
                    ready.keep({"state": "begun", "reason": "", "log_likelihood": None})
                    return ready
                self.ended(trial, row)
            point = self.search.ask()
            if point is None:
                return None
            if point in self.points:
                self.search.tell(point, self._reached(point))  # optuna may ask for a point again
                continue
            self.points.append(point)
            self.waiting = [self.asked.trial(point, seed) for seed in self.asked.seeds]
            self.order += [str(trial.folder / RUN) for trial in self.waiting]

    def ended(self, trial: Trial, row: Row) -> None:
        """Take note of a trial; of its point once all seeds are there."""
        made = {"point": dict(trial.point), "seed": trial.seed, "run": str(trial.folder / RUN), **row}
        self.rows.append(made)
        if sum(each["point"] == made["point"] for each in self.rows) == len(self.asked.seeds):
            self.search.tell(made["point"], self._reached(made["point"]))
        if self.progress is not None:
            points = getattr(self.search, "points", None)
            self.progress(made, len(self.rows), None if points is None else len(points) * len(self.asked.seeds))

    def _reached(self, point: Point) -> float | None:
        """The mean over the seeds that came to something."""
        found = [row["log_likelihood"] for row in self.rows if row["point"] == point]
        values = [each["mean"] for each in found if each is not None]
        return float(np.mean(values)) if values else None

    def _found(self, trial: Trial) -> tuple[Trial, Row | None]:
        """The trial, and what came of it before if it need not be trained again."""
        trial.check()
        asked, row = known(trial)
        if row is None:
            return trial, None
        if asked != json.loads(json.dumps(trial.asked)):
            if self.asked.force:
                return self.asked.trial(dict(trial.point), trial.seed, fresh=True), None
            raise CheckpointMismatch("a trial of that name is there with other settings", where=str(trial.folder),
                                     mend="Choose another folder, or train it again with force.")  # fmt: skip
        again = row["state"] == "begun" or (self.asked.retry and row["state"] != "done")
        return trial, None if again else row


def _search(kind: str, space: Mapping[str, Any], trials: int | None, seed: int, asked: _Asked) -> Search:
    """Where points come from; a grid is checked whole before anything is trained."""
    if kind == "optuna":
        return Optuna(space, trials or 0, seed, asked.there())
    grid = Grid(space)
    for point in grid:
        asked.trial(point, asked.seeds[0]).check()
    return grid


def _summed(data: Data, over: list[str], rows: list[Row], broken: bool) -> Sweep:
    """The trials that have ended, ranked."""
    scores = {row["run"]: np.load(Path(row["run"]).parent / SCORES, allow_pickle=False) for row in rows
              if row["log_likelihood"] is not None}  # fmt: skip
    points = ranked(rows, scores)
    best = chosen(points) if comparable(rows) else None
    split: Any = data.split
    counts = {part: len(getattr(split, part)) for part in ("train", "validation", "test")}
    said = ["broken off: the same command goes on from here"] if broken else []
    title = f"{data.name}: {len(rows)} trials of {len(points)} points, {counts['validation']} validation rows"
    about = {"name": data.name, "fingerprint": data.fingerprint, "split": counts}
    return Sweep({"title": title, "data": about, "over": over, "rows": rows, "points": points, "best": best,
                  "notes": [*said, *notes(rows, points, best)]})  # fmt: skip
