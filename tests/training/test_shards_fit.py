"""Training from rows that stay on disk: to the same bits as from memory, and without a copy of them."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound import batches, evaluation, initial
from lowerbound.batches import Fed, Rows, mixed_rows
from lowerbound.config import TrainConfig
from lowerbound.data import mapped
from lowerbound.data.arrays import typed
from lowerbound.data.kinds import Raw, RawTable
from lowerbound.errors import BadOption, DataChanged
from lowerbound.loop import Loop
from lowerbound.objectives import elbo
from lowerbound.randomness import BLOCKS, permutation

X = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
QUIET: dict[str, Any] = {"progress": False, "epochs": 2, "latent": 2, "train__batch": 64, "encoder": "mlp:widths=[8]",
                         "decoder": "mlp:widths=[8]"}  # fmt: skip


def _holes() -> Any:
    return lb.load(np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X), missing="nan")


def _digits(rows: int = 300) -> Any:
    return replace(lb.load("digits").take(np.arange(rows)), name="digits")


def _table() -> Any:
    x = np.where(np.random.default_rng(3).random((300, 4)) < 0.1, np.nan, X[:300, :4].astype(np.float64))
    x[:, 1] = np.arange(300) % 7 + 0.5
    columns = (Raw(name, values=x[:, i]) for i, name in enumerate(("a", "age", "b", "c")))
    return typed(RawTable("table", tuple(columns)))


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "numbers": (lambda: X, {}),
    "coupled": (lambda: X, {"likelihood": "gaussian:scale=optimal"}),
    "holes": (_holes, {}),
    "sampled": (_digits, {"data__binarize": "sample", "likelihood": "bernoulli"}),
    "fixed": (_digits, {"data__binarize": "fixed", "likelihood": "bernoulli"}),
    "threshold": (_digits, {"data__binarize": "threshold", "likelihood": "bernoulli"}),
    "label": (_digits, {"data__context": "label"}),
    "counts": (lambda: np.random.default_rng(2).poisson(1.0, (200, 4)), {}),
    "zeros and ones": (lambda: (X > 0).astype(np.uint8), {}),
    "block": (lambda: X, {"data__shuffle": "block"}),
    "columns": (_table, {"data__context": "age"}),
    "time": (lambda: X, {"data__split": "time"}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_as_from_memory(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, options = CASES[case]
    lb.convert(source := make(), tmp_path / "rows", missing="nan")
    memory = lb.fit(source, **QUIET, **options)
    monkeypatch.setattr(mapped, "COPIED", 0)
    disk = lb.fit(tmp_path / "rows", out=tmp_path / "run", **QUIET, **options)
    rows = disk.feed(disk.rows(part="train"), disk.config.data.binarize)
    assert isinstance(rows.x, Fed) and not rows.at_hand
    assert [{**line, "seconds": 0} for line in disk.history] == [{**line, "seconds": 0} for line in memory.history]
    for name, weight in memory.model.state_dict().items():
        assert torch.equal(weight, disk.model.state_dict()[name]), name
    again = lb.open(tmp_path / "run")
    assert torch.equal(torch.as_tensor(lb.encode(again)), torch.as_tensor(lb.encode(disk)))


def test_a_table_keeps_its_codes(every_kind: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, said = every_kind
    lb.convert(path, tmp_path / "rows", columns=said)
    monkeypatch.setattr(mapped, "COPIED", 0)
    memory, disk = lb.fit(path, data__columns=said, **QUIET), lb.fit(tmp_path / "rows", **QUIET)
    assert memory.history[-1]["validation_elbo"] == disk.history[-1]["validation_elbo"]
    (tmp_path / "few.csv").write_text("size,n\nM,0.5\nS,1.5\nM,2.25\n")
    (tmp_path / "many.csv").write_text("size,n\n" + "S,0.5\nM,1.5\nL,2.25\nL,3.75\n" * 30)
    lb.convert(tmp_path / "few.csv", tmp_path / "few")
    run = lb.fit(tmp_path / "many.csv", **QUIET)
    assert run.rows(tmp_path / "few").x[:, 0].tolist() == run.rows(tmp_path / "few.csv").x[:, 0].tolist() == [1, 2, 1]


def test_other_rows_under_the_same_name_are_noticed(tmp_path: Path) -> None:
    lb.convert(X, tmp_path / "rows")
    lb.fit(tmp_path / "rows", out=tmp_path / "run", **QUIET)
    lb.convert(X + np.eye(400, 5, dtype=np.float32), tmp_path / "rows", force=True)
    with pytest.raises(DataChanged):
        lb.open(tmp_path / "run").rows()


def test_no_copy_of_the_rows_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(8192, 256)).astype(np.float32)  # 8 MiB
    lb.convert(x, tmp_path / "rows")
    options = {**QUIET, "data__validation": 64, "data__test": 64, "train__batch": 512}
    lb.fit(tmp_path / "rows", **options)  # what is imported and compiled on the way is not of these rows
    monkeypatch.setattr(initial, "LOOKED", 64)
    peaks = []
    for copied in (1 << 30, 0):
        monkeypatch.setattr(mapped, "COPIED", copied)
        tracemalloc.start()
        lb.fit(tmp_path / "rows", **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > x.nbytes > 2 * peaks[1]


def test_weights_in_closed_form_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lb.convert(X, tmp_path / "rows")
    monkeypatch.setattr(mapped, "COPIED", 0)
    with pytest.raises(BadOption, match=r"model\.start: weights in closed form"):
        lb.fit(tmp_path / "rows", recipe="pca", progress=False)


@pytest.mark.parametrize(("rows", "mixed"), [(1000, 128), (1000, 100), (130, 128), (1000, 1), (5000, 640)])
def test_a_block_shuffle_is_an_order_of_all_rows_in_few_places(rows: int, mixed: int) -> None:
    size = max(1, mixed // BLOCKS)
    orders = [permutation(rows, seed, epoch, mixed) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(rows))
    assert not torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[0], permutation(rows, 0, 0, mixed))
    for some in (orders[0] // size).split(size * BLOCKS):
        assert len(some.unique()) <= BLOCKS + 1  # the last block may be short, and the next then begins early
    assert torch.equal(permutation(rows, 0, 0, rows), permutation(rows, 0, 0))


def test_rows_of_all_blocks_are_mixed() -> None:
    order = permutation(64 * 64, 0, 0, 64 * 8)  # windows of 64 blocks of 8
    window, block = order[:512], order[:512] // 8
    assert len(block.unique()) == 64 and (window.diff().abs() == 1).sum() < 10
    spread = [int(some.max() - some.min()) for some in order.split(512)]
    assert min(spread) > 64 * 64 / 2, "blocks come from all over the file"


@pytest.mark.parametrize("written", ["block:0", "block:x", "block:-1", "block:1.5"])
def test_a_block_of_no_size_is_refused(written: str) -> None:
    with pytest.raises(BadOption, match=r"data\.shuffle: not a number of MiB"):
        lb.fit(X, data__shuffle=written, **QUIET)


def test_the_size_of_a_block_is_bytes() -> None:
    assert [mixed_rows("block:2", row) for row in (4, 1 << 20, 1 << 30)] == [1 << 19, 2, 1]


def test_going_on_in_the_middle_of_a_block_shuffle() -> None:
    def loop() -> Loop:
        rows = Rows(X, mixed=100)
        spec = {**lb.fit(X, **QUIET).model.spec}
        return Loop(lb.assemble(spec), elbo(), rows, TrainConfig(epochs=2, batch=32), seed=3)

    whole, broken, resumed = loop(), loop(), loop()
    for _ in whole.steps():
        pass
    broken.advance(5)
    tensors, plain = broken.state()
    resumed.load({group: dict(some) for group, some in tensors.items()}, plain)
    for _ in resumed.steps():
        pass
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name])


def test_a_block_is_asked_for_once_while_it_is_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(batches, "expected", lambda array, first, last: asked.append((first, last)))
    rows = Rows(mapped.Lazy(np.zeros((64 * 40 + 3, 1))), mixed=64 * 4)  # type: ignore[arg-type]  # blocks of 4
    for index in rows.order(0, 0).split(50):
        rows.take(index, {})
    assert sorted(asked)[-1] == (2560, 2562) and {last - first for first, last in sorted(asked)[:-1]} == {3}
    assert {first for first, _ in asked} == set(range(0, 2563, 4)) and len(asked) < 1.5 * 641


def test_rows_set_aside_are_fetched_once_and_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_ROWS", 40)
    model = lb.fit(X, **QUIET).model
    fed = Rows(mapped.Lazy(X))  # type: ignore[arg-type]  # which stands for an array
    held = evaluation.HeldOut(fed, elbo(), model, 0)
    assert held.rows.at_hand and len(held.rows) == 40
    assert torch.equal(next(held.rows.blocks(40)).x, torch.from_numpy(X[::10]))


def test_evenly_spread_rows() -> None:
    rows = Rows(np.arange(1000.0)[:, None])
    assert rows.spread(1000) is rows
    assert [float(x) for x in next(rows.spread(4).blocks(9)).x[:, 0]] == [0, 250, 500, 750]
    fed = Rows(mapped.Lazy(np.arange(1000.0)[:, None]))  # type: ignore[arg-type]  # which stands for an array
    assert not fed.at_hand and fed.spread(4).at_hand and len(fed.spread(5000)) == 1000
