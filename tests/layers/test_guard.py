"""The guard of global state sees what it is there to see."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

CHANGES = {
    "random": random.random,
    "numpy.random": np.random.rand,
    "torch random state": lambda: torch.rand(1),
    "torch default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch grad mode": lambda: torch.set_grad_enabled(False),
    "torch deterministic": lambda: torch.use_deterministic_algorithms(True),
    "torch.distributions validation": lambda: torch.distributions.Distribution.set_default_validate_args(False),
}


@pytest.fixture
def put_back():
    python, numpy, torch_state, dtype = (
        random.getstate(),
        np.random.get_state(),
        torch.get_rng_state(),
        torch.get_default_dtype(),
    )
    validation = torch.distributions.Distribution._validate_args
    yield
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(torch_state)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    torch.distributions.Distribution.set_default_validate_args(validation)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.usefixtures("put_back")
def test_a_change_is_seen_and_nothing_else(name: str, snapshot: Callable[[], dict[str, object]]) -> None:
    before = snapshot()
    CHANGES[name]()
    after = snapshot()
    assert [key for key in before if before[key] != after[key]] == [name]
