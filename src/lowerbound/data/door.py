"""`load`: the one door through which data come in."""

import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.arrays import make, rekinded, typed
from lowerbound.data.columns import Schema
from lowerbound.data.download import Progress
from lowerbound.data.formats import TABLES, kind_of, read
from lowerbound.data.frames import is_frame, read_frame
from lowerbound.data.iterables import comes_in_rows, gather
from lowerbound.data.known import KNOWN, open_known
from lowerbound.data.source import Array, Data
from lowerbound.data.sparse import Sparse, is_sparse
from lowerbound.errors import BadOption, DataFormat, DataNotFound, DataShape


def load(
    source: Any,
    *,
    missing: str = "auto",
    key: str | None = None,
    header: bool | None = None,
    labels: Any = None,
    mask: Any = None,
    download: bool = False,
    progress: Progress | None = None,
    query: str | None = None,
    columns: str = "",
    schema: Schema | None = None,
) -> Data:
    """`Data` from a known name, a path, or values in memory. What is given is never changed.

    Args:
        source: one of `known_names`; the path of a file, of a folder of pictures, of one with ``matrix.mtx`` or of one
            that `convert` wrote; an array (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C); a sparse matrix of scipy,
            which stays sparse; a pandas or polars frame; a torch tensor; rows as lists; `Data`; a torch ``Dataset``,
            the data set of a ``DataLoader`` (its batches and their order are not used), or anything that yields rows
            or pairs of a row and its label: slower, since it is read row by row, into memory.
        missing: ``nan``: NaN, empty and null cells are missing; ``error``: they are refused; ``auto``: the former for
            tables (text, Parquet, frames), the latter for arrays.
        key: which array of an npz, mat or h5ad file: ``layers/counts``, ``raw/X``.
        header: whether a text table begins with names; None: if no cell of its first line is a number.
        labels: (N,) labels, or the name of the column of a csv file, a frame or the ``obs`` of a h5ad file that holds
            them; not those of pairs.
        mask: bool array of the shape of the values, True = observed.
        download: whether a known set that is not on this machine may be fetched.
        progress: called while downloading with the bytes so far and in all.
        query: SQL for a DuckDB file, or for a Parquet file, which it calls ``data``.
        columns: kinds of columns of a table where they are not to be inferred:
            ``age=count; share=bounded:low=0,high=1; note=drop``.
        schema: of the table that these rows go with, so that the same numbers stand for the same categories.

    Raises:
        DataNotFound: no such set or file. DataFormat: a damaged file, or values that are not numbers. DataShape: rows
        of the wrong shape. DataMissing, DataRange: a NaN or infinite cell. BadOption: an option of no use here.

    >>> load([[1.0, 2.0], [3.0, float("nan")]], missing="nan").mask.tolist()
    [[True, True], [True, False]]
    >>> load("digits").shape
    (1, 8, 8)
    """
    named = isinstance(source, str) and source in KNOWN
    pathlike = not named and isinstance(source, str | os.PathLike)
    _refuse_unused("key", key is not None, pathlike, "a path")
    _refuse_unused("header", header is not None, pathlike, "a path")
    _refuse_unused("query", query is not None, pathlike, "a path")
    _refuse_unused("columns", bool(columns), pathlike or named or is_frame(source), "a table")
    _refuse_unused("download", download, named, "a known name")
    mask = None if mask is None else as_array(mask, "mask")
    if pathlike:
        options = {"key": key, "header": header, "labels": labels, "missing": missing, "mask": mask, "query": query}
        return _from_path(os.fspath(source), columns=columns, schema=schema, **options)
    _refuse_unused(
        "labels or mask",
        labels is not None or mask is not None,
        not named and not isinstance(source, Data),
        "a path or values",
    )
    if named:
        data = open_known(source, download=download, progress=progress)
        return rekinded(data, columns) if columns else data
    if isinstance(source, Data):
        return _again(source, missing)
    if is_frame(source):
        table = read_frame(source, labels=labels)
        return typed(table, missing=missing, columns=columns, schema=schema, mask=mask)
    return _from_memory(source, labels=labels, missing=missing, mask=mask)


def is_table(source: Any) -> bool:
    """Whether `load` reads it as a table with a schema: a frame, or a path of one."""
    if is_frame(source):
        return True
    named = isinstance(source, str) and source in KNOWN
    return not named and isinstance(source, str | os.PathLike) and kind_of(Path(os.fspath(source))) in TABLES


def known_names() -> tuple[str, ...]:
    """The names `load` knows, sorted."""
    return tuple(sorted(KNOWN))


def _refuse_unused(option: str, given: bool, useful: bool, needs: str) -> None:
    if given and not useful:
        raise BadOption(f"{option} is of no use here", expected=f"{needs} as source")


def _from_path(source: str, **options: Any) -> Data:
    path = Path(source).expanduser()
    close = get_close_matches(source.lower(), KNOWN, n=1)
    if not path.exists():
        hint = f"Did you mean '{close[0]}'? " if close else ""
        raise DataNotFound(
            "no such file or folder, and no known set",
            where=source,
            mend=f"{hint}Known sets: {', '.join(known_names())}.",
        )
    path = path.resolve()
    return replace(read(path, **options), source=str(path))


def _again(data: Data, missing: str) -> Data:
    made = make(data.x, name=data.name, missing=missing, mask=data.mask, columns=data.columns)
    return replace(data, x=made.x, mask=made.mask)


def _from_memory(source: Any, *, labels: Any, **options: Any) -> Data:
    if isinstance(labels, str):
        raise BadOption("labels cannot be the name of a column here", found=repr(labels), expected="one per row")
    if is_sparse(source):
        x: Any = source if isinstance(source, Sparse) else Sparse(source)
        return make(x, name="array", labels=labels, **options)
    if comes_in_rows(source):
        x, found = gather(source, as_array)
        return make(x, name=type(source).__name__, labels=found if labels is None else labels, **options)
    return make(as_array(source, "array"), name="array", labels=labels, **options)


def as_array(source: Any, name: str) -> Array:
    """An array of what numpy understands, of a torch tensor, and of rows as lists."""
    if np.ma.isMaskedArray(source):
        raise DataFormat("masked arrays are not read", where=name, mend="Pass x.data and mask=~x.mask.")
    if hasattr(source, "detach"):
        source = _from_tensor(source, name)
    if not (isinstance(source, list | tuple) or hasattr(source, "__array__") or hasattr(source, "__array_interface__")):
        mend = "Pass source.toarray()." if hasattr(source, "toarray") else ""
        raise DataFormat(
            "values of this type are not read",
            where=name,
            found=type(source).__name__,
            expected="an array, a frame, a tensor, a data set or rows",
            mend=mend,
        )
    try:
        return np.asarray(source)
    except ValueError as error:
        raise DataShape("rows differ in length", where=name, found=str(error)) from error


def _from_tensor(tensor: Any, name: str) -> Any:
    try:
        return tensor.detach().cpu().numpy()
    except (TypeError, RuntimeError) as error:  # bfloat16, sparse: types that numpy lacks
        raise DataFormat(
            "a tensor of this type is not read",
            where=name,
            found=str(getattr(tensor, "dtype", "")),
            mend="Pass tensor.float() or tensor.to_dense().",
        ) from error
