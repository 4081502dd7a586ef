"""Text tables (csv): how they are written, and their cells as texts by code."""

import csv
import gzip
import io
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data import engine
from lowerbound.data.kinds import EMPTY, Raw, RawTable, number
from lowerbound.errors import DataFormat, unknown

LARGE = 32 << 20  # bytes from which on a file is read by the engine, where that is installed
Lines = Iterator[tuple[int, list[str]]]


def read_csv(path: Path, *, header: bool | None = None) -> RawTable:
    """The columns of a table from text in UTF-8, packed by gzip or not.

    The cells are parted by tabs if the first line has any, else by ``;`` if it has any, else by ``,``; in the first two
    cases numbers may have a decimal comma. Blank lines are skipped. Cells that are empty or ``? NA N/A NaN null none``
    hold no value. Columns without names are called ``c1``, ``c2`` and so on. A large file is read by DuckDB, if it is
    there, to the same values.

    Args:
        header: whether the first line holds names; None: if none of its cells is a number.

    Raises:
        DataFormat: naming file and line of what is no table.
    """
    with _text(path) as text:
        dialect, lines = _dialect(path, text, header)
        if path.stat().st_size > LARGE and engine.installed():
            return engine.read(csv_query(path, dialect))
        return _table(path, dialect.columns, lines, comma=dialect.delimiter != ",")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written: what parts the cells, the names of the columns, whether the first line has them."""

    delimiter: str
    columns: tuple[str, ...]
    named: bool


def csv_query(path: Path, dialect: Dialect | None = None, *, header: bool | None = None) -> engine.Query:
    """The same table as the engine is asked for it.

    Raises:
        DataFormat: as ``read_csv``, as far as the first lines tell.
    """
    if dialect is None:
        with _text(path) as text:
            dialect, _ = _dialect(path, text, header)
    return engine.csv_query(path, dialect.columns, dialect.delimiter, header=dialect.named)


@contextmanager
def _text(path: Path) -> Iterator[Iterable[str]]:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        yield text


def _dialect(path: Path, text: Iterable[str], header: bool | None) -> tuple[Dialect, Lines]:
    """How a table is written, and its lines of values."""
    delimiter, lines = _lines(path, text)
    _, first = start = next(lines, (0, []))
    if not first:
        raise DataFormat("the file is empty", where=str(path))
    after = next(lines, None)
    names = _names(path, first, None if after is None else after[1], header, delimiter != ",")
    columns = names or tuple(f"c{i + 1}" for i in range(len(first)))
    again = chain([] if names else [start], [] if after is None else [after], lines)
    return Dialect(delimiter, columns, bool(names)), again


def split_off(table: RawTable, labels: Any) -> RawTable:
    """The table without the column of that name, whose texts are then its labels; else with the labels given.

    Raises:
        UnknownName: no such column.
    """
    if not isinstance(labels, str):
        return replace(table, labels=labels)
    names = [raw.name for raw in table.columns]
    if labels not in names:
        raise unknown("column", labels, names, where=table.name)
    raw = table.columns[names.index(labels)]
    texts = np.array([*raw.texts, ""])[raw.codes].tolist() if raw.codes is not None else raw.values
    return replace(table, columns=tuple(one for one in table.columns if one is not raw), labels=texts)


def _lines(path: Path, text: Iterable[str]) -> tuple[str, Lines]:
    """The delimiter, and number and cells of every line that is not blank."""
    source = _decoded(path, text)
    first = next(source, "")
    bare = "".join(first.split('"')[::2])  # what stands in quotes is not a delimiter
    delimiter = next((mark for mark in "\t;" if mark in bare), ",")
    reader = csv.reader(chain([first], source), delimiter=delimiter, strict=True, skipinitialspace=True)
    return delimiter, _cells(path, reader)


def _cells(path: Path, reader: Any) -> Lines:
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataFormat("not a table", where=f"{path}:{reader.line_num}", found=str(error)) from error


def _decoded(path: Path, text: Iterable[str]) -> Iterator[str]:
    try:
        yield from text
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x}"
        raise DataFormat("not text in UTF-8", where=str(path), found=found, mend="Save it as csv in UTF-8.") from error


def _names(
    path: Path, cells: Sequence[str], after: Sequence[str] | None, header: bool | None, comma: bool
) -> tuple[str, ...]:
    """The names in the first line, or none if it holds values."""
    filled = [(i, cell) for i, cell in enumerate(cells) if cell.strip().lower() not in EMPTY]
    texts = [(i, cell) for i, cell in filled if number(cell, comma) is None]
    numbers = [cell for i, cell in filled if number(cell, comma) is not None]
    if header is None and numbers and texts:
        header = False if after is not None and _alike(texts, after, comma) else None
        if header is None:
            found = f"{texts[0][1]!r} and {numbers[0]!r}"
            raise DataFormat("the first line mixes names and numbers", where=f"{path}:1", found=found,
                             mend="Say header=True if it holds names.")  # fmt: skip
    if header is False or (header is None and (not texts or "?" in map(str.strip, cells))):  # no name, a missing value
        return ()
    names = tuple(cell.strip() for cell in cells)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataFormat("two columns have the same name", where=f"{path}:1", found=repr(twice[0]))
    return names


def _alike(texts: Sequence[tuple[int, str]], after: Sequence[str], comma: bool) -> bool:
    """Whether the next line has text where the first one has, so that both hold values."""
    return all(i < len(after) and number(after[i], comma) is None for i, _ in texts)


def _table(path: Path, names: tuple[str, ...], lines: Lines, *, comma: bool) -> RawTable:
    """Texts by code, column by column."""
    known = [dict[str, int]() for _ in names]
    codes, at = [array("q") for _ in names], array("q")
    for line, cells in lines:
        if len(cells) != len(names):
            raise DataFormat("a line of the wrong width", where=f"{path}:{line}", found=f"{len(cells)} cells",
                             expected=f"{len(names)}")  # fmt: skip
        at.append(line)
        for column, seen, cell in zip(codes, known, cells, strict=True):
            column.append(seen.setdefault(cell.strip(), len(seen)))
    raws = (
        Raw(name, np.array(column, np.int64), tuple(seen))
        for name, column, seen in zip(names, codes, known, strict=True)
    )
    return RawTable(str(path), tuple(raws), np.array(at, np.int64), comma)
