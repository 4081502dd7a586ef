"""What the columns of a table are: their kinds, ranges and categories, and the way from cells to numbers and back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataRange, DataShape

Array = npt.NDArray[Any]
KINDS = {
    "real": ("gaussian", "student_t"), "positive": ("log_normal",), "bounded": ("logit_normal",),
    "count": ("negative_binomial", "poisson"), "ordinal": ("ordinal",), "categorical": ("categorical",),
    "binary": ("categorical",), "date": ("gaussian", "student_t"),
}  # fmt: skip
"""Kind of column -> the families it may have, the usual one first."""
CODED = ("ordinal", "categorical", "binary")  # kinds whose cells are codes of categories
MEASURED = ("real", "positive", "bounded", "date")  # kinds that have a density


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        name: as in the table.
        kind: a key of `KINDS`.
        family: of distributions, one of the kind's.
        low: least value; of what is ``bounded``, the bound.
        high: largest value, or the bound.
        resolution: distance between two values that can be written; 0 if there is none to be seen.
        spikes: values of a point mass beside the density.
        categories: what each code stands for, in order if the kind is ``ordinal``.
        weight: of its log-likelihood in training; other than 1 the value trained on bounds nothing.
        origin: of a date, the moment that counts as 0, in ISO format; the unit is the day.
        missing: a further text that marks a missing cell.
        note: what is odd about it.
    """

    name: str
    kind: str
    family: str
    low: float = 0.0
    high: float = 0.0
    resolution: float = 0.0
    spikes: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    weight: float = 1.0
    origin: str = ""
    missing: str = ""
    note: str = ""

    @property
    def coded(self) -> bool:
        """Whether cells are codes of categories."""
        return self.kind in CODED

    @property
    def named(self) -> bool:
        """Whether codes stand for something else than the numbers that they are."""
        return self.coded and self.categories != tuple(map(str, range(len(self.categories))))

    @property
    def discrete(self) -> bool:
        """Whether cells have probabilities, not densities."""
        return self.kind not in MEASURED

    @property
    def width(self) -> float:
        """What a bounded column's ends lie beyond its bounds, so that the bounds themselves can be met."""
        return self.resolution / 2 or 1e-6 * (self.high - self.low)

    def legal(self, values: Array) -> Array:
        """The nearest values that could stand in the table: in its range, whole where they are, or a code.

        >>> age = Column("age", "count", "poisson", low=0, high=99, resolution=1)
        >>> age.legal(np.array([-3.2, 41.7, 120.0])).tolist()
        [0.0, 42.0, 99.0]
        """
        if self.coded:
            return np.clip(np.round(values), 0, max(len(self.categories) - 1, 0))
        step = self.resolution
        if step:  # a tenth is no binary fraction: the nearest one to the digits is found by rounding them
            values = np.round(self.low + np.round((values - self.low) / step) * step, max(0, 2 - _exponent(step)))
        return np.clip(values, self.low, self.high)

    def texts(self, values: Array) -> list[str]:
        """How cells are written; NaN is an empty cell."""
        return [self._text(value) if value == value else "" for value in values.tolist()]

    def _text(self, value: float) -> str:
        if self.coded:
            return self.categories[int(value)]
        if self.origin:
            return _moment(self.origin, value)
        return str(int(value)) if self.resolution >= 1 and value == int(value) else repr(value)


@dataclass(frozen=True)
class Schema:
    """The columns of a table that are modelled, and those that are not, each with the reason.

    >>> Schema((Column("age", "count", "poisson"),), {"id": "like a row number"}).names
    ('age',)
    """

    columns: tuple[Column, ...]
    dropped: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that are modelled."""
        return tuple(column.name for column in self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold, without what is as usual."""
        return {"columns": [plain(column) for column in self], "dropped": dict(self.dropped)}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "Schema":
        """What `as_dict` gave."""
        return cls(tuple(map(column_of, table["columns"])), table["dropped"])

    def legal(self, values: Array) -> Array:
        """Rows (rows, columns) with every cell a value that could stand in the table."""
        made = [column.legal(values[:, i].astype(np.float64)) for i, column in enumerate(self)]
        return np.stack(made, axis=1)

    def cells(self, values: Array) -> list[list[str]]:
        """How rows are written, NaN as empty cells."""
        by_column = [column.texts(values[:, i].astype(np.float64)) for i, column in enumerate(self)]
        return [list(row) for row in zip(*by_column, strict=True)]


