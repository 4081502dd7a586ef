"""Parquet files, queries and large text tables, by DuckDB where it is installed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lowerbound.data.kinds import EMPTY, LARGEST, Raw, RawTable
from lowerbound.data.source import Array
from lowerbound.errors import BadOption, DataFormat, MissingExtra

DAY = 86_400_000_000  # microseconds
ISO = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?"
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL")
PURPOSE = "reading Parquet files and queries"
OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
}  # fmt: skip


def installed() -> bool:
    """Whether the engine is there."""
    return find_spec("duckdb") is not None


@dataclass(frozen=True)
class Query:
    """Rows that the engine can make.

    Args:
        sql: that gives them.
        name: for messages.
        values: of the question marks in it.
        database: a DuckDB file; none: in memory.
        file: a Parquet file that the query calls ``data``.
        comma: whether numbers in texts may have a decimal comma.
    """

    sql: str
    name: str
    values: Sequence[Any] = ()
    database: str = ""
    file: str = ""
    comma: bool = False


@dataclass(frozen=True)
class Cells:
    """How the cells of a column are read: an expression that is a number, and what that stands for.

    Args:
        name: of the column.
        expression: in SQL.
        texts: its numbers are places in these, from 1; None: they are the values.
        date: they are days since 1970.
    """

    name: str
    expression: str
    texts: tuple[str, ...] | None = None
    date: bool = False

    def raw(self, values: Array) -> Raw:
        """The column, from the numbers of some rows, NaN for null."""
        if self.texts is None:
            return Raw(self.name, values=values, date=self.date)
        return Raw(self.name, np.nan_to_num(values).astype(np.int64) - 1, self.texts)


def csv_query(path: Path, names: tuple[str, ...], delimiter: str, *, header: bool) -> Query:
    """A text table whose delimiter and names are known."""
    columns = dict.fromkeys(names, "VARCHAR")
    source = ("select * from read_csv(?, delim=?, header=?, columns=?, auto_detect=false, quote='\"', escape='\"',"
              " strict_mode=true, null_padding=false, nullstr='')")  # fmt: skip
    return Query(source, str(path), [str(path), delimiter, header, columns], comma=delimiter != ",")


def parquet_query(path: Path, query: str | None = None) -> Query:
    """A Parquet file, or what a query gives of it; the query calls it ``data``."""
    return Query(query or "select * from data", str(path), file=str(path))


def file_query(path: Path, query: str | None) -> Query:
    """What a query gives of a DuckDB file; it is opened for reading only."""
    if query is None:
        raise BadOption("which rows?", where=str(path), expected='a query: --query "select ... from ..."')
    return Query(query, str(path), database=str(path))


def read(query: Query) -> RawTable:
    """The columns of what a query gives.

    Raises:
        DataFormat: it gives nothing that can be read. MissingExtra: without the engine.
    """
    with laid_down(query) as connection:
        cells, notes = columns(connection, query)
        found = tuple(one.raw(fetch(connection, one.expression)) for one in cells)
    return RawTable(query.name, found, None, query.comma, notes=notes)


@contextmanager
def laid_down(query: Query, limits: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A connection in which the rows of a query are the table ``lowerbound_rows``, in their order by ``rowid``."""
    with _connect(query.database, limits=limits) as connection:
        import duckdb

        try:
            if query.file:
                path = query.file.replace("'", "''")
                connection.execute(f"create temp view data as select * from read_parquet('{path}')")
            rows = f"create temp table lowerbound_rows as ({query.sql.strip().rstrip(';')})"
            connection.execute(rows, list(query.values))
            yield connection
        except duckdb.Error as error:
            raise DataFormat("cannot be read", where=query.name, found=_first(error)) from error


def parquet(text: str, kinds: Mapping[str, str]) -> bytes:
    """A comma-separated text with a header as a Parquet file; an empty cell is null.

    Args:
        text: as ``read_csv`` takes it.
        kinds: column -> type, in the engine's words.
    """
    connection = _connect("", "writing Parquet files")
    with TemporaryDirectory() as folder:
        source, made = Path(folder) / "rows.csv", Path(folder) / "rows.parquet"
        source.write_text(text, encoding="utf-8")
        query = (
            "select * from read_csv(?, delim=',', header=true, columns=?, auto_detect=false, quote='\"', escape='\"')"
        )
        connection.sql(query, params=[str(source), dict(kinds)]).write_parquet(str(made))
        return made.read_bytes()


