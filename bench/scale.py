"""Training from a folder of mapped arrays: its rate beside the same rows in memory, its memory, and a small cache.

    python bench/scale.py make FOLDER ROWS            rows x 64 of float32, from 8 factors
    python bench/scale.py rates FOLDER SECONDS        mapped and in memory, in turn, in one process
    python bench/scale.py fit FOLDER SECONDS          the largest anonymous memory of a fit
    python bench/scale.py steps FOLDER SECONDS HOW    rate with the shuffle HOW (full, block, block:128)

Each prints one JSON object. To limit the cache, run ``steps`` in a control group with less memory than the file has.
"""

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lowerbound as lb
from lowerbound.batches import Rows, mixed_rows
from lowerbound.config import TrainConfig
from lowerbound.data.shards import Stream, write_shards
from lowerbound.initial import initialise
from lowerbound.objectives import elbo
from lowerbound.train import steps

COLUMNS, FACTORS, BLOCK = 64, 8, 100_000
SPEC = {
    "shape": [COLUMNS], "latent": 16, "embedding": {"mode": "columns", "masked": False}, "context": 0,
    "encoder": {"name": "mlp"}, "posterior": {"name": "gaussian"}, "prior": {"name": "standard"},
    "decoder": {"name": "mlp"}, "likelihood": {"name": "gaussian"},
}  # fmt: skip


def make(folder: str, rows: int) -> dict[str, Any]:
    """Rows of a linear Gaussian model with 8 factors."""
    source = np.random.default_rng(0)
    loadings = source.normal(size=(FACTORS, COLUMNS)).astype(np.float32)

    def blocks() -> Iterator[Any]:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            z, noise = (source.standard_normal((count, size), np.float32) for size in (FACTORS, COLUMNS))
            yield z @ loadings + 0.5 * noise

    write_shards(Stream("factors", blocks(), rows, 1.0), Path(folder))
    return {"rows": rows}


def training(x: Any, shuffle: str = "full") -> Iterator[Any]:
    """A loop that yields every 64 steps."""
    rows = Rows(x, mixed=mixed_rows(shuffle, 4 * COLUMNS))
    model, settings = lb.assemble(SPEC), TrainConfig(epochs=100)
    initialise(model, rows, settings, 0)
    return steps(model, elbo(), rows, settings)


def rates(folder: str, seconds: float) -> dict[str, Any]:
    """Rows a second of processor time and of the clock, chunk by chunk in turn."""
    x = lb.load(folder).x
    memory = np.array(x)  # and the file is in the cache
    loops = {"memory": training(memory), "mapped": training(x)}
    spent = {name: [0.0, 0.0, 0] for name in loops}
    for loop in loops.values():
        next(loop)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for name, loop in loops.items():
            before = time.process_time(), time.perf_counter()
            next(loop)
            spent[name][0] += time.process_time() - before[0]
            spent[name][1] += time.perf_counter() - before[1]
            spent[name][2] += 64 * 128
    found = {name: {"cpu": round(n / cpu), "wall": round(n / wall)} for name, (cpu, wall, n) in spent.items()}
    ratio = {kind: round(found["mapped"][kind] / found["memory"][kind], 3) for kind in ("cpu", "wall")}
    return {"rows": len(x), **found, "ratio": ratio}


def timed(folder: str, seconds: float, shuffle: str) -> dict[str, Any]:
    """Rows a second with a shuffle from the first step on, and what was read from the disk meanwhile."""
    x = lb.load(folder).x
    loop = training(x, shuffle)
    read, cpu, start, count = _read(), time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(loop)
        count += 64 * 128
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    return {"rows": len(x), "shuffle": shuffle, "wall": round(count / wall), "cpu": round(count / used),
            "read": _read() - read, "taken": count * 4 * COLUMNS}  # fmt: skip


def fit(folder: str, seconds: float) -> dict[str, Any]:
    """The largest anonymous memory of a whole fit, beyond what the libraries take, and its start."""
    base, peak, done = _anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    run = lb.fit(folder, time_budget=seconds, epochs=1, progress=False)
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    done.set()
    watcher.join()
    rows = lb.load(folder).rows
    found = {"rows": rows, "base": base, "peak": peak[0], "beyond": peak[0] - 8 * rows, "wall": round(wall, 1)}
    return {**found, "cpu": round(used, 1), "trained": run.summary["seconds"], "stopped": run.summary["stopped"]}


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def _read() -> int:
    """Bytes that came from the disk."""
    return 512 * resource.getrusage(resource.RUSAGE_SELF).ru_inblock


def main(words: list[str]) -> None:
    """Run one of the measurements."""
    torch.set_num_threads(1)
    what, folder, *rest = words
    if what == "make":
        found = make(folder, int(rest[0]))
    elif what == "steps":
        found = timed(folder, float(rest[0]), rest[1])
    else:
        found = {"rates": rates, "fit": fit}[what](folder, float(rest[0]))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
