"""Rows that come one by one: data sets that are indexed, loaders, and whatever else can be gone through."""

from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any

import numpy as np

from lowerbound.data.arrays import CAP, stored
from lowerbound.data.source import Array
from lowerbound.errors import DataError, DataFormat, DataShape

FIRST = 1024  # rows that room is made for where nobody says how many will come
ARRAYLIKE = ("__array__", "__array_interface__", "toarray", "detach")
REFUSED = (str, bytes, dict, set, frozenset)
ITEMS = "a row of numbers, or a pair of a row and its label"


def comes_in_rows(source: Any) -> bool:
    """Whether rows are had from it one by one. A list of rows is an array already; a list of pairs is not.

    >>> [comes_in_rows(one) for one in (iter([[1, 2]]), [([1, 2], "a")], [[1, 2]], "ab", np.eye(2))]
    [True, True, False, False, False]
    """
    if isinstance(source, list | tuple):
        return bool(source) and _is_pair(source[0])
    refused = isinstance(source, REFUSED) or any(hasattr(source, name) for name in ARRAYLIKE)
    indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return not refused and (indexed or hasattr(source, "__iter__"))


def gather(source: Any, read: Callable[[Any, str], Array]) -> tuple[Array, list[Any] | None]:
    """All rows in one array, (N, *shape), which grows by half as they come; and the labels of pairs.

    Args:
        source: one for which `comes_in_rows`; of a loader, the data set behind it is read.
        read: makes an array of a row; its second argument names the row for messages.

    Raises:
        DataFormat: an item that is no row of numbers and no pair, or pairs among rows. DataShape: rows of another
        shape than the first, or none. DataError: more than fits.

    >>> x, labels = gather((([i, i + 1], "odd" if i % 2 else "even") for i in range(3)), lambda row, _: np.array(row))
    >>> x.tolist(), labels
    ([[0, 1], [1, 2], [2, 3]], ['even', 'odd', 'even'])
    """
    source = behind(source)
    x, labels, count = np.empty(0), list[Any](), 0
    for row, label in rows_of_items(source, read):
        x = _with_room(x, row, count, length_hint(source, FIRST), f"{type(source).__name__}, item {count}")
        x[count] = row
        labels += label
        count += 1
    x.resize((count, *x.shape[1:]), refcheck=False)
    return x, labels or None


def behind(source: Any) -> Any:
    """Of a loader, the data set behind it."""
    return source.dataset if hasattr(source, "dataset") and hasattr(source, "batch_size") else source


def rows_of_items(source: Any, read: Callable[[Any, str], Array]) -> Iterator[tuple[Array, list[Any]]]:
    """Each row and its label, if it has one; all of one shape, all with a label or none.

    Raises:
        As ``gather``.
    """
    name, count, like, paired = type(source).__name__, 0, np.empty(0), False
    for item in _items(source):
        where = f"{name}, item {count}"
        values, *label = _parts(item, where)
        row = stored(read(values, where), where)
        if not count:
            like, paired = row, bool(label)
        if row.shape != like.shape or bool(label) != paired:
            raise _other(row, like, where, bool(label))
        yield row, label
        count += 1
    if not count:
        raise DataShape("no rows", where=name, expected="at least one")


def _items(source: Any) -> Iterator[Any]:
    return iter(source) if hasattr(source, "__iter__") else (source[i] for i in range(len(source)))


def _parts(item: Any, where: str) -> tuple[Any, ...]:
    """The row of an item, and its label if it has one."""
    if _is_pair(item):
        return item[0], item[1].item() if hasattr(item[1], "item") else item[1]
    if isinstance(item, tuple) and len(item) == 1:
        return item
    several = isinstance(item, list | tuple) and any(getattr(part, "ndim", 0) for part in item)
    if several or not _axes(item):
        names = ", ".join(map(str, item)) if isinstance(item, dict) else ""
        kinds = " of " + ", ".join(type(part).__name__ for part in item) if several else f" of {names}" if names else ""
        mend = "Give the pairs themselves, as (item[0], item[1]) for item in data." if kinds else ""
        raise DataFormat("an item cannot be used", where=where, found=type(item).__name__ + kinds, expected=ITEMS,
                         mend=mend)  # fmt: skip
    return (item,)


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and bool(_axes(item[0])) and not _axes(item[1])


def _axes(value: Any) -> int:
    """How many axes it has, as far as that can be told without making an array of it: 0 or more."""
    arraylike = isinstance(value, list | tuple) or any(hasattr(value, name) for name in ARRAYLIKE)
    return int(getattr(value, "ndim", arraylike))


def _other(row: Array, like: Array, where: str, label: bool) -> DataError:
    """The error for an item that does not go with those before it."""
    if row.shape != like.shape:
        return DataShape("rows differ in shape", where=where, found=f"{row.shape}", expected=f"{like.shape}")
    found = "a pair" if label else "a row alone"
    return DataFormat("some items have a label and others have none", where=where, found=found)


def _with_room(x: Array, row: Array, count: int, expected: int, where: str) -> Array:
    """The array with room for one more row, of a type that holds it."""
    most = CAP // max(row.nbytes, 1)
    if count >= most:
        raise DataError("more rows than are read into memory", where=where, expected=f"at most {CAP:,} bytes",
                        mend="Write them to a folder with lowerbound.convert, and give its path.")  # fmt: skip
    if not count:
        return np.empty((min(max(expected, 1), most), *row.shape), row.dtype)
    if count == len(x):
        x.resize((min(count + count // 2 + 1, most), *x.shape[1:]), refcheck=False)
    kind = np.result_type(x, row)
    return x if kind == x.dtype else x.astype(kind)
