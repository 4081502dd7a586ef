"""Whatever is trained and however: stopped after any step and gone on with from the disk, it comes to the same bits."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound import files
from lowerbound.batches import Rows
from lowerbound.checkpoints import Store
from lowerbound.config import TrainConfig
from lowerbound.initial import initialise
from lowerbound.keeper import CHECKPOINTS, Keeper
from lowerbound.loop import Loop
from lowerbound.model import assemble
from lowerbound.objectives import Objective, capacity, constrained, elbo, factor, mmd, reconstruction, total_correlation
from lowerbound.randomness import scope

ROWS = 13
X = np.random.default_rng(0).random((ROWS, 4), np.float32)
ANNEALED = {"start": 0.0, "end": 2.0, "over": 0.5}
GAUSSIAN, POINT = {"posterior": "gaussian"}, {"posterior": "point", "likelihood": "gaussian"}
MODELS = {
    "vae": GAUSSIAN | {"likelihood": "bernoulli"},
    "sigma-vae": GAUSSIAN | {"likelihood": {"name": "gaussian", "scale": "optimal"}},
    "learned": GAUSSIAN | {"likelihood": {"name": "gaussian", "scale": "learned"}},
    "ae": POINT,
    "dae": POINT | {"corruption": "dropout"},
}
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "capacity": lambda: capacity(nats=ANNEALED), "constrained": lambda: constrained(limit=0.1),
    "factor": lambda: factor(latent=2, widths=[3]), "mmd": mmd, "total_correlation": total_correlation,
}  # fmt: skip

plans = st.fixed_dictionaries({
    "batch": st.sampled_from([4, 6, ROWS]), "accumulate": st.sampled_from([1, 2]),
    "precision": st.sampled_from(["fp32", "bf16"]), "average": st.sampled_from([0.0, 0.9]),
    "schedule": st.sampled_from(["constant", "cosine"]), "optimizer": st.sampled_from(["adam", "adagrad", "sgd"]),
    "clip": st.sampled_from([0.0, 0.1]), "patience": st.sampled_from([0, 1]),
})  # fmt: skip


def annealed() -> Objective:
    """The bound with a weight that rises."""
    return elbo(beta=ANNEALED)


class Quick(files.Disk):
    """A disk that nobody waits for."""

    def fsync(self, handle: int) -> None:
        pass


def loop(kind: str, plan: dict[str, Any], seed: int) -> Loop:
    net = {"name": "mlp", "widths": [3]}
    spec = {
        "shape": [4],
        "latent": 2,
        "encoder": net,
        "decoder": net,
        "prior": "standard",
        **MODELS.get(kind, MODELS["vae"]),
    }
    model = assemble({key: {"name": part} if isinstance(part, str) else part for key, part in spec.items()}, seed=seed)
    with scope(seed, "objective"):
        objective = OBJECTIVES.get(kind, reconstruction if "point" in str(spec["posterior"]) else annealed)()
    coupled = model.couples_rows or objective.couples_rows
    plan = plan | {"accumulate": 1 if coupled else plan["accumulate"], "epochs": 2, "rate": 0.01}
    rows = Rows(X, binarize="sample" if spec["likelihood"] == "bernoulli" else "none", seed=seed)
    train = TrainConfig(compile="off", **plan)
    initialise(model, rows, train, seed)
    return Loop(model, objective, rows, train, seed=seed, held_out=Rows(X[:5], seed=seed))


def trained(folder: Path, training: Loop, steps: int) -> tuple[str, list[dict[str, Any]]]:
    """Go on to a step, from the disk if something is there, and leave all there: its digest, and the history."""
    with Keeper(folder, {}, "", every=1e9, resume=True) as keeper:
        keeper.resume(training)
        while not training.done and training.step < steps:
            epoch = training.advance(1)
            if epoch is not None:
                keeper.add(epoch, training)
        keeper.save(training)
        found = Store(folder / CHECKPOINTS).latest()
    assert found
    digest = hashlib.sha256(repr(found.state["loop"] | {"clock": 0}).encode())
    for group, table in sorted(found.tensors.items()):
        for name, tensor in sorted(table.items()):
            digest.update(f"{group}.{name}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest(), [line | {"seconds": 0} for line in found.state["history"]]


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from([*sorted(MODELS), *OBJECTIVES]), plan=plans, seed=st.integers(0, 3), part=st.floats(0, 1))
def test_a_run_stopped_anywhere_comes_to_the_same_bits(kind: str, plan: dict[str, Any], seed: int, part: float) -> None:
    steps = 2 * -(-ROWS // plan["batch"])
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.system, "disk", Quick())
        whole, cut = Path(name, "whole"), Path(name, "cut")
        unbroken = trained(whole, loop(kind, plan, seed), steps)
        trained(cut, loop(kind, plan, seed), int(part * steps))
        assert trained(cut, loop(kind, plan, seed), steps) == unbroken
