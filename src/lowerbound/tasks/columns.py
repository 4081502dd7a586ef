"""What is known of rows beside their values: labels, factors, columns, and what can be measured of their pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.errors import DataError, DataMissing, DataShape, unknown
from lowerbound.measures.strokes import slant, thickness
from lowerbound.run import Run

LEVELS = 40  # different whole numbers up to which a column is one of kinds, not of quantities
MEASURED: dict[str, tuple[Callable[[npt.ArrayLike], npt.NDArray[Any]], str]] = {
    "slant": (slant, "degrees"), "thickness": (thickness, "pixels"),
}  # fmt: skip

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Column:
    """A value of each row.

    Args:
        name: of the column.
        values: (rows,) float64, NaN where unknown.
        names: of the values 0, 1, 2, ..., for kinds.
    """

    name: str
    values: Array
    names: tuple[str, ...] = ()

    @property
    def known(self) -> Array:
        """(rows,) bool."""
        return np.isfinite(self.values)

    @property
    def levels(self) -> Array | None:
        """The different values, ascending, if they are kinds; None of a quantity."""
        found = np.unique(self.values[self.known])
        return found if len(found) <= LEVELS and np.array_equal(found, found.round()) else None

    def text(self, value: float) -> str:
        """What a value is called."""
        place = int(value) if value == int(value) else -1
        return self.names[place] if 0 <= place < len(self.names) else f"{value:.4g}"

    def found(self, text: str) -> float:
        """The value that a text names.

        Raises:
            UnknownName: no row has it.
        """
        values = np.unique(self.values[self.known])
        named = {self.text(value): float(value) for value in values} | {f"{value:g}": float(value) for value in values}
        if text not in named:
            raise unknown(f"value of '{self.name}'", text, list(dict.fromkeys(map(self.text, values)))[:LEVELS])
        return named[text]


def all_rows(run: Run) -> Data:
    """All rows of a run's data, whatever part they are of, with their split.

    Raises:
        DataError: they are not at hand.
    """
    run.rows(part="train")  # reads the data if they are not at hand
    data: Any = run.data
    rows: Data = data
    return rows


def columns(data: Data) -> list[str]:
    """The names that ``column`` knows, without those measured of pixels."""
    labels = () if data.labels is None else ("label",)
    return list(dict.fromkeys((*labels, *data.factor_names, *data.columns)))


def column(data: Data, name: str) -> Column:
    """A column by its name.

    Args:
        data: rows.
        name: ``label``, a factor, a column of a table, or for images ``slant`` (degrees) or ``thickness`` (pixels) of
            their strokes.

    Raises:
        UnknownName: there is none of that name.

    >>> column(Data(np.zeros((2, 1)), labels=np.array([1, -1]), label_names=("a", "b")), "label").values
    array([ 1., nan])
    """
    if name == "label" and data.labels is not None:
        return Column(name, np.where(data.labels < 0, np.nan, data.labels.astype(np.float64)), data.label_names)
    if name in data.factor_names and data.factors is not None:
        return Column(name, data.factors[:, data.factor_names.index(name)].astype(np.float64))
    if name in data.columns:
        place = data.columns.index(name)
        seen = np.ones(data.rows, bool) if data.mask is None else data.mask[:, place]
        return Column(name, np.where(seen, data.values(dtype=np.float64)[:, place], np.nan))
    if name in MEASURED and data.is_image:
        return Column(name, MEASURED[name][0](data.values()))
    raise unknown("attribute", name, [*columns(data), *(MEASURED if data.is_image else ())], where=data.name)


def given_column(values: Any, rows: int) -> Column:
    """Labels that were passed as numbers, one a row.

    Raises:
        DataShape: another number of them. DataMissing: one is NaN.
    """
    labels = np.asarray(values)
    if labels.shape != (rows,) or labels.dtype.kind not in "biuf":
        found = f"{labels.dtype} {labels.shape}"
        raise DataShape("labels of the wrong length or type", found=found, expected=f"{rows} numbers, one for each row")
    if not np.isfinite(labels).all():
        raise DataMissing("a label is not finite", where=f"row {np.flatnonzero(~np.isfinite(labels))[0]}")
    return Column("given", labels.astype(np.float64))


def members(data: Data, group: str) -> Array:
    """Numbers of the rows of a group, ``COLUMN=VALUE``.

    Raises:
        UnknownName: no such column, or no row with that value.

    >>> members(Data(np.zeros((3, 1)), labels=np.array([1, 0, 1])), "label=1").tolist()
    [0, 2]
    """
    name, _, value = group.partition("=")
    chosen = column(data, name)
    return np.flatnonzero(chosen.values == chosen.found(value))


def row_number(data: Data, row: int) -> int:
    """The row's number from 0; negative numbers count from the end.

    Raises:
        DataError: there is no such row.
    """
    if not -data.rows <= row < data.rows:
        raise DataError("no such row", where=data.name, found=str(row), expected=f"0 to {data.rows - 1}")
    return int(row) % data.rows
