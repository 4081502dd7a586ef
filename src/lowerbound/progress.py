"""A bar on stderr: epoch, bound, rate and time left; a plain line now and then where there is no terminal."""

import sys
import time
from types import TracebackType
from typing import Any

from lowerbound.loop import Epoch

QUIET_SECONDS = 10.0  # between lines where stderr is not a terminal


class Bar:
    """Shows how training goes.

    Args:
        line: printed first: what the loss is.
        epochs: at most.
        reports: name of the value that is shown.
        visible: False shows nothing.
    """

    def __init__(self, line: str, epochs: int, reports: str, *, visible: bool) -> None:
        self.line, self.epochs, self.reports, self.visible = line, epochs, reports, visible
        self.terminal = visible and sys.stderr.isatty()
        self.bar: Any = None
        self.said: list[str] = []
        self.last = time.monotonic()

    def __enter__(self) -> "Bar":
        if self.visible:
            self._write(self.line)
        if self.terminal and self.epochs:
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, epoch: Epoch) -> None:
        """After an epoch."""
        if self.bar is not None:
            self.bar.update(0, completed=epoch.number, description=self._text(epoch))
        elif self.visible and (time.monotonic() - self.last > QUIET_SECONDS or epoch.number == self.epochs):
            self.last = time.monotonic()
            self._write(f"epoch {epoch.number}/{self.epochs}  {self._text(epoch)}")

    def say(self, notices: list[str]) -> None:
        """Print what the loop has to say, once, and remember it."""
        while notices:
            line = notices.pop(0)
            self.said.append(line)
            if self.visible:
                self._write(f"note: {line}")

    def _write(self, line: str) -> None:
        (self.bar.console.print if self.bar is not None else _plain)(line)

    def _text(self, epoch: Epoch) -> str:
        name = self.reports.replace("_", " ")
        held = f", held out {epoch.validation[self.reports]:.2f}" if epoch.validation else ""
        return f"{name} {epoch.train[self.reports]:.2f}{held} nats  {epoch.seconds:.2f} s an epoch"

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.bar.add_task("starting", total=self.epochs)
        self.bar.start()


def _plain(line: str) -> None:
    sys.stderr.write(line + "\n")
