"""Matrices of counts as they are shared: features by samples, names on both sides, text packed by gzip."""

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.source import Array, Data, chunks
from lowerbound.errors import BadOption, DataFormat, DataRange, unknown


def read_counts(path: Path) -> dict[str, Any]:
    """``x`` (samples, features) int32, ``columns`` (the features' names) and ``rows`` (the samples' names).

    The first line names the samples; each further line holds the name of a feature and its count in every sample.

    Raises:
        DataFormat: a line of another width, or a cell that is not a whole number.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    names, values = [], []
    with opener(path, "rt", encoding="utf-8") as lines:
        samples = next(csv.reader(lines), [])
        for number, line in enumerate(lines, start=2):
            name, _, rest = line.partition(",")
            names.append(name.strip('"'))
            values.append(_whole(path, number, rest, len(samples)))
    if not values:
        raise DataFormat("no counts", where=str(path), expected="a line of names, then one line a feature")
    return {"x": np.stack(values, axis=1), "columns": tuple(names), "rows": tuple(samples)}


def _whole(path: Path, number: int, cells: str, width: int) -> Array:
    try:
        found = np.array(cells.split(","), dtype=np.int32)
    except ValueError as error:
        raise DataFormat("not a whole number", where=f"{path}:{number}", found=str(error)) from error
    if len(found) != width:
        raise DataFormat(
            "a line of the wrong width", where=f"{path}:{number}", found=f"{len(found)} counts", expected=str(width)
        )
    return found


def read_annotation(path: Path, column: str) -> dict[str, str]:
    """Sample -> what a column of a csv says of it; the first cell of a line is the sample, and has no name above it.

    Raises:
        UnknownName: no such column.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    if column not in header:
        raise unknown("column", column, header, where=str(path))
    at = header.index(column) + (len(rows[0]) - len(header) if rows else 0)
    return {row[0]: row[at] for row in rows}


def most_variable(data: Data, columns: int, of: Data | None = None) -> Data:
    """Counts of the columns that vary most between rows, beyond what the rows' totals make them vary.

    Ranked by the variance of log(1 + count * median total / total) over the rows; the order of columns is kept.

    Args:
        data: counts, (rows, features).
        columns: how many to keep.
        of: rows to rank by, such as the training rows; all when left out.

    Raises:
        BadOption: fewer than one column, or more than there are. DataRange: values that are no counts.

    >>> data = Data(np.array([[9, 0, 5], [0, 9, 5], [9, 0, 5], [0, 9, 5]]), columns=("a", "b", "c"))
    >>> most_variable(data, 2).columns
    ('a', 'b')
    """
    if data.is_image or not 1 <= columns <= data.shape[0]:
        raise BadOption("columns cannot be used", where="columns", found=str(columns), expected=f"1 to {data.shape[0]}")
    spread = _spread(data if of is None else of)
    kept = np.sort(np.argsort(-spread, kind="stable")[:columns])
    names = tuple(data.columns[i] for i in kept) if data.columns else ()
    mask = None if data.mask is None else data.mask[:, kept]
    return Data(data.x[:, kept], data.name, "", data.unit, mask, data.labels, data.label_names, data.factors,
                data.factor_names, names, data.split)  # fmt: skip


def _spread(data: Data) -> Array:
    """Variance over the rows of log(1 + count * median total / total), a few rows at a time."""
    total = np.concatenate([_counts(data, part).sum(1) for part in chunks(data.x)])
    size = np.median(np.maximum(total, 1)) / np.maximum(total, 1)

    def mean(centre: Array | float, power: int) -> Array:
        found = np.zeros(data.shape)
        for part in chunks(data.x):
            found += ((np.log1p(data.values(part, np.float64) * size[part, None]) - centre) ** power).sum(0)
        return found / data.rows

    return mean(mean(0.0, 1), 2)


def _counts(data: Data, part: slice) -> Array:
    x = data.values(part, np.float64)
    if x.min() < 0 or (x != np.floor(x)).any():
        raise DataRange("values that are no counts", where=data.name, expected="whole numbers from 0")
    return x
