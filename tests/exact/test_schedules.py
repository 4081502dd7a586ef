"""Numbers that change with progress, by hand."""

from typing import Any

import pytest
import torch

from lowerbound.schedules import at

RAMP = {"start": 1.0, "end": 3.0, "over": 0.5}
CYCLES = {**RAMP, "cycles": 2}
HAND = [
    (RAMP, 0.0, 1.0), (RAMP, 0.25, 2.0), (RAMP, 0.5, 3.0), (RAMP, 1.0, 3.0), ({**RAMP, "over": 1.0}, 0.75, 2.5),
    ({"start": 4.0, "end": 0.0, "over": 1.0}, 0.25, 3.0), (CYCLES, 0.125, 2.0), (CYCLES, 0.25, 3.0),
    (CYCLES, 0.375, 3.0), (CYCLES, 0.5, 1.0), (CYCLES, 0.625, 2.0), (CYCLES, 1.0, 3.0),
    ({**RAMP, "over": 1.0, "cycles": 4}, 1.0, 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "progress", "value"), HAND)
def test_a_ramp(schedule: dict[str, Any], progress: float, value: float) -> None:
    found = at(schedule, torch.tensor(progress))
    assert isinstance(found, torch.Tensor)
    assert found.shape == ()
    assert float(found) == value


def test_a_number_is_returned_as_it_is() -> None:
    assert at(2.5, torch.tensor(0.3)) == 2.5
    assert isinstance(at(2.5, torch.tensor(0.3)), float)
