"""Text tables of numbers (csv) to `Data`."""

import csv
import gzip
import io
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.source import Array
from lowerbound.errors import DataFormat, unknown

EMPTY = frozenset(["", "?", "na", "n/a", "nan", "null", "none"])  # cells that hold no value, in small letters
Lines = Iterator[tuple[int, list[str]]]


def read_csv(path: Path, *, header: bool | None = None, labels: Any = None) -> dict[str, Any]:
    """``x``, ``columns`` and ``labels`` of a table of numbers from text in UTF-8, packed by gzip or not.

    The cells are parted by tabs if the first line has any, else by ``;`` if it has any, else by ``,``. Blank lines are
    skipped. Cells that are empty or ``? NA N/A NaN null none`` hold no value.

    Args:
        header: whether the first line holds names; None: if none of its cells is a number.
        labels: the name of the column of labels, which may be text; anything else is handed on.

    Raises:
        DataFormat: naming file, line and column of the first cell that is not a number, or line of the wrong width.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        lines = _lines(path, text)
        _, first = start = next(lines, (0, []))
        if not first:
            raise DataFormat("the file is empty", where=str(path))
        columns = _names(path, first, header)
        at = columns.index(labels) if isinstance(labels, str) and labels in columns else None
        if isinstance(labels, str) and at is None:
            raise unknown("column", labels, columns, where=str(path))
        body = lines if columns else chain([start], lines)
        x, texts = _numbers(path, body, columns or tuple(map(str, range(len(first)))), at)
    columns = tuple(name for i, name in enumerate(columns) if i != at)
    return {"x": x, "columns": columns, "labels": labels if at is None else texts}


def _lines(path: Path, text: Iterable[str]) -> Lines:
    """Number and cells of every line that is not blank."""
    source = _decoded(path, text)
    first = next(source, "")
    bare = "".join(first.split('"')[::2])  # what stands in quotes is not a delimiter
    delimiter = next((mark for mark in "\t;" if mark in bare), ",")
    reader = csv.reader(chain([first], source), delimiter=delimiter, strict=True, skipinitialspace=True)
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


def _names(path: Path, cells: list[str], header: bool | None) -> tuple[str, ...]:
    """The names in the first line, or none if it holds values."""
    numbers = [cell for cell in cells if _number(cell) is not None]
    texts = [cell for cell in cells if _number(cell) is None and cell.strip().lower() not in EMPTY]
    if header is None and numbers and texts:
        raise DataFormat(
            "the first line mixes names and numbers",
            where=f"{path}:1",
            found=f"{texts[0]!r} and {numbers[0]!r}",
            mend="Say header=True if it holds names; else every cell has to be a number.",
        )
    if header is False or (header is None and not texts):
        return ()
    names = tuple(cell.strip() for cell in cells)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataFormat("two columns have the same name", where=f"{path}:1", found=repr(twice[0]))
    return names


def _numbers(path: Path, lines: Lines, names: tuple[str, ...], skip: int | None) -> tuple[Array, list[str]]:
    """The numbers of all columns but ``skip``, and the text of that one."""
    values, texts, rows = array("d"), [], 0
    for number, cells in lines:
        if len(cells) != len(names):
            raise DataFormat(
                "a line of the wrong width",
                where=f"{path}:{number}",
                found=f"{len(cells)} cells",
                expected=f"{len(names)}",
            )
        if skip is not None:
            texts.append(cells.pop(skip).strip())
        try:
            if any("_" in cell for cell in cells):  # Python reads 1_2 as 12
                raise ValueError
            values.extend(map(float, cells))
        except ValueError:
            del values[rows * (len(names) - (skip is not None)) :]  # the cells before the one that failed
            kept = [name for i, name in enumerate(names) if i != skip]
            values.extend(_cell(path, number, *each) for each in zip(kept, cells, strict=True))
        rows += 1
    return np.array(values).reshape(rows, -1) if rows else np.empty((0, len(names))), texts


def _cell(path: Path, line: int, column: str, cell: str) -> float:
    number = _number(cell)
    if number is not None:
        return number
    if cell.strip().lower() in EMPTY:
        return float("nan")
    mend = "Write 1.5, not 1,5." if _number(cell.replace(",", ".")) is not None else ""
    raise DataFormat("not a number", where=f"{path}:{line}:{column}", found=repr(cell), expected="a number", mend=mend)


def _number(cell: str) -> float | None:
    """The number in ``cell``, None if there is none; a written NaN is no number."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if value != value or "_" in cell else value
