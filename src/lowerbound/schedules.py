"""A number that may change with the progress of training."""

from typing import Annotated, Any, NotRequired

import torch
from pydantic import Field
from typing_extensions import TypedDict

Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Ramp(TypedDict):
    """From ``start`` to ``end`` over a fraction ``over`` of each of ``cycles`` equal parts of the training."""

    start: Level
    end: Level
    over: Annotated[float, Field(gt=0, le=1)]
    cycles: NotRequired[Annotated[int, Field(ge=1)]]


Schedule = Level | Ramp


def at(schedule: Any, progress: torch.Tensor) -> torch.Tensor | float:
    """The value at ``progress`` (a 0-d tensor in [0, 1]); a plain number stays itself.

    >>> at({"start": 0.0, "end": 4.0, "over": 0.5}, torch.tensor(0.25))
    tensor(2.)
    """
    if isinstance(schedule, int | float):
        return schedule
    start, end = float(schedule["start"]), float(schedule["end"])
    cycles = schedule.get("cycles", 1)
    turns = progress * cycles
    within = turns - turns.floor().clamp(max=cycles - 1)
    share: torch.Tensor = (within / schedule["over"]).clamp(max=1.0)
    return start + (end - start) * share
