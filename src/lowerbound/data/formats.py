"""Files of arrays (idx, npy, npz, mat) to `Data`; sizes that a header declares are checked before memory is taken."""

import gzip
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from lowerbound.data import engine
from lowerbound.data.arrays import CAP, make, typed
from lowerbound.data.columns import Schema
from lowerbound.data.kinds import RawTable
from lowerbound.data.matrices import INFLATE, is_packed, is_tenx, read_h5ad, read_packed, read_tenx
from lowerbound.data.pictures import read_folder
from lowerbound.data.shards import is_shards, open_shards
from lowerbound.data.source import Array, Data
from lowerbound.data.tables import read_csv, split_off
from lowerbound.errors import BadOption, DataFormat, DataNotFound, DataShape, LowerboundError, unknown

MAP_ABOVE = 256 << 20  # npy files larger than this are mapped, not read
VALUES = ("x", "imgs", "X", "images", "data")
LABELS = ("y", "labels", "label")
_IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MAGIC = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "zip (npz)",
    b"\x1f\x8b": "gzip",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"MATLAB": "Matlab",
    b"\x89HDF": "HDF5",
    b"PAR1": "parquet",
    b"%PDF": "PDF",
    b"\x80\x04\x95": "pickle",
}


def read(
    path: Path,
    *,
    key: str | None = None,
    header: bool | None = None,
    labels: Any = None,
    missing: str = "auto",
    mask: Array | None = None,
    query: str | None = None,
    columns: str = "",
    schema: Schema | None = None,
) -> Data:
    """The rows of a file, or of a folder of pictures, by the ending of its name.

    ``.idx`` or ``…idx3-ubyte``, ``.npy``, ``.npz``, ``.mat``, ``.csv``, ``.tsv``, ``.data``, ``.parquet``
    and ``.duckdb`` are read; idx files and text tables also with ``.gz`` behind. A folder that `convert` wrote is
    mapped. ``.h5ad``, the npz of a sparse matrix and a folder with ``matrix.mtx`` stay sparse.

    Args:
        key: the array of an npz, mat or h5ad file; None: the one called ``x, imgs, X, images`` or ``data``, or the only
            one; of h5ad ``X``.
        header: whether a csv starts with names; None: if no cell of its first line is a number.
        labels: (N,) labels, or the name of the column of a csv, or of obs, that holds them.
        missing: see `make`.
        mask: see `make`.
        query: SQL for a DuckDB file, or for a Parquet file, which it calls ``data``.
        columns: what is said of the columns of a table, see `typed`.
        schema: of the table that the rows go with.

    Raises:
        DataNotFound: no such file. DataFormat: damaged, or not what its name says, and what was found instead.
    """
    if not path.exists():
        raise DataNotFound("no such file or folder", where=str(path))
    kind = kind_of(path)
    for option, value, takes in (
        ("key", key, ("npz", "mat", "h5ad")), ("header", header, ("csv",)), ("query", query, ("parquet", "duckdb")),
        ("columns", columns or None, TABLES),
        ("labels", labels, (*TABLES, *_READERS)), ("mask", mask, (*TABLES, *_READERS)),
    ):  # fmt: skip
        if value is not None and kind not in takes:
            raise BadOption(f"{option} is of no use here", where=str(path), expected="a file " + " or ".join(takes))
    with damage_named(path):
        if kind == "shards":
            return open_shards(path, missing)
        if kind in TABLES:
            table = split_off(_TABLES[kind](path, header, query), labels)
            return typed(table, missing=missing, columns=columns, schema=schema, mask=mask, name=path.name)
        column = labels if kind == "h5ad" and isinstance(labels, str) else None
        parts = _READERS[kind](path, key) if column is None else read_h5ad(path, key, column)
        if labels is not None and column is None:
            parts["labels"] = labels
        return make(parts.pop("x"), name=path.name, missing=missing, mask=mask, **parts)


