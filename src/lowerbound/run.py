"""A run: a trained model with its configuration, history and data, and the folder it is kept in. No code, no pickle."""

import hashlib
import io
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from lowerbound import audit
from lowerbound.__about__ import __version__
from lowerbound.batches import Rows, mixed_rows
from lowerbound.config import Config
from lowerbound.data import Data, Split, load
from lowerbound.data.arrays import realigned
from lowerbound.data.columns import Schema
from lowerbound.data.conditions import LABEL, Conditions
from lowerbound.data.context import complete, conditioned
from lowerbound.data.door import is_table
from lowerbound.data.mapped import Lazy, stays
from lowerbound.errors import BadOption, DataChanged, DataError, DataShape, ForeignCode, OutputExists, RunError
from lowerbound.files import LOCK, TEMPORARY, make_folder, write_together
from lowerbound.model import VAE, assemble
from lowerbound.parts import FOREIGN, Part, file_digest, import_file

FORMAT = 1
MARKS = ("model.json", "history.jsonl", "checkpoints")  # what tells a run's folder, finished or not, from another


@dataclass
class Run:
    """What ``fit`` returns and ``open`` reads.

    Args:
        model: trained, in evaluation mode.
        config: effective; every choice left to ``auto`` is resolved.
        loss: what the loss is (the audit).
        facts: of the data: name, source, rows, shape, unit, fingerprint, columns, label names, split.
        summary: epochs, seconds, rows per second, best epoch, why it stopped.
        history: one record per epoch, in nats per row.
        data: the rows with their split, or None where they are not at hand.
        path: of the folder, or None.
        memory: of the optimiser, where training ended in this process; it is not kept in the folder.
    """

    model: VAE
    config: Config
    loss: dict[str, Any]
    facts: dict[str, Any]
    summary: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    data: Data | None = None
    path: Path | None = None
    memory: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        where = self.path or "in memory"
        return f"Run({self.facts['name']}, {self.summary['recipe']}, latent {self.model.latent}, {where})"

    def rows(self, source: Any = None, part: str = "test", *, partial: bool = False) -> Data:
        """Rows to use the model on: those given, or the recorded ones of ``train``, ``validation`` or ``test``.

        Recorded rows without the label that the model is conditioned on are left out, unless ``partial``.

        Raises:
            DataError: nothing was given and the run has no such rows at hand.
            DataChanged: the recorded source no longer holds the data of the run.
            DataShape: rows of another shape than the model's.
        """
        if source is None:
            return self._recorded(part, partial)
        data = self._read(source, partial)
        data = replace(data, unit=self.facts["unit"]) if data.x.dtype == np.uint8 and data.unit == 1.0 else data
        if data.shape != self.model.shape:
            raise DataShape(
                "rows of another shape", where=data.name, found=str(data.shape), expected=str(self.model.shape)
            )
        family = self.model.likelihood_family
        audit.check_rows(data, family.name, family.support, self.config.data.binarize)
        return data

    @property
    def schema(self) -> Schema | None:
        """What the columns of its table are; None for arrays and images."""
        found = self.facts.get("schema")
        return None if found is None else Schema.from_dict(found)

    @property
    def conditions(self) -> Conditions | None:
        """What it is conditioned on; None for nothing."""
        found = self.facts.get("context")
        return None if found is None else Conditions.from_dict(found)

    @property
    def told(self) -> list[float] | None:
        """The raw values of its conditions that it stands ``at``; None where it stands at none."""
        if self.model.fixed is None or self.conditions is None:
            return None
        return self.conditions.values(self.model.fixed.double().cpu().numpy())

    def at(self, given: Mapping[str, object]) -> "Run":
        """The run where what it is conditioned on is this: every task that makes rows makes them so.

        Rows that say otherwise are still encoded as what they are, so that their style alone is taken.

        Args:
            given: a value for each condition, ``{"label": 7}``.

        Raises:
            BadOption: not all of them, or the run is conditioned on nothing. UnknownName: a name or class not there.
        """
        conditions = self.conditions
        if conditions is None:
            raise BadOption("the run is conditioned on nothing", where="given", found=", ".join(given),
                            mend="Train with data.context = label, as the recipe 'cvae' does.")  # fmt: skip
        raw = conditions.raw(given)
        if len(raw) < len(conditions.members):
            raise BadOption("not all conditions are given", found=", ".join(given) or "none",
                            expected=", ".join(conditions.names))  # fmt: skip
        numbers = conditions.numbers(np.array([[raw[i] for i in range(len(raw))]]))[0]
        weight = next(self.model.parameters())
        return replace(self, model=self.model.at(torch.from_numpy(numbers).to(weight)))

    def _read(self, source: Any, partial: bool) -> Data:
        """Rows with what is known of them, as the run tells it apart."""
        conditions = self.conditions
        if conditions is None or (isinstance(source, Data) and source.conditions is not None):
            return self._table(source, self.schema)
        data = self._table(source, conditions.table)
        if data.labels is None and partial and conditions.names[0] == LABEL:
            data = replace(data, labels=np.full(data.rows, -1))
        unsaid = data.labels is None and self.model.fixed is not None and conditions.names == (LABEL,)
        return data if unsaid else conditioned(data, conditions, partial=partial)

    def _table(self, source: Any, schema: Schema | None) -> Data:
        """Rows with the numbers that the run's own table has for its categories."""
        missing = self.config.data.missing
        if not isinstance(source, Data):
            loaded = load(source, missing=missing, schema=schema if is_table(source) else None)
            known = None in (schema, loaded.schema) or loaded.schema == schema
            return loaded if known or schema is None else realigned(loaded, schema)
        if schema is None or source.schema == schema:
            return source
        return replace(source, schema=schema) if source.schema is None else realigned(source, schema)

    def resident(self, data: Data, dtype: torch.dtype | None = None, *, partial: bool = False) -> Rows:
        """Rows on the model's device, as evaluation sees them: what training binarised at random is binarised once.

        Args:
            data: from ``rows``.
            dtype: other than the model's.
            partial: whether labels that the model is conditioned on may be unknown.
        """
        how = self.config.data.binarize
        return self.feed(data if partial else complete(data), "fixed" if how == "sample" else how, dtype)

    def feed(self, data: Data, binarize: str, dtype: torch.dtype | None = None) -> Rows:
        """Rows on the model's device with their context."""
        weight = next(self.model.parameters())
        context: Any = data.context
        if context is not None and data.conditions is not None:
            numbers = data.conditions.numbers
            context = Lazy(context, turn=numbers) if stays(data.x) else numbers(context)
        row = data.x.dtype.itemsize * math.prod(data.shape)
        return Rows(
            data.x, unit=data.unit, mask=data.mask, labels=data.labels, context=context, binarize=binarize,
            seed=self.config.seed, mixed=mixed_rows(self.config.data.shuffle, row), device=weight.device,
            dtype=dtype or weight.dtype,
        )  # fmt: skip

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the run folder; its files appear once all of them are on the disk.

        Raises:
            OutputExists: there is something at the path, and ``force`` was not given.
            DiskError: it cannot be written; what was there is untouched.
        """
        folder = refuse_existing(path, force)
        make_folder(folder)
        write_together(folder, self.files())
        self.path = folder
        return folder

    def files(self) -> dict[str, bytes]:
        """What its folder holds: name -> contents, without code."""
        weights = safetensors.torch.save({name: value.contiguous() for name, value in self.model.state_dict().items()})
        facts = {
            "format": FORMAT, "spec": self.model.spec, "loss": self.loss, "data": self.facts, "summary": self.summary,
            "imports": foreign(self.model), "sha256": hashlib.sha256(weights).hexdigest(),
        }  # fmt: skip
        history = "".join(json.dumps(line) + "\n" for line in self.history)
        split = {} if self.data is None or self.data.split is None else {"split.npz": _packed(self.data.split)}
        texts = {
            "config.toml": self.config.to_toml(),
            "history.jsonl": history,
            "environment.json": _json(environment()),
        }
        written = {name: text.encode() for name, text in texts.items()}
        return {**written, **split, "model.safetensors": weights, "model.json": _json(facts).encode()}

    def _recorded(self, part: str, partial: bool) -> Data:
        if self.data is None:
            self.data = self._reload()
        if not self.facts["split"][part]:
            raise DataError(f"the run has no {part} rows", mend="Give the rows to use, or fit with a share set aside.")
        chosen: Data = getattr(self.data, part)
        known = np.zeros((chosen.rows, 0)) if partial or chosen.context is None else chosen.context
        gone = np.asarray(np.isnan(known).any(1))
        if not gone.any():
            return chosen
        if gone.all():
            raise DataError(f"no {part} row has a label, which the model is conditioned on",
                            mend="Give rows with labels.")  # fmt: skip
        return chosen.take(~gone)

    def _reload(self) -> Data:
        source = self.facts["source"]
        if not source:
            raise DataError(
                "the rows of this run are not at hand", found="data given in memory", mend="Give the rows to use."
            )
        settings = self.config.data
        if self.facts["known"]:
            data = load(source, columns=settings.columns)
        else:
            query = settings.query or None
            data = load(source, missing=settings.missing, query=query, columns=settings.columns)
        partial = self.config.model.classifier is not None
        data = data if (conditions := self.conditions) is None else conditioned(data, conditions, partial=partial)
        if data.fingerprint != self.facts["fingerprint"]:
            raise DataChanged(
                "the data are not those of the run",
                where=source,
                found=f"fingerprint {data.fingerprint[:12]}",
                expected=self.facts["fingerprint"][:12],
                mend="Give the rows to use.",
            )
        if self.path is None or not (self.path / "split.npz").is_file():
            raise RunError("the run's split is not there", where=str(self.path), expected="split.npz")
        with np.load(self.path / "split.npz", allow_pickle=False) as arrays:
            split = Split(
                arrays["train"], arrays["validation"], arrays["test"], self.facts["split"]["how"], self.config.seed
            )
        return replace(data, split=split)


def describe(data: Data, known: bool) -> dict[str, Any]:
    """What a run records of its data."""
    split = data.split or Split(np.arange(data.rows), np.arange(0), np.arange(0))
    counts = {part: len(getattr(split, part)) for part in ("train", "validation", "test")}
    return {
        "name": data.name, "source": data.source, "known": known, "rows": data.rows, "shape": list(data.shape),
        "unit": data.unit, "fingerprint": data.fingerprint, "columns": list(data.columns),
        "label_names": list(data.label_names), "missing": data.mask is not None, "split": {"how": split.how, **counts},
        **({} if data.schema is None else {"schema": data.schema.as_dict()}),
        **({} if data.conditions is None else {"context": data.conditions.as_dict()}),
    }  # fmt: skip


def open(path: str | Path, *, imports: Sequence[str | Path] = ()) -> Run:
    """Read a run folder.

    Args:
        path: of the folder.
        imports: files with parts that are not in the package; a run that uses them is opened with the same files only.

    Raises:
        RunError: not a run folder, damaged, or of a newer format.
        ForeignCode: a file of parts is not given, or is not the one the run was made with.

    >>> from tempfile import TemporaryDirectory
    >>> from lowerbound.train import fit
    >>> with TemporaryDirectory() as folder:
    ...     run = fit("digits", latent=2, epochs=1, out=f"{folder}/run", progress=False)
    ...     open(run.path).model.latent
    2
    """
    folder = Path(path)
    if not (folder / "model.json").is_file():
        raise RunError("not a run folder", where=str(folder), expected="a folder that `lowerbound fit --out` wrote")
    run = restore(lambda name: (folder / name).read_bytes(), folder, imports=imports)
    run.path = folder
    return run


def restore(read: Callable[[str], bytes], where: str | Path, *, imports: Sequence[str | Path] = ()) -> Run:
    """A run from what its folder holds, as ``Run.files`` gives it.

    Args:
        read: the contents of a file, by its name.
        where: they are from, for messages.
        imports: as of ``open``.

    Raises:
        RunError, ForeignCode: as of ``open``.
    """
    place = Path(where)
    facts = _read_json(read, place / "model.json")
    if facts.get("format", 0) > FORMAT:
        raise RunError(
            "of a newer format",
            where=str(place / "model.json"),
            found=str(facts["format"]),
            expected=f"at most {FORMAT}",
            mend="Upgrade lowerbound.",
        )
    _import(facts["imports"], imports)
    content = read("model.safetensors")
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise RunError(
            "the weights are damaged", where=str(place / "model.safetensors"), expected="the recorded SHA-256",
            mend="Restore a copy, or go on from the last checkpoint: fit with resume='auto'.",
        )  # fmt: skip
    weights = safetensors.torch.load(content)
    model = assemble(facts["spec"])
    dtype = next(weight.dtype for weight in weights.values() if weight.is_floating_point())
    model.to(dtype).load_state_dict(weights)
    config = Config.from_toml(read("config.toml"), str(place / "config.toml"))
    history = [json.loads(line) for line in read("history.jsonl").decode().splitlines()]
    return Run(model.eval(), config, facts["loss"], facts["data"], facts["summary"], history)


def foreign(model: VAE) -> list[dict[str, str]]:
    """Name and SHA-256 of every file outside the package that a model has parts of."""
    used = {FOREIGN[type(module)] for module in model.modules() if isinstance(module, Part) and type(module) in FOREIGN}
    return [{"file": name, "sha256": digest} for name, digest in sorted(used)]


def _import(needed: Sequence[Mapping[str, str]], given: Sequence[str | Path]) -> None:
    digests = {file_digest(path): path for path in given}
    for file in needed:
        if file["sha256"] not in digests:
            found = f"a file with another SHA-256 ({', '.join(map(str, given))})" if given else "no such file"
            raise ForeignCode(
                "the run uses parts from outside the package",
                found=found,
                expected=file["file"],
                mend=f"Give it, unchanged: --import {file['file']}",
            )
        import_file(digests[file["sha256"]])


def refuse_existing(path: str | Path, force: bool) -> Path:
    """The path, unless something is there that must not be overwritten."""
    path = Path(path)
    held = _held(path) if path.is_dir() else {path.name} if path.exists() else set()
    if held and not force:
        raise OutputExists("already there", where=str(path), mend="Choose another place, or overwrite it with force.")
    if held and path.is_dir() and not held & set(MARKS):
        raise OutputExists("a folder that is not a run", where=str(path), mend="Choose another place.")
    return path


def _held(folder: Path) -> set[str]:
    """What is in a folder, beside what a run that was broken off as it began may have left there."""
    return {path.name for path in folder.iterdir() if path.name != LOCK and not TEMPORARY.fullmatch(path.name)}


def _packed(split: Split) -> bytes:
    """The row numbers of a split, as npz."""
    file = io.BytesIO()
    np.savez_compressed(file, train=split.train, validation=split.validation, test=split.test)
    return file.getvalue()


def environment() -> dict[str, Any]:
    """Versions and machine, for those who want the same bits again."""
    return {
        "lowerbound": __version__, "python": platform.python_version(), "torch": str(torch.__version__),
        "numpy": np.__version__, "machine": platform.machine(), "threads": torch.get_num_threads(),
    }  # fmt: skip


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _read_json(read: Callable[[str], bytes], path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(read(path.name))
    except (ValueError, OSError) as error:
        raise RunError("cannot be read", where=str(path), found=str(error)) from None
    return facts
