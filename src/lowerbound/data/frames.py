"""Data frames of any library that narwhals knows, as columns of texts, numbers and dates."""

from typing import Any

import numpy as np

from lowerbound.data.kinds import Raw, RawTable
from lowerbound.data.source import Array
from lowerbound.data.tables import split_off
from lowerbound.errors import DataFormat, DataShape, MissingExtra

LIBRARIES = ("pandas", "polars", "pyarrow", "modin", "narwhals", "duckdb")


def is_frame(source: Any) -> bool:
    """Whether it comes from a library of data frames."""
    return type(source).__module__.partition(".")[0] in LIBRARIES


def read_frame(source: Any, *, labels: Any = None) -> RawTable:
    """The columns of a frame; those of numbers, texts, categories, truth values and dates are read.

    Args:
        source: a frame, lazy or not.
        labels: the name of the column of labels; anything else is handed on.

    Raises:
        DataFormat: not a frame, or a column of another type, by name. DataShape: no column, or two of one name.
    """
    try:
        import narwhals
    except ImportError as error:
        raise MissingExtra("reading data frames", "frames") from error
    try:
        frame = narwhals.from_native(source, allow_series=False)
    except narwhals.exceptions.DuplicateError as error:
        raise DataShape("two columns have the same name", where="frame") from error
    except TypeError as error:
        raise DataFormat("not a frame", found=type(source).__name__, mend="Pass a frame, or an array.") from error
    if isinstance(frame, narwhals.LazyFrame):
        frame = frame.collect()
    names = list(map(str, frame.columns))
    if len(set(names)) < len(names):
        raise DataShape("two columns have the same name", where="frame")
    columns = tuple(_column(frame.get_column(name), str(name)) for name in frame.columns)
    table = split_off(RawTable("frame", columns), labels)
    if not table.columns:
        raise DataShape("the frame has no column of values")
    return table


def _column(series: Any, name: str) -> Raw:
    kind = str(series.dtype)
    if "Decimal" not in kind and series.dtype.is_numeric():
        return Raw(name, values=_numbers(series))
    if kind.startswith(("Date", "Datetime")):
        return Raw(name, values=_days(series), date=True)
    if kind.startswith(("String", "Categorical", "Enum", "Boolean", "Object")):
        cells = [None if cell is None or cell != cell else cell for cell in _cells(series)]
        if all(cell is None or isinstance(cell, str | bool | np.bool_) for cell in cells):
            return _texts(name, [None if cell is None else str(cell) for cell in cells])
    raise DataFormat("a column is not of plain values", where=f"frame, column {name!r}", found=kind,
                     expected="numbers, text, categories, truth values or dates",
                     mend="Turn it into these, or leave it out.")  # fmt: skip


def _texts(name: str, cells: list[str | None]) -> Raw:
    known: dict[str, int] = {}
    codes = [-1 if cell is None else known.setdefault(cell.strip(), len(known)) for cell in cells]
    return Raw(name, np.array(codes, np.int64), tuple(known))


def _cells(series: Any) -> list[Any]:
    """What stands in a column, None where nothing does, however the library marks that."""
    both = zip(series.to_list(), series.is_null().to_list(), strict=True)
    return [None if gone else cell for cell, gone in both]


def _numbers(series: Any) -> Array:
    if series.null_count():
        return np.array([np.nan if value is None else float(value) for value in _cells(series)])
    values: Array = series.to_numpy()
    return values.astype(np.float64)


def _days(series: Any) -> Array:
    """Days since 1970; what is missing is NaN."""
    moments = np.array([_moment(cell) for cell in series.to_list()], "M8[us]")
    return (moments - np.datetime64(0, "us")) / np.timedelta64(86_400_000_000, "us")


def _moment(cell: Any) -> Any:
    """In local time where it has a zone."""
    if cell is None or cell != cell:
        return np.datetime64("NaT")
    return np.datetime64(cell.replace(tzinfo=None) if hasattr(cell, "tzinfo") else cell, "us")
