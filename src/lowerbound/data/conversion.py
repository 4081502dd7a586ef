"""From anything that can be read to a folder of mapped arrays, a block of rows at a time."""

import os
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data import engine
from lowerbound.data.arrays import coded, layout, refuse_cells, stored
from lowerbound.data.door import as_array, load
from lowerbound.data.formats import kind_of, read_npy
from lowerbound.data.frames import is_frame
from lowerbound.data.iterables import behind, comes_in_rows, rows_of_items
from lowerbound.data.known import KNOWN
from lowerbound.data.pictures import alike, picture_labels, picture_paths
from lowerbound.data.scanning import scanned
from lowerbound.data.shards import Progress, Stream, is_shards, open_shards, refuse_inside, split_column, write_shards
from lowerbound.data.source import Array, Data
from lowerbound.data.tables import csv_query
from lowerbound.errors import BadOption, DataFormat, DataShape, OutputExists
from lowerbound.files import make_folder, purge_temporaries, scratch_folder

BLOCK = 16 << 20  # bytes of a block
ITEMS = 1024  # of an iterable that tell the type of all
TYPES = ("float32", "float64")
UNSAID = ("", "auto")


def convert(
    source: Any, out: str | os.PathLike[str], *, missing: str = "auto", labels: Any = None, columns: str = "",
    query: str | None = None, key: str | None = None, header: bool | None = None, dtype: str = "",
    force: bool = False, progress: Progress | None = None,
) -> Data:  # fmt: skip
    """Write rows to a folder of mapped arrays that need not fit in memory, and open it.

    Tables (text, Parquet, queries), folders of pictures, npy files, arrays and whatever yields rows are read a block
    at a time; other sources as ``load`` reads them, into memory. The folder appears under its name when all of it is
    on the disk; what breaks off leaves nothing and is begun anew.

    Args:
        source: as of ``load``.
        out: the folder. ``load`` and ``fit`` take it like a file.
        missing: ``nan``: NaN, empty and null cells are missing; ``error``: they are refused; ``auto``: the former for
            tables, the latter for arrays.
        labels: (N,) labels, or the name of a table's column of them.
        columns: kinds of columns of a table where they are not to be inferred: ``age=count; note=drop``.
        query: SQL for a DuckDB or Parquet file.
        key: which array of an npz or mat file.
        header: whether a text table begins with names.
        dtype: ``float32`` or ``float64``, to be written instead of the type the values have.
        force: replace a folder that was written so.
        progress: called with the rows that are done and all of them, or None where that is not known.

    Returns:
        The rows, on disk.

    Raises:
        OutputExists: something is there. DiskError: it cannot be written; nothing is left behind.
        DataError: rows that cannot be used, naming where. BadOption: an option of no use here.

    >>> from tempfile import TemporaryDirectory
    >>> from lowerbound.data import load
    >>> with TemporaryDirectory() as folder:
    ...     data = convert(([i, 2 * i] for i in range(3)), f"{folder}/rows")
    ...     data.x.tolist(), load(f"{folder}/rows").rows
    ([[0, 0], [1, 2], [2, 4]], 3)
    """
    folder = _free(source, Path(out), force)
    if dtype and dtype not in TYPES:
        raise BadOption("not a type that is written", where="dtype", found=repr(dtype), expected=" or ".join(TYPES))
    options = {"missing": missing, "labels": labels, "columns": columns, "query": query, "key": key, "header": header}
    make_folder(folder.parent)
    purge_temporaries(folder.parent, name=folder.name)
    with _stream(source, folder, options) as stream:
        write_shards(_cast(stream, dtype) if dtype else stream, folder, progress)
    return open_shards(folder.resolve())


