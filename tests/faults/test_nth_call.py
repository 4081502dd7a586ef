"""The Nth call to the disk fails, or the process ends there, for every N."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lowerbound import files
from lowerbound.checkpoints import Store
from lowerbound.errors import CheckpointNotSaved, DiskError

CLEANING = ("unlink", "rmdir")
ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES]


class Failing:
    """Fails the Nth call, and with ``lasting`` all after it that need room."""

    def __init__(self, nth: int, code: int, lasting: bool, torn: Callable[..., None]) -> None:
        self.nth, self.code, self.lasting, self.torn, self.failed = nth, code, lasting, torn, ""

    def __call__(self, number: int, name: str, *args: Any) -> None:
        if number == self.nth or (self.lasting and number > self.nth and name not in (*CLEANING, "rename")):
            self.failed = self.failed or name
            self.torn(name, *args)
            raise OSError(self.code, os.strerror(self.code))


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".tmp-*")]


def case(folder: Path, steps: Any) -> tuple[Store, list[Callable[[], object]]]:
    """A store with two checkpoints; what can be done next: a third, or the second again."""
    store = Store(folder)
    steps.save(store, 1)
    steps.save(store, 2)
    return store, [partial(steps.save, store, 3), partial(steps.save, store, 2, 2.5)]


def calls(folder: Path, steps: Any, count: Callable[..., int], which: int) -> int:
    return count(case(folder / "count", steps)[1][which])


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("which", [0, 1], ids=["next", "again"])
def test_a_failing_call_loses_nothing(
    tmp_path: Path, steps: Any, watch: Any, count: Any, torn: Any, which: int, lasting: bool
) -> None:
    total = calls(tmp_path, steps, count, which)
    assert total >= 20
    for nth in range(1, total + 1):
        watch(lambda *_: None)
        store, actions = case(tmp_path / str(nth), steps)
        watch(failing := Failing(nth, ERRORS[nth % len(ERRORS)], lasting, torn))
        try:
            actions[which]()
            raised = False
        except CheckpointNotSaved as error:
            raised = True
            assert error.exit_code == 5 and os.strerror(failing.code) in str(error) and "step-0" in str(error)
        watch(lambda *_: None)
        assert failing.failed
        steps.sound(store)
        assert steps.mark(store.latest()) in ((2, 3, 2.5) if raised else (3, 2.5)), nth
        assert failing.failed in CLEANING or not temporaries(store.folder), nth
        steps.save(store, 4)  # the disk is well again
        steps.sound(store)
        assert (steps.mark(store.latest()), len(store.paths()), temporaries(store.folder)) == (4, 2, [])


@pytest.mark.parametrize("which", [0, 1], ids=["next", "again"])
def test_an_end_at_any_call_loses_nothing(
    tmp_path: Path, steps: Any, watch: Any, count: Any, torn: Any, outcome: Any, which: int
) -> None:
    total = calls(tmp_path, steps, count, which)
    for nth in range(1, total + 1):
        watch(lambda *_: None)
        store, actions = case(tmp_path / str(nth), steps)

        def end(number: int, name: str, *args: Any, nth: int = nth) -> None:
            if number == nth:
                torn(name, *args)
                os._exit(9)

        watch(end)
        assert outcome(actions[which]) == 9
        watch(lambda *_: None)
        steps.sound(store)
        assert steps.mark(store.latest()) in ((2, 3) if which == 0 else (1, 2, 2.5)), nth
        steps.save(store, 4)
        assert (steps.mark(store.latest()), len(store.paths()), temporaries(store.folder)) == (4, 2, [])


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path, watch: Any, count: Any, torn: Any) -> None:
    path = tmp_path / "a.json"
    for nth in range(1, count(partial(files.write_whole, path, "new")) + 1):
        watch(lambda *_: None)
        files.write_whole(path, "old")
        watch(failing := Failing(nth, errno.ENOSPC, False, torn))
        with pytest.raises(DiskError, match="disk is full"):
            files.write_whole(path, "new")
        assert path.read_text() == ("old" if nth <= 5 else "new")  # open, write, sync, close, rename; sync the folder
        assert failing.failed and os.listdir(tmp_path) == ["a.json"]


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(files.Disk):
        def write(self, handle: int, block: bytes | memoryview) -> int:
            return os.write(handle, block[:7])

    monkeypatch.setattr(files.system, "disk", Slow())
    files.write_whole(tmp_path / "a", bytes(range(100)))
    assert (tmp_path / "a").read_bytes() == bytes(range(100))


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, watch: Any) -> None:
    def interrupt(number: int, name: str, *args: Any) -> None:
        if name == "fsync":
            raise KeyboardInterrupt

    watch(interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_folder(tmp_path, "a", {"b": b"c"})
    assert os.listdir(tmp_path) == []
