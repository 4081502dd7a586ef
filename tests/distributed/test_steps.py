"""One step of several processes is the step of one, for every objective, and what they decide is decided alike."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowerbound import evaluation
from lowerbound.batches import Batch, Rows
from lowerbound.config import TrainConfig
from lowerbound.errors import BadOption, Incompatible
from lowerbound.evaluation import HeldOut, settle
from lowerbound.loop import Loop
from lowerbound.model import VAE, assemble
from lowerbound.objectives import Objective, StepContext, Terms, elbo
from lowerbound.parts import REGISTRY, build
from lowerbound.randomness import scope
from lowerbound.ranks import Ranks

Group = Callable[[int, Callable[[Ranks], Any]], list[Any]]
ROWS, BATCH = 15, 7  # batches of 7, 7 and 1: split unevenly, and fewer rows than processes
X = np.random.default_rng(0).normal(size=(ROWS, 4))
LABELS, FEW = np.arange(ROWS) % 3 - 1, np.where(np.arange(ROWS) < 4, np.arange(ROWS) % 2, -1)
HOLES = np.random.default_rng(1).random((ROWS, 4)) > 0.3
OPTIMAL = {"likelihood": {"name": "gaussian", "scale": "optimal"}}
POINT = {"posterior": {"name": "point"}}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("elbo", {}, {}), ("elbo", {"beta": 4.0, "free_bits": 0.3}, {}), ("elbo", {"samples": 3}, OPTIMAL),
    ("elbo", {"gradient": "score", "baseline": -5.0}, {}), ("elbo", {}, {"corruption": {"name": "gaussian"}}),
    ("elbo", {}, {"prior": {"name": "vamp", "components": 3}}), ("reconstruction", {}, POINT),
    ("iwae", {"samples": 3}, OPTIMAL), ("iwae", {"gradient": "stl"}, {}), ("iwae", {"gradient": "dreg"}, {}),
    ("capacity", {"nats": 0.5}, {}), ("constrained", {"limit": 0.1}, {}),
    ("constrained", {"limit": 1.0, "on": "error"}, OPTIMAL), ("total_correlation", {}, {}),
    ("total_correlation", {"estimator": "weighted"}, {}), ("factor", {"widths": [5]}, {}),
    ("dip", {"version": "i"}, {}), ("dip", {"version": "ii"}, {}), ("dip", {}, {"posterior": {"name": "full"}}),
    ("mmd", {}, {}), ("mmd", {"beta": 0.0, "kernel": "inverse_multiquadratic"}, POINT),
    ("labelled", {}, {"labels": LABELS}), ("labelled", {}, {"labels": FEW}),
]  # fmt: skip


def composed(name: str, options: Mapping[str, Any], changes: Mapping[str, Any], kind: torch.dtype) -> Loop | Any:
    """A function that makes the loop of a case for a rank."""
    net = {"name": "mlp", "widths": [5]}
    parts = {"posterior": {"name": "gaussian"}, "prior": {"name": "standard"}, "likelihood": {"name": "gaussian"}}
    told = {"context": 2, "classes": 2, "classifier": {"name": "linear"}} if name == "labelled" else {}
    mask = HOLES if changes == OPTIMAL else None
    spec = {"shape": [4], "latent": 2, "encoder": net, "decoder": net, **parts, **told, **changes}
    labels = spec.pop("labels", None)

    def loop(ranks: Ranks, **train: Any) -> Loop:
        model = assemble(spec | {"embedding": {"masked": mask is not None}}).to(kind)
        with scope(0, "objective"):
            given = {"latent": 2, "shape": (4,), "context": 0}
            objective = build("objective", {"name": name, **options}, given).to(kind)
        rows = Rows(X, mask=mask, labels=labels, dtype=kind)
        return Loop(model, objective, rows, TrainConfig(epochs=3, batch=BATCH, **train), seed=0, ranks=ranks)

    return loop


def epoch(loop: Loop) -> tuple[list[np.ndarray], dict[str, float]]:
    """The gradient of each step of an epoch, with the weights as they are, and what the epoch's record says."""
    found: list[np.ndarray] = []
    loop.optimiser.step = lambda some, rate, refuse: found.append(torch.cat([g.flatten() for g in some]).numpy())  # type: ignore[method-assign]
    record = loop.advance()
    assert record is not None and not loop.notices
    return found, dict(record.train)


def all_cases(ranks: Ranks) -> list[Any]:
    return [epoch(composed(*case, kind)(ranks)) for case in CASES for kind in (torch.float64, torch.float32)]


def test_every_objective_has_a_case() -> None:
    assert {name for name, _, _ in CASES} == set(REGISTRY["objective"])


@pytest.mark.parametrize("world", [2, 3])
def test_gradients_and_bounds_are_those_of_one_process(group: Group, world: int) -> None:
    alone = all_cases(Ranks())
    labels = [(case, kind) for case in CASES for kind in ("float64", "float32")]
    for found in group(world, all_cases):
        for (case, kind), (gradients, record), (wanted, means) in zip(labels, found, alone, strict=True):
            tolerance = 1e-6 if kind == "float64" else 1e-5
            assert len(gradients) == len(wanted) == 3, case
            for g, w in zip(gradients, wanted, strict=True):
                assert np.linalg.norm(g - w) <= tolerance * np.linalg.norm(w), (case, kind)
            assert record == pytest.approx(means, rel=tolerance, abs=tolerance), (case, kind)


