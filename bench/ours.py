"""This package, through ``fit`` as anybody calls it: with history, progress and checkpoints."""

import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gate import Gate
from workloads import Work


def settings(work: Work, binarize: str = "grey") -> dict[str, Any]:
    """What ``fit`` is told besides the data."""
    return {
        "recipe": "vae", "latent": work.latent, "encoder": dict(work.net), "decoder": dict(work.net),
        "likelihood": "bernoulli", "binarize": binarize, "batch": work.batch, "rate": work.rate,
        "validation": 0, "test": 0, "patience": 0,
    }  # fmt: skip


def ours(work: Work, gate: Gate, **options: Any) -> None:
    """A lap is all that happens from one call of the progress function to the next.

    Checkpoints are written as often as by default; their clock stands still while others have their turn.
    """
    import lowerbound as lb
    from lowerbound import keeper

    data, waited, start = work.rows_of(gate.limit), 0.0, 0.0
    if int(os.environ.get("RANK", 0)):  # the first process has the pipe; the others wait for it in every step
        lb.fit(data, **settings(work), epochs=gate.count, progress=False, **options)
        return
    keeper.time = SimpleNamespace(monotonic=lambda: time.monotonic() - waited)

    def turn(epoch: Any) -> None:
        nonlocal start, waited
        ended = time.perf_counter()
        gate.tell(seconds=ended - start, loss=-epoch.train["elbo"], steps_only=epoch.seconds)
        start = gate.wait() if epoch.number < gate.count else time.perf_counter()
        waited += start - ended

    gate.tell(ready=True)
    with tempfile.TemporaryDirectory() as folder:
        told = {**settings(work), "epochs": gate.count, "out": Path(folder) / "run", "progress": turn, **options}
        start = gate.wait()
        run = lb.fit(data, **told)
    gate.close(run.model.parameters(), end=time.perf_counter() - start)


def start(work: Work, gate: Gate, **options: Any) -> None:
    """From a fresh process to the first steps: import of torch, import and data, call of ``fit`` to its first look."""
    for _ in gate.laps():
        marks = [time.perf_counter()]
        import torch  # noqa: F401

        marks.append(time.perf_counter())
        import lowerbound as lb

        data = work.rows_of(gate.limit)
        marks.append(time.perf_counter())
        lb.fit(data, epochs=gate.count * 100, progress=False, time_budget=1e-9, **{**settings(work), **options})
        marks.append(time.perf_counter())
    torch_s, data_s, steps_s = (b - a for a, b in pairwise(marks))
    gate.close(torch=torch_s, data=data_s, steps=steps_s)


def prepare(work: Work, gate: Gate, *, run: str) -> None:
    """One epoch on binarised rows, written to a folder, for the contenders that score rows."""
    import lowerbound as lb

    for _ in gate.laps():
        lb.fit(work.rows_of(gate.limit), out=run, epochs=1, progress=False, force=True, **settings(work, "threshold"))
    gate.close()


def score(work: Work, gate: Gate, *, run: str, rows: int, samples: int) -> None:
    """log p(x) of some rows with K importance samples each."""
    import lowerbound as lb

    opened, data = lb.open(run), work.rows_of(rows)
    for lap in gate.laps():
        gate.loss = -lb.score(opened, data, samples=samples, seed=lap).mean
    gate.close(opened.model.parameters())
