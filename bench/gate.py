"""How a contender, in a process of its own, waits for its turn and says what came of it: lines of JSON."""

import json
import math
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any


class Gate:
    """The contender's end of the pipe.

    Args:
        laps: how often it will be its turn.
        limit: rows to use, 0 for all of the workload's.
    """

    def __init__(self, laps: int, limit: int = 0) -> None:
        self.count, self.limit = laps, limit
        self.loss: float | None = None
        self._out = os.fdopen(os.dup(1), "w")  # what libraries print to stdout must not get between the lines
        os.dup2(2, 1)

    def laps(self) -> Iterator[int]:
        """Wait, let the body of the loop run, and report its time; the body sets ``loss``."""
        self.tell(ready=True)
        for lap in range(self.count):
            start = self.wait()
            yield lap
            self.tell(seconds=time.perf_counter() - start, loss=self.loss)

    def wait(self) -> float:
        """Until it is this contender's turn; then what the clock says."""
        if not sys.stdin.readline():
            raise SystemExit("nobody asks any more")
        return time.perf_counter()

    def tell(self, **facts: Any) -> None:
        """One line to whoever asks."""
        self._out.write(json.dumps(facts) + "\n")
        self._out.flush()

    def close(self, weights: Iterable[Any] = (), **facts: Any) -> None:
        """The last line: how many weights were trained and how much memory was needed at most."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on a Mac, else KiB
        megabytes = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
        self.tell(parameters=sum(math.prod(weight.shape) for weight in weights), megabytes=round(megabytes), **facts)
