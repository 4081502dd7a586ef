"""Parquet files, queries and large text tables, by DuckDB where it is installed."""

from collections.abc import Mapping
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
OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
}  # fmt: skip


def installed() -> bool:
    """Whether the engine is there."""
    return find_spec("duckdb") is not None


def read_csv(path: Path, names: tuple[str, ...], delimiter: str, *, header: bool) -> RawTable:
    """A text table whose delimiter and names are known."""
    connection = _connect("")
    columns = dict.fromkeys(names, "VARCHAR")
    source = ("select * from read_csv(?, delim=?, header=?, columns=?, auto_detect=false, quote='\"', escape='\"',"
              " strict_mode=true, null_padding=false, nullstr='')")  # fmt: skip
    return _read(connection, source, [str(path), delimiter, header, columns], str(path), comma=delimiter != ",")


def read_parquet(path: Path, query: str | None = None) -> RawTable:
    """A Parquet file, or what a query gives of it; the query calls it ``data``."""
    connection = _connect("")
    return _read(connection, query or "select * from data", [], str(path), view=("read_parquet", str(path)))


def read_query(path: Path, query: str | None) -> RawTable:
    """What a query gives of a DuckDB file; it is opened for reading only."""
    if query is None:
        raise BadOption("which rows?", where=str(path), expected='a query: --query "select ... from ..."')
    return _read(_connect(str(path)), query, [], str(path))


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


def _connect(path: str, purpose: str = "reading Parquet files and queries") -> Any:
    if not installed():
        raise MissingExtra(purpose, "tables")
    import duckdb

    try:
        return duckdb.connect(path or ":memory:", read_only=bool(path), config=OFFLINE)
    except duckdb.Error as error:
        raise DataFormat("not a DuckDB file", where=path, found=_first(error)) from error


def _read(
    connection: Any, query: str, values: list[Any], name: str, *, comma: bool = False,
    view: tuple[str, str] | None = None,
) -> RawTable:  # fmt: skip
    """The columns of what a query gives."""
    import duckdb

    with connection:
        try:
            if view is not None:
                path = view[1].replace("'", "''")
                connection.execute(f"create temp view data as select * from {view[0]}('{path}')")
            connection.execute(f"create temp table lowerbound_rows as ({query.strip().rstrip(';')})", values)
            described = connection.execute("describe lowerbound_rows").fetchall()
            return _columns(connection, described, name, comma)
        except duckdb.Error as error:
            raise DataFormat("cannot be read", where=name, found=_first(error)) from error


def _columns(connection: Any, described: list[Any], name: str, comma: bool) -> RawTable:
    found, notes = [], {}
    for column, kind, *_ in described:
        raw = _column(connection, column, kind, name, comma)
        if isinstance(raw, str):
            notes[column] = raw
        else:
            found.append(raw)
    return RawTable(name, tuple(found), None, comma, notes=notes)


def _column(connection: Any, name: str, kind: str, table: str, comma: bool) -> Raw | str:
    """A column, or why it is left out."""
    cell = '"' + name.replace('"', '""') + '"'
    if kind.startswith(("DATE", "TIMESTAMP")):
        return Raw(name, values=_fetch(connection, f"epoch_us({cell}::timestamp) / {DAY}.0"), date=True)
    if kind == "BOOLEAN":
        cell = f"({cell}::varchar)"
    elif not kind.startswith(("VARCHAR", "ENUM")):
        if not kind.startswith(
            ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL")
        ):
            raise DataFormat("a column is not of plain values", where=f"{table}, column {name!r}", found=kind)
        return Raw(name, values=_fetch(connection, f"{cell}::double"))
    return _of_texts(connection, name, f"trim({cell}::varchar)", table, comma)


def _of_texts(connection: Any, name: str, cell: str, table: str, comma: bool) -> Raw | str:
    empty = ", ".join(f"'{text}'" for text in sorted(EMPTY))
    value = f"case when lower({cell}) not in ({empty}) then {cell} end"
    written = f"case when contains({value}, '.') then {value} else replace({value}, ',', '.') end" if comma else value
    as_number = f"try_cast(case when not contains({written}, '_') then {written} end as double)"
    seen, numbers, dates, different = connection.execute(
        f"select count({value}), count({as_number}), count(*) filter (regexp_full_match({value}, '{ISO}')),"
        f" approx_count_distinct({value}) from lowerbound_rows"
    ).fetchone()
    if seen and dates == seen:
        return Raw(name, values=_fetch(connection, f"epoch_us(({value})::timestamp) / {DAY}.0"), date=True)
    if numbers == seen:
        return Raw(name, values=_fetch(connection, as_number))
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
            f"select distinct {value} t from lowerbound_rows where t is not null order by t"
        ).fetchall()
    ]
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    places = _fetch(connection, f"list_position([{quoted}]::varchar[], {value})")
    return Raw(name, np.nan_to_num(places).astype(np.int64) - 1, tuple(texts))


def _fetch(connection: Any, expression: str) -> Array:
    """A value for each row, NaN for null. Rows come in any order once an expression is computed in parallel."""
    found = connection.execute(f"select rowid as row, ({expression})::double as x from lowerbound_rows").fetchnumpy()
    values = np.empty(len(found["x"]))
    values[found["row"]] = np.ma.filled(found["x"], np.nan)
    return values


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