def trained(case: tuple[str, dict[str, Any], dict[str, Any]], **train: Any) -> Callable[[Ranks], Any]:
    """Two epochs, and what every rank has then: weights, a digest of its whole state, the bound."""

    def work(ranks: Ranks) -> Any:
        loop = composed(*case, torch.float64)(ranks, rate=0.01, **train)
        records = [loop.advance(), loop.advance()]
        tensors, plain = loop.state()
        digest = hashlib.sha256(json.dumps(plain | {"clock": 0}).encode())
        for some in tensors.values():
            for tensor in some.values():
                digest.update(tensor.numpy().tobytes())
        loop.finish()
        weights = torch.cat([weight.detach().flatten() for weight in loop.weights]).numpy()
        return weights, digest.hexdigest(), records[-1].train, loop.notices

    return work


@pytest.mark.parametrize(
    ("case", "train"),
    [
        (("constrained", {"limit": 0.1}, {}), {"average": 0.9, "clip": 0.5}),
        (("elbo", {}, {}), {"accumulate": 2, "schedule": "cosine"}),
        (("labelled", {}, {"labels": FEW}), {"accumulate": 3, "optimizer": "adagrad"}),
        (("factor", {"widths": [5]}, {}), {"weight_prior": 1.0}),
        (("elbo", {}, OPTIMAL), {}),
    ],
    ids=["multiplier and average", "accumulated", "labels accumulated", "critic", "optimal scale"],
)
def test_training_goes_the_way_of_one_process_and_all_ranks_have_the_same_state(
    group: Group, case: tuple[str, dict[str, Any], dict[str, Any]], train: dict[str, Any]
) -> None:
    wanted, _, means, _ = trained(case, **train)(Ranks())
    found = group(2, trained(case, **train))
    assert len({digest for _, digest, _, _ in found}) == 1
    for weights, _, record, _ in found:
        assert np.abs(weights - wanted).max() < 1e-7 and record == pytest.approx(means, rel=1e-7)


def test_a_step_that_is_not_finite_on_one_rank_is_refused_by_all(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """An infinite cell in one row: the ranks that do not have it must not take the step either."""
    monkeypatch.setitem(globals(), "X", np.where(np.arange(ROWS)[:, None] == 3, np.inf, X))
    case: tuple[str, dict[str, Any], dict[str, Any]] = ("elbo", {}, {})
    wanted, _, _, said = trained(case)(Ranks())
    found = group(2, trained(case))
    assert len({digest for _, digest, _, _ in found}) == 1 and said
    for weights, _, _, notices in found:
        assert np.isfinite(weights).all() and np.abs(weights - wanted).max() < 1e-7 and notices == said


def test_held_out_rows_give_the_same_number_to_the_bit(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_ROWS", 4)

    def work(ranks: Ranks) -> Any:
        loop = composed("total_correlation", {}, OPTIMAL, torch.float32)(ranks)
        settle(loop.model, loop.rows, 0, limit=9, ranks=ranks)
        part = float(loop.model.likelihood_family.slow)
        settle(loop.model, loop.rows, 0, ranks=ranks)
        means = HeldOut(loop.rows, loop.objective, loop.model, 0, ranks).means(loop.model)
        return part, float(loop.model.likelihood_family.slow), means

    alone = work(Ranks())
    assert alone[0] != alone[1]
    assert group(2, work) == [alone] * 2 and group(3, work) == [alone] * 3


def test_what_ranks_tell_each_other(group: Group) -> None:
    def work(ranks: Ranks) -> Any:
        dealt = ranks.in_turn([[number, "x" * number] for number in range(8)[ranks.every]])
        words = ranks.agree(None), ranks.agree("second" if ranks.rank else None), ranks.agree(f"of {ranks.rank}")
        told = ranks.copies({"a": {"x y": torch.full((2,), ranks.rank + 5.0), "z": torch.zeros(0)}, "b": {}})
        return dealt, words, told["a"]["x y"].tolist(), list(told), ranks.exchange({"rank": ranks.rank})

    every = [[number, "x" * number] for number in range(8)]
    for world in (2, 3):
        found = (every, (None, "second", "of 0"), [5.0, 5.0], ["a", "b"], [{"rank": rank} for rank in range(world)])
        assert group(world, work) == [found] * world


class Normed(nn.Module):
    """An encoder that looks at its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Lonely(Objective):
    """An objective that couples rows and does not ask the others."""

    couples_rows = True

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        raise NotImplementedError


LINEAR = {"shape": [4], "latent": 2, "decoder": {"name": "linear"}, "posterior": {"name": "gaussian"},
          "prior": {"name": "standard"}, "likelihood": {"name": "gaussian"}}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "words", "objective", "encoder", "train"),
    [
        (BadOption, "train.batch: fewer rows than the 2 processes", elbo, None, {"batch": 1}),
        (Incompatible, "BatchNorm1d 'encoder.layers.1' does not see the rows", elbo, Normed, {}),
        (Incompatible, "'lonely' does not see the rows", Lonely, None, {}),
        (Incompatible, "compile = on, and objective 'elbo'", lambda: elbo(free_bits=1.0), None, {"compile": "on"}),
    ],
)
def test_what_several_processes_would_do_otherwise_is_refused(
    error: type[Exception], words: str, objective: Callable[[], Objective], encoder: Any, train: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Lonely, "name", "lonely")
    with scope(0, "test"):
        live = {"encoder": encoder()} if encoder else {}
    model = assemble(LINEAR if live else LINEAR | {"encoder": {"name": "linear"}}, **live)
    with pytest.raises(error, match=words):
        Loop(model, objective(), Rows(X), TrainConfig(**train), seed=0, ranks=Ranks(0, 2))


def test_fewer_training_rows_than_processes_are_refused() -> None:
    model = assemble(LINEAR | {"encoder": {"name": "linear"}})
    with pytest.raises(BadOption, match="the training rows: fewer rows than the 3 processes"):
        Loop(model, elbo(), Rows(X[:2]), TrainConfig(), seed=0, ranks=Ranks(0, 3))
