"""What the columns of a table are: inferred, said, kept, and written back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.data import Data, load
from lowerbound.data.choices import choices
from lowerbound.data.columns import Column, Schema, column_of, plain
from lowerbound.data.kinds import resolution
from lowerbound.errors import BadOption, DataError, DataFormat, DataMissing, DataRange, DataShape, UnknownName

SOURCE = np.random.default_rng(0)


def table(folder: Path, cells: dict[str, list[Any]], **options: Any) -> Data:
    path = folder / "t.csv"
    rows = zip(*cells.values(), strict=True)
    path.write_text("\n".join([",".join(cells), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return load(path, **options)


def schema(data: Data) -> dict[str, Column]:
    assert data.schema is not None
    return {column.name: column for column in data.schema}


GUESSES: dict[str, tuple[list[Any], str, str]] = {
    "height": (SOURCE.normal(0, 2, 200).round(3).tolist(), "real", "gaussian"),
    "price": (np.exp(SOURCE.normal(3, 1.5, 200)).round(2).tolist(), "positive", "log_normal"),
    "share": ((1 / (1 + np.exp(-3 * SOURCE.normal(size=200)))).round(4).tolist(), "bounded", "logit_normal"),
    "visits": (SOURCE.poisson(4, 200).tolist(), "count", "negative_binomial"),
    "sold": ((SOURCE.random(200) < 0.5).astype(int).tolist(), "binary", "categorical"),
    "colour": (np.array(["red", "blue", "green"])[SOURCE.integers(0, 3, 200)].tolist(), "categorical", "categorical"),
    "when": ([f"2024-{m:02}-{d:02}" for m, d in SOURCE.integers(1, 12, (200, 2))], "date", "gaussian"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(GUESSES))
def test_kinds_are_inferred(tmp_path: Path, name: str) -> None:
    values, kind, family = GUESSES[name]
    found = schema(table(tmp_path, {name: values}))[name]
    assert (found.kind, found.family) == (kind, family)


def test_what_is_odd_is_flagged(tmp_path: Path) -> None:
    count = 50
    data = table(tmp_path, {
        "row": list(range(count)), "key": [f"k{i}" for i in range(count)], "same": [7] * count,
        "only": ["a"] * count, "value": SOURCE.normal(size=count).round(3).tolist(),
        "gain": [0] * 25 + SOURCE.integers(2000, 9000, 25).tolist(),
    })  # fmt: skip
    found = schema(data)
    assert set(found) == {"same", "only", "value", "gain"} and data.schema is not None
    assert data.schema.dropped == {
        "row": "like an id: it counts the rows",
        "key": "like an id: 50 different texts in 50 rows",
    }
    assert found["same"].note == found["only"].note == "constant"
    assert found["gain"].spikes == (0.0,) and found["value"].spikes == ()


@pytest.mark.parametrize("kind", ["", "real", "categorical"])
def test_a_column_without_values_is_refused(tmp_path: Path, kind: str) -> None:
    said = f"b={kind}" if kind else ""
    with pytest.raises(DataMissing, match=r"column 'b'.*b=drop"):
        table(tmp_path, {"a": [1.5, 2.5], "b": ["?", ""]}, columns=said)
    assert table(tmp_path, {"a": [1.5, 2.5], "b": ["?", ""]}, columns="b=drop").columns == ("a",)


def test_what_is_said_holds(tmp_path: Path) -> None:
    cells = {"size": ["M", "S", "L", "S"], "n": [1, 2, 3, -9], "p": [5, 50, 95, 60]}
    said = "size=ordinal:order=['S','M','L']; n=count:family=poisson,missing='-9',weight=2; p=bounded:low=0,high=100"
    data = table(tmp_path, cells, columns=said)
    found = schema(data)
    assert data.x[:, 0].tolist() == [1, 0, 2, 0] and found["size"].kind == "ordinal"
    assert data.mask is not None and data.mask[:, 1].tolist() == [True, True, True, False]
    assert (found["n"].family, found["n"].weight) == ("poisson", 2.0)
    assert (found["p"].low, found["p"].high) == (0.0, 100.0)


@pytest.mark.parametrize(("said", "error"), [
    ("a=cuont", UnknownName), ("a", BadOption), ("a=count:familly='poisson'", UnknownName), ("z=real", UnknownName),
    ("a=count:family='gaussian'", UnknownName), ("a=real:weight=-1", BadOption), ("a=real:low='x'", BadOption),
    ("a=count", DataRange), ("a=positive", DataRange), ("b=real", DataFormat), ("b=binary", DataShape),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path: Path, said: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        table(tmp_path, {"a": [-1.5, 2.5, 3.5], "b": ["x", "y", "z"]}, columns=said)


def test_the_same_numbers_stand_for_the_same_categories(tmp_path: Path) -> None:
    first = table(tmp_path, {"c": ["x", "y", "z", "x"], "v": [1.5, 2.5, 3.5, 4.5]})
    again = table(tmp_path, {"c": ["z", "z"], "v": [9.0, 1.0]}, schema=first.schema)
    assert again.x.tolist() == [[2.0, 9.0], [2.0, 1.0]] and again.schema == first.schema
    with pytest.raises(DataRange, match=r"t.csv:3:c: an unseen category in column 'c': found 'w', expected x, y, z"):
        table(tmp_path, {"c": ["x", "w"], "v": [9.0, 1.0]}, schema=first.schema)
    with pytest.raises(DataShape, match="in another order: found v, c, expected c, v"):
        table(tmp_path, {"v": [9.0], "c": ["x"]}, schema=first.schema)
    with pytest.raises(DataShape, match="without v"):
        table(tmp_path, {"c": ["x"]}, schema=first.schema)


def test_cells_are_written_as_they_were_read(tmp_path: Path) -> None:
    cells = {"when": ["2024-02-28", "2024-03-01", "2023-12-31"], "at": ["2024-01-01 06:30", "2024-01-02 18:45:10", ""],
             "n": [3, 4, 10], "v": [1.25, -2.5, 0.75], "c": ["b", "a", "b"]}  # fmt: skip
    data = table(tmp_path, cells)
    values = data.x if data.mask is None else np.where(data.mask, data.x, np.nan)
    assert data.schema is not None
    assert data.schema.cells(values) == [
        ["2024-02-28", "2024-01-01 06:30:00", "3", "1.25", "b"],
        ["2024-03-01", "2024-01-02 18:45:10", "4", "-2.5", "a"],
        ["2023-12-31", "", "10", "0.75", "b"],
    ]  # fmt: skip
    assert Schema.from_dict(data.schema.as_dict()) == data.schema


def test_made_values_are_such_as_could_stand_there() -> None:
    columns = (Column("n", "count", "poisson", 0, 9, 1.0), Column("v", "real", "gaussian", 0.0, 1.0, 0.05),
               Column("c", "categorical", "categorical", categories=("a", "b")))  # fmt: skip
    made = Schema(columns, {}).legal(np.array([[3.4, 0.3301, 0.2], [-2.0, 7.0, 5.0]]))
    assert made.tolist() == [[3.0, 0.35, 0.0], [0.0, 1.0, 1.0]]


@pytest.mark.parametrize(("values", "step"), [
    ([1, 2, 4], 1), ([1.5, 2.0, 4.0], 0.5), ([0.1, 0.3], 0.2), ([1.73, 1.8], 0.07),
    ([173.0, 180.0], 7), ([1 / 3, 0.5], 0),
])  # fmt: skip
def test_resolution(values: list[float], step: float) -> None:
    assert resolution(np.array(values)) == pytest.approx(step)


def test_columns_keep_their_tables() -> None:
    column = Column("a", "count", "poisson", 0, 5, 1.0, (0.0,), weight=2.0)
    assert column_of(plain(column)) == column
    with pytest.raises(BadOption):
        column_of({"name": "a", "kind": "count", "family": "gaussian"})


def test_choices_are_read() -> None:
    assert choices("a=real; b c=count:family=poisson") == {
        "a": {"kind": "real"},
        "b c": {"kind": "count", "family": "poisson"},
    }
    assert choices("") == {}


@pytest.mark.parametrize("name", ["adult.data", "auto_imports.csv"])
def test_real_mixed_tables(data_folder: Path, name: str) -> None:
    data = load(data_folder / "tables" / name)
    holes = 0 if data.mask is None else int((~data.mask).sum())
    assert (data.x.shape, holes) == {"adult.data": ((32561, 15), 4262), "auto_imports.csv": ((201, 26), 51)}[name]
    if name == "adult.data":
        found = schema(data)
        assert found["c11"].spikes == found["c12"].spikes == (0.0,) and found["c13"].spikes == (40.0,)
        assert len(found["c14"].categories) == 41 and found["c15"].categories == ("<=50K", ">50K")


def test_a_number_too_many_is_an_error_and_not_a_category(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t.csv:4:a: not a number: found 'x'"):
        table(tmp_path, {"a": [1, 2, "x", 4]})
