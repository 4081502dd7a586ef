"""A run folder that is still being written: its history, and samples by the weights of its newest checkpoint."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.checkpoints import Checkpoint, Store
from lowerbound.config import Config
from lowerbound.errors import LowerboundError, RunError
from lowerbound.files import LOCK
from lowerbound.model import assemble
from lowerbound.run import MARKS, Run
from lowerbound.tasks.generate import sample

DRAWN = 24  # samples
SEED = 0  # the same draws at every checkpoint, so that what changes is the model
HISTORY, FINISHED = "history.jsonl", "model.json"
MOST = 5000  # epochs that are told, evenly spread


class Watched:
    """What a run in training has written so far.

    Args:
        folder: of the run.

    Raises:
        RunError: no folder that a run is written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not any((self.folder / name).exists() for name in (*MARKS, LOCK)):
            raise RunError(
                "not a run folder", where=str(folder), expected="a folder that `lowerbound fit --out` writes"
            )
        self._drawn: tuple[Path | None, dict[str, Any] | None] = None, None

    @property
    def finished(self) -> bool:
        """Whether it holds a finished model."""
        return (self.folder / FINISHED).is_file()

    def told(self) -> dict[str, Any]:
        """Plain values: whether it is finished, its epochs, seconds since the last of them, and samples or None."""
        epochs, path = self._epochs(), self.folder / HISTORY
        quiet = time.time() - path.stat().st_mtime if path.is_file() else None
        return {"state": "finished" if self.finished else "training", "epochs": epochs, "quiet": quiet,
                "samples": self._samples()}  # fmt: skip

    def _epochs(self) -> list[dict[str, Any]]:
        path = self.folder / HISTORY
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        kept = np.unique(np.linspace(0, len(lines) - 1, min(MOST, len(lines))).astype(int)).tolist()
        return [json.loads(lines[i]) for i in kept]

    def _samples(self) -> dict[str, Any] | None:
        """Those of the newest checkpoint, made once; None before there is one, and where rows are no pictures."""
        paths: Sequence[Path] = Store(self.folder / "checkpoints").paths()
        if paths and paths[-1] != self._drawn[0]:
            try:
                self._drawn = paths[-1], _drawn(Store(paths[-1].parent).load(paths[-1]))
            except (LowerboundError, OSError):  # being replaced, of an older form, or of parts that are not at hand
                return self._drawn[1]
        return self._drawn[1]


def _drawn(found: Checkpoint) -> dict[str, Any] | None:
    spec = found.state.get("spec")
    if spec is None or len(spec["shape"]) < 3 or spec["context"] or spec["posterior"]["name"] == "point":
        return None
    model = assemble(spec)
    weights = found.tensors["model"]
    model.to(next(each.dtype for each in weights.values() if each.is_floating_point())).load_state_dict(weights)
    config = Config.from_tree(found.state["config"])
    made = sample(Run(model.eval(), config, {}, {"columns": []}, {}), DRAWN, kind="mean", seed=SEED).values
    return {"step": found.step, "shape": list(model.shape), "x": np.round(made, 4).reshape(DRAWN, -1).tolist()}
