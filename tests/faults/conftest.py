"""A disk that fails on command, children that die on command, and checkpoints that say which step they are of."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lowerbound import files
from lowerbound.checkpoints import Checkpoint, Store
from lowerbound.files import system

CALLS = [name for name in vars(system.Disk) if not name.startswith("_")]


class Watched(system.Disk):
    """Tells of each call before it is made, and of its result after. It saves the wait for the real disk."""

    def __init__(self, before: Callable[..., object], after: Callable[..., object] = lambda *_: None) -> None:
        self.number, self.before, self.after = 0, before, after
        for name in CALLS:
            setattr(self, name, partial(self._call, name))

    def _call(self, name: str, *args: Any) -> Any:
        self.number += 1
        self.before(self.number, name, *args)
        result = None if name == "fsync" else getattr(super(), name)(*args)
        self.after(name, result, *args)
        return result


def half(name: str, *args: Any) -> None:
    """A write that is cut off is cut off somewhere."""
    if name == "write":
        os.write(args[0], bytes(args[1])[: len(args[1]) // 2])


def tensors(value: float) -> dict[str, dict[str, torch.Tensor]]:
    filled = {f"{n}.weight": torch.full((40, n + 1), value) for n in range(3)}
    return {"model": filled, "optimiser": {"count": torch.tensor(value), "empty": torch.zeros(0)}}


class Steps:
    """Writes checkpoints whose every number is their mark, and tells whether one is what was written."""

    def save(self, store: Store, step: int, mark: float | None = None) -> Path:
        mark = float(step) if mark is None else mark
        return store.save(step, tensors(mark), {"mark": mark, "text": "x" * 100})

    def mark(self, found: Checkpoint | None) -> float:
        assert found is not None
        wanted = tensors(found.state["mark"])
        assert {group: set(table) for group, table in found.tensors.items()} == {g: set(t) for g, t in wanted.items()}
        assert all(torch.equal(found.tensors[g][name], t) for g, table in wanted.items() for name, t in table.items())
        return found.state["mark"]

    def sound(self, store: Store) -> None:
        """No name of a checkpoint stands for anything but a whole one."""
        assert [fault for path in store.paths() for fault in files.verify(path)] == []


@pytest.fixture(scope="session")
def steps() -> Steps:
    return Steps()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """Puts a watched disk in the place of the real one until the end of the test."""

    def put(before: Callable[..., object], after: Callable[..., object] = lambda *_: None) -> Watched:
        disk = Watched(before, after)
        monkeypatch.setattr(system, "disk", disk)
        return disk

    return put


@pytest.fixture
def count(watch: Callable[..., Watched]) -> Callable[..., int]:
    """How many calls to the disk an action makes."""

    def calls(action: Callable[[], object]) -> int:
        disk = watch(lambda *_: None)
        action()
        return disk.number

    return calls


@pytest.fixture(scope="session")
def torn() -> Callable[..., None]:
    return half


@pytest.fixture(scope="session")
def child() -> Callable[[Callable[[], object]], int]:
    """Starts a copy of this process that does one thing and ends with 0, or 70 after an error; gives its number."""

    def start(action: Callable[[], object]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: the child uses none of them
            pid = os.fork()
        if pid:
            return pid
        try:
            action()
        except BaseException:
            os._exit(70)
        os._exit(0)

    return start


@pytest.fixture(scope="session")
def outcome(child: Callable[[Callable[[], object]], int]) -> Callable[[Callable[[], object]], int]:
    """The exit code of a child that does one thing."""
    return lambda action: os.waitstatus_to_exitcode(os.waitpid(child(action), 0)[1])
