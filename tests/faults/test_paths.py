"""Links, permissions and names of every kind."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from lowerbound import files
from lowerbound.checkpoints import Store
from lowerbound.errors import DiskError, OutputExists

NAMES = ["a b", "ü-名-😀", "new\nline", "-rf", "x" * 255, "é" * 127, ".hidden", "a'\"$(b)", os.fsdecode(b"\xff\xfe")]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(tmp_path: Path, name: str, steps: Any) -> None:
    files.write_whole(tmp_path / name, b"1")
    files.write_whole(tmp_path / name, b"2")
    assert {os.fsdecode(entry): (tmp_path / entry).read_bytes() for entry in os.listdir(tmp_path)} == {name: b"2"}
    store = Store(tmp_path / f"run{name}"[:100] / "checkpoints")
    steps.save(store, 1)
    with files.Lock(store.folder.parent):
        assert steps.mark(store.latest()) == 1


def test_a_long_path(tmp_path: Path, steps: Any) -> None:
    folder = tmp_path.joinpath(*["y" * 200] * 15)
    store = Store(folder)
    steps.save(store, 1)
    assert steps.mark(store.latest()) == 1


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="name too long"):
        files.write_whole(tmp_path / ("x" * 256), "")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_permissions_follow_the_umask(
    tmp_path: Path, steps: Any, outcome: Any, umask: int, file: int, folder: int
) -> None:
    def write() -> None:
        os.umask(umask)
        files.write_whole(tmp_path / "a", "")
        steps.save(Store(tmp_path / "checkpoints"), 1)

    assert outcome(write) == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    folders = {"checkpoints", "step-00000001"}
    assert modes == {name: folder if name in folders else file for name in modes} and len(modes) == 7


def test_a_link_is_not_followed_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside").write_text("kept")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(OutputExists, match=r"leads out of its folder.*outside"):
        files.write_whole(tmp_path / "in" / "link", "lost")
    assert (tmp_path / "outside").read_text() == "kept" and (tmp_path / "in" / "link").is_symlink()
    (tmp_path / "in" / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(OutputExists, match="leads out"):
        Store(tmp_path / "in" / "checkpoints")


def test_a_link_within_its_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    files.write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_a_folder_may_itself_be_a_link(tmp_path: Path, steps: Any) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "big")
    files.write_whole(tmp_path / "run" / "a", "1")
    steps.save(Store(tmp_path / "run" / "checkpoints"), 1)
    assert sorted(os.listdir(tmp_path / "big")) == ["a", "checkpoints"]


def test_a_lock_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / files.LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(DiskError), files.Lock(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OutputExists, match="not a file"):
            files.write_whole(tmp_path / name, "x")
    with pytest.raises(DiskError, match="No such file"):
        files.write_whole(tmp_path / "none" / "a", "x")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]
