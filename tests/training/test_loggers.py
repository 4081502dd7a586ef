"""An epoch's numbers go where a logger takes them."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lowerbound as lb
from lowerbound.errors import MissingExtra
from lowerbound.loggers import TensorBoard


class Writer:
    """Keeps what it is given, as the one of TensorBoard would."""

    def __init__(self, folder: str) -> None:
        self.folder, self.written, self.flushed = folder, list[tuple[str, float, int]](), 0

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.written.append((tag, value, step))

    def flush(self) -> None:
        self.flushed = len(self.written)


def test_every_number_of_an_epoch_is_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    logger = TensorBoard(tmp_path / "events")
    run = lb.fit("digits", latent=2, epochs=2, progress=logger)
    found: Any = logger.writer
    expected = [(k, value, line["step"]) for line in run.history for k, value in line.items() if k != "step"]
    assert (found.folder, found.written, found.flushed) == (str(tmp_path / "events"), expected, len(expected))
    assert {"train_elbo", "validation_elbo", "seconds"} <= {tag for tag, _, _ in expected}


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"pip install 'lowerbound\[tensorboard\]'"):
        TensorBoard("events")
