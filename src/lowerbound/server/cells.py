"""Rows as JSON: what cells a run takes, and the way to its data and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.data.columns import Column
from lowerbound.run import Run
from lowerbound.server import schemas
from lowerbound.server.schemas import Schema, numbers

FAR = 1000.0  # widths of the training values that a value of a table may lie beyond them
WIDE = 1e6  # scales of the training values that any other number may lie from their mean
COUNT = 10**6
GREY = ("sample", "fixed", "threshold", "grey")  # ways of training on grey levels with a likelihood of zeros and ones

Array = npt.NDArray[Any]
_CELLS: Mapping[str, Schema] = {
    "binary": {"enum": [0, 1]}, "unit": numbers(0, 1), "byte": numbers(0, 1),
    "open-unit": {"type": "number", "exclusiveMinimum": 0, "maximum": 1 - 2**-20},
    "positive": {"type": "number", "exclusiveMinimum": 0, "maximum": WIDE},
    "count": numbers(0, COUNT, kind="integer"), "codes": numbers(0, COUNT, kind="integer"),
}  # fmt: skip


def row_schema(run: Run, holes: bool) -> Schema:
    """The schema of one row of a run.

    Args:
        run: trained.
        holes: whether null, a missing cell, is allowed.
    """
    if run.schema is not None:
        columns = [_column(column) for column in run.schema]
        return schemas.cells([schemas.nullable(each) if holes else each for each in columns])
    cell = _cell(run)
    return schemas.nested(schemas.nullable(cell) if holes else cell, run.model.shape)


def _cell(run: Run) -> Schema:
    kind, _, codes = run.model.likelihood_family.support.partition(":")
    if kind == "binary" and run.config.data.binarize in GREY:
        kind = "unit"
    if kind == "real":
        shift, scale = run.model.embedding.shift, run.model.embedding.scale
        far = float((shift.abs() + WIDE * scale).max())
        return numbers(-far, far)
    return numbers(0, int(codes) - 1, kind="integer") if codes else _CELLS[kind]


def _column(column: Column) -> Schema:
    if column.coded:
        return {"enum": list(column.categories), "title": column.name}
    far = FAR * (column.high - column.low or 1.0)
    low, high = {
        "count": (0.0, column.high + far), "bounded": (column.low, column.high),
        "positive": (min((column.low, *column.spikes)) / FAR, column.high + far),
    }.get(column.kind, (column.low - far, column.high + far))  # fmt: skip
    about = {"description": f"days since {column.origin}"} if column.origin else {}
    return numbers(low, high, kind="integer" if column.kind == "count" else "number", title=column.name, **about)


def read(run: Run, rows: list[Any]) -> Data:
    """Rows that fit the schema, as data of a run; null is a missing cell."""
    if run.schema is not None:
        rows = [[_code(column, cell) for column, cell in zip(run.schema, row, strict=True)] for row in rows]
    values = np.array(rows, dtype=np.float64).reshape(len(rows), *run.model.shape)  # None becomes NaN
    seen = ~np.isnan(values)
    mask = None if seen.all() else seen
    made = Data(np.where(seen, values, 0.0), "body", mask=mask, columns=tuple(run.facts["columns"]), schema=run.schema)
    if run.told is None:
        return made
    return replace(made, context=np.tile(run.told, (len(rows), 1)), conditions=run.conditions)


def _code(column: Column, cell: Any) -> float | None:
    if cell is None or not column.coded:
        return None if cell is None else float(cell)
    return float(column.categories.index(cell))


def written(run: Run, values: Array) -> list[Any]:
    """Rows (..., *shape) as lists, categories by their name."""
    if run.schema is None:
        return plain(values)
    if values.ndim > 2:
        return [written(run, each) for each in values]
    made = [_texts(column, values[:, i]) for i, column in enumerate(run.schema)]
    return [list(row) for row in zip(*made, strict=True)]


def _texts(column: Column, values: Array) -> list[Any]:
    return column.texts(column.legal(values)) if column.coded else plain(values)


def plain(values: Array) -> list[Any]:
    """An array as lists; what is no finite number is null."""
    values = np.asarray(values)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()  # type: ignore[no-any-return]  # an array has an axis
    made = values.astype(object)
    made[~np.isfinite(values)] = None
    return made.tolist()  # type: ignore[no-any-return]
