"""`Sparse`: a matrix that is mostly zeros, kept as such and unpacked by rows as they are needed."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data.mapped import Summary
from lowerbound.errors import DataFormat, DataShape

Array = npt.NDArray[Any]
UNPACKED = 8 << 30  # bytes that may be unpacked at once


class Sparse:
    """A sparse matrix behind the face of an array: ``x[rows]`` is an array, whatever x is made of.

    ``x[:, columns]`` with several columns is sparse again, with one column an array. What asks for all of it at once
    gets that, up to 8 GiB.

    Args:
        matrix: scipy's, of any layout; kept by rows, with what stands twice in one place summed. It is not changed.
        name: for messages.

    Raises:
        DataFormat: values that are not plain numbers, or places outside the matrix. DataShape: not two axes, or empty.

    >>> from scipy.sparse import coo_array
    >>> x = Sparse(coo_array(([3, 1], ([0, 1], [1, 0])), shape=(2, 3)))
    >>> x.shape, x[[1]].tolist(), x[:, [0, 1]][:].tolist()
    ((2, 3), [[1, 0, 0]], [[0, 3], [1, 0]])
    """

    ndim = 2

    def __init__(self, matrix: Any, name: str = "array") -> None:
        self.name, self.matrix = name, _by_rows(matrix, name)
        self.shape = (int(self.matrix.shape[0]), int(self.matrix.shape[1]))
        self.size, self.dtype = self.shape[0] * self.shape[1], np.dtype(self.matrix.dtype)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, int | np.integer):
            return self[rows : rows + 1 or None][(0, *rest)]
        if not (rest and isinstance(rows, slice) and rows == slice(None)):
            return self.rows(rows)._unpacked()[(slice(None), *rest)]
        single = isinstance(rest[0], int | np.integer)
        chosen = self.matrix[:, [rest[0]] if single else rest[0]]
        return chosen.toarray()[:, 0] if single else Sparse(chosen, self.name)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.asarray(self._unpacked(), dtype)

    def rows(self, index: slice | Array) -> "Sparse":
        """Some of the rows, still sparse."""
        made: Sparse = object.__new__(Sparse)
        matrix = self.matrix[index if isinstance(index, slice) else np.asarray(index)]
        shape = (matrix.shape[0], self.shape[1])
        size, dtype = shape[0] * shape[1], self.dtype
        made.__dict__.update(name=self.name, matrix=matrix, shape=shape, size=size, dtype=dtype,
                             nbytes=size * dtype.itemsize)  # fmt: skip
        return made

    @cached_property
    def summary(self) -> Summary:
        """Of all values, found from those that are stored."""
        found = Summary().add(self.matrix.data)
        hidden = self.size - found.cells
        return found if not hidden else Summary(
            min(found.low, 0.0), max(found.high, 0.0), found.whole, found.zeros + hidden, self.size
        )  # fmt: skip

    @property
    def gap(self) -> int | None:
        """The first row that has a value which is NaN or infinite; None if there is none."""
        bad = np.flatnonzero(~np.isfinite(self.matrix.data)) if self.dtype.kind == "f" else np.zeros(0)
        return int(np.searchsorted(self.matrix.indptr, bad[0], side="right")) - 1 if len(bad) else None

    def _unpacked(self) -> Array:
        if self.nbytes > UNPACKED:
            raise DataShape(
                "too large to unpack at once", where=self.name, found=f"{self.nbytes:,} bytes",
                expected=f"at most {UNPACKED:,}", mend="Give fewer rows, or the columns that vary most.",
            )  # fmt: skip
        dense: Array = self.matrix.toarray()
        return dense


def is_sparse(source: object) -> bool:
    """Whether it is a sparse matrix, of scipy or ours.

    >>> is_sparse(np.eye(2))
    False
    """
    return isinstance(source, Sparse) or (hasattr(source, "tocsr") and hasattr(source, "toarray"))


def _by_rows(matrix: Any, name: str) -> Any:
    """A scipy ``csr_array`` of its own, in a type that is kept, rows in order."""
    from scipy.sparse import csr_array

    if isinstance(matrix, Sparse):
        return matrix.matrix
    if len(matrix.shape) != 2 or 0 in matrix.shape:
        expected = "(rows, columns), one of each at least"
        raise DataShape("not a matrix with values", where=name, found=f"shape {matrix.shape}", expected=expected)
    if matrix.dtype.kind not in "buif" or matrix.dtype.itemsize > 8:
        expected = "bool, integers or floats of up to 64 bits"
        raise DataFormat("values are not plain numbers", where=name, found=f"type {matrix.dtype}", expected=expected)
    kept = {"bool": np.dtype(np.uint8), "float16": np.dtype(np.float32)}.get(
        matrix.dtype.name, matrix.dtype.newbyteorder("=")
    )
    try:
        made: Any = csr_array(matrix)
        made = made.astype(kept, copy=False)
        made.check_format(full_check=True)
    except ValueError as error:
        raise DataFormat("not a sound sparse matrix", where=name, found=str(error)) from error
    if not made.has_canonical_format:
        made = made.copy() if made is matrix or np.shares_memory(made.data, matrix.data) else made
        made.sum_duplicates()
    return made
