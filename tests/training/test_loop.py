"""The loop: exact resume, refused steps, pieces, averages, and the order of the rows."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowerbound.batches import Rows
from lowerbound.config import TrainConfig
from lowerbound.errors import Incompatible, NotFinite
from lowerbound.loop import Loop, steps
from lowerbound.model import VAE, assemble
from lowerbound.objectives import elbo
from lowerbound.optimisers import Optimiser

ROWS, BATCH = 21, 8  # a short last batch
Settings = dict[str, Any]


def data() -> Rows:
    return Rows(np.random.default_rng(0).random((ROWS, 5), np.float32), binarize="sample")


def model(**changes: Any) -> VAE:
    net = {"name": "mlp", "widths": [7]}
    families = {"posterior": "gaussian", "prior": "standard", "likelihood": "bernoulli", "corruption": "dropout"}
    spec = {"shape": [5], "latent": 2, "encoder": net, "decoder": net}
    spec |= {kind: {"name": name} for kind, name in families.items()}
    return assemble(spec | changes)


def loop(**settings: Any) -> Loop:
    chosen = TrainConfig(**{"epochs": 3, "batch": BATCH, "rate": 0.01, "schedule": "cosine", "average": 0.9} | settings)
    return Loop(model(), elbo(beta={"start": 0.0, "end": 2.0, "over": 0.5}), data(), chosen, seed=3, held_out=data())


def digest(training: Loop) -> str:
    tensors, plain = training.state()
    found = hashlib.sha256(repr({k: v for k, v in plain.items() if k != "clock"}).encode())
    for group in sorted(tensors):
        for name in sorted(tensors[group]):
            found.update(f"{group}.{name}".encode() + tensors[group][name].detach().numpy().tobytes())
    return found.hexdigest()


def copied(training: Loop) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    tensors, plain = training.state()
    return {group: {name: t.detach().clone() for name, t in some.items()} for group, some in tensors.items()}, plain


def run_to_end(training: Loop, limit: int = 64) -> str:
    while not training.done:
        training.advance(limit)
    return digest(training)


def test_resuming_after_any_step_gives_the_same_bits() -> None:
    whole = run_to_end(loop())
    for stop in range(9):
        first = loop()
        for _ in range(stop):
            first.advance(1)
        second = loop()
        second.load(*copied(first))
        assert run_to_end(second) == whole, f"resumed after step {stop}"


def forget_tensors(group: str) -> Callable[[Any, Any], None]:
    def forget(tensors: dict[str, dict[str, Tensor]], plain: dict[str, Any]) -> None:
        tensors[group] = {name: torch.zeros_like(t) for name, t in tensors[group].items()}

    return forget


def forget_value(name: str, value: Any) -> Callable[[Any, Any], None]:
    return lambda tensors, plain: plain.__setitem__(name, value)


@pytest.mark.parametrize(
    "forget",
    [*map(forget_tensors, ("model", "optimiser", "average", "best", "totals")), forget_value("step", 3),
     forget_value("rate_factor", 0.5), forget_value("best", (1, 1e9)), forget_value("pieces", 2)],
)  # fmt: skip
def test_leaving_any_item_out_of_the_state_changes_what_follows(forget: Callable[[Any, Any], None]) -> None:
    first, second = loop(), loop()
    for _ in range(5):  # in the middle of the second epoch
        first.advance(1)
    tensors, plain = copied(first)
    forget(tensors, plain)
    second.load(tensors, plain)
    record = second.advance()
    while record is None:
        record = second.advance()
    other = loop()
    other.load(*copied(first))
    assert (digest(second), dict(record.train)) != (digest(other), dict(other.advance().train))  # type: ignore[union-attr]


def test_looking_more_often_changes_nothing() -> None:
    assert run_to_end(loop(), 1) == run_to_end(loop(), 64)


def test_every_row_is_used_once_an_epoch() -> None:
    training = loop()
    training.advance(1)
    index = [training.batch(place)[0].index for place in range(training.steps_per_epoch)]
    assert sorted(torch.cat([i for i in index if i is not None]).tolist()) == list(range(ROWS))


@pytest.mark.parametrize(
    ("kind", "reference"), [("adam", torch.optim.Adam), ("adagrad", torch.optim.Adagrad), ("sgd", torch.optim.SGD)]
)
def test_optimisers_are_those_of_torch_and_refuse(kind: str, reference: Callable[..., torch.optim.Optimizer]) -> None:
    ours, theirs = model(), model()
    optimiser = Optimiser(ours, nn.Module(), TrainConfig(optimizer=kind, weight_prior=2.0), rows=10)
    other = reference(theirs.parameters(), lr=0.1, weight_decay=0.2)
    for step in range(4):
        x = torch.full((2, 5), float(step % 2))
        optimiser.step(torch.autograd.grad(elbo()(ours, _batch(x)).loss, optimiser.weights), 0.1, torch.zeros(()))
        other.zero_grad()
        elbo()(theirs, _batch(x)).loss.backward()
        other.step()
        nothing = [torch.full_like(weight, torch.nan) for weight in optimiser.weights]
        optimiser.step(nothing, 0.1, torch.ones(()))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def _batch(x: Tensor) -> Any:
    from lowerbound.batches import Batch

    return Batch(x)


def test_pieces_change_nothing_but_rounding() -> None:
    runs = [loop(accumulate=pieces, average=0.0) for pieces in (1, 3)]
    for training in runs:
        run_to_end(training)
    for a, b in zip(runs[0].weights, runs[1].weights, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_pieces_are_refused_where_rows_are_coupled() -> None:
    coupled = model(likelihood={"name": "gaussian", "scale": "optimal"}, corruption=None)
    with pytest.raises(Incompatible, match=r"accumulate = 2 .*'gaussian' couples"):
        Loop(coupled, elbo(), data(), TrainConfig(accumulate=2), seed=0)


def test_out_of_memory_halves_the_pieces_and_keeps_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, short = loop(average=0.0), loop(average=0.0)
    run_to_end(plain)
    forward = VAE.posterior

    def small(self: VAE, x: Tensor, *rest: Any, **named: Any) -> Any:
        if self.training and len(x) > 3:
            raise torch.OutOfMemoryError
        return forward(self, x, *rest, **named)

    monkeypatch.setattr(VAE, "posterior", small)
    run_to_end(short)
    assert short.pieces == 4 and "out of memory" in short.notices[0]
    for a, b in zip(plain.weights, short.weights, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_averages_follow_their_formula() -> None:
    training = loop(average=0.75)
    expected = [weight.detach().clone() for weight in training.weights]
    for _ in range(3):
        training.advance(1)
        expected = [0.75 * a + 0.25 * w.detach() for a, w in zip(expected, training.weights, strict=True)]
    for a, b in zip(training.average, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_best_weights_are_kept() -> None:
    training = loop(patience=3, epochs=40, rate=0.5, schedule="constant", average=0.0)
    records = [record for record in training.steps() if record is not None]
    held = [record.validation["target"] for record in records]
    assert len(records) < 40 and len(records) - 1 - int(np.argmax(held)) == 3
    assert training.held_out is not None
    assert training.held_out.means(training.model)["target"] == pytest.approx(max(held))


def poisoned(rows: Rows, row: int) -> Rows:
    rows.binarize = "none"
    rows.x[row, 2] = torch.nan
    return rows


def test_a_poisoned_row_is_skipped_and_named() -> None:
    training = Loop(model(corruption=None), elbo(), poisoned(data(), 17), TrainConfig(epochs=1, batch=4), seed=0)
    before = [weight.detach().clone() for weight in training.weights]
    records = [record for record in training.steps() if record is not None]
    assert len(training.notices) == 1
    assert "training rows 17" in training.notices[0] and "first in module 'embedding'" in training.notices[0]
    assert all(torch.isfinite(weight).all() for weight in training.weights)
    assert any(not torch.equal(a, b) for a, b in zip(before, training.weights, strict=True))
    assert np.isfinite(records[0].train["elbo"])


def test_a_refused_step_changes_no_state() -> None:
    training = Loop(model(corruption=None), elbo(), poisoned(data(), 17), TrainConfig(epochs=1, batch=ROWS), seed=0)
    before = copied(training)[0]
    training.advance()
    after = training.state()[0]
    for group in ("model", "optimiser"):
        assert all(torch.equal(before[group][name], after[group][name]) for name in before[group])


def test_a_rate_that_explodes_is_halved_and_then_given_up() -> None:
    training = loop(rate=1e30, epochs=60, patience=0, optimizer="sgd", schedule="constant", batch=1)
    with pytest.raises(NotFinite, match=r"Lower train\.rate"):
        for _ in training.steps():
            pass
    assert [line.split("; ")[-1] for line in training.notices].count("went back to step 0 and halved the rate") == 3


def test_steps_yields_epochs() -> None:
    found = [epoch for epoch in steps(model(), elbo(), data(), TrainConfig(epochs=2, batch=BATCH)) if epoch is not None]
    assert [epoch.number for epoch in found] == [1, 2] and set(found[0].train) == {"elbo", "log_likelihood", "kl"}


def test_bf16_keeps_its_weights_and_sums_in_float32() -> None:
    training = loop(precision="bf16", average=0.0)
    record = training.advance()
    assert record is not None and all(weight.dtype == torch.float32 for weight in training.weights)
    exact = loop(average=0.0).advance()
    assert exact is not None and record.train["elbo"] == pytest.approx(exact.train["elbo"], rel=0.02)


def test_a_gradient_that_alone_is_not_finite_is_undone_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    training = loop(average=0.0)
    piece, spoiled = training._piece, []

    def spoil(batch: Any, *rest: Any) -> Any:
        gradients, loss, sums = piece(batch, *rest)
        if training.step == 4:
            spoiled.append(training.careful)
            gradients = [gradient * torch.nan for gradient in gradients]
        return gradients, loss, sums

    monkeypatch.setattr(training, "_piece", spoil)
    run_to_end(training)
    assert spoiled == [False, True]  # met, undone by going back, met again and refused
    assert all(torch.isfinite(weight).all() for weight in training.weights)
    assert len(training.notices) == 1 and "in the gradient only" in training.notices[0]
