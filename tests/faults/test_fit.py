"""Training that is broken off, in real processes: what follows is what would have followed."""

import json
import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound import files
from lowerbound.checkpoints import Store
from lowerbound.errors import BadOption, CheckpointDamaged, CheckpointMismatch, DataChanged, FolderLocked, UnknownName
from lowerbound.files import system
from lowerbound.keeper import CHECKPOINTS
from lowerbound.loop import CHUNK, Loop

INT, TERM = signal.SIGINT, signal.SIGTERM


MINE = """
import torch
from lowerbound.priors import Prior

class Mine(Prior, name="mine"):
    def forward(self, context=None, infer=None):
        return torch.distributions.Normal(torch.zeros(self.latent), torch.ones(self.latent))
"""


def store(folder: Path) -> Store:
    return Store(folder / CHECKPOINTS)


def kill(fits: Any, folder: Path, kills: int) -> int:
    """Kill a fit again and again, in a new folder once one is finished; how many kills found a checkpoint."""
    draw, killed, found, folders = random.Random(0), 0, 0, 0
    while killed < kills or not fits.whole_in(folder / str(folders)):
        out = folder / str(folders)
        before = newest.step if (newest := store(out).latest()) else 0
        pid = fits.child(partial(fits.fit, out))
        if killed < kills:
            time.sleep(draw.uniform(0, fits.seconds))
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        newest = store(out).latest()
        assert code in (0, -signal.SIGKILL) and (newest is None or (newest.step >= before and not newest.damaged))
        killed += code != 0
        found += code != 0 and newest is not None
        if code == 0:
            assert fits.same(out)
            folders += killed < kills
    return found


def test_kills_lose_nothing(tmp_path: Path, fits: Any) -> None:
    assert kill(fits, tmp_path, 5) > 0


@pytest.mark.acceptance
def test_many_kills_lose_nothing(tmp_path: Path, fits: Any) -> None:
    assert kill(fits, tmp_path, 100) > 20


@pytest.mark.parametrize(
    ("number", "code", "word"), [(INT, 130, "interrupted"), (TERM, 143, "terminated")], ids=["Ctrl-C", "SIGTERM"]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_signal_ends_it_after_the_chunk(
    tmp_path: Path, fits: Any, number: int, code: int, word: str, seed: int
) -> None:
    step, out = random.Random(seed).randrange(3 * fits.steps), tmp_path / "run"
    assert fits.stop(out, step, number) == code
    said = json.loads((tmp_path / "run.out").read_text().splitlines()[-1])
    assert (said["stopped"], said["run"]) == (word, str(out))
    last = store(out).latest()
    assert last is not None and step < last.step <= step + CHUNK
    assert lb.open(out).summary["stopped"] == word
    run = fits.fit(out)
    assert fits.same(out) and (run.summary["resumed"], run.summary["stopped"]) == (last.step, "all epochs done")


def test_a_signal_in_the_middle_of_an_epoch(tmp_path: Path, fits: Any) -> None:
    assert fits.stop(tmp_path / "run", fits.steps + 3, TERM) == 143
    assert store(tmp_path / "run").latest().step == fits.steps + CHUNK
    fits.fit(tmp_path / "run")
    assert fits.same(tmp_path / "run")


def test_the_second_ctrl_c_ends_it_at_once(tmp_path: Path, fits: Any) -> None:
    out = tmp_path / "run"
    assert fits.stop(out, fits.steps + 3, INT, INT) == 130
    assert (tmp_path / "run.out").read_text().splitlines()[-1] == "interrupted"
    assert store(out).latest().step == fits.steps
    assert not (out / "model.json").exists() and not (out / files.LOCK).exists()
    fits.fit(out)
    assert fits.same(out)


def test_the_second_ctrl_c_may_come_while_it_saves(tmp_path: Path, fits: Any) -> None:
    out, folders = tmp_path / "run", list[str]()

    def before() -> None:
        fits.at_step(fits.steps + 3, (INT,))
        rename = system.disk.rename

        def interrupted(source: Path, target: Path) -> None:
            if target.name == f"step-{fits.steps + CHUNK:08d}":
                os.kill(os.getpid(), INT)
            rename(source, target)

        system.disk.rename = interrupted  # type: ignore[method-assign]

    assert fits.command(fits.words(out), out, before) == 130
    folders = os.listdir(out / CHECKPOINTS)
    assert folders == [f"step-{fits.steps:08d}"]
    fits.fit(out)
    assert fits.same(out)


def test_a_run_that_was_finished_is_left_as_it_is(tmp_path: Path, fits: Any) -> None:
    out = tmp_path / "run"
    shutil.copytree(fits.whole, out)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}
    run = fits.fit(out)
    assert {path for path in out.rglob("*") if path.is_file()} == set(before)
    assert all((path.stat().st_mtime_ns, path.read_bytes()) == what for path, what in before.items())
    assert run.summary["stopped"] == "already finished: all epochs done" and run.path == out
    assert run.summary["seconds"] == lb.open(out).summary["seconds"] > 0