def _free(source: Any, folder: Path, force: bool) -> Path:
    """The folder, if it may be written."""
    if isinstance(source, str | os.PathLike):
        refuse_inside(os.fspath(source), folder)
    refuse_inside(getattr(source, "source", ""), folder)
    if os.path.lexists(folder):
        held = folder.is_dir() and any(folder.iterdir())
        if not (force and (is_shards(folder) or not held)):
            mend = "Choose another place, or overwrite it with force." if is_shards(folder) else "Choose another place."
            raise OutputExists("already there", where=str(folder), mend=mend)
    return folder


@contextmanager
def _stream(source: Any, out: Path, options: dict[str, Any]) -> Iterator[Stream]:
    """The rows of a source, by what it is."""
    path = None if isinstance(source, str) and source in KNOWN else source
    path = Path(path).expanduser() if isinstance(path, str | os.PathLike) else None
    kind = kind_of(path) if path is not None and path.exists() else ""
    said = {name for name, value in options.items() if value is not None}
    given = {name for name in said if not (isinstance(options[name], str) and options[name] in UNSAID)}
    if kind in ("csv", "parquet", "duckdb") and engine.installed() and path is not None:
        _refuse(given - _TAKEN[kind], str(path))
        with scratch_folder(out) as scratch:
            chosen = {name: options[name] for name in ("labels", "columns", "missing")}
            with scanned(_query(kind, path, options), scratch, **chosen) as stream:
                yield stream
    elif kind == "folder" and path is not None:
        _refuse(given - {"labels"}, str(path))
        yield _of_pictures(path, options["labels"])
    elif kind == "npy" and path is not None:
        _refuse(given - {"labels", "missing"}, str(path))
        yield _of_array(read_npy(path), path.name, options)
    elif path is None and isinstance(source, np.ndarray) and not np.ma.isMaskedArray(source):
        _refuse(given - {"labels", "missing"}, "array")
        yield _of_array(source, "array", options)
    elif path is None and not is_frame(source) and not isinstance(source, Data | str) and comes_in_rows(source):
        _refuse(given - {"missing"}, type(source).__name__)
        yield _of_items(source, options["missing"])
    else:
        yield _of_data(load(source, **options))


_TAKEN = {
    "csv": {"labels", "columns", "missing", "header"}, "parquet": {"labels", "columns", "missing", "query"},
    "duckdb": {"labels", "columns", "missing", "query"},
}  # fmt: skip


def _refuse(options: set[str], where: str) -> None:
    for option in sorted(options):
        raise BadOption(f"{option} is of no use here", where=where)


def _query(kind: str, path: Path, options: Mapping[str, Any]) -> engine.Query:
    path = path.resolve()
    if kind == "csv":
        return csv_query(path, header=options["header"])
    return (engine.parquet_query if kind == "parquet" else engine.file_query)(path, options["query"])


def _of_pictures(folder: Path, labels: Any) -> Stream:
    paths = picture_paths(folder)
    found = picture_labels(folder, paths) if labels is None else labels
    blocks = _stacked(iter(alike(paths)))
    return Stream(folder.name, blocks, len(paths), None, beside=_coded(found, len(paths), folder.name))


def _of_array(x: Array, name: str, options: Mapping[str, Any]) -> Stream:
    x = layout(x, name)
    blocks = _checked((stored(x[part], name) for part in _parts(x)), name, options["missing"])
    return Stream(name, blocks, len(x), None, beside=_coded(options["labels"], len(x), name))


def _of_items(source: Any, missing: str) -> Stream:
    """Rows that come one by one, with or without a label each."""
    source = behind(source)
    name, known, codes = type(source).__name__, dict[Any, int](), array("q")

    def rows() -> Iterator[Array]:
        for row, label in rows_of_items(source, as_array):
            codes.extend(known.setdefault(one, len(known)) for one in label)
            yield row

    items = rows()
    first = list(islice(items, 1))
    paired, hint = bool(codes), length_hint(source, 0)

    def labels() -> tuple[Array, dict[str, Any]]:
        by_first, names = coded(list(known), name)
        return by_first[np.frombuffer(codes, np.int64)], {"label_names": list(names)}

    laid = (layout(block, name) for block in _stacked(chain(first, items), ITEMS))
    return Stream(name, _checked(laid, name, missing), hint or None, None, beside={"labels": labels} if paired else {})


