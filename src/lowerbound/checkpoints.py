"""Checkpoints of a training run: one folder a step, whole or not there, and never wrong in silence. No pickle."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from lowerbound import files
from lowerbound.errors import (
    CheckpointDamaged,
    CheckpointMismatch,
    CheckpointNotSaved,
    DataChanged,
    DiskError,
    OutputExists,
    RunError,
)

FORMAT = 1
STATE, ENDING = "state.json", ".safetensors"
STEP = re.compile(r"step-(\d{8,15})")
ROOM = 1.2  # times what is to be written

Tensors = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Args:
        step: training step after which it was written.
        path: its folder.
        tensors: group to name to tensor, on the CPU.
        state: everything else, as JSON gives it back: tuples are lists, keys are texts.
        damaged: one line for each newer checkpoint that could not be used.
    """

    step: int
    path: Path
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    damaged: tuple[str, ...] = ()


class Store:
    """The checkpoints in a folder. One process writes there at a time: hold ``files.Lock`` of the run.

    Args:
        folder: made when the first checkpoint is written.
        keep: how many to keep.

    Raises:
        OutputExists: the folder is a link that leads out of the run.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = Store(Path(folder))
    ...     for step in (10, 20, 30):
    ...         path = store.save(step, {"model": {"w": torch.full((2,), float(step))}}, {"epoch": step // 10})
    ...     [found.name for found in store.paths()], store.latest().state, store.latest().tensors["model"]["w"]
    (['step-00000020', 'step-00000030'], {'epoch': 3}, tensor([30., 30.]))
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        self.folder, self.keep = files.inside(folder), keep

    def paths(self) -> list[Path]:
        """The folders of all checkpoints, oldest first, whatever they are worth."""
        found = [path for path in self.folder.glob("step-*") if STEP.fullmatch(path.name)]
        return sorted((path for path in found if path.is_dir() and not path.is_symlink()), key=_step)

    def save(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are too many.

        Args:
            step: training steps done; of a checkpoint that is there already, it is replaced.
            tensors: group to name to tensor; each group is a file.
            state: everything else, plain values that JSON can hold.

        Raises:
            CheckpointNotSaved: no room, or the disk failed; the checkpoints before are untouched.
        """
        content = json.dumps({"format": FORMAT, "step": step, "state": state}, indent=1) + "\n"
        contents = {f"{group}{ENDING}": partial(_write_tensors, table) for group, table in tensors.items()}
        path = self._path(step)
        files.purge_temporaries(self.folder, own=True)
        self._check_room(path, tensors)
        try:
            files.write_folder(self.folder, path.name, {**contents, STATE: content})
        except (DiskError, OutputExists) as error:
            raise CheckpointNotSaved("the checkpoint was not saved", where=str(path), found=error.found or error.what,
                                     mend=error.mend) from error  # fmt: skip
        if faults := files.verify(path):
            raise CheckpointNotSaved("written, but not what was meant", where=str(path), found="; ".join(faults),
                                     mend="The disk may be failing.")  # fmt: skip
        self._prune(path)
        return path

    def load(self, which: int | str | Path) -> Checkpoint:
        """Read one checkpoint and no other.

        Args:
            which: the step, or the path of a checkpoint's folder.

        Raises:
            CheckpointDamaged: it is not as it was written.
            RunError: there is none, or it is of a newer format.
        """
        path = self._path(which) if isinstance(which, int) else Path(which)
        if not path.is_dir():
            found = ", ".join(str(_step(path)) for path in self.paths()) or "none"
            raise RunError("no such checkpoint", where=str(path), found=f"steps {found} in {self.folder}")
        return _read(path)

    def latest(self) -> Checkpoint | None:
        """Read the newest checkpoint that is as it was written; None if there are none at all.

        Raises:
            CheckpointDamaged: there are some, and all are damaged.
            RunError: the newest is of a newer format.
        """
        damaged: list[tuple[Path, str]] = []
        for path in reversed(self.paths()):
            try:
                return replace(_read(path, named=True), damaged=tuple(_lines(damaged, path)))
            except CheckpointDamaged as error:
                damaged.append((path, error.found))
        if damaged:
            raise CheckpointDamaged("every checkpoint is damaged", where=str(self.folder),
                                    found="; ".join(f"{path.name} ({reason})" for path, reason in damaged),
                                    mend="Start anew, or restore one from a copy.")  # fmt: skip
        return None

    def rewind(self, step: int) -> list[Path]:
        """Set aside the checkpoints after a step, so that a run that goes on from there is not overtaken by them.

        Returns:
            Where they are now: nothing is deleted.
        """
        return [files.set_aside(path) for path in self.paths() if _step(path) > step]

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _check_room(self, path: Path, tensors: Tensors) -> None:
        need = int(ROOM * sum(tensor.nbytes for table in tensors.values() for tensor in table.values()))
        free = files.free_space(self.folder)
        if free < need:
            raise CheckpointNotSaved("not enough room", where=str(path), found=f"{free:,} bytes free",
                                     expected=f"{need:,}", mend="Make room; training can go on.")  # fmt: skip

    def _prune(self, newest: Path) -> None:
        """Remove what is older than the last ``keep`` good ones: ``newest`` is known to be good."""
        older = [path for path in self.paths() if _step(path) < _step(newest)]
        good = [path for path in older if not files.verify(path, hashes=False)]
        kept = good[len(good) - max(self.keep - 1, 0) :]
        for path in older[: older.index(kept[0])] if kept else older:
            files.remove_folder(path)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted key to both values, for every leaf in which two trees differ; None stands for a key that is not there.

    >>> differences({"seed": 0, "model": {"latent": 2}}, {"seed": 0, "model": {"latent": 3}, "new": 1})
    {'model.latent': (2, 3), 'new': (None, 1)}
    """
    found: dict[str, tuple[Any, Any]] = {}
    for key in [*before, *(key for key in now if key not in before)]:
        was, value, name = before.get(key), now.get(key), f"{path}{key}"
        if isinstance(was, Mapping) and isinstance(value, Mapping):
            found |= differences(was, value, f"{name}.")
        elif json.dumps(was) != json.dumps(value):
            found[name] = (was, value)
    return found


def compare(
    state: Mapping[str, Any], config: Mapping[str, Any], fingerprint: str, *, where: str = "", but: tuple[str, ...] = ()
) -> None:
    """Refuse to go on from a state with another configuration, or with other data.

    Args:
        state: of a checkpoint, with ``config`` (a tree) and ``fingerprint`` (of the data) in it.
        config: of now.
        fingerprint: of the data of now.
        where: of the checkpoint.
        but: dotted keys that may differ.

    Raises:
        CheckpointMismatch: names every key that differs, with both values.
        DataChanged: the data are others.
    """
    found = {key: pair for key, pair in differences(state["config"], config).items() if key not in but}
    if found:
        both = "; ".join(f"{key} = {json.dumps(now)} instead of {json.dumps(was)}" for key, (was, now) in found.items())
        raise CheckpointMismatch("the run was started with another configuration", where=where, found=both,
                                 mend="Give the settings of the run, or start another run.")  # fmt: skip
    if state["fingerprint"] != fingerprint:
        raise DataChanged(
            "the run was started with other data", where=where, found=f"fingerprint {fingerprint[:12]}",
            expected=state["fingerprint"][:12], mend="Restore them, or start another run.",
        )  # fmt: skip


def _step(path: Path) -> int:
    return int(path.name.partition("-")[2])


def _lines(damaged: list[tuple[Path, str]], used: Path) -> list[str]:
    return [f"checkpoint {path} is damaged ({reason}); using previous {used}" for path, reason in damaged]


def _write_tensors(table: Mapping[str, Tensor], sink: files.Sink) -> None:
    """One group; copies, because weights that share memory or are laid out otherwise cannot be written as they are."""
    copies = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in table.items()
    }
    sink.write(safetensors.torch.save(copies))


def _read(path: Path, named: bool = False) -> Checkpoint:
    """The checkpoint in a folder, whose name, if it is ``named``, must tell its step."""
    contents = files.read_verified(path)
    try:
        facts = json.loads(contents.pop(STATE))
        if facts["format"] > FORMAT:
            raise RunError("of a newer format", where=str(path), found=str(facts["format"]),
                           expected=f"at most {FORMAT}", mend="Upgrade lowerbound.")  # fmt: skip
        tensors = {name.removesuffix(ENDING): safetensors.torch.load(text) for name, text in contents.items()}
        step, state = int(facts["step"]), dict(facts["state"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointDamaged("damaged", where=str(path), found=reason) from error
    if named and step != _step(path):
        raise CheckpointDamaged("damaged", where=str(path), found=f"{STATE}: of step {step}")
    return Checkpoint(step, path, tensors, state)
