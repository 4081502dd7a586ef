"""Several recipes and seeds on one split: one table, one picture, what each reaches and how much the seed decides."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lowerbound.__about__ import __version__
from lowerbound.config import Config, dotted, full_path, override, parse_value
from lowerbound.data import Data, load
from lowerbound.data.known import KNOWN
from lowerbound.errors import BadOption, DataError, LowerboundError, unknown
from lowerbound.files import write_whole
from lowerbound.markup import finite
from lowerbound.measures.disentanglement import LABELS, udr
from lowerbound.recipes import recipe as recipe_of
from lowerbound.recipes import resolve
from lowerbound.run import Run
from lowerbound.tasks.baselines import Reference
from lowerbound.tasks.comparison import Comparison, Row, notes, summary
from lowerbound.tasks.disentangle import disentangle
from lowerbound.tasks.evaluate import evaluate
from lowerbound.tasks.geometry import geometry
from lowerbound.tasks.latent import encode
from lowerbound.tasks.plane import plane
from lowerbound.train import FINISHED, Watcher, fit

RECIPES = ("pca", "ae", "dae", "vae", "beta-vae")
KEPT = ("data", "model.latent", "seed", "train.device", "train.precision", "train.threads")
"""What also holds for a recipe in closed form; the rest is about training."""
ENDED = ("interrupted", "terminated")
UNSAFE = re.compile(r"[^\w.+=-]+")  # in names of folders


def compare(
    data: Any, recipes: Sequence[str] = RECIPES, *, seeds: int | Sequence[int] = 3, out: str | Path | None = None,
    samples: int = 1000, measures: Sequence[str] = (), force: bool = False, progress: bool | Watcher = True,
    download: bool = False, **overrides: Any,
) -> Comparison:  # fmt: skip
    """Compare recipes over seeds on one split of the data.

    Args:
        data: as ``fit`` takes it.
        recipes: names of recipes, each with settings of its own if need be: ``beta-vae:objective.beta=8``.
        seeds: how many, counted from ``seed``, or which.
        out: folder for the table, the picture and the runs (``runs/RECIPE-SEED``); runs that are finished there are
            used as they are, so that a comparison that was broken off goes on. None keeps all in memory.
        samples: K of log p(x).
        measures: of disentanglement, ``mig`` and others of ``disentangle``, on all rows; they need factors. With two
            seeds or more also ``udr``, which needs none of them.
        force: train again what is there with other settings.
        progress: of ``fit``.
        download: whether a known set that is not on this machine may be fetched.
        overrides: config keys for all recipes, as of ``fit``. Those about training and nets leave recipes in closed
            form alone.

    Returns:
        Rows with the keys of ``evaluate``, and per recipe median and quartiles over the seeds of every measure. ``log
        p(x)`` of a density and of a probability are not compared; the notes say so where both occur.

    Raises:
        ConfigError: an unknown recipe or a setting that cannot be used.
        CheckpointMismatch: ``out`` holds a run of that name with other settings.
        DataError: data that cannot be used, or no test rows.

    >>> found = compare("digits", ["pca", "vae"], seeds=1, samples=4, latent=2, epochs=1, progress=False).as_dict()
    >>> [(row["recipe"], row["seed"], row["quantity"]) for row in found["rows"]]
    [('pca', 0, 'density'), ('vae', 0, 'density')]
    """
    for name in recipes:
        variant(name)
    changes = {full_path(path): value for path, value in dotted(overrides).items()}
    first = int(changes.pop("seed", 0))
    numbers = list(range(first, first + seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not numbers or not recipes or len({*recipes}) < len(recipes) or len({*numbers}) < len(numbers):
        found = f"{len(recipes)} recipes, seeds {numbers}"
        raise BadOption("nothing to compare", where="compare", found=found, expected="names and seeds, each once")
    rows = one_split(data, changes, numbers[0], download)
    _check_measures(measures, rows)
    bench = _Bench(rows, changes, None if out is None else Path(out), samples, tuple(measures), force, progress)
    done, maps = [], []
    for name in recipes:
        codes = []
        for seed in numbers:
            run = bench.run(name, seed)
            done.append(bench.row(run, name, seed))
            codes += [encode(run, rows)] if measures and len(numbers) > 1 else []
            if seed == numbers[0]:
                maps += plane(Reference(run), name, done[-1]["geometry"])
        _agreement(done[len(done) - len(codes) :], codes)
    made = Comparison(_facts(rows, done), tuple(maps))
    if out is not None:
        made.facts["notes"].extend(made.save(out))
    return made


@dataclass(frozen=True)
class _Bench:
    """The one split, and how each recipe is trained and judged on it."""

    data: Data
    changes: Mapping[str, Any]
    out: Path | None
    samples: int
    measures: tuple[str, ...]
    force: bool
    progress: bool | Watcher

    def run(self, recipe: str, seed: int) -> Run:
        """The trained run: a new one, or the one that is there."""
        recipe, own = variant(label := recipe)
        closed = resolve(recipe).model.start == "closed_form"
        changes = {path: value for path, value in self.changes.items() if not closed or path.startswith(KEPT)}
        given = {"data.split": "given", "data.validation": 0.0, "data.test": 0.0}
        folder = None if self.out is None else self.out / "runs" / f"{UNSAFE.sub('-', label)}-{seed}"
        there: dict[str, Any] = {"resume": "never" if self.force else "auto", "force": self.force} if folder else {}
        made = fit(self.data, recipe=recipe, seed=seed, out=folder, progress=self.progress,
                   **there, **{**changes, **own, **given})  # fmt: skip
        if made.summary["stopped"] in ENDED:
            raise KeyboardInterrupt  # what is trained stays; the next call goes on from there
        return made

    def row(self, run: Run, recipe: str, seed: int) -> Row:
        """What the run reaches, from its folder if it was judged so before."""
        asked = {
            "samples": self.samples,
            "measures": list(self.measures),
            "version": __version__,
            "weights": _digest(run),
        }
        file = None if run.path is None else run.path / "comparison.json"
        if file is not None and file.is_file():
            known = json.loads(file.read_text("utf-8"))
            if known["asked"] == asked:
                row: Row = known["row"]
                return row
        row = self._judged(run, recipe, seed)
        if file is not None:
            write_whole(file, json.dumps({"asked": asked, "row": finite(row)}, default=str) + "\n")
        return row

    def _judged(self, run: Run, recipe: str, seed: int) -> Row:
        summary = run.summary
        stopped = summary["stopped"].removeprefix(FINISHED)
        about = {"recipe": recipe, "seed": seed, "seconds": summary["seconds"], "epochs": summary["epochs"],
                 "stopped": stopped, "run": None if run.path is None else str(run.path)}  # fmt: skip
        try:
            between = geometry(Reference(run), seed=0)
        except LowerboundError:  # cells are missing, or there are too few rows
            between = None
        found: Row = {**about, **evaluate(run, samples=self.samples).as_dict(), "geometry": between}
        if self.measures:
            seen = disentangle(run, self.data, measures=self.measures, paths=False)
            found["disentanglement"] = {name: score.as_dict() for name, score in seen.measures.items()}
        return found


def variant(written: str) -> tuple[str, dict[str, Any]]:
    """The recipe and the settings of ``NAME:KEY=VALUE:KEY=VALUE``.

    >>> variant("beta-vae:objective.beta=8")
    ('beta-vae', {'objective.beta': 8})

    Raises:
        UnknownName: no such recipe. BadOption: not a setting.
    """
    name, *settings = written.split(":")
    recipe_of(name)
    found = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path:
            expected = "NAME:KEY=VALUE, as beta-vae:objective.beta=8"
            raise BadOption("not a setting", where=written, found=repr(setting), expected=expected)
        found[full_path(path)] = parse_value(value, written)
    return name, found


def one_split(data: Any, changes: dict[str, Any], seed: int, download: bool) -> Data:
    """The rows with the one split; the settings that made it are taken out of the changes."""
    wanted = override(resolve("vae"), {path: value for path, value in changes.items() if path.startswith("data.")})
    named = isinstance(data, str) and data in KNOWN
    if not isinstance(data, Data):
        data = load(data, download=download and named, **reading(wanted))
    for path in ("data.split", "data.validation", "data.test"):
        changes.pop(path, None)
    how = None if wanted.data.split == "auto" else wanted.data.split
    rows: Data = data.with_split(wanted.data.validation, wanted.data.test, seed, how)
    split: Any = rows.split
    return replace(rows, split=replace(split, how="given"))


def reading(config: Config) -> dict[str, Any]:
    """What ``load`` is told of how rows are read."""
    return {"missing": config.data.missing, "query": config.data.query or None, "columns": config.data.columns}


def _check_measures(measures: Sequence[str], data: Data) -> None:
    """Before hours of training, not after."""
    for name in measures:
        if name not in LABELS:
            raise unknown("measure", name, LABELS)
    if measures and data.factors is None:
        raise DataError("the rows have no factors", where=data.name, expected="factors, as dsprites-grid has")


def _agreement(rows: Sequence[Row], codes: Sequence[Any]) -> None:
    """Write into rows of one recipe how far each run agrees with those of the other seeds."""
    if len(codes) > 1:
        kl = [row["kl"] and row["kl"].get("per_dimension") for row in rows]
        for row, score in zip(rows, udr(codes, None if None in kl else kl), strict=True):
            row["disentanglement"]["udr"] = score.as_dict()


def _digest(run: Run) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(run.model.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _facts(data: Data, rows: list[Row]) -> dict[str, Any]:
    split: Any = data.split
    counts = {part: len(getattr(split, part)) for part in ("train", "validation", "test")}
    seeds = len({row["seed"] for row in rows})
    title = f"{data.name}: {counts['test']} test rows, {seeds} seed{'s' * (seeds > 1)}"
    about = {"name": data.name, "fingerprint": data.fingerprint, "split": counts}
    return {"title": title, "data": about, "rows": rows, "summary": summary(rows), "notes": list(notes(rows))}
