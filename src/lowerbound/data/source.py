"""`Data`: rows to learn from, with what is known of them, and the `Split` that says which rows are for what."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data.columns import Schema
from lowerbound.data.conditions import Conditions
from lowerbound.data.mapped import rows_of
from lowerbound.errors import BadOption, DataError, DataRange, DataShape, unknown

Array = npt.NDArray[Any]
Index = slice | Array
CHUNK = 1 << 18  # cells looked at in one go: bounds the memory of a pass over a mapped file


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows train, validate and test: three disjoint arrays of row numbers, and how they were made.

    ``how`` is ``given`` for a published split, else ``random``, ``time`` or ``group:COLUMN``.
    """

    train: Array
    validation: Array
    test: Array
    how: str = "given"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Data:
    """Rows in the type they are stored in; a value is ``stored * unit`` and counts only where ``mask`` is True.

    Args:
        x: (N, D) for tables or (N, C, H, W) for images, any strides, possibly mapped from a file. Never written to.
        name: known name or file name, for messages.
        source: what `load` was given if that can be loaded again, else empty.
        unit: factor from stored to value; 1/255 for 8-bit images.
        mask: bool of the shape of x, True = observed; None = all observed.
        labels: (N,) int64 codes; -1 = no label.
        label_names: name of each code.
        factors: (N, F) generating factors.
        factor_names: their names.
        columns: names of the D columns of a table.
        split: rows for training, validation and test.
        schema: what the columns of a table are; None where nobody looked.
        context: (N, conditions) codes and numbers that a model is conditioned on; NaN where a label is unknown.
        conditions: what they stand for.

    Raises:
        DataShape: if the arrays do not fit together.

    >>> data = Data(np.arange(6.0).reshape(3, 2), columns=("height", "weight"))
    >>> data.rows, data.shape, data.is_image
    (3, (2,), False)
    >>> data.values([2]).tolist()
    [[4.0, 5.0]]
    """

    x: Array
    name: str = "array"
    source: str = ""
    unit: float = 1.0
    mask: Array | None = None
    labels: Array | None = None
    label_names: tuple[str, ...] = ()
    factors: Array | None = None
    factor_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    split: Split | None = None
    schema: Schema | None = None
    context: Array | None = None
    conditions: Conditions | None = None

    def __post_init__(self) -> None:
        if self.x.ndim not in (2, 4):
            raise DataShape("wrong number of axes", where=self.name, found=f"{self.x.shape}", expected=_AXES)
        width = 0 if self.factors is None else self.factors.shape[-1]
        wants = {
            "mask": (self.mask, self.x.shape),
            "labels": (self.labels, (self.rows,)),
            "factors": (self.factors, (self.rows, width)),
            "factor_names": (np.array(self.factor_names), (width,)),
            "context": (self.context, (self.rows, len(self.conditions.members) if self.conditions else 0)),
            "columns": (np.array(self.columns) if self.columns else None, self.shape),
        }
        for what, (array, shape) in wants.items():
            if array is not None and array.shape != shape:
                raise DataShape(f"{what} do not fit x", where=self.name, found=f"{array.shape}", expected=f"{shape}")
        if self.split is not None:
            _check_split(self.split, self.rows, self.name)

    @property
    def rows(self) -> int:
        """Number of rows N."""
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: (D,) or (C, H, W)."""
        return self.x.shape[1:]

    @property
    def is_image(self) -> bool:
        """Whether rows are pictures (C, H, W)."""
        return self.x.ndim == 4

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the schema, the number of rows and all contents; the same for every memory layout.

        Of a folder that ``convert`` wrote, over the checksums in its manifest instead of the contents.
        """
        names = [self.columns, self.label_names, self.factor_names]
        kinds = [] if self.schema is None else [self.schema.as_dict()]
        digest = hashlib.sha256(json.dumps([1, self.unit, names, *kinds]).encode())
        known = [] if self.context is None else [self.context]
        for array in (self.x, self.mask, self.labels, self.factors, *known):
            digest.update(json.dumps(array if array is None else [array.dtype.name, array.shape]).encode())
            if recorded := getattr(array, "sha256", ""):  # a mapped file is not read again at every start
                digest.update(recorded.encode())
                continue
            for part in chunks(array):
                piece = array[part]  # type: ignore[index]
                if array is self.x and self.mask is not None:  # what lies under the mask is nobody's value
                    piece = np.where(self.mask[part], piece, piece.dtype.type(0))
                digest.update(piece.astype(piece.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()

    @property
    def train(self) -> "Data":
        """The training rows."""
        return self.take(self._split().train)

    @property
    def validation(self) -> "Data":
        """The validation rows."""
        return self.take(self._split().validation)

    @property
    def test(self) -> "Data":
        """The test rows."""
        return self.take(self._split().test)

    def take(self, index: Index | list[int]) -> "Data":
        """The rows of ``index`` (slice, row numbers or bools) as Data of their own, without a split.

        More than 64 MiB of a mapped file stay there until they are asked for: x is then a ``Lazy``.
        """
        at = as_slice(index)
        known = {"mask": self.mask, "labels": self.labels, "factors": self.factors, "context": self.context}
        chosen: dict[str, Any] = {name: None if a is None else rows_of(a, at) for name, a in known.items()}
        return replace(self, x=rows_of(self.x, at), source="", split=None, **chosen)

    def values(self, index: Index | list[int] = slice(None), dtype: npt.DTypeLike = np.float32) -> Array:
        """A new contiguous array of ``stored * unit`` for the rows of ``index``, with 0 in missing cells.

        Raises:
            BadOption: if ``dtype`` is not a type of float. DataRange: if a value is too large for it.
        """
        at = as_slice(index)
        if not np.issubdtype(dtype, np.floating):
            raise BadOption("values come as floats", found=str(dtype))
        stored = self.x[at]
        if self.mask is not None:
            stored = np.where(self.mask[at], stored, stored.dtype.type(0))
        try:
            with np.errstate(over="raise"):
                out = np.array(stored, dtype=dtype, order="C")
        except FloatingPointError as error:
            limit = f"at most {np.finfo(dtype).max:g}, the largest {np.dtype(dtype).name}"
            raise DataRange("a value is too large", where=self.name, expected=limit) from error
        if self.unit != 1.0:
            out *= out.dtype.type(self.unit)
        return out

    def with_split(self, validation: float = 0.1, test: float = 0.1, seed: int = 0, how: str | None = None) -> "Data":
        """The same rows with a split, made once from ``seed``.

        Args:
            validation: rows for validation, a fraction below 1 or a count; 0 for none.
            test: the same for test. A published test set is kept and this is then not used.
            seed: of the shuffle.
            how: ``random``; ``time`` (the last rows test, those before them validate); ``group:COLUMN`` (rows that
                share a value of a column, factor or ``label`` stay together, so sizes are the nearest possible);
                ``given`` (the published split, validation cut at random where none was published);
                None: as the data set came, else ``random``.

        Raises:
            BadOption: if a size or ``how`` cannot be used. DataShape: if no row is left to train on.

        >>> data = Data(np.zeros((10, 1))).with_split(validation=2, test=0.3, how="time")
        >>> data.split.test.tolist(), data.split.validation.tolist()
        ([7, 8, 9], [5, 6])
        """
        return replace(self, split=make_split(self, validation, test, seed, how))

    def _split(self) -> Split:
        if self.split is None:
            raise DataError("no split has been made", where=self.name, mend="Call data.with_split(...) first.")
        return self.split


_AXES = "(rows, columns) or (rows, channels, height, width)"


def chunks(array: Array | None) -> Iterator[slice]:
    """Slices of rows that cover ``array``, each of about `CHUNK` cells."""
    if array is None:
        return
    step = max(1, CHUNK // max(1, array[:1].size))
    for start in range(0, len(array), step):
        yield slice(start, min(start + step, len(array)))


def as_slice(index: Index | list[int]) -> Index:
    """``index`` as a slice where it is a run of rows, so that mapped files stay mapped; else as an array."""
    if isinstance(index, slice):
        return index
    rows = np.asarray(index)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
    if len(rows) and rows[0] >= 0 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def cell_name(position: tuple[int, ...], columns: tuple[str, ...] = ()) -> str:
    """Where a cell is, for people: ``row 3, column 'age'`` or ``row 3, channel 0, pixel (4, 5)``; from 0."""
    row, *rest = position
    if len(rest) == 1:
        return f"row {row}, column " + (repr(columns[rest[0]]) if columns else str(rest[0]))
    return f"row {row}, channel {rest[0]}, pixel ({rest[1]}, {rest[2]})"


def first_cell(bad: Array, start: int) -> tuple[int, ...]:
    """Row and place in the row of the first True of ``bad``, which are the rows from ``start``."""
    row, *rest = map(int, np.argwhere(bad)[0])
    return (start + row, *rest)


def make_split(data: Data, validation: float, test: float, seed: int, how: str | None) -> Split:
    """The split that `Data.with_split` describes."""
    published = data.split if data.split is not None and data.split.how == "given" else None
    how = how or (data.split.how if data.split is not None else "random")
    if how == "given":
        if published is None:
            raise BadOption("no split was published with these data", where=data.name, found="how = given")
        if len(published.validation):
            return published
    rest = np.sort(np.concatenate([published.train, published.validation])) if published else np.arange(data.rows)
    order, ends = _ordered(data, rest, seed, how)
    at_test = 0 if published else _boundary(ends, _count(test, len(rest), "test"), 0, len(rest))
    at_train = _boundary(ends, _count(validation, len(rest), "validation"), at_test, len(rest))
    if at_train >= len(rest):
        raise DataShape(
            "no row is left to train on",
            where=data.name,
            found=f"{data.rows} rows, split {how}",
            expected=f"more rows than validation = {validation} and test = {test} take",
        )
    chosen = np.sort(order[:at_test]) if published is None else published.test
    return Split(np.sort(order[at_train:]), np.sort(order[at_test:at_train]), chosen, how, seed)


def _ordered(data: Data, rest: Array, seed: int, how: str) -> tuple[Array, Array | None]:
    """Rows in the order they are taken (test first), and the counts after which they may be cut; None: any."""
    if how == "time":
        return rest[::-1], None
    if seed < 0:
        raise BadOption("a seed is not negative", found=str(seed))
    generator = np.random.Generator(np.random.PCG64(seed))
    if how in ("random", "given"):
        return generator.permutation(rest), None
    if not how.startswith("group:"):
        raise unknown("split", how, ("random", "time", "group:COLUMN", "given"), where=data.name)
    _, group, sizes = np.unique(_column(data, how[6:])[rest], return_inverse=True, return_counts=True)
    place = generator.permutation(len(sizes))
    ends = np.concatenate([[0], np.cumsum(sizes[np.argsort(place)])])
    return rest[np.argsort(place[group], kind="stable")], ends


def _column(data: Data, name: str) -> Array:
    if name in data.columns:
        return data.x[:, data.columns.index(name)]
    if name in data.factor_names and data.factors is not None:
        return data.factors[:, data.factor_names.index(name)]
    if name == "label" and data.labels is not None:
        return data.labels
    have = (*data.columns, *data.factor_names, *(() if data.labels is None else ("label",)))
    raise unknown("column", name, have, where=data.name)


def _count(size: float, rows: int, what: str) -> int:
    if not (0 <= size < 1 or (1 <= size <= rows and size == int(size))):
        raise BadOption(f"{what} cannot be used", found=f"{size}", expected=f"a fraction below 1 or a count to {rows}")
    return max(1, round(size * rows)) if 0 < size < 1 else int(size)


def _boundary(ends: Array | None, count: int, start: int, rows: int) -> int:
    """The permitted cut nearest to ``count`` rows after ``start``; past ``start`` unless ``count`` is 0."""
    if ends is None:
        return min(start + count, rows)
    later = ends[ends > start]
    return start if count == 0 or not len(later) else int(later[np.abs(later - start - count).argmin()])


def _check_split(split: Split, rows: int, name: str) -> None:
    seen = np.zeros(rows, bool)
    parts = (split.train, split.validation, split.test)
    for index in parts:
        if not len(index):
            continue
        if not (0 <= index.min() and index.max() < rows):
            raise DataShape("the split names rows that are not there", where=name, expected=f"rows 0 to {rows - 1}")
        seen[index] = True
    if np.count_nonzero(seen) < sum(map(len, parts)):
        raise DataShape("a row is in two parts of the split, or twice in one", where=name)
