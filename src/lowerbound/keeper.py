"""Keeps a training run on disk as it goes: lock, history, checkpoints now and then, and going on from the last one."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from lowerbound import devices, files
from lowerbound.__about__ import __version__
from lowerbound.checkpoints import Checkpoint, Store, compare
from lowerbound.errors import DiskError, NotFinite
from lowerbound.loop import Epoch, Loop
from lowerbound.ranks import ALONE, Ranks

EVERY = 30.0  # seconds between checkpoints, at least; they are written at the end of an epoch and when training stops
CHECKPOINTS, HISTORY = "checkpoints", "history.jsonl"


class Keeper:
    """One training run's place on disk; without a folder it keeps nothing.

    Args:
        folder: of the run, or None.
        config: the effective configuration, as plain tables.
        fingerprint: of the data.
        every: seconds between checkpoints.
        resume: go on from the newest checkpoint if there is one.
        ranks: the processes that train together, of which the first alone has a folder.
    """

    def __init__(
        self, folder: Path | None, config: Mapping[str, Any], fingerprint: str, *, every: float = EVERY, resume: bool,
        ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.folder, self.config, self.fingerprint, self.every, self.wanted = folder, config, fingerprint, every, resume
        self.ranks = ranks
        self.store = None if folder is None else Store(folder / CHECKPOINTS)
        self.history: list[dict[str, Any]] = []
        self.failed: str | None = None
        self.kept: dict[str, Any] = {}
        self.saved = time.monotonic()
        self._held = ExitStack()

    def __enter__(self) -> "Keeper":
        with ExitStack() as held:
            with self.ranks.agreed():
                if self.folder is not None:
                    files.make_folder(self.folder)
                    held.enter_context(files.Lock(self.folder))
                    files.purge_temporaries(self.folder)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def resume(self, loop: Loop) -> Checkpoint | None:
        """Put the loop where the newest checkpoint left it, if going on was asked for and there is one.

        Raises:
            CheckpointMismatch: it was written with another configuration; names the keys.
            DataChanged: with other data.
            CheckpointDamaged: all checkpoints are damaged.
        """
        with self.ranks.agreed():
            found = self._found(loop)
        if self.ranks.world > 1:
            tensors, plain = loop.state()
            plain, self.history = self.ranks.exchange([plain, self.history])[0]
            loop.load(self.ranks.copies(tensors), plain)
        return found

    def _found(self, loop: Loop) -> Checkpoint | None:
        if self.store is None:
            return None
        found = self.store.latest() if self.wanted else None
        if found is None:
            self.store.rewind(-1)
            return None
        compare(found.state, self.config, self.fingerprint, where=str(found.path))
        loop.load({"best": {}, "average": {}, "objective": {}, **found.tensors}, found.state["loop"])
        self.history = list(found.state["history"])
        self.kept = _mark(loop.state()[1])
        loop.notices += [*found.damaged, *_unlike(found.state["machine"], machine(loop))]
        if not loop.done:
            self._write_history(loop)
        return found

    def add(self, epoch: Epoch, loop: Loop) -> None:
        """Keep the record of an epoch, and a checkpoint if the last is old enough."""
        self.history.append(epoch.record)
        self._write_history(loop)
        if time.monotonic() - self.saved >= self.every:
            self.save(loop)

    def save(self, loop: Loop) -> None:
        """Write a checkpoint; where the disk refuses, training goes on and the next one is tried.

        Raises:
            NotFinite: a weight is NaN or infinite: the checkpoints before are better.
        """
        tensors, plain = loop.state()
        _refuse_not_finite(tensors["model"], loop.step)
        if self.store is None or self.kept == _mark(plain):
            return
        state = {
            "loop": plain, "history": self.history, "config": self.config, "fingerprint": self.fingerprint,
            "machine": machine(loop), "spec": loop.model.spec,
        }  # fmt: skip
        try:
            self.store.save(loop.step, {group: some for group, some in tensors.items() if some}, state)
            self.failed, self.kept = None, _mark(plain)
        except DiskError as error:
            self._refused(error, loop)
        self.saved = time.monotonic()

    def _write_history(self, loop: Loop) -> None:
        if self.folder is None:
            return
        try:
            files.write_whole(self.folder / HISTORY, "".join(json.dumps(line) + "\n" for line in self.history))
        except DiskError as error:  # every checkpoint holds the history too
            self._refused(error, loop)

    def _refused(self, error: DiskError, loop: Loop) -> None:
        """Remember that the disk refused, and say so once until it takes a checkpoint again."""
        if self.failed is None:
            loop.notices.append(f"{error} Training goes on.")
        self.failed = str(error)


def machine(loop: Loop) -> dict[str, Any]:
    """What the bits of a run depend on besides its configuration and data."""
    return {
        "lowerbound": __version__, "torch": str(torch.__version__), "device": loop.rows.device.type,
        "threads": torch.get_num_threads(), "fast_products": devices.fast_products(), "processes": loop.ranks.world,
    }  # fmt: skip


def _mark(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Where a loop stands: the same mark, the same state."""
    return {name: value for name, value in plain.items() if name != "clock"}


def _refuse_not_finite(weights: Mapping[str, torch.Tensor], step: int) -> None:
    bad = [name for name, weight in weights.items() if not torch.isfinite(weight).all()]
    if bad:
        raise NotFinite("the weights are not finite", where=f"step {step}", found=", ".join(bad[:3]),
                        mend="Lower train.rate, or set train.clip.")  # fmt: skip


def _unlike(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [f"{name} {before.get(name)} then, {now[name]} now" for name in now if before.get(name, 1) != now[name]]
    return [f"resumed on another machine or setting ({'; '.join(changed)}): the bits may differ"] if changed else []
