"""Workers as threads: what a sweep does, without the seconds that a process takes to start."""

import threading
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest

from lowerbound.tasks import trials


@dataclass
class Thread:
    """A thread with the face of a process."""

    thread: threading.Thread
    exitcode: int = -9

    def join(self, timeout: float | None = None) -> None:
        self.thread.join(timeout)

    def is_alive(self) -> bool:
        return self.thread.is_alive()

    def terminate(self) -> None:
        """It ends when its pipe is closed."""


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt, one = trials.attempt, threading.Lock()  # the seeding of torch is one thing for all threads of a process

    def alone(trial: trials.Trial, data: Any) -> Any:
        with one:
            return attempt(trial, data)

    def start(rows: trials.Rows) -> trials.Worker:
        ours, theirs = Pipe()

        def work() -> None:
            trials.serve(theirs, rows)
            theirs.close()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return trials.Worker(Thread(thread), ours)  # type: ignore[arg-type]  # as much of it as is used

    monkeypatch.setattr(trials, "attempt", alone)
    monkeypatch.setattr(trials.Worker, "start", staticmethod(start))


@pytest.fixture
def x() -> np.ndarray[Any, Any]:
    """Rows of three numbers, two of which are one."""
    z = np.random.default_rng(0).normal(size=(200, 1))
    return np.concatenate([z, z + 0.1 * np.random.default_rng(1).normal(size=(200, 1)), -z], axis=1)
