"""One model job at a time; requests that wait for the same work are answered by one pass of the model."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lowerbound.data import Data
from lowerbound.errors import LowerboundError
from lowerbound.run import Run
from lowerbound.server.operations import Operation, parts

Answer = bytes | Exception


class Busy(Exception):
    """Too many requests wait already."""


@dataclass(eq=False)
class Job:
    """A request that waits.

    Args:
        operation: what it asks for.
        rows: data or codes; None where the operation has none.
        options: everything else.
        answer: is told when it is there.
    """

    operation: Operation
    rows: Any
    options: Mapping[str, Any]
    answer: "asyncio.Future[bytes]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def size(self) -> int:
        """How many rows."""
        return self.rows.rows if isinstance(self.rows, Data) else 1 if self.rows is None else len(self.rows)

    def joins(self, other: "Job") -> bool:
        """Whether both can go through the model together."""
        masks = [getattr(job.rows, "mask", None) is None for job in (self, other)]
        same = self.operation is other.operation and self.options == other.options and masks[0] == masks[1]
        return same and bool(self.operation.rows)


class Desk:
    """Takes requests and answers them in turn, in a thread of its own.

    Args:
        run: trained.
        waiting: requests that may wait; more are refused.
        patience: seconds that one waits for its answer.
    """

    def __init__(self, run: Run, waiting: int, patience: float) -> None:
        self.run, self.most, self.patience = run, waiting, patience
        self.waiting: deque[Job] = deque()
        self.thread = ThreadPoolExecutor(1, "lowerbound-model")
        self.worker: asyncio.Task[None] | None = None

    async def ask(self, operation: Operation, rows: Any, options: Mapping[str, Any]) -> bytes:
        """The answer as JSON.

        Raises:
            Busy: too many wait. TimeoutError: it took too long. LowerboundError: what the run says against it.
        """
        if len(self.waiting) >= self.most:
            raise Busy
        job = Job(operation, rows, options)
        self.waiting.append(job)
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self._work())
        try:
            return await asyncio.wait_for(job.answer, self.patience)
        finally:
            if job in self.waiting:
                self.waiting.remove(job)

    async def _work(self) -> None:
        while self.waiting:
            jobs = self._next()
            answers = await asyncio.get_running_loop().run_in_executor(self.thread, perform, self.run, jobs)
            for job, answer in zip(jobs, answers, strict=True):
                if job.answer.done():  # whoever asked is gone
                    continue
                if isinstance(answer, Exception):
                    job.answer.set_exception(answer)
                else:
                    job.answer.set_result(answer)

    def _next(self) -> list[Job]:
        """The job that has waited longest, and those behind it that go with it."""
        first = self.waiting.popleft()
        jobs, size = [first], first.size
        for job in list(self.waiting):
            if job.joins(first) and size + job.size <= first.operation.most:
                self.waiting.remove(job)
                jobs.append(job)
                size += job.size
        return jobs


def perform(run: Run, jobs: Sequence[Job]) -> list[Answer]:
    """The answers to jobs that go together; where they fail together, each by itself."""
    try:
        return _together(run, jobs)
    except LowerboundError as error:
        return [error] if len(jobs) == 1 else [answer for job in jobs for answer in perform(run, [job])]
    except Exception as error:
        return [error] * len(jobs)


def _together(run: Run, jobs: Sequence[Job]) -> list[Answer]:
    operation, options = jobs[0].operation, jobs[0].options
    with np.errstate(all="ignore"):  # of rows far from all data a draw may be infinite: null in the answer
        columns = operation.work(run, _joined([job.rows for job in jobs]), options)
    if not operation.rows:
        return [_json(run, operation, columns)]
    return [_json(run, operation, part) for part in parts(columns, [job.size for job in jobs])]


def _joined(rows: Sequence[Any]) -> Any:
    first = rows[0]
    if len(rows) == 1:
        return first
    if not isinstance(first, Data):
        return np.concatenate(rows)
    mask = None if first.mask is None else np.concatenate([each.mask for each in rows])
    context = None if first.context is None else np.concatenate([each.context for each in rows])
    return replace(first, x=np.concatenate([each.x for each in rows]), mask=mask, context=context)


def _json(run: Run, operation: Operation, columns: Mapping[str, Any]) -> bytes:
    made = {name: operation.write(run, name, values) for name, values in columns.items()}
    return json.dumps(made, allow_nan=False, separators=(",", ":")).encode()
