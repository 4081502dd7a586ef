"""A recorded step is the step itself: seen with a recorder that keeps every operation with the tensors it met.

It stands in for a CUDA graph and is as strict: what Python computed is fixed when it is recorded, tensors from outside
are read and changed where they lie, and an operation that hands a value to Python cannot be recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lowerbound.batches import Rows
from lowerbound.capture import WARM, Captured
from lowerbound.checks.base import required
from lowerbound.config import TrainConfig
from lowerbound.loop import Loop
from lowerbound.model import assemble
from lowerbound.objectives import Objective, elbo
from lowerbound.parts import REGISTRY, build
from lowerbound.randomness import scope

WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::item"}
CHOOSES_ROWS = {"labelled"}  # those with a label: how many, the host must know
RATE = 2.0**-7  # single precision, which a recording keeps the rate in, has it exactly
NOTHING: Mapping[str, Any] = {}
TOLD = {"context": 2, "classes": 2, "classifier": {"name": "linear"}}


class Tape(TorchDispatchMode):
    """Every operation, in order, with its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if call._schema.name in WAITS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {call}\nand more lines")
        result = call(*args, **(kwargs or {}))
        self.met.append((call, args, kwargs or {}, result))
        return result

    def play(self) -> None:
        for call, args, kwargs, result in self.met:
            fresh = call(*args, **kwargs)
            for place, value in zip(tree_leaves(result), tree_leaves(fresh), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


def recorder(training: Loop) -> Callable[[Callable[[], Sequence[Tensor]]], Any]:
    """Records, and undoes what the recorded run changed: a graph is recorded without running."""

    def record(work: Callable[[], Sequence[Tensor]]) -> Any:
        tensors, _ = training.state()
        before = [(value, value.detach().clone()) for group in tensors.values() for value in group.values()]
        tape = Tape()
        with tape:
            results = work()
        with torch.no_grad():
            for value, copy in before:
                value.copy_(copy)

        def play() -> None:
            with torch.no_grad():
                tape.play()

        return play, results

    return record


def loop(objective: Objective, settings: dict[str, Any], told: Mapping[str, Any] = NOTHING, **parts: str) -> Loop:
    spec: dict[str, Any] = {"shape": [4], "latent": 2, "encoder": {"name": "mlp", "widths": [5]}, **told}
    families = {"posterior": "gaussian", "prior": "standard", "likelihood": "bernoulli"} | parts
    spec |= {kind: {"name": name, **required(REGISTRY[kind][name])} for kind, name in families.items()}
    values = np.random.default_rng(0).random((30, 4), np.float32)
    rows = Rows(values, binarize="sample", labels=np.arange(30) % 3 - 1)
    model = assemble(spec | {"decoder": {"name": "mlp", "widths": [5]}})
    return Loop(model, objective, rows, TrainConfig(**{"epochs": 3, "batch": 8, "rate": RATE} | settings), seed=1)


def both(make: Callable[[], Loop]) -> tuple[Loop, Loop]:
    usual, recorded = make(), make()
    recorded._replayed._record = recorder(recorded)
    for training in (usual, recorded):
        while not training.done:
            training.advance()
    return usual, recorded


def same(usual: Loop, recorded: Loop, tolerance: float = 0.0) -> None:
    ours, others = usual.state()[0], recorded.state()[0]
    for group, tensors in ours.items():
        for name, value in tensors.items():
            torch.testing.assert_close(others[group][name], value, rtol=0.0, atol=tolerance, msg=f"{group} {name}")


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"schedule": "cosine"}, {"clip": 0.1}, {"average": 0.9}, {"optimizer": "sgd"}, {"optimizer": "adagrad"},
        {"weight_prior": 2.0}, {"accumulate": 2},
    ],
)  # fmt: skip
def test_recorded_steps_are_the_usual_ones(settings: dict[str, Any]) -> None:
    usual, recorded = both(lambda: loop(elbo(beta={"start": 0.0, "end": 2.0, "over": 0.5}), settings))
    assert (recorded._replayed._replay is None) == ("accumulate" in settings)
    assert recorded._replayed._calls == (0 if "accumulate" in settings else 9)  # of 12; the short batches are not
    same(usual, recorded, 1e-6 if "schedule" in settings else 0.0)


@pytest.mark.parametrize("name", list(REGISTRY["objective"]))
def test_every_objective_is_recorded(name: str) -> None:
    def make() -> Loop:
        parts = {"posterior": "point"} if name == "reconstruction" else {}
        with scope(0, "test"):
            small = {"factor": {"widths": [3]}}.get(name, {})
            table = {"name": name, **required(REGISTRY["objective"][name]), **small}
            objective: Objective = build("objective", table, {"latent": 2})
        return loop(objective, {}, TOLD if name == "labelled" else NOTHING, **parts)

    usual, recorded = both(make)
    assert (recorded._replayed._replay is None) == (name in CHOOSES_ROWS), recorded.notices
    assert len(recorded.notices) == (name in CHOOSES_ROWS)
    same(usual, recorded)


@pytest.mark.parametrize(
    ("role", "name"), [("posterior", "laplace"), ("posterior", "full"), ("prior", "mixture"), ("prior", "vamp")]
)
def test_other_parts_are_recorded(role: str, name: str) -> None:
    usual, recorded = both(lambda: loop(elbo(), {}, **{role: name}))
    assert recorded._replayed._replay is not None, recorded.notices
    same(usual, recorded)


def test_what_waits_for_the_device_runs_as_it_is() -> None:
    notices: list[str] = []
    tape = Tape()

    def record(work: Callable[[], Sequence[Tensor]]) -> Any:
        with tape:
            return tape.play, work()

    waits = Captured(lambda x: [x * x.sum().item()], torch.device("cpu"), notices, record)
    found = [waits(torch.tensor([float(i), 1.0]))[0].tolist() for i in range(WARM + 3)]
    assert found == [[i * (i + 1.0), i + 1.0] for i in range(WARM + 3)]
    assert len(notices) == 1 and "not permitted" in notices[0] and "more lines" not in notices[0]


def test_results_are_not_overwritten_by_the_next_call() -> None:
    tape = Tape()

    def record(work: Callable[[], Sequence[Tensor]]) -> Any:
        with tape:
            return tape.play, work()

    doubled = Captured(lambda x, by: [x * by], torch.device("cpu"), [], record)
    found = [doubled(torch.tensor([1.0]), float(i)) for i in range(WARM + 3)]
    assert [one[0].item() for one in found] == [float(i) for i in range(WARM + 3)]
