"""Whatever parts may go with an objective: they train, and what was saved and read again scores the same."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from lowerbound.batches import Batch, Rows
from lowerbound.checks.base import required
from lowerbound.config import TrainConfig
from lowerbound.errors import Incompatible, MissingExtra
from lowerbound.evaluation import HeldOut
from lowerbound.loop import Loop
from lowerbound.model import VAE, assemble
from lowerbound.objectives import Objective, constrained, mmd
from lowerbound.parts import REGISTRY, build
from lowerbound.randomness import scope

Composer = Callable[..., VAE]
OBJECTIVES = list(REGISTRY["objective"])
KINDS = ("posterior", "prior", "likelihood")
ELSEWHERE = ("conditional", "columns")  # need a context and a table of columns
NAMES = [(kind, name) for kind in KINDS for name in REGISTRY[kind] if name not in ELSEWHERE]
PAIRS = [(kind, name, objective) for (kind, name), objective in product(NAMES, OBJECTIVES)]
TOLD = {"context": 2, "classes": 2, "classifier": {"name": "linear"}}  # of an objective that labels are for
REFUSED = {("prior", "vamp", "labelled"), ("posterior", "full", "total_correlation"),
           ("posterior", "flow", "total_correlation"), ("posterior", "flow", "dip")}  # fmt: skip


def made(name: str, **options: Any) -> Objective:
    """An objective for two dimensions, with small weights of its own from a seed."""
    small = {"factor": {"widths": [3]}}.get(name, {})
    with scope(0, "test"):
        found: Objective = build(
            "objective", {"name": name, **required(REGISTRY["objective"][name]), **small, **options}, {"latent": 2}
        )
    return found


def rows() -> Rows:
    """Zeros and ones, which are in the support of nearly every likelihood, and differ in every row."""
    values = ((torch.arange(12)[:, None] >> torch.arange(4)) % 2).float().reshape(12, 1, 2, 2).numpy()
    return Rows(values, labels=np.arange(12) % 3 - 1)


def told(objective: str) -> dict[str, Any]:
    """What a model needs besides for an objective."""
    return TOLD if objective == "labelled" else {}


def kept(training: Loop, path: Path) -> VAE:
    """The model, from the disk."""
    safetensors.torch.save_file(training.model.state_dict(), path)
    again = assemble(training.model.spec, seed=5)
    again.load_state_dict(safetensors.torch.load_file(path))
    return again


def comes_back(model: VAE, objective: Objective, path: Path) -> None:
    """Two epochs with a short batch each; then the same terms, to the bit, from what was saved."""
    x = rows()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    training = Loop(model, objective, x, TrainConfig(epochs=2, batch=7, rate=1e-2), seed=0, held_out=x)
    found = [training.advance() for _ in range(2)]
    training.finish()
    assert not training.notices
    assert all(epoch is not None and torch.tensor(list(epoch.train.values())).isfinite().all() for epoch in found)
    assert any(not before[name].equal(weight) for name, weight in model.state_dict().items())
    means = HeldOut(x, objective, model, 0).means(model)
    assert HeldOut(x, objective, model, 0).means(kept(training, path)) == means


@pytest.mark.parametrize(("role", "part", "objective"), PAIRS)
def test_a_pair_trains_and_comes_back(compose: Composer, role: str, part: str, objective: str, tmp_path: Path) -> None:
    try:
        model = compose((1, 2, 2), **{role: {"name": part, **required(REGISTRY[role][part])}, **told(objective)})
    except MissingExtra as error:
        pytest.skip(str(error))
    except Incompatible:
        assert (role, part, objective) in REFUSED
        return
    chosen = made(objective)
    try:
        chosen.accepts(model)
    except Incompatible as error:
        assert f"'{objective}'" in str(error) and f"'{part}'" in str(error)
        assert (role, part, objective) in REFUSED or part == "point" or (role, objective) == ("prior", "mmd")
        return
    assert (role, part, objective) not in REFUSED
    comes_back(model, chosen, tmp_path / "model")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_row_with_missing_cells_is_enough(compose: Composer, name: str) -> None:
    model, objective = compose((3,), **told(name)), made(name)
    x, mask = torch.tensor([[0.5, torch.nan, 2.0]]), torch.tensor([[True, False, True]])
    found = [objective(model, Batch(torch.where(mask, x, fill), mask)).loss for fill in (torch.nan, 1e30)]
    weights = [*model.parameters(), *objective.parameters()]
    gradients = torch.autograd.grad(found[0], weights, allow_unused=True)
    assert found[0].isfinite() and torch.equal(*found)
    assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        (lambda: mmd(beta=0.0), {"posterior": {"name": "point"}}),
        (lambda: constrained(limit=0.1, on="error"), {"likelihood": {"name": "gaussian", "scale": "optimal"}}),
        (lambda: constrained(limit=0.1, on="error"), {"likelihood": {"name": "bernoulli"}}),
    ],
)
def test_what_one_option_alone_admits_trains_too(
    compose: Composer, objective: Callable[[], Objective], changes: dict[str, Any], tmp_path: Path
) -> None:
    comes_back(compose((1, 2, 2), **changes), objective(), tmp_path / "model")
