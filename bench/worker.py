"""One contender in its own process: ``python worker.py CONTENDER WORK '{"laps": 3, ...}'``; run.py talks to it."""

import importlib
import json
import os
import sys

from gate import Gate
from workloads import WORKS


def main(contender: str, work: str, text: str) -> None:
    """Use as many processors as were asked for, and take turns."""
    told = json.loads(text)
    if hasattr(os, "sched_setaffinity"):  # thread pools that do not read OMP_NUM_THREADS count the processors
        first = int(os.environ.get("LOCAL_RANK", 0)) * told["threads"]
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[first : first + told["threads"]])
    module, name = contender.split(".")
    getattr(importlib.import_module(module), name)(WORKS[work], Gate(told["laps"], told["limit"]), **told["options"])


if __name__ == "__main__":
    main(*sys.argv[1:])
