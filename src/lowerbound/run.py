"""A run: a trained model with its configuration, history and data, and the folder it is kept in. No code, no pickle."""

import hashlib
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from lowerbound import audit
from lowerbound.__about__ import __version__
from lowerbound.batches import Rows
from lowerbound.config import Config
from lowerbound.data import Data, Split, load
from lowerbound.data.check import check_values
from lowerbound.errors import DataChanged, DataError, DataShape, ForeignCode, OutputExists, RunError
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
    """

    model: VAE
    config: Config
    loss: dict[str, Any]
    facts: dict[str, Any]
    summary: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    data: Data | None = None
    path: Path | None = None

    def __repr__(self) -> str:
        where = self.path or "in memory"
        return f"Run({self.facts['name']}, {self.summary['recipe']}, latent {self.model.latent}, {where})"

    def rows(self, source: Any = None, part: str = "test") -> Data:
        """Rows to use the model on: those given, or the recorded ones of ``train``, ``validation`` or ``test``.

        Raises:
            DataError: nothing was given and the run has no such rows at hand.
            DataChanged: the recorded source no longer holds the data of the run.
            DataShape: rows of another shape than the model's.
        """
        if source is None:
            return self._recorded(part)
        data = source if isinstance(source, Data) else load(source, missing=self.config.data.missing)
        data = replace(data, unit=self.facts["unit"]) if data.x.dtype == np.uint8 and data.unit == 1.0 else data
        if data.shape != self.model.shape:
            raise DataShape(
                "rows of another shape", where=data.name, found=str(data.shape), expected=str(self.model.shape)
            )
        family = self.model.likelihood_family
        check_values(data, family.name, family.support, binarize=self.config.data.binarize, supports=audit.supports())
        return data

    def resident(self, data: Data, dtype: torch.dtype | None = None) -> Rows:
        """Rows on the model's device, as evaluation sees them: what training binarised at random is binarised once."""
        weight = next(self.model.parameters())
        how = self.config.data.binarize
        return Rows(
            data.x, unit=data.unit, mask=data.mask, labels=data.labels, binarize="fixed" if how == "sample" else how,
            seed=self.config.seed, device=weight.device, dtype=dtype or weight.dtype,
        )  # fmt: skip

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the run folder; its files appear once all of them are on the disk.

        Raises:
            OutputExists: there is something at the path, and ``force`` was not given.
            DiskError: it cannot be written; what was there is untouched.
        """
        folder = refuse_existing(path, force)
        make_folder(folder)
        weights = safetensors.torch.save({name: value.contiguous() for name, value in self.model.state_dict().items()})
        facts = {
            "format": FORMAT, "spec": self.model.spec, "loss": self.loss, "data": self.facts, "summary": self.summary,
            "imports": foreign(self.model), "sha256": hashlib.sha256(weights).hexdigest(),
        }  # fmt: skip
        history = "".join(json.dumps(line) + "\n" for line in self.history)
        split = {} if self.data is None or self.data.split is None else {"split.npz": _packed(self.data.split)}
        write_together(folder, {
            "config.toml": self.config.to_toml(), "history.jsonl": history, "environment.json": _json(environment()),
            **split, "model.safetensors": weights, "model.json": _json(facts),
        })  # fmt: skip
        self.path = folder
        return folder

    def _recorded(self, part: str) -> Data:
        if self.data is None:
            self.data = self._reload()
        if not self.facts["split"][part]:
            raise DataError(f"the run has no {part} rows", mend="Give the rows to use, or fit with a share set aside.")
        chosen: Data = getattr(self.data, part)
        return chosen

    def _reload(self) -> Data:
        source = self.facts["source"]
        if not source:
            raise DataError(
                "the rows of this run are not at hand", found="data given in memory", mend="Give the rows to use."
            )
        data = load(source) if self.facts["known"] else load(source, missing=self.config.data.missing)
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
    facts = _read_json(folder / "model.json")
    if facts.get("format", 0) > FORMAT:
        raise RunError(
            "of a newer format",
            where=str(folder / "model.json"),
            found=str(facts["format"]),
            expected=f"at most {FORMAT}",
            mend="Upgrade lowerbound.",
        )
    _import(facts["imports"], imports)
    content = (folder / "model.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise RunError(
            "the weights are damaged", where=str(folder / "model.safetensors"), expected="the recorded SHA-256",
            mend="Restore a copy, or go on from the last checkpoint: fit with resume='auto'.",
        )  # fmt: skip
    weights = safetensors.torch.load(content)
    model = assemble(facts["spec"])
    model.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    config = Config.from_toml((folder / "config.toml").read_bytes(), str(folder / "config.toml"))
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text("utf-8").splitlines()]
    return Run(model.eval(), config, facts["loss"], facts["data"], facts["summary"], history, None, folder)


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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise RunError("cannot be read", where=str(path), found=str(error)) from None
    return facts