def test_what_training_left_unfinished_is_finished(tmp_path: Path, fits: Any) -> None:
    """Killed after the last checkpoint, before the run was written; or the weights there are of another time."""
    for name in ("model.json", "model.safetensors"):
        out = tmp_path / name
        shutil.copytree(fits.whole, out)
        (out / name).unlink()
        assert fits.fit(out).summary["stopped"] == "all epochs done"
        assert fits.same(out)


@pytest.fixture
def stopped(tmp_path: Path, fits: Any) -> Path:
    """A run with two checkpoints, stopped in the middle."""
    assert fits.stop(tmp_path / "run", 2 * fits.steps + 3, TERM) == 143
    return tmp_path / "run"


def test_a_damaged_checkpoint_is_passed_over_and_that_is_said(
    stopped: Path, fits: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newest = store(stopped).paths()
    content = bytearray((newest / "optimiser.safetensors").read_bytes())
    content[-9] ^= 1
    (newest / "optimiser.safetensors").write_bytes(content)
    run = fits.fit(stopped, progress=True)
    note = f"checkpoint {newest} is damaged (optimiser.safetensors: other contents); using previous {older}"
    assert f"note: {note}\n" in capsys.readouterr().err
    assert run.summary["notes"] == [note] and run.summary["resumed"] == 2 * fits.steps
    assert fits.same(stopped)


def test_all_checkpoints_damaged_is_an_error(stopped: Path, fits: Any) -> None:
    for path in store(stopped).paths():
        (path / files.MANIFEST).write_text("")
    with pytest.raises(CheckpointDamaged, match="every checkpoint is damaged"):
        fits.fit(stopped)


def test_another_configuration_is_refused(stopped: Path, fits: Any) -> None:
    with pytest.raises(CheckpointMismatch) as caught:
        fits.fit(stopped, latent=3, rate=0.1, seed=1)
    both = ("seed = 1 instead of 0", "model.latent = 3 instead of 2", "train.rate = 0.1 instead of 0.001")
    assert caught.value.found == "; ".join(both)
    fits.fit(stopped)
    assert fits.same(stopped)


def test_other_code_is_refused(tmp_path: Path, fits: Any, outcome: Any) -> None:
    file = tmp_path / "mine.py"
    go_on = partial(fits.fit, tmp_path / "run", imports=[file], prior="mine", epochs=1)

    def refused() -> None:
        with pytest.raises(CheckpointMismatch, match="imports = "):
            go_on()

    for content, action in [(MINE, go_on), (MINE, go_on), (MINE + "# changed\n", refused)]:
        file.write_text(content)
        assert outcome(action) == 0


def test_other_data_are_refused(tmp_path: Path, fits: Any) -> None:
    rows = np.load(fits.rows).reshape(400, 64)
    fits.fit(tmp_path / "run", data=rows, validation_data=rows[:40], epochs=1)
    changed = rows.copy()
    changed[7, 3] += 1
    for given in ({"data": changed, "validation_data": rows[:40]}, {"data": rows, "validation_data": changed[:40]}):
        with pytest.raises(DataChanged, match="the run was started with other data"):
            fits.fit(tmp_path / "run", epochs=1, **given)
    given = {"data": rows.copy(), "validation_data": rows[:40].copy()}
    assert fits.fit(tmp_path / "run", epochs=1, **given).summary["resumed"] == 90


def test_two_runs_in_one_folder(tmp_path: Path, fits: Any) -> None:
    fit = partial(fits.fit, tmp_path / "run", epochs=10**6)
    pid = fits.child(fit)
    try:
        while not store(tmp_path / "run").paths():
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            time.sleep(0.001)
        with pytest.raises(FolderLocked, match=f"process {pid} on"):
            fit(time_budget=0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert fit(time_budget=0).summary["resumed"] >= fits.steps


def test_what_cannot_be_resumed_is_refused(tmp_path: Path, fits: Any) -> None:
    with pytest.raises(UnknownName, match="unknown resume 'Auto': expected one of auto, never"):
        fits.fit(tmp_path / "run", resume="Auto")
    with pytest.raises(BadOption, match="nothing to resume"):
        fits.fit(None)
    assert not (tmp_path / "run").exists()


def test_a_diverging_rate_ends_it_and_no_such_weights_are_kept(tmp_path: Path, fits: Any) -> None:
    out = tmp_path / "run"
    words = [*fits.words(out), "--set", "rate=1e30", "--set", "optimizer=sgd"]
    assert fits.command(words, out, lambda: None) == 1
    assert "error E-TRAIN-FINITE: step " in (tmp_path / "run.out").read_text()
    assert not store(out).paths() and not (out / "model.json").exists()


def test_what_diverges_later_leaves_the_checkpoint_before(tmp_path: Path, fits: Any) -> None:
    def before() -> None:
        rate = Loop._rate
        Loop._rate = lambda self, *given: rate(self, *given) * (1e30 if self.step > fits.steps else 1)  # type: ignore[method-assign]

    out = tmp_path / "run"
    assert fits.command(fits.words(out), out, before) == 1
    said = (tmp_path / "run.out").read_text()
    assert said.count("went back to step") == 3 and "error E-TRAIN-FINITE: step " in said
    assert [path.name for path in store(out).paths()] == [f"step-{fits.steps:08d}"]
    fits.fit(out)
    assert fits.same(out)
