"""The options of ``fit`` that go on, stop, and start from what another run has learned."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from lowerbound.run import open as open_run

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]
FIT = ("fit", "digits", "--latent", 2)


def test_a_budget_of_time_and_going_on(answer: Ask, tmp_path: Path) -> None:
    words = (*FIT, "--epochs", 3, "--out", tmp_path / "run", "--resume", "auto", "--quiet")
    found = answer(*words, "--time-budget", 0)
    assert (found["epochs"], found["stopped"], found["resumed"]) == (1, "time budget of 0 s spent", None)
    found = answer(*words)
    assert (found["epochs"], found["stopped"], found["resumed"]) == (3, "all epochs done", 12)
    assert open_run(tmp_path / "run").summary["resumed"] == 12


def test_a_finished_run_is_left_as_it_is_and_that_is_said(cli: Invoke, run: str) -> None:
    files = [path for path in Path(run).rglob("*") if path.is_file()]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    words = ("fit", "digits", "--epochs", 2, "--latent", 2, "--recipe", "beta-vae", "--out", run)
    assert "(already finished: all epochs done)" in cli(*words, "--resume", "auto", "--quiet").stdout
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before
    assert "E-RUN-MISMATCH" in cli(*words, "--resume", "auto", "--seed", 1, code=4).stderr


def test_figures_that_are_not_there_are_drawn(answer: Ask, tmp_path: Path) -> None:
    words = (*FIT, "--epochs", 1, "--out", tmp_path / "run", "--resume", "auto", "--quiet")
    answer(*words)
    for figure in (tmp_path / "run/figures").iterdir():
        figure.unlink()
    (tmp_path / "run/figures").rmdir()
    answer(*words)
    assert (tmp_path / "run/figures/training.png").exists()


def test_the_weights_of_another_run(cli: Invoke, run: str, tmp_path: Path) -> None:
    cli(*FIT, "--init", run, "--epochs", 0, "--out", tmp_path / "new", "--quiet")
    first, second = (open_run(path).model.state_dict() for path in (run, tmp_path / "new"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    found = cli("fit", "digits", "--latent", 3, "--init", run, "--out", tmp_path / "other", code=2).stderr
    assert "error E-CONFIG-PARTS: " in found and "latent = 2 there, 3 here" in found
    assert "E-RUN: " in cli(*FIT, "--init", tmp_path, "--out", tmp_path / "other", code=4).stderr


def test_what_could_not_be_kept_is_the_end(cli: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lowerbound.errors import DiskError
    from lowerbound.run import Run

    def refuse(*_: object, **__: object) -> None:
        raise DiskError("cannot be written", where="there", found="No space left on device")

    monkeypatch.setattr(Run, "save", refuse)
    done = cli(*FIT, "--epochs", 1, "--out", tmp_path / "run", "--json", "--quiet", code=5)
    assert done.stderr == "error E-DISK: there: cannot be written: found No space left on device\n"
    assert json.loads(done.stdout)["not_saved"] in done.stderr
    assert not (tmp_path / "run/figures").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "yes"), "unknown resume 'yes': expected one of auto, never"),
        (("--time-budget", -1), "--time-budget"),
    ],
)
def test_values_that_are_refused(cli: Invoke, tmp_path: Path, words: tuple[object, ...], message: str) -> None:
    assert message in cli(*FIT, *words, "--out", tmp_path / "run", code=2).stderr
    assert not (tmp_path / "run").exists()