def _connect(path: str, purpose: str = PURPOSE, limits: Mapping[str, str] | None = None) -> Any:
    if not installed():
        raise MissingExtra(purpose, "tables")
    import duckdb

    try:
        return duckdb.connect(path or ":memory:", read_only=bool(path), config={**OFFLINE, **(limits or {})})
    except duckdb.Error as error:
        raise DataFormat("not a DuckDB file", where=path, found=_first(error)) from error


def columns(connection: Any, query: Query) -> tuple[list[Cells], dict[str, str]]:
    """How each column of the rows laid down is read; and of those that are left out, why."""
    found, notes = [], dict[str, str]()
    for column, kind, *_ in connection.execute("describe lowerbound_rows").fetchall():
        cells = _column(connection, column, kind, query.name, query.comma)
        if isinstance(cells, str):
            notes[column] = cells
        else:
            found.append(cells)
    return found, notes


def _column(connection: Any, name: str, kind: str, table: str, comma: bool) -> Cells | str:
    """How a column is read, or why it is left out."""
    cell = '"' + name.replace('"', '""') + '"'
    if kind.startswith(("DATE", "TIMESTAMP")):
        return Cells(name, f"epoch_us({cell}::timestamp) / {DAY}.0", date=True)
    if kind == "BOOLEAN":
        cell = f"({cell}::varchar)"
    elif not kind.startswith(("VARCHAR", "ENUM")):
        if not kind.startswith(NUMBERS):
            raise DataFormat("a column is not of plain values", where=f"{table}, column {name!r}", found=kind)
        return Cells(name, f"{cell}::double")
    return _of_texts(connection, name, f"trim({cell}::varchar)", table, comma)


def _of_texts(connection: Any, name: str, cell: str, table: str, comma: bool) -> Cells | str:
    empty = ", ".join(f"'{text}'" for text in sorted(EMPTY))
    value = f"case when lower({cell}) not in ({empty}) then {cell} end"
    written = f"case when contains({value}, '.') then {value} else replace({value}, ',', '.') end" if comma else value
    as_number = f"try_cast(case when not contains({written}, '_') then {written} end as double)"
    seen, numbers, dates, different = connection.execute(
        f"select count({value}), count({as_number}), count(*) filter (regexp_full_match({value}, '{ISO}')),"
        f" approx_count_distinct({value}) from lowerbound_rows"
    ).fetchone()
    if seen and dates == seen:
        return Cells(name, f"epoch_us(({value})::timestamp) / {DAY}.0", date=True)
    if numbers == seen:
        return Cells(name, as_number)
    if 2 * (seen - numbers) <= seen:
        row, text = connection.execute(
            f"select rowid, {value} from lowerbound_rows where {value} is not null and {as_number} is null"
            " order by rowid limit 1"
        ).fetchone()
        where = f"{table}, row {row}, column '{name}'"
        raise DataFormat("not a number", where=where, found=repr(text), expected="a number",
                         mend="Leave such cells empty, or write them as the others.")  # fmt: skip
    if different > 2 * LARGEST:
        return f"like an id: about {different} different texts"
    texts = [
        text
        for (text,) in connection.execute(
            f"select distinct {value} from lowerbound_rows where {value} is not null order by 1"
        ).fetchall()
    ]
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    return Cells(name, f"list_position([{quoted}]::varchar[], {value})", tuple(texts))


def fetch(connection: Any, expression: str) -> Array:
    """A value for each row, NaN for null. Rows come in any order once an expression is computed in parallel."""
    found = connection.execute(f"select rowid as row, ({expression})::double as x from lowerbound_rows").fetchnumpy()
    values = np.empty(len(found["x"]))
    values[found["row"]] = np.ma.filled(found["x"], np.nan)
    return values


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
