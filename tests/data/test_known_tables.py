"""The tables known by name, beside their files as any reader of csv has them."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from lowerbound.data import Data, load
from lowerbound.errors import BadOption, UnknownName


@pytest.fixture(scope="module")
def adult(data_folder: Path) -> Data:
    return load("adult")


def rows(lines: Iterable[str]) -> list[list[str]]:
    return [["" if cell == "?" else cell for cell in row] for row in csv.reader(lines, skipinitialspace=True) if row]


def texts(data: Data) -> list[list[str]]:
    values = data.x if data.mask is None else np.where(data.mask, data.x, np.nan)
    assert data.schema is not None
    return data.schema.cells(values)


def test_every_cell_of_adult_stands_where_it_was_published(adult: Data, data_folder: Path) -> None:
    train, test = (data_folder / f"tables/adult.{part}" for part in ("data", "test"))
    with train.open() as first, test.open() as second:
        assert texts(adult.train) == rows(first)
        next(second)
        assert texts(adult.test) == [[*row[:-1], row[-1].rstrip(".")] for row in rows(second)]
    assert (adult.train.rows, adult.validation.rows, adult.test.rows) == (32561, 0, 16281)
    assert adult.mask is not None
    holed = np.asarray((~adult.mask).any(1))
    assert (holed[:32561].sum(), holed[32561:].sum()) == (2399, 1221)
    assert adult.split is not None and adult.split.how == "given" and adult.source == "adult"


def test_auto_imports_has_its_holes(data_folder: Path) -> None:
    data = load("auto-imports")
    assert data.x.shape == (201, 26) and data.mask is not None and int((~data.mask).sum()) == 51
    with (data_folder / "tables/auto_imports.csv").open() as file:
        published = rows(file)
    assert data.schema is not None
    by_column = (zip(*table, strict=True) for table in (texts(data), published))
    for column, ours, theirs in zip(data.schema, *by_column, strict=True):
        alike = ours if column.coded else tuple(cell and float(cell) for cell in ours)
        assert alike == (theirs if column.coded else tuple(cell and float(cell) for cell in theirs)), column.name


def test_a_known_table_may_have_other_kinds_of_columns(adult: Data) -> None:
    again = load("adult", columns="age=count; fnlwgt=drop")
    assert again.schema is not None and adult.schema is not None
    changed = {"age": "count", "education-num": "ordinal"}
    assert [c.name for c in again.schema] == [name for name in adult.columns if name != "fnlwgt"]
    assert all(c.kind == changed.get(c.name, c.kind) for c in again.schema)
    assert np.array_equal(again.x[:, 0], adult.x[:, 0]) and again.test.rows == adult.test.rows
    with pytest.raises(UnknownName, match="agee"):
        load("adult", columns="agee=count")
    with pytest.raises(BadOption, match="a table as source"):
        load("digits", columns="x=count")
