"""Sweeps of the command line: both cores busy, and broken off and gone on with to the same bits."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]
ROOT = Path(__file__).parents[2]
Record = Callable[[str, str, str], None]


def start(data: str, out: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "lowerbound", "sweep", data, "--out", str(out), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def timed(out: Path, workers: int) -> tuple[float, float]:
    """Seconds on the clock and of the processor, of 8 trainings on the digits, some ten seconds each."""
    before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    made = start("digits", out, "--over", "latent=2,4,8,16", "--seeds", "2", "--epochs", "240", "--samples", "100",
                 "--set", "train.patience=0", "--workers", str(workers), "--quiet")  # fmt: skip
    made.communicate()
    assert made.returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - clock, used


def test_two_workers_keep_two_cores_busy(tmp_path: Path, record: Record) -> None:
    rounds = int(os.environ.get("LOWERBOUND_ROUNDS", "2"))
    found = {1: [], 2: []}  # type: dict[int, list[tuple[float, float]]]
    for turn in range(rounds):  # in turns, since a machine is not as fast at all times
        for workers, times in found.items():
            times.append(timed(tmp_path / f"{workers}-{turn}", workers))
    clock = {workers: float(np.median([one for one, _ in times])) for workers, times in found.items()}
    used = {workers: float(np.median([other for _, other in times])) for workers, times in found.items()}
    faster, busy = clock[1] / clock[2], used[2] / clock[2]
    said = f"{faster:.2f} on the clock ({clock[1]:.0f} s, {clock[2]:.0f} s); processor {used[1]:.0f} s, {used[2]:.0f} s"
    record("sweep of 8 trials on the digits, two workers against one", ">= 1.8", f"{said}, {busy:.2f} cores busy")
    assert faster >= 1.8


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_broken_off_goes_on_to_the_same_bits(tmp_path: Path, how: signal.Signals, record: Record) -> None:
    words = ("--over", "latent=2,3", "--epochs", "300", "--samples", "20", "--set", "train.patience=0", "--json")
    broken = start("digits", tmp_path / "broken", *words)
    lines = [tmp_path / "broken" / "trials" / f"latent={latent}-seed-0" / "run" / "history.jsonl" for latent in (2, 3)]
    while not all(line.is_file() and len(line.read_text().splitlines()) > 20 for line in lines):
        assert broken.poll() is None, broken.communicate()
        time.sleep(0.05)
    broken.send_signal(how)
    said = broken.communicate()[1]
    assert broken.returncode == (-how if how == signal.SIGKILL else 130)
    assert "Traceback" not in said
    time.sleep(5)  # workers whose sweep was killed find that out at the end of their trial
    facts: Any = {}
    for out in ("broken", "whole"):
        made = start("digits", tmp_path / out, *words)
        facts[out] = json.loads(made.communicate()[0])
    for one, other in zip(facts["broken"]["rows"], facts["whole"]["rows"], strict=True):
        assert one["log_likelihood"] == other["log_likelihood"]
        weights, found = (lb.open(row["run"]).model.state_dict() for row in (one, other))
        assert all(torch.equal(weights[name], found[name]) for name in weights)
    record(f"sweep broken off by {how.name} and gone on with: weights of an unbroken one", "equal", "equal")
