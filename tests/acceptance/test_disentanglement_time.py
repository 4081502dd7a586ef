"""All measures of disentanglement on the grid of dSprites: what they cost."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from lowerbound.measures.disentanglement import LABELS, disentanglement

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
Record = Callable[[str, str, str], None]


def test_all_measures_of_the_whole_grid_take_less_than_three_minutes(record: Record) -> None:
    """46,080 rows, 10 codes: the factors turned at random, and noise; seconds of the processor, not of the clock."""
    factors = np.indices((3, 6, 10, 16, 16)).reshape(5, -1).T
    random, steps = np.random.default_rng(0), []
    turned = (factors - factors.mean(0)) / factors.std(0) @ np.linalg.qr(random.normal(size=(5, 5)))[0]
    z = np.c_[turned, 0.05 * random.normal(size=(len(factors), 5))]
    variance = np.repeat([0.05, 0.95], 5) * np.ones_like(z)
    start = time.process_time()
    found = disentanglement(z, factors, variance=variance, progress=lambda done, of: steps.append((done, of)))
    seconds = time.process_time() - start
    record(
        "all measures of disentanglement, 46,080 rows x 10 codes, seconds of the processor", "< 180", f"{seconds:.0f}"
    )
    assert found.measures.keys() == LABELS.keys() and steps[-1] == (10, 10) and len(steps) == 11
    assert seconds < 180
