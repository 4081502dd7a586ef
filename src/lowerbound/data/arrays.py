"""From any array to `Data`: the rules of type, layout, labels and missing cells, in one place."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lowerbound.data.choices import choices
from lowerbound.data.columns import Schema, check_columns
from lowerbound.data.kinds import RawTable, encode, known
from lowerbound.data.source import Array, Data, Split, cell_name, chunks, first_cell
from lowerbound.data.sparse import Sparse
from lowerbound.errors import BadOption, DataFormat, DataMissing, DataRange, DataShape

CAP = 8 << 30  # bytes an array may take that cannot be mapped from its file


def make(
    x: Array,
    *,
    name: str,
    source: str = "",
    missing: str = "auto",
    mask: Array | None = None,
    labels: Any = None,
    unit: float | None = None,
    factors: Array | None = None,
    factor_names: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    split: Split | None = None,
    schema: Schema | None = None,
) -> Data:
    """`Data` from an array of any layout `layout` accepts and any type `stored` accepts; the input is not changed.

    A sparse matrix stays one unless cells are missing.

    Args:
        missing: ``nan``: NaN cells become missing (mask False, stored 0); ``error``, ``auto``: they are refused.
        mask: True = observed, of the shape of x.
        labels: (N,) numbers or text, coded by `coded`.
        unit: factor from stored to value; None: 1/255 for 8-bit images that have a value above 1, else 1.

    Raises:
        DataShape: wrong axes, or no rows. DataFormat: a type that is not numbers. DataMissing: NaN cells.
        DataRange: infinite cells.
    """
    missing = "error" if missing == "auto" else missing
    if missing not in ("error", "nan"):
        raise BadOption("missing cannot be used", found=repr(missing), expected="'auto', 'error' or 'nan'")
    if not isinstance(x, Sparse) or mask is not None or (missing == "nan" and x.gap is not None):
        x, mask = _laid_out(np.asarray(x) if isinstance(x, Sparse) else x, mask, missing, name, columns)
    elif x.gap is not None:
        refuse_cells(~np.isfinite(x[x.gap : x.gap + 1]), x[x.gap : x.gap + 1], x.gap, name, columns)
    if unit is None:
        unit = 1 / 255 if x.dtype == np.uint8 and x.ndim == 4 and x.max() > 1 else 1.0
    codes, label_names = (None, ()) if labels is None else coded(labels, name)
    if factors is not None and not factor_names:
        factor_names = tuple(f"factor {i}" for i in range(factors.shape[-1]))
    return Data(x, name, source, unit, mask, codes, label_names, factors, factor_names, columns, split, schema)


def typed(
    table: RawTable, *, missing: str = "auto", columns: str | Mapping[str, dict[str, Any]] = "",
    schema: Schema | None = None,
    mask: Array | None = None, name: str = "",
) -> Data:  # fmt: skip
    """`Data` of a table: its cells as numbers, and the schema that says what these stand for.

    Args:
        table: as read.
        missing: ``error``: missing cells are refused; else they are masked.
        columns: what is said of columns, as `choices` reads it or gives it.
        schema: of the table that these rows go with; None: it is found out.
        mask: True = observed, (rows, columns).
        name: for messages.

    Raises:
        DataFormat, DataMissing, DataRange, DataShape: naming file, line and column.
    """
    x, found = encode(table, choices(columns) if isinstance(columns, str) else columns, schema)
    how = "nan" if missing == "auto" else missing
    data = make(
        x, name=name or table.name, missing=how, mask=mask, labels=table.labels, columns=found.names, schema=found
    )
    check_columns(data.x, data.mask, found, data.name)
    return data


def realigned(data: Data, schema: Schema) -> Data:
    """A table with the numbers that another schema has for what stands in its cells.

    Raises:
        DataShape: other columns. DataRange: an unseen category.
    """
    made = typed(_read_again(data, data.schema or schema), missing="nan", schema=schema)
    return replace(data, x=made.x, mask=made.mask, columns=made.columns, schema=schema)


def rekinded(data: Data, columns: str) -> Data:
    """A table some of whose columns are of other kinds, as `choices` reads them.

    Raises:
        BadOption: not a table. DataFormat, DataMissing, DataRange, DataShape: see `typed`.
    """
    if data.schema is None:
        raise BadOption("columns is of no use here", where=data.name, expected="a table as source")
    kept = {column.name: {"kind": column.kind} for column in data.schema}
    table = _read_again(data, data.schema)
    made = typed(table, missing="nan", columns={**kept, **choices(columns)})
    return replace(data, x=made.x, mask=made.mask, columns=made.columns, schema=made.schema)


def _read_again(data: Data, schema: Schema) -> RawTable:
    """The table as it would be read."""
    cells = data.x if data.mask is None else np.where(data.mask, data.x, np.nan)
    return RawTable(data.name, tuple(known(column, cells[:, i]) for i, column in enumerate(schema)))


def stored(x: Array, name: str) -> Array:
    """``x`` in a type that is kept: bool as uint8, float16 as float32, native byte order; other numbers as they are.

    Raises:
        DataFormat: for objects, text, complex numbers, dates and the like, by name.
    """
    if x.dtype.kind not in "buif" or x.dtype.itemsize > 8:
        raise DataFormat(
            "values are not plain numbers",
            where=name,
            found=f"type {x.dtype}",
            expected="bool, integers or floats of up to 64 bits",
            mend=_ADVICE.get(x.dtype.kind, ""),
        )
    changed = {"bool": np.uint8, "float16": np.float32}.get(x.dtype.name)
    return x.astype(changed or x.dtype.newbyteorder("="), copy=False)


_ADVICE = {
    "O": "Missing cells are NaN, not None; text has to become numbers first.",
    "U": "Text has to become numbers first.",
    "c": "Stack real and imaginary part as two columns.",
    "f": "Pass x.astype('float64').",
}


def layout(x: Array, name: str) -> Array:
    """``x`` as (N, D) or (N, C, H, W), row 0 of H at the top; a view wherever numpy can give one.

    ================  =====================================================================
    (N, D)            a table, kept
    (N, H, W)         pictures of one channel: (N, 1, H, W), whatever the type
    (N, C, H, W)      kept when C is 1 or 3
    (N, H, W, C)      otherwise, when the last axis is 1 or 3: channels first
    (N, C, H, W)      otherwise kept when C is no larger than H and W (many channels)
    any other         refused
    ================  =====================================================================

    Raises:
        DataShape: for any other shape, and for no rows or no cells.

    >>> layout(np.zeros((5, 28, 28)), "x").shape, layout(np.zeros((5, 32, 32, 3)), "x").shape
    ((5, 1, 28, 28), (5, 3, 32, 32))
    """
    if x.ndim not in (2, 3, 4):
        mend = "Pass x.reshape(-1, 1) if it is one column." if x.ndim == 1 else ""
        raise DataShape("wrong number of axes", where=name, found=f"shape {x.shape}", expected=_SHAPES, mend=mend)
    if x.size == 0:
        raise DataShape("no values", where=name, found=f"shape {x.shape}", expected="at least one row and one column")
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 2 or x.shape[1] in (1, 3):
        return x
    if x.shape[3] in (1, 3):
        return x.transpose(0, 3, 1, 2)
    if x.shape[1] <= min(x.shape[2:]):
        return x
    raise DataShape(
        "cannot tell which axis holds the channels",
        where=name,
        found=f"shape {x.shape}",
        expected=_SHAPES,
        mend="Give channels first; drop an alpha channel.",
    )


_SHAPES = "(rows, columns), (rows, height, width), or pictures with 1 or 3 channels first or last"


def coded(labels: Any, name: str) -> tuple[Array, tuple[str, ...]]:
    """Labels as int64 codes in sorted order, and the name of each code; NaN and empty text are -1, no label.

    >>> coded(["dog", "cat", "", "cat"], "x")
    (array([ 1,  0, -1,  0]), ('cat', 'dog'))
    """
    array = np.asarray(labels)
    if array.ndim == 2 and 1 in array.shape:  # the column or row that Matlab makes of a vector
        array = array.ravel()
    if array.ndim != 1 or array.dtype.kind not in "buifUS":
        raise DataFormat(
            "labels cannot be used",
            where=name,
            found=f"{array.dtype} of shape {array.shape}",
            expected="one number or text per row",
        )
    absent = np.isnan(array) if array.dtype.kind == "f" else array == "" if array.dtype.kind == "U" else None
    known = np.ones(len(array), bool) if absent is None else ~absent
    if array.dtype.kind == "f" and (array[known] != np.floor(array[known])).any():
        raise DataFormat("labels are not whole numbers", where=name, found=f"{array.dtype} with fractions")
    if array.dtype.kind == "f" and np.isfinite(array[known]).all():
        array = np.where(known, array, 0).astype(np.int64)
    names, codes = np.unique(array[known], return_inverse=True)
    out = np.full(len(array), -1, np.int64)
    out[known] = codes
    return out, tuple(each.decode() if isinstance(each, bytes) else str(each) for each in names)


def _laid_out(
    x: Array, mask: Array | None, missing: str, name: str, columns: tuple[str, ...]
) -> tuple[Array, Array | None]:
    """Values and mask in the layout they are kept in, without NaN; a mask makes a sparse matrix an array like any."""
    x = layout(stored(x, name), name)
    if mask is not None:
        if mask.dtype != bool:
            raise DataFormat("a mask is bool, True = observed", where=name, found=str(mask.dtype))
        mask = layout(mask, name)
        if mask.shape != x.shape:
            raise DataShape(
                "the mask does not fit the values", where=name, found=f"{mask.shape}", expected=f"{x.shape}"
            )
    return _without_nan(x, mask, missing, name, columns)


def _without_nan(
    x: Array, mask: Array | None, missing: str, name: str, columns: tuple[str, ...]
) -> tuple[Array, Array | None]:
    """``x`` with 0 for NaN and the mask that says so; x itself where every observed cell is finite."""
    holes = False
    for part in chunks(x) if x.dtype.kind == "f" else ():
        seen = True if mask is None else mask[part]
        refuse_cells(np.isinf(x[part]) & seen, x[part], part.start, name, columns)
        gone = np.isnan(x[part]) & seen
        holes = holes or bool(gone.any())
        if missing == "error":
            refuse_cells(gone, x[part], part.start, name, columns)
    if holes:
        mask = ~np.isnan(x) if mask is None else mask & ~np.isnan(x)
    if mask is None or mask.all():
        return x, None
    return np.where(mask, x, x.dtype.type(0)), mask


def refuse_cells(bad: Array, values: Array, start: int, name: str, columns: tuple[str, ...]) -> None:
    """Raise for the first cell that is ``bad``, NaN or infinite; ``values`` are the rows from ``start``."""
    if not bad.any():
        return
    found = values[bad][0]
    where = f"{name}, {cell_name(first_cell(bad, start), columns)}"
    if np.isnan(found):
        mend = "Set missing = 'nan' if NaN marks a missing cell."
        raise DataMissing("a value is missing", where=where, found="NaN", expected="a number", mend=mend)
    raise DataRange("a value is not finite", where=where, found=str(found), expected="a finite number")
