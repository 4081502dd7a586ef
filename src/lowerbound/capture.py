"""A step of training recorded once and replayed: the processor that feeds the accelerator then only says go."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Results = Sequence[Tensor]
Record = Callable[[Callable[[], Results]], tuple[Callable[[], None], Results]]
"""Takes what is to be recorded; gives what replays it, and where each replay leaves its results."""
WARM = 3  # steps that run as they are before one is recorded: libraries and caches are set up at first use


def cuda_graph(work: Callable[[], Results]) -> tuple[Callable[[], None], Results]:
    """Record the kernels that the work starts, without running them."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = work()
    return graph.replay, results


class Captured:
    """A function of tensors, replayed from a recording after its first calls: arguments go to fixed places.

    What it computes in Python is fixed in the recording: whatever varies from call to call must be an argument, what
    it reads or changes besides must stay where it is, and nothing in it may wait for the device.

    Args:
        function: of as many tensors and numbers as are given at each call, of shapes that stay; it returns tensors.
        device: where numbers are put.
        notices: told where the function cannot be recorded; it then runs as it is.
        record: how; None to run the function as it is.
    """

    def __init__(
        self, function: Callable[..., Results], device: torch.device, notices: list[str], record: Record | None
    ) -> None:
        self.function, self.device, self.notices, self._record = function, device, notices, record
        self._calls = 0
        self._places: list[Tensor] = []
        self._replay: Callable[[], None] | None = None
        self._results: Results = ()

    def __call__(self, *given: Tensor | float) -> Results:
        """What the function gives, in tensors of their own."""
        self._calls += 1
        if self._record is not None and self._replay is None and self._calls > WARM:
            self._start(given)
        if self._replay is None:
            return self.function(*given)
        for place, value in zip(self._places, given, strict=True):
            if isinstance(value, Tensor):
                place.copy_(value)
            else:
                place.fill_(value)
        self._replay()
        return [result.clone() for result in self._results]  # the next call overwrites those of the recording

    def _start(self, given: Sequence[Tensor | float]) -> None:
        assert self._record is not None
        self._places = [
            one.clone() if isinstance(one, Tensor) else torch.tensor(one, device=self.device) for one in given
        ]
        try:
            self._replay, self._results = self._record(lambda: self.function(*self._places))
        except RuntimeError as error:
            self._record = None
            self.notices.append(f"steps are not recorded, and slower for it: {str(error).splitlines()[0]}")
