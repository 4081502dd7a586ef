"""Rows that come one by one are the rows of an array; what is no row is refused by its number."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import lowerbound as lb
from lowerbound.data import iterables, load
from lowerbound.errors import DataError, DataFormat, DataShape

X = torch.arange(60.0).reshape(20, 3)
Y = torch.arange(20) % 4


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return ((x.numpy(), int(y)) for x, y in zip(X, Y, strict=True))


class Squares(Dataset[Any]):
    """Only its length says where it ends."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> list[float]:
        assert i < 5, "read past its end"
        return [i, i * i]


class Picture:
    """Gives its pixels as Pillow's pictures do."""

    def __init__(self, level: int) -> None:
        self.pixels = np.full((4, 4), level, np.uint8)
        self.__array_interface__ = self.pixels.__array_interface__


PAIRS = TensorDataset(X, Y)


@pytest.mark.parametrize(
    ("source", "labelled"),
    [
        (TensorDataset(X), False),
        (PAIRS, True),
        (Subset(PAIRS, range(20)), True),
        (Stream(), True),
        (DataLoader(PAIRS, batch_size=7, shuffle=True, drop_last=True), True),
        (DataLoader(Stream(), batch_size=7), True),
        ((row for row in X), False),
        ([(row, label) for row, label in zip(X.tolist(), Y.tolist(), strict=True)], True),
        (zip(X.numpy(), map(str, Y.tolist()), strict=True), True),
    ],
    ids=["rows", "pairs", "subset", "stream", "loader", "loader of a stream", "generator", "list of pairs", "zip"],
)
def test_rows_in_their_order(source: Any, labelled: bool) -> None:
    data = load(source)
    assert np.array_equal(data.x, X.numpy()) and data.name == type(source).__name__
    assert (data.labels is not None and data.labels.tolist() == Y.tolist()) == labelled
    assert data.label_names == (("0", "1", "2", "3") if labelled else ())


def test_what_has_a_length_is_read_to_it() -> None:
    assert load(Squares()).x.tolist() == [[i, i * i] for i in range(5)]


def test_pictures_and_their_unit() -> None:
    data = load((Picture(9 * i), i) for i in range(3))
    assert (data.x.shape, data.x.dtype, data.unit) == ((3, 1, 4, 4), np.uint8, 1 / 255)
    assert data.x[:, 0, 0, 0].tolist() == [0, 9, 18]


def test_room_is_made_as_rows_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterables, "FIRST", 2)
    data = load([i, -i] for i in range(50))
    assert data.x.tolist() == [[i, -i] for i in range(50)] and data.x.base is None


def test_a_type_that_holds_all_rows() -> None:
    data = load(np.array([value, 0], kind) for value, kind in [(1, "uint8"), (-1, "int8"), (0.5, "float32")])
    assert (data.x.tolist(), data.x.dtype) == ([[1, 0], [-1, 0], [0.5, 0]], np.float32)
    assert load(iter([[2**40, 1], [True, False]])).x.tolist() == [[2**40, 1], [1, 0]]


def test_options_are_those_of_an_array() -> None:
    data = load(iter([[1.0, float("nan")], [2.0, 3.0]]), missing="nan", labels=["a", "b"])
    assert data.mask is not None and data.mask.tolist() == [[True, False], [True, True]]
    assert data.label_names == ("a", "b")


ROW = [1.0, 2.0]


@pytest.mark.parametrize(
    ("items", "error", "words"),
    [
        ([ROW, [1.0]], DataShape, r"item 1: rows differ in shape: found \(1,\), expected \(2,\)"),
        ([ROW, 3.0], DataFormat, "item 1: an item cannot be used: found float, expected a row of numbers"),
        ([ROW, {"image": ROW, "label": 1}], DataFormat, r"found dict of image, label.* Give the pairs"),
        ([(torch.ones(2), torch.ones(2))], DataFormat, "item 0: .* found tuple of Tensor, Tensor"),
        ([(np.ones(2), 1, 2)], DataFormat, "found tuple of ndarray, int, int"),
        ([ROW, (ROW, 1)], DataFormat, "item 1: some items have a label and others have none: found a pair"),
        ([(ROW, 1), ROW], DataFormat, "item 1: some items .* a row alone"),
        ([ROW, ["a", "b"]], DataFormat, "item 1: values are not plain numbers"),
        ([[[1], [1, 2]]], DataShape, "item 0: rows differ in length"),
        ([torch.zeros(2, dtype=torch.bfloat16)], DataFormat, "item 0: .*bfloat16"),
        ([None], DataFormat, "found NoneType"),
        ([], DataShape, "list_iterator: no rows"),
    ],
)
def test_items_that_are_refused(items: list[Any], error: type[DataError], words: str) -> None:
    with pytest.raises(error, match=words):
        load(iter(items))


def test_an_endless_stream_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterables, "CAP", 16_000)
    assert len(load([0.0, 1.0] for _ in range(999)).x) == 999
    with pytest.raises(DataError, match=r"item 1000: more rows than are read into memory.*at most 16,000 bytes"):
        load([0.0, 1.0] for _ in iter(int, 1))


def test_an_error_of_the_source_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        load([1 / (2 - i)] for i in range(3))


def test_a_model_is_fitted_to_a_data_set() -> None:
    settings = {"latent": 1, "encoder": "linear", "decoder": "linear", "epochs": 1, "progress": False}
    run = lb.fit(DataLoader(PAIRS), **settings)
    other = lb.fit(X.numpy(), **settings)
    assert run.config.data.name == "DataLoader"
    assert all(torch.equal(a, b) for a, b in zip(run.model.parameters(), other.model.parameters(), strict=True))