def kind_of(path: Path) -> str:
    """How a file is read, by the ending of its name.

    Raises:
        DataFormat: an ending that is not known.
    """
    name = path.name.lower()
    stem = name.removesuffix(".gz")
    if path.is_dir():
        return "shards" if is_shards(path) else "tenx" if is_tenx(path) else "folder"
    if stem.endswith((".csv", ".tsv", ".data", ".test")):
        return "csv"
    if path.suffix.lower() in _ENGINE:
        return _ENGINE[path.suffix.lower()]
    if stem.endswith(".idx") or ("idx" in stem and stem.endswith("byte")):
        return "idx"
    if name.endswith((".npy", ".npz", ".mat", ".h5ad")):
        return name.rpartition(".")[2]
    raise DataFormat(
        "the ending of the name is not known",
        where=str(path),
        found=repr(path.suffix),
        expected=".csv, .tsv, .data, .parquet, .duckdb, .npy, .npz, .mat, .h5ad, .idx, idx-ubyte (.gz) or a folder",
        mend="Give the folder that holds matrix.mtx." if stem.endswith(".mtx") else "",
    )


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Any failure to read ``path`` as one `DataFormat` that names it."""
    try:
        yield
    except LowerboundError:
        raise
    except PermissionError as error:
        raise DataNotFound("not allowed to read this", where=str(path)) from error
    except Exception as error:  # damaged bytes make readers raise almost anything
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataFormat("the file is damaged or not what its name says", where=str(path), found=text) from error


def read_idx(path: Path) -> Array:
    """The array of an idx file (LeCun, Cortes, Burges 1998), packed by gzip or not; native byte order."""
    size = path.stat().st_size
    packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if packed else path.open("rb") as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX or magic[3] == 0:
            raise _wrong_magic(path, magic, "an idx header (0, 0, type, axes)")
        shape = tuple(int(n) for n in np.frombuffer(stream.read(4 * magic[3]), ">u4"))
        dtype = np.dtype(_IDX[magic[2]])
        have = size * INFLATE if packed else size - 4 - 4 * magic[3]
        check_size(path, shape, dtype, have, exact=not packed)
        array = np.empty(shape, dtype)
        got = stream.readinto(array.reshape(-1).view(np.uint8).data)
        if got < array.nbytes or stream.read(1):
            raise DataFormat(
                "length and header disagree",
                where=str(path),
                expected=f"{array.nbytes} bytes of values",
                found=f"{got}" if got < array.nbytes else "more",
            )
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_npy(path: Path) -> Array:
    """The array of an npy file; mapped read-only if it is large."""
    with path.open("rb") as stream:
        check_npy(path, stream, path.stat().st_size)
    mapped = path.stat().st_size > MAP_ABOVE
    array: Array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array


def read_npz(path: Path, key: str | None = None) -> dict[str, Array]:
    """``x``, and ``labels`` and ``factors`` where the archive has them; other members are not read."""
    with zipfile.ZipFile(path) as archive:
        members = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}
        wanted = chosen(path, dict.fromkeys(members), key) | _beside(members, "factors", ("latents_classes",))
        out = {}
        for what, name in wanted.items():
            if members[name].file_size > CAP:
                raise _too_large(path, members[name].file_size, f"array '{name}'")
            with archive.open(members[name]) as stream:
                check_npy(path, stream, members[name].file_size)
            with archive.open(members[name]) as stream:
                out[what] = np.lib.format.read_array(stream, allow_pickle=False)
    return out


def read_mat(path: Path, key: str | None = None) -> dict[str, Array]:
    """``x`` and, where the file has them, ``labels`` of a Matlab file of version 4 to 7."""
    import scipy.io

    if not path.stat().st_size:
        raise _wrong_magic(path, b"", "a Matlab file")
    names: dict[str, bool] = {}
    for name, shape, kind in scipy.io.whosmat(path):
        names[name] = kind not in ("cell", "struct", "function", "object", "opaque", "unknown")
        if math.prod(shape) > min(CAP, path.stat().st_size * INFLATE):
            raise _too_large(path, math.prod(shape), f"array '{name}'")
    wanted = chosen(path, dict.fromkeys(name for name, plain in names.items() if plain), key)
    loaded = scipy.io.loadmat(path, variable_names=list(wanted.values()))
    return {what: np.asarray(loaded[name]) for what, name in wanted.items()}


def chosen(path: Path, names: Mapping[str, object], key: str | None) -> dict[str, str]:
    """Which of the arrays ``names`` are x and labels; ``key`` says which is x."""
    if key is not None and key not in names:
        raise unknown("array", key, names, where=str(path))
    found = [key] if key is not None else [name for name in VALUES if name in names]
    if not found and len(names) == 1:
        found = list(names)
    if len(found) != 1:
        raise DataFormat(
            "cannot tell which array holds the values",
            where=str(path),
            found=", ".join(sorted(names)),
            expected="one of " + ", ".join(VALUES),
            mend="Name it with key=...",
        )
    return {"x": found[0]} | {what: name for what, name in _beside(names, "labels", LABELS).items() if name != found[0]}


_READERS: dict[str, Callable[[Path, str | None], dict[str, Any]]] = {
    "folder": lambda path, key: read_folder(path),
    "idx": lambda path, key: {"x": read_idx(path)},
    "npy": lambda path, key: {"x": read_npy(path)},
    "npz": lambda path, key: read_packed(path) if key is None and is_packed(path) else read_npz(path, key),
    "mat": lambda path, key: read_mat(path, key),
    "tenx": lambda path, key: read_tenx(path),
    "h5ad": lambda path, key: read_h5ad(path, key),
}
_TABLES: dict[str, Callable[[Path, bool | None, str | None], RawTable]] = {
    "csv": lambda path, header, query: read_csv(path, header=header),
    "parquet": lambda path, header, query: engine.read(engine.parquet_query(path, query)),
    "duckdb": lambda path, header, query: engine.read(engine.file_query(path, query)),
}
TABLES = tuple(_TABLES)
_ENGINE = {".parquet": "parquet", ".pq": "parquet", ".duckdb": "duckdb", ".ddb": "duckdb"}


def _beside(names: Mapping[str, object], what: str, known: tuple[str, ...]) -> dict[str, str]:
    return next(({what: name} for name in known if name in names), {})


def check_npy(path: Path, stream: IO[bytes], size: int) -> None:
    """Compare what an npy header declares with the ``size`` in bytes of what holds it."""
    head = stream.read(8)
    if head[:6] != b"\x93NUMPY" or len(head) < 8:
        raise _wrong_magic(path, head, "an npy header")
    wide = head[6] > 1
    length = int.from_bytes(stream.read(4 if wide else 2), "little")
    start = 8 + (4 if wide else 2) + length
    if start > size or length > 10_000:
        raise DataFormat("the header is longer than it can be", where=str(path), found=f"{length} bytes")
    shape, dtype = _npy_header(head, length, stream)
    if dtype.hasobject:
        raise DataFormat(
            "the array holds Python objects",
            where=str(path),
            expected="plain numbers",
            mend="Objects are not read: they could run code.",
        )
    check_size(path, shape, dtype, size - start, exact=True)


def _npy_header(head: bytes, length: int, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    wide = head[6] > 1
    text = io.BytesIO(length.to_bytes(4 if wide else 2, "little") + stream.read(length))
    parse = np.lib.format.read_array_header_2_0 if wide else np.lib.format.read_array_header_1_0
    shape, _, dtype = parse(text)
    return shape, dtype


def check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], have: int, *, exact: bool) -> None:
    """Refuse a shape that needs other bytes than there are (``exact``), or more than there can be."""
    need = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or need > have or (exact and need != have):
        raise DataFormat(
            "length and header disagree",
            where=str(path),
            found=f"{have:,} bytes" if exact else "less",
            expected=f"{need:,} bytes for shape {shape} of {dtype}",
        )
    if not exact and need > CAP:
        raise _too_large(path, need, "the array")


def _too_large(path: Path, size: int, what: str) -> DataShape:
    return DataShape(
        f"{what} is too large to unpack in memory",
        where=str(path),
        found=f"{size:,} bytes",
        expected=f"at most {CAP:,}",
        mend="Save it as npy: large npy files are mapped.",
    )


def _wrong_magic(path: Path, head: bytes, expected: str) -> DataFormat:
    names = [name for magic, name in _MAGIC.items() if head.startswith(magic)]
    found = f"a {names[0]} file" if names else f"bytes {head[:8].hex(' ')}" if head else "an empty file"
    return DataFormat("not what its name says", where=str(path), found=found, expected=expected)
