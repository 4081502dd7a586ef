"""Sweeps: trials are trainings like any other; done ones stay, broken ones go on, dead ones stop nobody."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import lowerbound as lb
from lowerbound.data import Split
from lowerbound.errors import BadOption, CheckpointMismatch, ConfigError, FolderLocked, MissingExtra, UnknownName
from lowerbound.files import Lock
from lowerbound.tasks import searching, trials
from lowerbound.tasks.choosing import Sweep

Array = np.ndarray[Any, Any]
SMALL: Any = {"epochs": 2, "encoder": "linear", "decoder": "linear", "samples": 8}
pytestmark = pytest.mark.usefixtures("threads")


def swept(x: Any, out: Path, over: Any = None, **options: Any) -> Sweep:
    return lb.sweep(x, over or {"latent": [1, 2]}, out=out, **{"workers": 2, **SMALL, **options})


def states(made: Sweep) -> list[str]:
    return [row["state"] for row in made.facts["rows"]]


def test_a_trial_is_a_training_like_any_other(x: Array, tmp_path: Path) -> None:
    made = swept(x, tmp_path, {"latent": [1, 2], "train.rate": [0.01]}, seeds=[3, 4], test=20)
    rows = made.facts["rows"]
    assert [(row["point"]["model.latent"], row["seed"]) for row in rows] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    run = lb.open(rows[3]["run"])
    split = lb.load(x).with_split(0.1, 20, seed=3).split
    assert split is not None and run.facts["split"] == {"how": "given", "train": 160, "validation": 20, "test": 20}
    data = lb.Data(x, split=Split(split.train, split.validation, split.test))
    alone = lb.fit(data, latent=2, rate=0.01, seed=4, split="given", validation=0.0, test=0.0, threads=1, epochs=2,
                   encoder="linear", decoder="linear", progress=False)  # fmt: skip
    weights = alone.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in run.model.state_dict().items())
    scores = lb.score(alone, x[split.validation], samples=8)
    assert rows[3]["log_likelihood"]["mean"] == pytest.approx(scores.mean, rel=1e-6)
    assert made.best is not None and made.best["run"] in {row["run"] for row in rows}
    assert {path.name for path in tmp_path.iterdir()} == {
        "sweep.csv", "sweep.md", "sweep.json", "sweep.png", "trials"
    }  # fmt: skip


def test_what_is_done_is_not_done_again(x: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = swept(x, tmp_path)
    monkeypatch.setattr(trials, "attempt", lambda *_: pytest.fail("trained again"))
    again = swept(x, tmp_path)
    assert again.facts == first.facts
    with pytest.raises(CheckpointMismatch, match=r"latent=1-seed-0.*with other settings"):
        swept(x, tmp_path, epochs=3)
    with pytest.raises(CheckpointMismatch):
        swept(x + 1, tmp_path)


def test_force_trains_what_is_there_with_other_settings(x: Array, tmp_path: Path) -> None:
    swept(x, tmp_path)
    made = swept(x, tmp_path, epochs=3, force=True)
    assert [row["epochs"] for row in made.facts["rows"]] == [3, 3]


def test_a_trial_that_fails_stops_nobody_and_is_kept(x: Array, tmp_path: Path) -> None:
    made = swept(x, tmp_path, {"train.rate": [1e-3, 1e30], "posterior": ["gaussian", "point"]}, clip=0)
    assert [row["state"] for row in made.facts["rows"]] == ["done", "failed", "diverged", "failed"]
    said = made.facts["notes"]
    assert any("has no density" in note or "point" in note for note in said) and any("not finite" in n for n in said)
    assert json.loads((Path(made.facts["rows"][2]["run"]).parent / "trial.json").read_text())["state"] == "diverged"
    assert made.best is not None and made.best["point"]["train.rate"] == 1e-3


def test_what_was_broken_off_goes_on(x: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trial is broken off after one of three epochs; the call after goes on from there to the same bits."""
    fit: Callable[..., lb.Run] = trials.fit
    seen: list[int] = []

    def broken(data: Any, **options: Any) -> lb.Run:
        if options["model.latent"] == 1:
            return fit(data, **options)
        run = fit(data, **options, time_budget=0.0)
        run.summary["stopped"] = "interrupted"
        os.kill(os.getpid(), signal.SIGINT)
        return run

    monkeypatch.setattr(trials, "fit", broken)
    with pytest.raises(KeyboardInterrupt):
        swept(x, tmp_path / "out", epochs=3, workers=1)
    text = (tmp_path / "out" / "sweep.md").read_text()
    assert "broken off: the same command goes on from here" in text and "| 1 " in text
    mark = tmp_path / "out" / "trials" / "latent=2-seed-0" / "trial.json"
    assert json.loads(mark.read_text())["state"] == "begun"

    def counted(data: Any, **options: Any) -> lb.Run:
        run = fit(data, **options)
        seen.append(run.summary.get("resumed", -1))
        return run

    monkeypatch.setattr(trials, "fit", counted)
    made = swept(x, tmp_path / "out", epochs=3, workers=1)
    assert states(made) == ["done", "done"] and len(seen) == 1 and seen[0] > 0
    whole = swept(x, tmp_path / "whole", {"latent": [2]}, epochs=3)
    one, other = (lb.open(found.facts["rows"][-1]["run"]).model.state_dict() for found in (made, whole))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_process_that_is_told_to_end_stops_nobody(x: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = trials.attempt
    monkeypatch.setattr(
        trials, "attempt", lambda trial, data: attempt(trial, data) if trial.point["model.latent"] > 1 else None
    )
    made = swept(x, tmp_path)
    assert states(made) == ["died", "done"] and made.facts["rows"][0]["reason"] == "its process was told to end"


def test_the_next_call_tries_again_if_asked(x: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trials, "attempt", lambda *_: trials.failed("failed", "for some reason"))
        assert states(swept(x, tmp_path)) == ["failed", "failed"]
    assert states(swept(x, tmp_path)) == ["failed", "failed"]
    assert states(swept(x, tmp_path, retry=True)) == ["done", "done"]


def test_optuna_points_are_trials_and_go_on(x: Array, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    over = {"latent": searching.Range(1, 2), "train.rate": searching.Range(1e-3, 1e-1, log=True)}
    made = swept(x, tmp_path, over, search="optuna", trials=2, workers=1)
    more = swept(x, tmp_path, over, search="optuna", trials=3, workers=1)
    kept = [row for row in more.facts["rows"] if row in made.facts["rows"]]
    assert len(kept) == 2 and states(more) == ["done"] * 3


def test_a_point_that_optuna_asks_for_again_is_one_point(x: Array, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    made = swept(x, tmp_path, {"latent": searching.Range(1, 2)}, search="optuna", trials=6, workers=1)
    assert sorted(row["point"]["model.latent"] for row in made.facts["rows"]) == [1, 2]


def test_points_that_look_alike_have_folders_of_their_own(x: Array, tmp_path: Path) -> None:
    made = swept(x, tmp_path, {"train.rate": [1e-3, 1.00000001e-3, 1.00000002e-3]})
    assert len({row["run"] for row in made.facts["rows"]}) == 3 and states(made) == ["done"] * 3


def test_without_optuna_it_is_said(x: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"lowerbound\[sweep\]"):
        swept(x, tmp_path, search="optuna", trials=2)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"over": {"data.validation": [0.1]}}, BadOption, "'data.validation' is the same for all trials"),
        ({"over": {"seed": [1]}}, BadOption, "seeds by seeds"),
        ({"over": {"latent": [1]}, "latent": 2}, BadOption, "'model.latent' is also given for all trials"),
        ({"over": ["latent=1", "model.latent=2"]}, BadOption, "each once"),
        ({"over": {"model.latnet": [1]}}, ConfigError, "latnet"),
        ({"over": {"latent": [0]}}, ConfigError, "latent"),
        ({"validation": 0.0}, BadOption, "nothing to choose by"),
        ({"workers": 0}, BadOption, "workers, samples"),
        ({"seeds": 0}, BadOption, "nothing to sweep"),
        ({"trials": 3}, BadOption, "trials for optuna"),
        ({"search": "random"}, UnknownName, "unknown search 'random'"),
    ],
)
def test_bad_sweeps_are_refused_before_training(
    x: Array, tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        swept(x, tmp_path, **options)
    assert not (tmp_path / "trials").exists()


def test_one_sweep_at_a_time_in_a_folder(x: Array, tmp_path: Path) -> None:
    with Lock(tmp_path), pytest.raises(FolderLocked):
        swept(x, tmp_path)


def test_the_command_line(x: Array, tmp_path: Path) -> None:
    from lowerbound.cli import app

    np.save(tmp_path / "x.npy", x)
    said = "--over latent=1,2 --seeds 2..3 --samples 8 --epochs 1 --encoder linear --workers 1 --set decoder=linear"
    words = ["sweep", str(tmp_path / "x.npy"), "--out", str(tmp_path / "out"), *said.split()]
    done = CliRunner().invoke(app, [*words, "--json"])
    facts = json.loads(done.stdout)
    assert done.exit_code == 0 and "4 of 4: latent=2, seed 3: log p(x)" in done.stderr
    assert facts["best"]["log_likelihood"].keys() == {"mean", "se"} and len(facts["rows"]) == 4
    assert "| latent | seeds | log p(x), nats |" in CliRunner().invoke(app, [*words, "--quiet"]).stdout
    for wrong in (["--seeds", "two"], ["--over", "beta"]):
        done = CliRunner().invoke(app, [*words, *wrong])
        assert done.exit_code == 2 and "error E-CONFIG-OPTION" in done.stderr and "Traceback" not in done.stderr


def test_a_process_that_is_killed_stops_nobody(x: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With real processes: after the first trial its worker is killed, so that the second finds it dead."""
    monkeypatch.undo()

    def told(row: Any, done: int, of: int | None) -> None:
        if done == 1:
            (worker,) = multiprocessing.active_children()
            worker.kill()
            worker.join()

    made = swept(x, tmp_path, {"latent": [1, 2, 3]}, workers=1, progress=told)
    assert states(made) == ["done", "died", "done"]
    assert "SIGKILL" in made.facts["rows"][1]["reason"] and not multiprocessing.active_children()
