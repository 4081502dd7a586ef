"""Ctrl-C and SIGTERM ask the training to stop after the current step; a second Ctrl-C stops it at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Interrupts:
    """Handlers for the block, in the main thread only; what was there before is put back.

    ``asked`` is None, or the word for the signal that came.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._ask) for number in NAMES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            if handler is not None:  # None: set by something other than Python, which cannot be put back
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = NAMES[signal.Signals(number)]
