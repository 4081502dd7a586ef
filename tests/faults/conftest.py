"""A disk that fails on command, children that die on command, runs, and checkpoints that say of which step they are."""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound import files
from lowerbound.checkpoints import Checkpoint, Store
from lowerbound.cli import main
from lowerbound.files import system
from lowerbound.loop import Loop

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


class Fits:
    """A fit whose epochs are longer than a chunk, what it ends with when nothing breaks it, and ways to break it."""

    def __init__(self, folder: Path, child: Callable[[Callable[[], object]], int]) -> None:
        self.rows, self.child = folder / "rows.npy", child
        np.save(self.rows, lb.load("digits").values(slice(0, 400)))
        self.settings = {"latent": 2, "batch": 4, "epochs": 4, "patience": 0, "threads": 1, "compile": "off"}
        start = time.monotonic()
        self.whole = self.fit(folder / "whole").path
        self.seconds = time.monotonic() - start
        self.steps = self.whole_history[0]["step"]

    @property
    def whole_history(self) -> list[dict[str, Any]]:
        return self.result(self.whole)[1]

    def fit(self, out: Path, **changes: Any) -> lb.Run:
        """Go on in a folder, or start there."""
        given = {"resume": "auto", "progress": False, "checkpoint_seconds": 0, **self.settings, **changes}
        return lb.fit(given.pop("data", self.rows), out=out, **given)

    def words(self, out: Path) -> list[str]:
        """The same for the command line."""
        given = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        return ["fit", str(self.rows), *given, "--out", str(out), "--resume", "auto", "--json"]

    def result(self, folder: Path) -> tuple[bytes, list[dict[str, Any]]]:
        """What must be the same to the bit: the weights, and the history without its clock."""
        history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        return (folder / "model.safetensors").read_bytes(), [line | {"seconds": 0} for line in history]

    def whole_in(self, folder: Path) -> bool:
        return (folder / "model.json").exists()

    def same(self, folder: Path) -> bool:
        return self.result(folder) == self.result(self.whole)

    def at_step(self, step: int, numbers: tuple[int, ...]) -> None:
        at_step(step, numbers)

    def stop(self, folder: Path, step: int, *numbers: int) -> int:
        """Start the command line in a child that gets signals at a step: its exit code, output beside the folder."""
        return self.command(self.words(folder), folder, partial(at_step, step, numbers))

    def command(self, words: list[str], folder: Path, before: Callable[[], object]) -> int:
        pid = self.child(partial(command, words, folder.with_suffix(".out"), before))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at_step(step: int, numbers: tuple[int, ...]) -> None:
    """From now on, this process sends itself signals as the loop takes the batch of a step."""
    take = Loop._drawn

    def drawn(self: Loop, place: int) -> Any:
        for number in numbers if self.step == step else ():
            os.kill(os.getpid(), number)
        return take(self, place)

    Loop._drawn = drawn  # type: ignore[method-assign]  # in a child that ends with its command


def command(words: list[str], out: Path, before: Callable[[], object]) -> NoReturn:
    """What a process of the command line does and ends with; for a child."""
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(handle, number)
        setattr(sys, name, os.fdopen(number, "w", buffering=1))
    sys.argv = ["lowerbound", *words]
    lb.fit.__kwdefaults__["checkpoint_seconds"] = 0
    before()
    code = 0
    with suppress(BrokenPipeError):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    os._exit(code)


@pytest.fixture(scope="session")
def fits(tmp_path_factory: pytest.TempPathFactory, child: Callable[[Callable[[], object]], int]) -> Fits:
    return Fits(tmp_path_factory.mktemp("fits"), child)
