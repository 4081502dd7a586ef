"""Measures this package against loops by hand and against other projects: ``make bench``, or ``run.py --help``.

Every contender is a process of its own. They take turns, A B C A B C, one lap (an epoch) each; the first round warms up
and is not counted. Figures are medians over rounds; ratios are taken within each round, so that a slow minute of the
machine hits both sides, and are given as median (lowest to highest).
"""

import argparse
import importlib.util
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import report  # noqa: E402
from workloads import WORKS, flops  # noqa: E402


@dataclass(frozen=True)
class Contender:
    """Who is measured: the function that runs it, its options, the modules it needs, the floor it is held against."""

    name: str
    runs: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    works: tuple[str, ...] = tuple(WORKS)
    floor: str = "fp32"
    processes: int = 1  # that train together, each with as many threads as were asked for

    @property
    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


CONTENDERS = [
    Contender("floor", "loops.floor"),
    Contender("loop by hand", "loops.loop"),
    Contender("loop by hand, oneDNN", "loops.loop", {"kernels": True}),
    Contender("loop by hand, bf16", "loops.loop", {"precision": "bf16"}, floor="bf16"),
    Contender("pythae trainer", "peers.pythae", needs=("pythae",)),
    Contender("tutorial (DataLoader)", "loops.tutorial", needs=("PIL",), works=("mnist",)),
    Contender("JAX scan", "peers.jax_scan", needs=("jax", "optax"), works=("mnist",)),
]
OURS = [
    "ours:compile=off", "ours compiled:compile=on", "ours bf16:precision=bf16,compile=off",
    "ours bf16 compiled:precision=bf16,compile=on",
]  # fmt: skip


class Worker:
    """The controller's end of the pipe to a contender."""

    def __init__(self, who: Contender, work: str, told: Mapping[str, Any]) -> None:
        self.who, self.laps, self.failed, self.last = who, list[dict[str, Any]](), "", dict[str, Any]()
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long as the process
        text = json.dumps({**told, "options": who.options})
        threads = {"OMP_NUM_THREADS": str(told["threads"]), "MKL_NUM_THREADS": str(told["threads"])}
        several = ["-m", "torch.distributed.run", "--nproc-per-node", str(who.processes)] if who.processes > 1 else []
        self.process = subprocess.Popen(
            [sys.executable, *several, str(HERE / "worker.py"), who.runs, work, text], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors, text=True, env={**os.environ, **threads},
        )  # fmt: skip
        self._hear()

    def lap(self) -> None:
        """Its turn."""
        if self.failed:
            return
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.laps.append(self._hear())

    def close(self) -> None:
        """Hear the last word, and see it out."""
        if not self.failed:
            self.last = self._hear()
        self.process.communicate()
        self.errors.close()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            heard: dict[str, Any] = json.loads(line)
            return heard
        self.process.wait()
        self.errors.seek(0)
        self.failed = (self.errors.read().strip() or f"exit code {self.process.returncode}").splitlines()[-1]
        return {}


