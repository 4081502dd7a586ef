"""Whole runs in several processes: broken off, gone on with in another number, ended together, and refused by name."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import lowerbound as lb
from lowerbound import ranks
from lowerbound.batches import Batch
from lowerbound.checkpoints import Store
from lowerbound.cli import app
from lowerbound.errors import BadOption, ConfigError, DataChanged, FolderLocked, LowerboundError, RankLost
from lowerbound.files import Lock
from lowerbound.keeper import CHECKPOINTS
from lowerbound.loop import CHUNK, Loop
from lowerbound.ranks import Ranks, together

Start = Callable[[int, Callable[[int], Any]], list[Any]]
X = np.random.default_rng(0).normal(size=(403, 4)).astype(np.float64)
SETTINGS = {
    "latent": 2, "batch": 4, "epochs": 2, "patience": 0, "threads": 1, "compile": "off", "precision": "fp64",
    "encoder": {"name": "mlp", "widths": [8]}, "decoder": {"name": "mlp", "widths": [8]}, "test": 0,
}  # fmt: skip
SOON = 2.0  # seconds that ranks wait for each other, where one never answers


def fit(out: Path | None, **changes: Any) -> lb.Run:
    given = {"resume": "auto" if out else "never", "progress": False, "checkpoint_seconds": 0, **SETTINGS, **changes}
    return lb.fit(given.pop("data", X), out=out, **given)


def weights(run: lb.Run) -> np.ndarray:
    return np.concatenate([weight.detach().numpy().ravel() for weight in run.model.parameters()])


def at_step(step: int, do: Callable[[], object]) -> None:
    """From now on, this process does that before the gradients of a step."""
    gradients = Loop._gradients

    def watched(self: Loop, *given: Any) -> Any:
        if self.step == step:
            do()
        return gradients(self, *given)

    Loop._gradients = watched  # type: ignore[method-assign]  # in a child that ends with its test


def remembered(rows: list[tuple[int, list[int]]]) -> None:
    """From now on, this process keeps the rows that it takes in each step."""
    gradients = Loop._gradients

    def watched(self: Loop, batch: Batch, *given: Any) -> Any:
        assert batch.index is not None
        rows.append((self.step, batch.index.tolist()))
        return gradients(self, batch, *given)

    Loop._gradients = watched  # type: ignore[method-assign]


def one_by_one(found: list[list[tuple[int, list[int]]]]) -> dict[int, list[int]]:
    """The rows of each step, of all ranks in their order."""
    steps: dict[int, list[int]] = {}
    for rows in found:
        for step, index in rows:
            steps[step] = steps.get(step, []) + index
    return steps


def test_one_two_one_ranks_take_the_same_rows_and_come_to_the_same_weights(tmp_path: Path, start: Start) -> None:
    """Stopped twice in the middle of an epoch: by a budget in one process, by SIGTERM of rank 1 alone in two."""
    out, second = tmp_path / "run", 150

    def part(stop: bool) -> Callable[[int], Any]:
        def work(rank: int) -> Any:
            rows: list[tuple[int, list[int]]] = []
            remembered(rows)
            if rank == 1:
                at_step(second, lambda: os.kill(os.getpid(), signal.SIGTERM))
            run = fit(out, time_budget=1e-9 if stop else None)
            return rows, run.summary, weights(run)

        return work

    def unbroken(rank: int) -> Any:
        rows: list[tuple[int, list[int]]] = []
        remembered(rows)
        run = fit(None)
        return rows, run.history, weights(run)

    ((wanted, history, goal),) = start(1, unbroken)
    parts = [start(1, part(True)), start(2, part(False)), start(1, part(False))]
    said = [[summary["stopped"] for _, summary, _ in some] for some in parts]
    assert said == [["time budget of 1e-09 s spent"], ["terminated"] * 2, ["all epochs done"]]
    taken = [one_by_one([rows for rows, _, _ in some]) for some in parts]
    assert max(taken[0]) == CHUNK - 1 and second <= max(taken[1]) < second + CHUNK
    joined = {step: rows for some in taken for step, rows in some.items()}
    assert sum(map(len, taken)) == len(joined) and joined == dict(wanted)
    assert np.abs(parts[2][0][2] - goal).max() < 1e-9
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    for line, other in zip(lines, history, strict=True):
        assert line | {"seconds": 0} == pytest.approx(other | {"seconds": 0}, rel=1e-9)
    assert "2 then, 1 now" in " ".join(parts[2][0][1]["notes"])


def test_a_killed_rank_ends_all_and_two_go_on_from_the_last_checkpoint(tmp_path: Path, start: Start) -> None:
    out = tmp_path / "run"
    clock = time.monotonic()

    def killed(rank: int) -> Any:
        if rank == 1:
            at_step(150, lambda: os.kill(os.getpid(), signal.SIGKILL))
        return fit(out)

    survivor, gone = start(2, killed)
    assert gone is None and isinstance(survivor, RankLost) and time.monotonic() - clock < 30
    assert "rank 0 of 2" in str(survivor) and "--resume auto" in str(survivor) and survivor.exit_code == 1
    newest = Store(out / CHECKPOINTS).latest()
    assert newest is not None and newest.step < 150
    assert not (out / "model.json").exists() and not (out / ".lock").exists()
    first, second = start(2, lambda rank: (weights(run := fit(out)), run.summary["stopped"]))
    assert np.array_equal(first[0], second[0]) and first[1] == second[1] == "all epochs done"
    assert np.abs(first[0] - weights(fit(None))).max() < 1e-9


def test_a_rank_that_does_not_answer_is_given_up(start: Start) -> None:
    def stuck() -> None:
        time.sleep(SOON + 2)
        os._exit(0)

    def work(rank: int) -> Any:
        if rank == 1:
            at_step(3, stuck)
        before = time.monotonic()
        with pytest.raises(RankLost):
            fit(None, rank_timeout=SOON)
        return time.monotonic() - before

    seconds, gone = start(2, work)
    assert gone is None and SOON <= seconds < SOON + 10


def test_early_stopping_and_a_run_that_was_finished_are_agreed(tmp_path: Path, start: Start) -> None:
    """The limit on the KL is learned, the averaged weights are kept, and the bound that stops is held out."""
    told = {"epochs": 30, "patience": 2, "rate": 0.03, "average": 0.9, "data": X[:60]}
    told["objective"] = "constrained:limit=0.5"
    alone = fit(None, **told)
    found = start(2, lambda rank: (lambda run: (run.summary, weights(run), run.history))(fit(tmp_path / "run", **told)))
    for summary, there, history in found:
        assert summary["stopped"] == alone.summary["stopped"] == "no better validation bound for 2 epochs"
        assert summary["best"]["epoch"] == alone.summary["best"]["epoch"] and len(history) == len(alone.history)
        assert np.abs(there - weights(alone)).max() < 1e-9
        reached, wanted = summary["reached"], alone.summary["reached"]
        assert reached["multiplier"] == pytest.approx(wanted["multiplier"], rel=1e-9)
        assert reached["kl"] == pytest.approx(wanted["kl"], rel=1e-9)
    again = start(2, lambda rank: fit(tmp_path / "run", **told).summary["stopped"])
    assert again[0] == "already finished: no better validation bound for 2 epochs"


def outcomes(start: Start, work: Callable[[int], Any]) -> list[LowerboundError]:
    found = start(2, work)
    assert all(isinstance(answer, LowerboundError) for answer in found), found
    return found


def test_other_data_and_settings_of_one_rank_end_both(start: Start) -> None:
    first, second = outcomes(start, lambda rank: fit(None, data=X + rank))
    assert isinstance(second, DataChanged) and isinstance(first, RankLost)
    assert "rank 1" in str(first) and second.id in str(first)
    first, second = outcomes(start, lambda rank: fit(None, train__rate=0.1 * (1 + rank)))
    assert "train.rate" in str(second) and "train.rate" in str(first)


def test_what_the_first_rank_cannot_write_ends_both(tmp_path: Path, start: Start) -> None:
    with Lock(tmp_path):
        first, second = outcomes(start, lambda rank: fit(tmp_path))
    assert isinstance(first, FolderLocked) and isinstance(second, RankLost) and "rank 0" in str(second)


def test_files_are_not_fetched_by_several_processes(start: Start) -> None:
    for error in outcomes(start, lambda rank: fit(None, download=True)):
        assert isinstance(error, BadOption) and "2 processes would fetch" in str(error)


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(ranks.devices, "pick", lambda name: torch.device("cuda"))
    assert [ranks._device("auto", local) for local in (0, 1)] == [torch.device("cuda", local) for local in (0, 1)]
    with pytest.raises(BadOption, match="process 3, 2 CUDA devices"):
        ranks._device("cuda", 2)
    monkeypatch.setattr(ranks.devices, "pick", lambda name: torch.device("mps"))
    assert ranks._device("auto", 0) == torch.device("cpu")
    with pytest.raises(BadOption, match="'mps'"):
        ranks._device("mps", 0)


TOLD = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RANK": "0"}, "WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set"),
        ({"WORLD_SIZE": "2"}, "RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set"),
        (TOLD | {"MASTER_ADDR": ""}, "MASTER_ADDR not set"),
        (TOLD | {"RANK": "2"}, "RANK cannot be: found '2', expected a whole number from 0 to 1"),
        (TOLD | {"WORLD_SIZE": "two"}, "WORLD_SIZE cannot be: found 'two'"),
        (TOLD | {"WORLD_SIZE": "0"}, "WORLD_SIZE cannot be: found '0'"),
        (TOLD | {"MASTER_PORT": "99999"}, "MASTER_PORT cannot be: found '99999'"),
        (TOLD | {"LOCAL_RANK": "-1"}, "LOCAL_RANK cannot be: found '-1'"),
    ],
)
def test_an_environment_that_does_not_say_all_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], words: str
) -> None:
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError) as caught, together("cpu"):
        pass
    assert words in str(caught.value)


def test_one_process_of_torchrun_is_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (TOLD | {"WORLD_SIZE": "1"}).items():
        monkeypatch.setenv(name, text)
    with together("cpu") as alone:
        assert alone == Ranks()


def test_ranks_that_never_come_are_given_up(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    def alone(rank: int) -> Any:
        os.environ.update({"WORLD_SIZE": "2"})
        with together("cpu", 1.0):
            pass

    (error,) = start(1, alone)
    assert isinstance(error, RankLost)


def test_only_fit_runs_in_several_processes_and_only_the_first_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (TOLD | {"RANK": "1"}).items():
        monkeypatch.setenv(name, text)
    found = CliRunner().invoke(app, ["recipes"])
    assert found.exit_code == 2 and "rank 1: error" in found.output
    assert "no verb for several processes: recipes" in found.output
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert CliRunner().invoke(app, ["recipes"]).output == ""
    monkeypatch.setenv("RANK", "0")
    assert "beta-vae" in CliRunner().invoke(app, ["recipes"]).output


def test_no_time_to_wait_is_refused() -> None:
    with pytest.raises(BadOption, match="rank_timeout"):
        fit(None, rank_timeout=0.0)


def test_threads_are_shared_where_torchrun_left_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(16))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert Ranks(0, 8, 4).threads(0) == 4 and Ranks(0, 8, 4).threads(1) == 1 and Ranks(0, 32, 32).threads(0) == 1
    assert Ranks().threads(0) == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Ranks(0, 8, 4).threads(0) == 0
