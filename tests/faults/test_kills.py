"""Real processes: killed while they save, and without room to write."""

import errno
import os
import random
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lowerbound import files
from lowerbound.checkpoints import Store
from lowerbound.errors import CheckpointNotSaved

MARGIN = 0.03  # seconds; many saves fit


def save_for_ever(folder: Path, steps: Any) -> None:
    with files.Lock(folder):
        store = Store(folder / "checkpoints")
        files.purge_temporaries(store.folder)
        found = store.latest()
        step = found.step if found else 0
        while True:
            step += 1
            steps.save(store, step)
            (folder / "done").write_text(str(step))  # in a plain write: what was said to be saved


def kill(folder: Path, steps: Any, child: Any, kills: int) -> int:
    """Kill a child again and again; how many left something half written."""
    draw, torn, done = random.Random(0), 0, 0
    store = Store(folder / "checkpoints")
    for _ in range(kills):
        (folder / "done").write_text("")
        pid = child(lambda: save_for_ever(folder, steps))
        while not (folder / "done").read_text():
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            time.sleep(0.001)
        time.sleep(draw.uniform(0, MARGIN))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        found = store.latest()
        assert steps.mark(found) == found.step >= max(done, int((folder / "done").read_text() or 0))
        assert not found.damaged
        done = found.step
        torn += bool(list(store.folder.glob(".tmp-*")))
    assert files.purge_temporaries(store.folder) or not list(store.folder.glob(".tmp-*"))
    return torn


def test_kills_lose_nothing(tmp_path: Path, steps: Any, child: Any) -> None:
    assert kill(tmp_path, steps, child, 20) > 0


@pytest.mark.acceptance
def test_many_kills_lose_nothing(tmp_path: Path, steps: Any, child: Any) -> None:
    assert kill(tmp_path, steps, child, 100) > 10


def test_a_limit_on_the_size_of_files(tmp_path: Path, steps: Any, outcome: Any) -> None:
    store = Store(tmp_path)
    steps.save(store, 1)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(CheckpointNotSaved, match="limit on the size"):
            steps.save(store, 2)
        assert os.listdir(tmp_path) == ["step-00000001"]

    assert outcome(limited) == 0
    assert steps.mark(store.latest()) == 1


def test_too_little_room_is_known_before(tmp_path: Path, steps: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    steps.save(store, 1)
    assert files.free_space(tmp_path / "not" / "there") > 10_000
    need = 1 + 4 * (1 + 40 * 6)
    monkeypatch.setattr(files, "free_space", lambda path: need)
    with pytest.raises(CheckpointNotSaved, match=f"not enough room.*{need} bytes free, expected 1,156"):
        steps.save(store, 2)
    assert os.listdir(tmp_path) == ["step-00000001"]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, steps: Any, watch: Any, code: int) -> None:
    def refuse(number: int, name: str, *args: Any) -> None:
        if name == "mkdir" or (name == "open" and args[1] & os.O_CREAT):
            raise OSError(code, os.strerror(code), str(args[0]))

    watch(refuse)
    with pytest.raises(CheckpointNotSaved, match=r"choose another place") as caught:
        steps.save(Store(tmp_path / "run"), 1)
    assert str(tmp_path / "run") in str(caught.value)
    with pytest.raises(files.system.DiskError, match=r"cannot be written") as caught:
        files.Lock(tmp_path).__enter__()
    assert caught.value.where == str(tmp_path) and caught.value.exit_code == 5
    assert os.listdir(tmp_path) == []