def plain(column: Column) -> dict[str, Any]:
    """A column as a plain table, without what is as usual."""
    usual = Column("", "", "")
    return {
        key: list(v) if isinstance(v, tuple) else v for key, v in asdict(column).items() if v != getattr(usual, key)
    }


def column_of(table: Mapping[str, Any] | Column) -> Column:
    """A column from its plain table.

    Raises:
        BadOption: an unknown kind or family.

    >>> column_of(plain(Column("a", "real", "gaussian"))).family
    'gaussian'
    """
    if isinstance(table, Column):
        return table
    known = {field.name for field in fields(Column)}
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    if given.keys() - known or given.get("family") not in KINDS.get(given.get("kind", ""), ()):
        raise BadOption("not a column", found=str(dict(table)), expected="a kind and its family: " + str(KINDS))
    return Column(**given)


def check_names(found: Sequence[str], schema: Schema, where: str) -> None:
    """Refuse other columns than a schema's, or the same in another order.

    Raises:
        DataShape: naming the columns.
    """
    kept = [name for name in found if name not in schema.dropped]
    if tuple(kept) == schema.names:
        return
    lacking = [name for name in schema.names if name not in kept]
    more = [name for name in kept if name not in schema.names]
    if not (lacking or more):
        mend = "Put them in the order of the training table."
        raise DataShape("the columns are in another order", where=where, found=", ".join(kept),
                        expected=", ".join(schema.names), mend=mend)  # fmt: skip
    what = f"without {', '.join(lacking)}" if lacking else f"with {', '.join(more)}"
    raise DataShape("other columns", where=where, found=what, expected=", ".join(schema.names))


def unseen(column: Column, text: str, where: str, mend: str = "") -> DataRange:
    """The error for a category that the training table does not have."""
    known = ", ".join(column.categories[:12]) + (", …" if len(column.categories) > 12 else "")
    close = get_close_matches(text, column.categories, n=1)
    mend = f"Did you mean '{close[0]}'?" if close else mend
    return DataRange(f"an unseen category in column '{column.name}'", where=where, found=repr(text), expected=known,
                     mend=mend)  # fmt: skip


def _exponent(step: float) -> int:
    """The decimal exponent of a step's first digit: -2 of 0.05."""
    return int(np.floor(np.log10(step)))


def _moment(origin: str, days: float) -> str:
    """Origin and days as a date, with the time of day where the origin has one."""
    moment = datetime.fromisoformat(origin) + timedelta(days=days)
    return moment.isoformat(sep=" ", timespec="seconds") if len(origin) > 10 else (
        moment + timedelta(hours=12)).date().isoformat()  # fmt: skip


def check_columns(x: Array, mask: Array | None, schema: Schema, name: str) -> None:
    """Refuse values that a column gives no probability to.

    Args:
        x: (rows, columns).
        mask: True where observed, or None.
        schema: of the columns.
        name: of the table.

    Raises:
        DataRange: naming row and column.
    """
    for i, column in enumerate(schema):
        seen = np.ones(len(x), bool) if mask is None else mask[:, i]
        values, expected = x[:, i], SUPPORTED.get(column.family, "")
        spiked = np.isin(values, column.spikes)
        bad = seen & ~spiked & ~_holds(column, values)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            where = f"{name}, row {row}, column '{column.name}'"
            raise DataRange(f"a {column.kind} column gives this value no probability", where=where,
                            found=f"{values[row]:g} ({int(bad.sum())} such values)",
                            expected=expected.format(column.low, column.high, len(column.categories)),
                            mend=f"Say another kind: data.columns = \"{column.name}=real\".")  # fmt: skip


SUPPORTED = {
    "log_normal": "numbers above 0", "logit_normal": "{0:g} to {1:g}", "negative_binomial": "whole numbers from 0",
    "poisson": "whole numbers from 0", "categorical": "a code below {2}", "ordinal": "a code below {2}",
    "gaussian": "finite numbers", "student_t": "finite numbers",
}  # fmt: skip


def _holds(column: Column, values: Array) -> Array:
    """Which values the column's family gives a probability or density to."""
    whole = values == np.floor(values)
    holds: Array = np.isfinite(values)
    if column.coded:
        holds = (values >= 0) & (values < len(column.categories)) & whole
    elif column.kind == "count":
        holds = (values >= 0) & whole & holds
    elif column.kind == "bounded":
        holds = (values >= column.low) & (values <= column.high)
    return (values > 0) & holds if column.kind == "positive" else holds
