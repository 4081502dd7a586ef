"""Tables that need not fit in memory, by the engine: what their columns are, then their rows a block at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data import engine
from lowerbound.data.arrays import coded, typed
from lowerbound.data.choices import choices
from lowerbound.data.columns import Schema
from lowerbound.data.engine import Cells, Query
from lowerbound.data.kinds import RawTable, encode
from lowerbound.data.mapped import Array
from lowerbound.data.shards import Stream
from lowerbound.errors import unknown

LOOKED = 1 << 18  # rows, evenly spread, that tell the kinds of the columns
MEMORY = "512MB"  # what the engine may take before it uses the disk
CELLS = 1 << 21  # in a block


@contextmanager
def scanned(query: Query, scratch: Path, *, labels: Any, columns: str, missing: str) -> Iterator[Stream]:
    """The rows of a table on their way to a folder.

    Texts, categories, ranges and what cannot be read are those of all rows; kinds, resolutions and spikes are read off
    262,144 rows, evenly spread, and the least and largest value of each column. What then does not fit the kind of its
    column is refused.

    Args:
        query: of the table.
        scratch: folder for what the engine cannot keep in memory.
        labels: the name of the column that holds them, or one for each row, or None.
        columns: what is said of columns, as `choices` reads it.
        missing: ``error``: missing cells are refused; else they stay NaN.

    Raises:
        DataFormat, DataMissing, DataRange, DataShape: naming file and column. MissingExtra: without the engine.
    """
    limits = {"memory_limit": MEMORY, "temp_directory": str(scratch)}
    with engine.laid_down(query, limits) as connection:
        rows: int = connection.execute("select count(*) from lowerbound_rows").fetchone()[0]
        cells, notes = engine.columns(connection, query)
        label = _label(cells, labels, query.name)
        cells = [one for one in cells if one is not label]
        schema = _schema(connection, cells, rows, RawTable(query.name, (), comma=query.comma, notes=notes), columns)
        kept = [one for one in cells if one.name in schema.names]
        step = max(1, CELLS // len(kept))
        blocks = (
            _block(connection, kept, slice(start, min(start + step, rows)), schema, missing, query.name)
            for start in range(0, rows, step)
        )
        beside = {}
        if labels is not None:
            beside["labels"] = lambda: _labels(connection, label, labels, rows, query.name)
        yield Stream(Path(query.name).name, blocks, rows, 1.0, {}, schema, beside)


def _label(cells: list[Cells], labels: Any, name: str) -> Cells | None:
    if not isinstance(labels, str):
        return None
    if labels not in [one.name for one in cells]:
        raise unknown("column", labels, [one.name for one in cells], where=name)
    return next(one for one in cells if one.name == labels)


def _labels(connection: Any, cells: Cells | None, given: Any, rows: int, name: str) -> tuple[Array, Mapping[str, Any]]:
    """A code for each row, and the names of the codes."""
    if cells is None:
        codes, names = coded(given, name)
        return codes, {"label_names": list(names)}
    raw = cells.raw(_numbers(connection, [cells], slice(0, rows))[0])
    if raw.codes is None:
        codes, names = coded(raw.values, name)
    else:
        by_text, names = coded([*raw.texts, ""], name)
        codes = by_text[raw.codes]
    return codes, {"label_names": list(names)}


def _schema(connection: Any, cells: list[Cells], rows: int, table: RawTable, columns: str) -> Schema:
    """What the columns are."""
    stride = -(-rows // LOOKED)
    found, notes = [], dict(table.notes)
    for one in cells:
        values = _numbers(connection, [one], slice(0, rows, stride))[0]
        if stride > 1 and one.texts is None:
            low, high, counts = connection.execute(
                f"select min(e), max(e), count(e) = count(*) and min(e - i) = max(e - i) from"
                f" (select ({one.expression})::double as e, rowid as i from lowerbound_rows)"
            ).fetchone()
            if counts and not one.date and one.name not in choices(columns):
                notes[one.name] = "like an id: it counts the rows"
                continue
            values = values if low is None else np.append(values, [low, high])
        elif stride > 1:
            values = np.append(values, [np.nan, np.nan])
        found.append(one.raw(values))
    _, schema = encode(replace(table, columns=tuple(found), notes=notes), choices(columns), None)
    return schema


def _block(connection: Any, cells: list[Cells], part: slice, schema: Schema, missing: str, name: str) -> Array:
    """Some rows as numbers, NaN where missing, checked against the schema."""
    raws = tuple(one.raw(values) for one, values in zip(cells, _numbers(connection, cells, part), strict=True))
    where = name if part.start == 0 else f"{name}, of the rows from {part.start:,}"
    data = typed(RawTable(where, raws), missing=missing, schema=schema)
    return data.x if data.mask is None else np.where(data.mask, data.x, np.nan)


def _numbers(connection: Any, cells: list[Cells], part: slice) -> list[Array]:
    """The numbers of some columns, NaN for null: of every ``step``-th row from ``start`` to before ``stop``."""
    step = part.step or 1
    asked = ", ".join(f"({one.expression})::double as c{i}" for i, one in enumerate(cells))
    every = f" and rowid % {step} = 0" if step > 1 else ""
    found = connection.execute(
        f"select (rowid - {part.start}) // {step} as row, {asked} from lowerbound_rows"
        f" where rowid >= {part.start} and rowid < {part.stop}{every}"
    ).fetchnumpy()
    made = []
    for i in range(len(cells)):
        values = np.empty(len(found["row"]))
        values[found["row"]] = np.ma.filled(found[f"c{i}"], np.nan)
        made.append(values)
    return made
