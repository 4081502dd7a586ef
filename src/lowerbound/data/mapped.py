"""Arrays that stay on disk: mapped files that know what is in them, and rows of them that are read when asked for."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from lowerbound.data.columns import Schema

Array = npt.NDArray[Any]
PIECE = 16 << 20  # bytes read in one go where only some columns are wanted
COPIED = 64 << 20  # bytes up to which rows of a mapped file are copied to memory
WISH = 128 << 10  # bytes asked for in one go: of a larger wish systems may read the beginning only


@dataclass(frozen=True)
class Summary:
    """What is known of all observed values of an array, so that nobody has to look at them again.

    Args:
        low: the smallest, as it is stored.
        high: the largest.
        whole: whether all are whole numbers.
        zeros: how many are 0.
        cells: how many there are.
        schema: of the table whose columns they were checked against.

    >>> Summary().add(np.array([0.0, 2.0])).add(np.array([0.5]))
    Summary(low=0.0, high=2.0, whole=False, zeros=1, cells=3, schema=None)
    """

    low: float = np.inf
    high: float = -np.inf
    whole: bool = True
    zeros: int = 0
    cells: int = 0
    schema: Schema | None = None

    def add(self, values: Array) -> "Summary":
        """The summary of these values too; all are finite."""
        if not values.size:
            return self
        low, high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        whole = self.whole and (values.dtype.kind in "bui" or bool((values == np.floor(values)).all()))
        zeros = self.zeros + values.size - int(np.count_nonzero(values))
        return Summary(low, high, whole, zeros, self.cells + values.size, self.schema)


class Mapped(np.memmap[Any, np.dtype[Any]]):
    """A file of plain numbers, mapped to be read only; parts of it and results are arrays like any other.

    Args:
        path: of the file, whose length has been checked.
        dtype: of its numbers.
        shape: of the array, in the order of C.
        sha256: of its contents, as recorded.
        summary: of its values.
    """

    sha256: str
    summary: Summary | None

    def __new__(
        cls, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str, summary: Summary | None = None
    ) -> Self:
        made: Any = super().__new__(cls, path, dtype=dtype, mode="r", shape=shape)
        made.sha256, made.summary = sha256, summary
        return cast(Self, made)

    def __array_finalize__(self, obj: object) -> None:
        super().__array_finalize__(obj)
        self.sha256, self.summary = "", None  # what holds of the whole is not said of its parts


class Lazy:
    """Rows of an array that are read, and turned into what they stand for, only when they are asked for.

    Args:
        base: (N, *shape), mapped.
        index: numbers of its rows; None: all of them in their order.
        turn: from some rows to what is wanted of them; None: as they are.

    >>> Lazy(np.arange(6).reshape(3, 2), np.array([2, 0]))[:1].tolist()
    [[4, 5]]
    """

    def __init__(self, base: Array, index: Array | None = None, turn: Callable[[Array], Array] | None = None) -> None:
        self.base, self.index, self.turn = base, index, turn
        like = self[slice(0, 1)]
        self.dtype, self.shape = like.dtype, (len(base if index is None else index), *like.shape[1:])
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    @property
    def sha256(self) -> str:
        """Of the file behind it, if it is all of one; else empty."""
        return getattr(self.base, "sha256", "") if self.index is None else ""

    @property
    def summary(self) -> Summary | None:
        """Of the values of the whole file, which bounds those of some rows."""
        return getattr(self.base, "summary", None)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype)

    def __getitem__(self, key: Any) -> Any:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, int | np.integer):
            return self[rows : rows + 1 or None][(0, *rest)]
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        if not rest:
            read = gathered(self.base, rows if self.index is None else self.index[rows])
            return read if self.turn is None else self.turn(read)
        numbers = np.arange(len(self))[rows]
        some = max(1, PIECE // max(1, self.nbytes // len(self)))
        parts = [numbers[start : start + some] for start in range(0, max(1, len(numbers)), some)]
        return np.concatenate([self[part][(slice(None), *rest)] for part in parts])

    def pick(self, rows: slice | Array) -> "Lazy":
        """Some of the rows, still on disk."""
        if self.index is None:
            return Lazy(self.base, np.arange(len(self.base))[rows] if isinstance(rows, slice) else rows, self.turn)
        return Lazy(self.base, self.index[rows], self.turn)


def stays(array: object) -> bool:
    """Whether an array is on disk and too large to be copied."""
    mapped = isinstance(array, Lazy) or getattr(array, "_mmap", None) is not None
    return mapped and int(getattr(array, "nbytes", 0)) > COPIED


def gathered(array: Any, rows: slice | Array) -> Array:
    """Rows of an array in memory, or of a slice a view."""
    if not isinstance(array, np.ndarray):
        found: Array = array[rows]
        return found
    plain = np.asarray(array)
    if isinstance(rows, slice) or rows.dtype == bool or not plain.flags.c_contiguous:
        return plain[rows]
    return plain.take(rows, axis=0)


def rows_of(array: Any, rows: slice | Array) -> Any:
    """Rows of an array: on disk still where they are too many to be copied, else in memory or a view."""
    if not isinstance(array, np.ndarray | Lazy):
        return array.rows(rows)  # of a sparse matrix
    if isinstance(rows, slice) and not isinstance(array, Lazy):
        return array[rows]
    count = len(range(len(array))[rows]) if isinstance(rows, slice) else len(rows)
    if not stays(array) or array.nbytes // max(len(array), 1) * count <= COPIED:
        return gathered(array, rows)
    return (array if isinstance(array, Lazy) else Lazy(array)).pick(rows)


def columns_of(array: Any, places: list[int]) -> Any:
    """Some columns of a table: of one that stays on disk without reading it."""
    if not stays(array):
        return array[:, places]
    turn = array.turn if isinstance(array, Lazy) else None
    inner = array if isinstance(array, Lazy) else Lazy(array)
    return Lazy(inner.base, inner.index, lambda rows: (rows if turn is None else turn(rows))[:, places])


def scattered(array: Any) -> None:
    """Tell the system that rows of a mapped file will be read here and there: else it reads far around each."""
    pages = getattr(_base(array), "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_RANDOM"):
        pages.madvise(mmap.MADV_RANDOM)


def expected(array: Any, first: int, last: int) -> None:
    """Tell the system that rows ``first`` to ``last`` of a mapped file are wanted soon: it reads them together."""
    base = _base(array)
    pages = getattr(base, "_mmap", None)
    if pages is None or not hasattr(mmap, "MADV_WILLNEED"):
        return
    if isinstance(array, Lazy) and array.index is not None:
        first, last = int(array.index[first]), int(array.index[last])
    origin = np.frombuffer(pages, np.uint8).ctypes.data
    start = base.ctypes.data - origin + first * base.strides[0]
    stop = min(start + (last - first + 1) * base.strides[0], len(pages))
    for place in range(start - start % mmap.PAGESIZE, stop, WISH):
        pages.madvise(mmap.MADV_WILLNEED, place, min(WISH, stop - place))


def _base(array: Any) -> Any:
    return _base(array.base) if isinstance(array, Lazy) else array
