"""Rows of a table as a frame."""

from datetime import datetime
from typing import Any

from lowerbound.data.columns import Column, Schema
from lowerbound.estimators.base import Array


def library(X: Any) -> str:
    """The library of data frames that one is of."""
    return type(X).__module__.partition(".")[0]


def framed(values: Array, schema: Schema, name: str) -> Any:
    """Rows, (rows, columns), as a frame.

    Args:
        values: numbers and codes.
        schema: of their columns.
        name: of the library of data frames.
    """
    import narwhals

    legal = schema.legal(values)
    columns = {column.name: _cells(column, legal[:, i]) for i, column in enumerate(schema)}
    backend: Any = name
    return narwhals.from_dict(columns, backend=backend).to_native()


def _cells(column: Column, values: Array) -> Array | list[Any]:
    """Numbers, whole ones as such; texts of categories; moments of dates."""
    if column.coded:
        return column.texts(values)
    if column.origin:
        return [datetime.fromisoformat(text) for text in column.texts(values)]
    return values.astype(int) if column.resolution >= 1 else values