def compete(who: Sequence[Contender], work: str, rounds: int, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Let contenders take turns; what each said of its counted laps and at the end."""
    workers = [Worker(one, work, {**told, "laps": rounds + 1}) for one in who]
    for number in range(rounds + 1):
        for worker in workers:
            worker.lap()
        if rounds:
            print(f"{work}: round {number} of {rounds}", file=sys.stderr)
    for worker in workers:
        worker.close()
    return [
        {
            "name": worker.who.name, "floor": worker.who.floor, "failed": worker.failed, "first": worker.laps[:1],
            "laps": worker.laps[1:], **worker.last,
        }
        for worker in workers
    ]  # fmt: skip


def train(who: Sequence[Contender], work: str, rounds: int, told: Mapping[str, Any]) -> dict[str, Any]:
    """The epochs of a workload."""
    WORKS[work].rows_of(1)  # says what is missing before anybody is started
    chosen = [one for one in who if work in one.works and not one.missing]
    limit = told["limit"] or WORKS[work].rows
    return {
        "title": WORKS[work].title, "rows": limit, "gflop": flops(WORKS[work])["row"] * limit * 1e-9,
        "contenders": compete(chosen, work, rounds, told),
    }  # fmt: skip


def first_steps(who: Sequence[Contender], work: str, times: int, told: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds from a fresh process to the first 64 steps of ``fit``, medians, and the slowest, which had to compile."""
    found = {}
    for one in (one for one in who if one.runs == "ours.ours" and one.processes == 1):
        fresh = Contender(one.name, "ours.start", one.options)
        each = [e for _ in range(times) if not (e := compete([fresh], work, 0, told)[0])["failed"]]
        if each:
            found[one.name] = {key: statistics.median(e[key] for e in each) for key in ("torch", "data", "steps")}
            found[one.name]["slowest"] = max(e["steps"] for e in each)
    return found


def scores(samples: int, rows: int, rounds: int, told: Mapping[str, Any]) -> dict[str, Any]:
    """Importance-weighted log p(x) of binarised rows by the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"run": str(Path(folder) / "run"), "rows": rows, "samples": samples}
        compete([Contender("prepare", "ours.prepare", {"run": given["run"]})], "mnist", 0, told)
        who = [Contender("ours", "ours.score", given)]
        who += [
            Contender(f"pythae get_nll, batch {batch}", "peers.pythae_score", {**given, "batch": batch}, ("pythae",))
            for batch in (100, 1000)
        ]
        chosen = [Contender("floor", "loops.floor"), *(one for one in who if not one.missing)]
        gflop = flops(WORKS["mnist"])["code"] * samples * rows * 1e-9
        found = compete(chosen, "mnist", rounds, told)
    return {"title": f"log p(x), K = {samples}, {rows} rows", "rows": rows, "gflop": gflop, "contenders": found}


def our(text: str) -> Contender:
    """``NAME:key=value,key=value``: this package with settings of its configuration laid over, or in ``processes``."""
    from lowerbound.config import parse_value

    name, _, rest = text.partition(":")
    options = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    low = options.get("precision") == "bf16"
    told = {key: parse_value(value) for key, value in options.items()}
    processes = told.pop("processes", 1)
    return Contender(name, "ours.ours", told, floor="bf16" if low else "fp32", processes=processes)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", default="mnist,conv,score", help="which of mnist, conv, score")
    parser.add_argument("--only", default="", help="contenders, separated by commas; ours* for all of ours")
    parser.add_argument("--ours", action="append", default=[], help="NAME:key=value,... a further contender of ours")
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=int, default=0, help="rows a workload, 0 for all: for a quick look")
    parser.add_argument("--samples", type=int, default=5000, help="K of score")
    parser.add_argument("--score-rows", type=int, default=64)
    parser.add_argument("--note", action="append", default=[], help="a line for the log, of what did not work")
    parser.add_argument("--log", type=Path, default=HERE / "LOG.md")
    parser.add_argument("--no-log", action="store_true", help="do not write to the log")
    parser.add_argument("--json", type=Path, default=Path("runs") / "bench.json")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> None:
    """Measure, print, and keep."""
    told = arguments(words)
    who = [*map(our, [*OURS, *told.ours]), *CONTENDERS]
    names = [name for name in told.only.split(",") if name]
    who = [one for one in who if not names or any(fnmatch(one.name, name) for name in ["floor", *names])]
    common = {"threads": told.threads, "limit": told.limit}
    found: dict[str, Any] = {"machine": report.machine(told.threads), "command": shlex.join(["bench/run.py", *words])}
    found |= {"rounds": told.rounds, "notes": told.note, "works": {}, "start": {}}
    found["absent"] = {one.name: one.missing for one in who if one.missing}
    for work in told.works.split(","):
        if work == "score":
            found["works"][work] = scores(told.samples, told.score_rows, told.rounds, common)
        else:
            found["works"][work] = train(who, work, told.rounds, common)
            found["start"][work] = first_steps(who, work, min(3, told.rounds), common)
    found["finished"] = time.strftime("%Y-%m-%d %H:%M")
    text = report.text(found)
    print(text)
    told.json.parent.mkdir(parents=True, exist_ok=True)
    told.json.write_text(json.dumps(found, indent=1) + "\n")
    if not told.no_log:
        with told.log.open("a") as log:
            log.write("\n" + text)


if __name__ == "__main__":
    main(sys.argv[1:])
