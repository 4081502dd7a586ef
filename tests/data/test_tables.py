"""Text tables: delimiters, names, missing cells, and the line and column of what is wrong."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from lowerbound.data import Data, load
from lowerbound.errors import DataFormat, DataMissing, DataRange, DataShape, UnknownName


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.csv"


def read(path: Path, text: str | bytes, **options: object) -> Data:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, **options)  # type: ignore[arg-type]


GOOD = {
    "commas": "a,b\n1,2\n3,4.5\n",
    "semicolons": "a;b\n1;2\n3;4.5\n",
    "tabs": "a\tb\n1\t2\n3\t4.5\n",
    "windows": "a,b\r\n1,2\r\n3,4.5\r\n",
    "mark of order": "\ufeffa,b\n1,2\n3,4.5",
    "blank lines": "a,b\n\n1,2\n3,4.5\n\n\n",
    "quotes": '"a","b"\n"1",2\n3,"4.5"\n',
    "decimal commas": "a;b\n1;2\n3;4,5\n",
    "spaces": "a, b\n 1 , 2\n3, 4.50e0\n",
}


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_ways_of_writing_a_table(path: Path, kind: str) -> None:
    data = read(path, GOOD[kind])
    assert data.x.tolist() == [[1, 2], [3, 4.5]]
    assert data.columns == ("a", "b")
    assert data.x.dtype == np.float64 and data.name == "t.csv"


def test_packed(tmp_path: Path) -> None:
    data = read(tmp_path / "t.csv.gz", gzip.compress(GOOD["commas"].encode()))
    assert data.x.tolist() == [[1, 2], [3, 4.5]]


def test_a_delimiter_in_quotes_is_none(path: Path) -> None:
    assert read(path, '"a;x",b\n1,2\n').columns == ("a;x", "b")


NAMED = [("1,2\n3,4\n", ("c1", "c2")), ("?,2\n3,4\n", ("c1", "c2")), (",b\n3,4\n", ("", "b"))]


@pytest.mark.parametrize(("text", "columns"), NAMED)
def test_names_are_recognised(path: Path, text: str, columns: tuple[str, ...]) -> None:
    data = read(path, text, missing="nan")
    assert data.columns == columns
    assert data.rows == 2 - ("b" in columns)


def test_names_that_are_numbers_are_said(path: Path) -> None:
    assert read(path, "2019,2020\n1,2\n", header=True).columns == ("2019", "2020")
    assert read(path, "2019,2020\n1,2\n").rows == 2


@pytest.mark.parametrize("cell", ["", "?", "NA", "n/a", "NaN", "null", "None", " "])
def test_missing_cells(path: Path, cell: str) -> None:
    text = f"a,b\n1,2\n3,{cell}\n5,6\n"
    data = read(path, text)
    assert data.mask is not None and data.mask.tolist() == [[True, True], [True, False], [True, True]]
    assert data.x.tolist() == [[1, 2], [3, 0], [5, 6]]
    with pytest.raises(DataMissing, match=r"t.csv, row 1, column 'b'"):
        read(path, text, missing="error")


def test_labels_may_be_a_column_of_text(path: Path) -> None:
    data = read(path, "a,kind,b\n1,cat,2\n3,,4\n5,ant,6\n", labels="kind")
    assert data.columns == ("a", "b")
    assert data.x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert data.labels is not None and data.labels.tolist() == [1, -1, 0]
    assert data.label_names == ("ant", "cat")
    with pytest.raises(UnknownName, match="Did you mean 'kind'"):
        read(path, "a,kind\n1,cat\n", labels="kid")


BAD = {
    "a,b\n1,2\n3,x4\n": r"t.csv:3:b: not a number: found 'x4'",
    "a,b\n1,2\n\n\nx,4\n": r"t.csv:5:a: ",
    "1,2\n3,four\n": r"t.csv:2:c2: not a number: found 'four'.*c2=categorical",
    "a,b\n1,1_000\n": r"t.csv:2:b: not a number: found '1_000'",
    "a;b\n1,500;2\n": r"column 'a': thousands or decimals.: found '1,500'",
    'a,b\n"1,500",2\n': r"t.csv:2:a: not a number: found '1,500'.*Write 1000, not 1,000",
    "a,b\n1,2,3\n": r"t.csv:2: a line of the wrong width: found 3 cells, expected 2",
    "a,b\n1\n": r"t.csv:2: a line of the wrong width: found 1 cells, expected 2",
    "a,2\n1,2\n": r"t.csv:1: the first line mixes names and numbers: found 'a' and '2'",
    "a,a\n1,2\n": r"t.csv:1: two columns have the same name: found 'a'",
    'a,b\n1,"2\n': r"t.csv:2: not a table: found unexpected end of data",
    "\n\n": r"the file is empty",
    b"a,b\n1,\xff\n": r"not text in UTF-8: found byte 0xff",
    "a,b\n1,2\n".encode("utf-16"): r"not text in UTF-8",
    b"a,b\n1,2\x00\n": r"t.csv:2:b: not a number",
}


@pytest.mark.parametrize("text", list(BAD))
def test_what_is_wrong_is_named(path: Path, text: str | bytes) -> None:
    with pytest.raises(DataFormat, match=BAD[text]):
        read(path, text)


def test_infinite_cells_and_no_rows(path: Path) -> None:
    with pytest.raises(DataRange, match="row 0, column 'b'"):
        read(path, "a,b\n1,inf\n", missing="nan")
    with pytest.raises(DataShape, match="no values"):
        read(path, "a,b\n")


@pytest.mark.parametrize(("name", "shape"), [("banknote", (1372, 5)), ("winequality-red", (1599, 12))])
def test_real_tables(data_folder: Path, name: str, shape: tuple[int, int]) -> None:
    data = load(data_folder / "tables" / f"{name}.csv")
    assert data.x.shape == shape
    assert len(data.columns) == shape[1]


def test_a_real_table_with_text(data_folder: Path) -> None:
    data = load(data_folder / "tables" / "yeast.csv")
    assert data.shape == (9,) and data.schema is not None
    assert data.schema.dropped == {"sequence_name": "like an id: 1462 different texts in 1484 rows"}
    assert data.schema.columns[-1].categories[:2] == ("CYT", "ERL")
    assert np.bincount(data.x[:, -1].astype(int))[0] == 463  # of CYT


@pytest.mark.parametrize("first", ["39, State-gov", "?, State-gov"])
def test_values_in_the_first_line_are_told_by_the_next(path: Path, first: str) -> None:
    data = read(path, f"{first}\n50, Self-emp\n38, Private\n")
    assert data.rows == 3 and data.columns == ("c1", "c2")
    assert data.schema is not None and data.schema.columns[1].categories == ("Private", "Self-emp", "State-gov")
