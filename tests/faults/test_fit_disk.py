"""Training on a disk that is full, read-only, or fails at any one call."""

import errno
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound import files
from lowerbound.checkpoints import Store
from lowerbound.errors import DiskError, FolderLocked, NotFinite
from lowerbound.keeper import CHECKPOINTS, Keeper
from lowerbound.loop import Loop
from lowerbound.run import open as open_run

ROWS = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
LINEAR = {"latent": 1, "encoder": "linear", "decoder": "linear", "batch": 4, "epochs": 2, "patience": 0}


def fit(out: Path, **changes: Any) -> lb.Run:
    given = {
        "resume": "auto",
        "progress": False,
        "checkpoint_seconds": 0,
        "compile": "off",
        "threads": 1,
        **LINEAR,
        **changes,
    }
    return lb.fit(ROWS, out=out, **given)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(folder)
    return weights(folder)


def full(*words: str) -> Callable[..., None]:
    """Refuses new files and folders at paths with one of the words in them."""

    def before(number: int, name: str, *args: Any) -> None:
        if (name == "mkdir" or (name == "open" and args[1] & os.O_CREAT)) and any(w in str(args[0]) for w in words):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return before


def heal(watch: Any) -> None:
    watch(lambda *_: None)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, watch: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(number: int, name: str, *args: Any) -> None:
        if name == "mkdir":
            raise OSError(code, os.strerror(code), str(args[0]))

    monkeypatch.setattr(Loop, "advance", None)  # no step is taken
    watch(refuse)
    with pytest.raises(DiskError, match="cannot be written") as caught:
        fit(tmp_path / "run")
    assert caught.value.where == str(tmp_path / "run") and os.strerror(code) in caught.value.found
    heal(watch)
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file/run: cannot be written: found Not a directory"):
        fit(tmp_path / "file/run")


def test_a_full_disk_does_not_end_the_training(
    tmp_path: Path, watch: Any, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(full("step-"))
    run = fit(tmp_path / "run", epochs=2, progress=True)
    assert weights(tmp_path / "run") == whole
    assert "step-00000006: the checkpoint was not saved: found No space left" in run.summary["not_saved"]
    (note,) = run.summary["notes"]  # one, not one an epoch
    assert f"note: {note}\n" in capsys.readouterr().err and note.endswith("Training goes on.")
    assert open_run(tmp_path / "run").summary == run.summary
    heal(watch)
    assert "not_saved" not in fit(tmp_path / "run").summary
    assert weights(tmp_path / "run") == whole


def test_a_disk_that_stays_full_leaves_the_run_in_memory(tmp_path: Path, watch: Any, whole: bytes) -> None:
    watch(full("step-", "history", "model", "config"))
    run = fit(tmp_path / "run")
    assert run.path is None and len(run.history) == 2 and os.listdir(tmp_path / "run") == [CHECKPOINTS]
    assert str(tmp_path / "run") in run.summary["not_saved"] and "No space left" in run.summary["not_saved"]
    heal(watch)
    run.save(tmp_path / "other")
    assert weights(tmp_path / "other") == whole
    fit(tmp_path / "run")
    assert weights(tmp_path / "run") == whole


def test_a_disk_that_was_full_for_a_while(tmp_path: Path, watch: Any, whole: bytes) -> None:
    watch(full("step-00000003"))
    run = fit(tmp_path / "run")
    assert "not_saved" not in run.summary and len(run.summary["notes"]) == 1
    assert [path.name for path in Store(tmp_path / "run" / CHECKPOINTS).paths()] == ["step-00000006"]


def test_the_command_line_ends_with_the_code_of_the_disk(fits: Any, tmp_path: Path, watch: Any) -> None:
    out = tmp_path / "run"
    assert fits.command(fits.words(out), out, lambda: watch(full("step-"))) == 5
    line = next(line for line in (tmp_path / "run.out").read_text().splitlines() if line.startswith("error "))
    assert line.startswith("error E-DISK: ") and "the checkpoint was not saved" in line
    assert weights(out) == fits.result(fits.whole)[0]


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(self: Keeper, *args: Any) -> None:
        next(args[-1].model.parameters()).data[0] = float("inf")
        add(self, *args)

    add = Keeper.add
    fit(tmp_path / "run", epochs=1)
    before = weights(tmp_path / "run")
    monkeypatch.setattr(Keeper, "add", poisoned)
    for out in (tmp_path / "run", tmp_path / "other", None):
        with pytest.raises(NotFinite, match=r"step 3: the weights are not finite: found encoder"):
            fit(out, epochs=1, resume="never", force=True)
    assert weights(tmp_path / "run") == before
    assert not Store(tmp_path / "other" / CHECKPOINTS).paths()


class Fails:
    """The Nth call fails, after half of what it was to write."""

    def __init__(self, nth: int, torn: Callable[..., None]) -> None:
        self.nth, self.torn, self.failed = nth, torn, ""

    def __call__(self, number: int, name: str, *args: Any) -> None:
        if number == self.nth:
            self.failed = name
            self.torn(name, *args)
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def begun(folder: Path, step: int) -> Path:
    """A folder with nothing in it, or with a run of two epochs that was stopped after the first."""
    files.make_folder(folder)
    if step:
        fit(folder, time_budget=0)
    return folder


@pytest.mark.parametrize("step", [0, 3], ids=["fresh", "resumed"])
def test_any_one_call_that_fails_loses_nothing(
    tmp_path: Path, watch: Any, count: Any, torn: Any, whole: bytes, step: int
) -> None:
    heal(watch)
    start = begun(tmp_path / "start", step)
    calls = count(partial(fit, shutil.copytree(start, tmp_path / "count")))
    assert calls > 80
    for nth in range(1, calls + 1):
        out = shutil.copytree(start, tmp_path / str(nth))
        watch(fails := Fails(nth, torn))
        try:
            said = fit(out).summary.get("not_saved")
        except (DiskError, FolderLocked) as error:
            said = str(error)
        assert fails.failed
        heal(watch)
        found = Store(out / CHECKPOINTS).latest()
        assert (found.step if found else 0) >= step, nth
        if said is None:
            assert weights(out) == whole, nth
        if step and fails.failed != "rename":  # the model is that of before or of now
            lb.open(out)
        again = fit(out)
        assert (weights(out), "not_saved" in again.summary, again.path) == (whole, False, out), nth
        assert not list(out.rglob(".*")), nth
        shutil.rmtree(out)


@pytest.mark.acceptance
@pytest.mark.parametrize("step", [0, 3], ids=["fresh", "resumed"])
def test_an_end_at_any_one_call_loses_nothing(
    tmp_path: Path, watch: Any, count: Any, torn: Any, outcome: Any, whole: bytes, step: int
) -> None:
    heal(watch)
    start = begun(tmp_path / "start", step)
    for nth in range(1, count(partial(fit, shutil.copytree(start, tmp_path / "count"))) + 1):
        out = shutil.copytree(start, tmp_path / str(nth))

        def end(number: int, name: str, *args: Any, nth: int = nth) -> None:
            if number == nth:
                torn(name, *args)
                os._exit(9)

        watch(end)
        assert outcome(partial(fit, out)) == 9
        heal(watch)
        found = Store(out / CHECKPOINTS).latest()
        assert (found.step if found else 0) >= step, nth
        fit(out)
        assert weights(out) == whole and not list(out.rglob(".*")), nth
