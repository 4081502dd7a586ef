"""The engine for Parquet files, queries and large tables gives what the plain reader gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.data import load, tables
from lowerbound.errors import BadOption, DataFormat, MissingExtra

TEXT = "v;c;n;d;e\n1,5;x;3;2024-01-02;\n2,25; y ;?;2024-01-05;u\n-3;x;7;;w\n"


@pytest.fixture
def engine() -> Iterator[Any]:
    yield pytest.importorskip("duckdb", reason="needs the extra 'tables'")


def test_the_same_values_as_the_plain_reader(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TEXT)
    plain = load(path)
    monkeypatch.setattr(tables, "LARGE", 0)
    made = load(path)
    assert made.schema == plain.schema and made.fingerprint == plain.fingerprint


def test_real_tables_are_read_alike(engine: Any, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("adult.data", "auto_imports.csv", "winequality-red.csv", "yeast.csv"):
        plain = load(data_folder / "tables" / name)
        with monkeypatch.context() as patch:
            patch.setattr(tables, "LARGE", 0)
            made = load(data_folder / "tables" / name)
        assert made.fingerprint == plain.fingerprint, name


def test_rows_keep_their_order_however_many(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, count = tmp_path / "t.csv", 400_000  # several blocks of the engine, which computes them at the same time
    path.write_text("n,c\n" + "".join(f"{i % 977}.5,{'abc'[i % 3]}\n" for i in range(count)))
    monkeypatch.setattr(tables, "LARGE", 0)
    x, row = load(path).x, np.arange(count)
    assert np.array_equal(x, np.stack([row % 977 + 0.5, row % 3], axis=1))


def test_parquet_and_queries(engine: Any, tmp_path: Path) -> None:
    parquet, database = str(tmp_path / "t.parquet"), str(tmp_path / "shop.duckdb")
    with engine.connect(database) as connection:
        connection.execute("create table sales as select i::int as n, i * 0.5 as v, ['a','b'][i % 2 + 1] as c,"
                           " date '2024-01-01' + i::int as d, i % 3 = 0 as b from range(1, 40) t(i)")  # fmt: skip
        connection.execute(f"copy sales to '{parquet}' (format parquet)")
    whole = load(parquet, columns="n=count")
    assert whole.columns == ("n", "v", "c", "d", "b") and whole.rows == 39
    assert whole.schema is not None and [c.kind for c in whole.schema] == ["count", "real", "binary", "date", "binary"]
    some = load(database, query="select v, c from sales where n <= 30 order by n")
    assert some.x[:3].tolist() == [[0.5, 1.0], [1.0, 0.0], [1.5, 1.0]] and some.rows == 30
    assert load(parquet, query="select v from data where v > 10 order by v").rows == 19
    with pytest.raises(BadOption, match="which rows"):
        load(database)
    with pytest.raises(DataFormat, match=r"cannot be read.*nosuch"):
        load(database, query="select * from nosuch")
    assert np.isfinite(some.x).all()


@pytest.mark.parametrize("text", ["a,b\n1,2\n3\n", "a,b\n1,x4\n2,3\n4,5\n"])
def test_what_is_wrong_is_refused(engine: Any, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    monkeypatch.setattr(tables, "LARGE", 0)
    with pytest.raises(DataFormat, match=r"t.csv"):
        load(path)


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr("lowerbound.data.engine.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="tables"):
        load(path)


def test_a_query_of_a_text_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadOption, match="query is of no use here"):
        load(path, query="select 1")
