"""Several processes as torchrun really starts them: on one machine, on two, one killed; and how fast they are."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]
PORT = 29517
FIT = [
    "-m",
    "lowerbound",
    "fit",
    "digits",
    "--latent",
    "2",
    "--threads",
    "1",
    "--set",
    "patience=0",
    "--resume",
    "auto",
]
Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts torchrun, in a network namespace if one is named; whatever is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, space: str = "") -> subprocess.Popen[str]:
        inside = ["ip", "netns", "exec", space] if space else []
        command = [*inside, sys.executable, "-m", "torch.distributed.run", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces that a cable joins: to each, the other is another machine."""
    names = ["lowerbound-a", "lowerbound-b"]
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("needs root and the command ip")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    for name in names:
        ip("netns", "add", name)
    try:
        ip("link", "add", "lba", "netns", names[0], "type", "veth", "peer", "name", "lbb", "netns", names[1])
        for number, (name, end) in enumerate(zip(names, ("lba", "lbb"), strict=True)):
            ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


def weights(folder: Path) -> np.ndarray:
    return np.concatenate([w.detach().numpy().ravel() for w in lb.open(folder).model.parameters()])


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes that torchrun has started."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "lowerbound" in line]


def trains(folder: Path, within: float = 120) -> None:
    """Wait until epochs are told of."""
    end = time.monotonic() + within
    while time.monotonic() < end and not (folder / "history.jsonl").exists():
        time.sleep(0.1)
    time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_lost_rank_ends_all_and_one_process_goes_on(launch: Launch, tmp_path: Path, number: int, record: Any) -> None:
    out = tmp_path / "run"
    long = [*FIT, "--epochs", "400", "--rank-timeout", "5", "--out", str(out)]
    process = launch("--nproc-per-node", "2", *long)
    trains(out)
    start = time.monotonic()
    os.kill(workers(process)[1], number)
    said, _ = process.communicate(timeout=90)
    seconds = time.monotonic() - start
    assert process.returncode and "error E-TRAIN-RANK: rank 0 of 2" in said and not (out / "model.json").exists()
    went_on = launch("--nproc-per-node", "1", *FIT, "--epochs", "400", "--out", str(out))
    went_on.communicate(timeout=300)
    assert went_on.returncode == 0 and lb.open(out).summary["stopped"] == "all epochs done"
    name = {signal.SIGKILL: "killed", signal.SIGSTOP: "stopped"}[number]
    record(f"fit of two processes, one {name}", "all end, one goes on", f"ended after {seconds:.1f} s")


def test_two_machines(launch: Launch, hosts: list[str], tmp_path: Path, record: Any) -> None:
    """The same numbers as on one; and where one machine is lost, the other does not hang."""
    alone, both, lost = tmp_path / "alone", tmp_path / "both", tmp_path / "lost"
    launch("--nproc-per-node", "1", *FIT, "--epochs", "3", "--out", str(alone)).communicate(timeout=200)

    def start(out: Path, epochs: int) -> list[subprocess.Popen[str]]:
        meet = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "10.77.0.1", "--master-port", str(PORT)]
        rest = [*FIT, "--epochs", str(epochs), "--rank-timeout", "30", "--out", str(out)]
        return [launch(*meet, "--node-rank", str(number), *rest, space=space) for number, space in enumerate(hosts)]

    for process in start(both, 3):
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    apart = np.abs(weights(both) - weights(alone)).max()
    assert apart < 1e-4 and json.loads((both / "environment.json").read_text())
    first, second = start(lost, 2000)
    trains(lost)
    clock = time.monotonic()
    os.killpg(second.pid, signal.SIGKILL)
    for pid in workers(second):
        os.kill(pid, signal.SIGKILL)
    said, _ = first.communicate(timeout=120)
    seconds = time.monotonic() - clock
    assert first.returncode and "error E-TRAIN-RANK: rank 0 of 2" in said
    record("fit on two hosts (network namespaces)", "weights within 1e-4 of one process; no hang where one is lost",
           f"{apart:.1e}; ended after {seconds:.1f} s")  # fmt: skip


def test_two_processes_are_faster_than_one(data_folder: Path, tmp_path: Path, record: Any) -> None:
    """The conv network of bench/, one thread a process, in turns."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    words = ["--works", "conv", "--threads", "1", "--only", "ours,two", "--ours", "two:processes=2,compile=off"]
    files = ["--rounds", "5", "--limit", "3200", "--no-log", "--json", str(tmp_path / "all.json")]
    subprocess.run(
        [sys.executable, str(ROOT / "bench" / "run.py"), *words, *files], check=True, timeout=1200,
        env={**os.environ, "LOWERBOUND_DATA": str(data_folder), "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    table = json.loads((tmp_path / "all.json").read_text())["works"]["conv"]["contenders"]
    one, two = ([lap["seconds"] for lap in entry["laps"]] for name in ("ours", "two") for entry in table
                if entry["name"] == name)  # fmt: skip
    faster = float(np.median(np.array(one) / np.array(two)))
    record("two gloo processes of one thread each over one, conv network", ">= 1.4 times", f"{faster:.2f} times")
    assert faster >= 1.4