def _of_data(data: Data) -> Stream:
    """Rows that are at hand."""
    if data.context is not None:
        raise BadOption("rows with a context cannot be converted", where=data.name, mend="Convert them before.")
    beside = _coded(None, data.rows, data.name)
    if (codes := data.labels) is not None:
        beside["labels"] = lambda: (codes, {"label_names": list(data.label_names)})
    if (factors := data.factors) is not None:
        beside["factors"] = lambda: (factors, {"factor_names": list(data.factor_names)})
    if (split := data.split) is not None:
        beside["split"] = lambda: split_column(split, data.rows)
    facts = {"columns": list(data.columns)}
    return Stream(data.name, _with_holes(data), data.rows, data.unit, facts, data.schema, beside)


def _with_holes(data: Data) -> Iterator[Array]:
    """The stored values, NaN where missing."""
    for part in _parts(data.x):
        x = np.ascontiguousarray(data.x[part])
        if data.mask is not None:
            small = x.dtype.kind == "f" or x.dtype.itemsize <= 2  # what float32 holds exactly
            x = np.where(data.mask[part], x, x.dtype.type(0)).astype(x.dtype if x.dtype.kind == "f" else
                                                                      np.float32 if small else np.float64)  # fmt: skip
            x[~data.mask[part]] = np.nan
        yield x


def _coded(labels: Any, rows: int, name: str) -> dict[str, Any]:
    """What is written beside rows with these labels."""
    if labels is None:
        return {}
    codes, names = coded(labels, name)
    if len(codes) != rows:
        raise DataShape("labels do not fit x", where=name, found=f"({len(codes)},)", expected=f"({rows},)")
    return {"labels": lambda: (codes, {"label_names": list(names)})}


def _parts(x: Any) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, x[:1].nbytes))
    for start in range(0, len(x), step):
        yield slice(start, min(start + step, len(x)))


def _stacked(rows: Iterator[Array], least: int = 1) -> Iterator[Array]:
    """Rows in blocks of one type: that of the first block, which has at least so many."""
    kind: np.dtype[Any] | None = None
    count, size = 0, least
    while some := list(islice(rows, size)):
        found = np.stack(some)
        kind = found.dtype if kind is None else kind
        if not np.can_cast(found.dtype, kind, "safe"):
            mend = f"Give rows of one type, or {found.dtype} from the first on."
            raise DataFormat("rows differ in type", where=f"the items from {count:,}", found=found.dtype.name,
                             expected=kind.name, mend=mend)  # fmt: skip
        yield found.astype(kind, copy=False)
        count, size = count + len(some), max(1, BLOCK // max(1, found[:1].nbytes))


def _checked(blocks: Iterator[Array], name: str, missing: str) -> Iterator[Array]:
    """The blocks, if their values are finite, or NaN where these are missing."""
    if missing not in ("auto", "error", "nan"):
        raise BadOption("missing cannot be used", found=repr(missing), expected="'auto', 'error' or 'nan'")
    start = 0
    for x in blocks:
        if x.dtype.kind == "f":
            bad = np.isinf(x) if missing == "nan" else ~np.isfinite(x)
            refuse_cells(bad, x, start, name, ())
        start += len(x)
        yield x


def _cast(stream: Stream, dtype: str) -> Stream:
    """The same rows in another type."""

    def blocks() -> Iterator[Array]:
        start = 0
        for x in stream.blocks:
            with np.errstate(over="ignore"):
                made = x.astype(dtype)
            refuse_cells(np.isinf(made), made, start, stream.name, ())
            start += len(x)
            yield made

    return replace(stream, blocks=blocks())
