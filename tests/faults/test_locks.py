"""One run at a time in a folder, and no lock that outlives its holder."""

import errno
import json
import os
import platform
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lowerbound import files
from lowerbound.errors import FolderLocked
from lowerbound.files.system import alive, start_time

HOST = platform.node()


def holder(folder: Path) -> dict[str, Any]:
    return json.loads((folder / files.LOCK).read_text())


def write_holder(folder: Path, **changes: Any) -> None:
    known = {"pid": os.getpid(), "start": start_time(os.getpid()), "host": HOST}
    (folder / files.LOCK).write_text(json.dumps(known | changes))


@pytest.fixture
def held(tmp_path: Path, child: Any) -> Any:
    """The number of a child that holds the folder."""

    def hold() -> None:
        with files.Lock(tmp_path):
            time.sleep(60)

    pid = child(hold)
    while not (tmp_path / files.LOCK).exists() or not (tmp_path / files.LOCK).read_text().endswith("}"):
        time.sleep(0.001)
    yield pid
    if alive(pid, 0):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_second_run_is_refused_and_told_who_writes(tmp_path: Path, held: int) -> None:
    with pytest.raises(FolderLocked, match=rf"process {held} on {HOST}") as caught, files.Lock(tmp_path):
        pass
    assert caught.value.exit_code == 4 and caught.value.where == str(tmp_path)
    assert holder(tmp_path)["pid"] == held


def test_a_killed_holder_holds_nothing(tmp_path: Path, held: int) -> None:
    os.kill(held, signal.SIGKILL)
    while alive(held, 0):
        time.sleep(0.001)
    with files.Lock(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()


def test_the_same_process_does_not_hold_it_twice(tmp_path: Path) -> None:
    with files.Lock(tmp_path):
        with pytest.raises(FolderLocked, match=f"process {os.getpid()} "), files.Lock(tmp_path):
            pass
        assert holder(tmp_path)["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []
    with files.Lock(tmp_path):
        pass


def test_it_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.Lock(tmp_path):
        1 / 0  # noqa: B018
    with files.Lock(tmp_path):
        pass


def test_a_lock_removed_while_it_was_taken_is_taken_anew(tmp_path: Path, watch: Any) -> None:
    removed: list[Path] = []

    def remove(number: int, name: str, *args: Any) -> None:
        if name == "lock" and not removed:
            removed.append(tmp_path / files.LOCK)
            removed[0].unlink()

    watch(remove)
    with files.Lock(tmp_path):
        assert removed and holder(tmp_path)["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, True),
        ({"host": "elsewhere"}, True),
        ({"start": 1}, False),
        ({"pid": 2**22 + 1}, False),  # more than a system gives out
        ({"pid": "?"}, False),
    ],
)
def test_where_there_are_no_locks_the_file_decides(
    tmp_path: Path, watch: Any, changes: dict[str, Any], refused: bool
) -> None:
    def lockless(number: int, name: str, *args: Any) -> None:
        if name == "lock":
            raise OSError(errno.ENOTSUP, "none here")

    watch(lockless)
    write_holder(tmp_path, **changes)
    if refused:
        with pytest.raises(FolderLocked), files.Lock(tmp_path):
            pass
    else:
        with files.Lock(tmp_path):
            assert holder(tmp_path)["pid"] == os.getpid()


def test_who_is_alive(child: Any) -> None:
    own = start_time(os.getpid())
    assert own and alive(os.getpid(), own) and alive(os.getpid(), 0) and not alive(os.getpid(), own + 1)
    assert alive(1, 0) and not alive(2**22 + 1, 0) and not alive(10**17, 0)
    pid = child(lambda: None)
    while alive(pid, 0):  # until it has ended; nobody has asked for its exit code yet
        time.sleep(0.001)
    os.waitpid(pid, 0)


def test_only_what_the_dead_left_is_purged(tmp_path: Path) -> None:
    own = f"{os.getpid()}-{start_time(os.getpid())}"
    dead = [f".tmp-a\nb-{2**22 + 1}-5-0123abcd", f".tmp-c-{os.getpid()}-1-0123abcd"]
    stay = [f".tmp-d-{own}-0123abcd", f".tmp-e-{2**22 + 1}-5-0123abc", ".tmp-f", "step-00000001"]
    for name in (*dead[:1], *stay):
        (tmp_path / name).mkdir()
        (tmp_path / name / "inner").write_text("x")
    (tmp_path / dead[1]).write_text("x")
    (tmp_path / f".tmp-g-{2**22 + 1}-5-0123abcd").symlink_to(tmp_path / "step-00000001")
    assert [path.name for path in files.purge_temporaries(tmp_path)] == dead
    assert set(os.listdir(tmp_path)) == {*stay, f".tmp-g-{2**22 + 1}-5-0123abcd"}
    assert [path.name for path in files.purge_temporaries(tmp_path, own=True)] == stay[:1]
