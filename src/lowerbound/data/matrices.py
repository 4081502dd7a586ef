"""Files of sparse matrices: folders as 10x writes them, h5ad, and what scipy saves. Read without being unpacked."""

import gzip
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.sparse import Array, Sparse
from lowerbound.errors import DataFormat, DataRange, DataShape, MissingExtra, unknown

INFLATE = 1100  # deflate cannot expand further than about 1032 to 1
ENTRY = 4  # bytes that an entry of a text file takes at least
PACKED = {"indices", "indptr", "data", "shape", "format"}  # what scipy.sparse.save_npz writes


def is_tenx(folder: Path) -> bool:
    """Whether a folder holds a matrix as 10x writes it."""
    return _beside(folder, "matrix.mtx") is not None


def read_tenx(folder: Path) -> dict[str, Any]:
    """``x``, a row a barcode, and ``columns``: the names of the features, or their ids where names occur twice.

    Raises:
        DataFormat: a file is not there, damaged or not of counts. DataShape: the three files do not fit together.
        DataRange: a count below 0.
    """
    path = _needed(folder, "matrix.mtx")
    matrix = _read_mtx(path)
    features = [line.split("\t") for line in _lines(_needed(folder, "features.tsv", "genes.tsv"))]
    barcodes = _lines(_needed(folder, "barcodes.tsv"))
    if matrix.shape != (len(features), len(barcodes)):
        lines, columns = matrix.shape
        found = f"a matrix of {lines} x {columns}, {len(features)} features, {len(barcodes)} barcodes"
        raise DataShape("the files do not fit together", where=str(folder), found=found,
                        expected="a line of the matrix a feature, a column a barcode")  # fmt: skip
    below = np.flatnonzero(matrix.data < 0)
    if len(below):
        at = below[0]
        where = f"{path}, feature {matrix.row[at] + 1}, barcode {matrix.col[at] + 1}"
        raise DataRange("a count below 0", where=where, found=str(matrix.data[at]), expected="whole numbers from 0")
    return {"x": Sparse(_narrow(matrix).T, folder.name), "columns": _names(features)}


def is_packed(path: Path) -> bool:
    """Whether an npz file is a sparse matrix that scipy saved."""
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()} >= PACKED


def read_packed(path: Path) -> dict[str, Any]:
    """``x`` of what ``scipy.sparse.save_npz`` wrote.

    Raises:
        DataFormat: a layout that scipy does not know, or places outside the matrix.
    """
    from scipy.sparse import load_npz

    with zipfile.ZipFile(path) as archive:
        _refuse_size(path, sum(each.file_size for each in archive.infolist()))
    return {"x": Sparse(load_npz(path), path.name)}


def read_h5ad(path: Path, key: str | None = None, labels: str | None = None) -> dict[str, Any]:
    """``x``, ``columns`` and, of a column of ``obs``, ``labels`` of a file as AnnData writes it.

    Args:
        path: of the file.
        key: of the matrix: ``X``, ``layers/NAME`` or ``raw/X``.
        labels: the column of ``obs``.

    Raises:
        DataFormat: no such matrix, or one that is not sound. DataShape: names that do not fit it. UnknownName: no such
        column. MissingExtra: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("reading h5ad files", "h5ad") from error
    key = key or "X"
    with h5py.File(path, "r") as file:
        if key not in file:
            layers = [f"layers/{name}" for name in file.get("layers", ())] + ["raw/X"] * ("raw/X" in file)
            raise DataFormat(f"no matrix '{key}'", where=str(path), found=", ".join(["X"] * ("X" in file) + layers),
                             mend="Name it with key=...")  # fmt: skip
        x = _h5_matrix(path, file[key])
        read = {"x": x, "columns": _index(path, file["raw/var" if key.startswith("raw/") else "var"])}
        if labels is not None:
            read["labels"] = _column(path, file["obs"], labels)
        rows = len(_index(path, file["obs"]))
    if x.shape != (rows, len(read["columns"])):
        expected = f"{rows} names in obs and {len(read['columns'])} in var"
        raise DataShape("the matrix does not fit its names", where=f"{path}, {key}", found=f"{x.shape}",
                        expected=expected)  # fmt: skip
    return read


def _read_mtx(path: Path) -> Any:
    """A scipy ``coo_array`` of a Matrix Market file; how many entries it has is checked against its length before."""
    from scipy.io import mminfo, mmread
    from scipy.sparse import coo_array

    _, _, entries, layout, field, symmetry = mminfo(path)
    if (layout, symmetry) != ("coordinate", "general") or field not in ("integer", "real"):
        expected = "matrix coordinate integer (or real) general"
        raise DataFormat("not a matrix of counts", where=str(path), found=f"{layout} {field} {symmetry}",
                         expected=expected)  # fmt: skip
    _refuse_size(path, entries * ENTRY)
    return coo_array(mmread(path))


def _refuse_size(path: Path, declared: int) -> None:
    if declared > path.stat().st_size * INFLATE:
        raise DataFormat("length and header disagree", where=str(path), found=f"{path.stat().st_size:,} bytes",
                         expected=f"at least {declared // INFLATE:,} for what it declares")  # fmt: skip


def _narrow(matrix: Any) -> Any:
    """Counts in four bytes each if they fit: texts are read in eight."""
    fits = matrix.dtype.kind == "i" and (not len(matrix.data) or matrix.data.max() <= np.iinfo(np.int32).max)
    return matrix.astype(np.int32) if fits else matrix


def _names(features: list[list[str]]) -> tuple[str, ...]:
    names = [line[1] if len(line) > 1 else line[0] for line in features]
    times = Counter(names)
    return tuple(name if times[name] == 1 else line[0] for name, line in zip(names, features, strict=True))


def _beside(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _needed(folder: Path, *names: str) -> Path:
    path = next((found for name in names if (found := _beside(folder, name))), None)
    if path is None:
        expected = " or ".join(f"{name}[.gz]" for name in names)
        raise DataFormat("a file of the matrix is not there", where=str(folder), expected=expected)
    return path


def _lines(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            return [line.rstrip("\r\n") for line in lines if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataFormat("damaged", where=str(path), found=str(error)) from error


def _h5_matrix(path: Path, found: Any) -> Any:
    """A sparse group as `Sparse`, a dense dataset as an array."""
    from scipy.sparse import csc_array, csr_array

    where = f"{path}, {found.name[1:]}"
    if hasattr(found, "dtype"):
        _refuse_size(path, found.size * found.dtype.itemsize)
        return found[:]
    kind = found.attrs.get("encoding-type", found.attrs.get("h5sparse_format", ""))
    make = {"csr": csr_array, "csc": csc_array}.get(str(kind).removesuffix("_matrix"))
    shape = found.attrs.get("shape", found.attrs.get("h5sparse_shape"))
    if make is None or shape is None or not {"data", "indices", "indptr"} <= set(found):
        raise DataFormat("not a sparse matrix", where=where, found=repr(kind), expected="csr_matrix or csc_matrix")
    _refuse_size(path, sum(found[part].size * found[part].dtype.itemsize for part in ("data", "indices", "indptr")))
    parts = tuple(found[part][:] for part in ("data", "indices", "indptr"))
    try:
        return Sparse(make(parts, shape=tuple(int(size) for size in shape)), where)
    except ValueError as error:
        raise DataFormat("not a sound sparse matrix", where=where, found=str(error)) from error


def _index(path: Path, frame: Any) -> tuple[str, ...]:
    if hasattr(frame, "dtype"):
        raise DataFormat("obs and var are of an old layout", where=str(path), mend="Write it again with anndata 0.7.")
    return tuple(frame[frame.attrs["_index"]].asstr()[:])


def _column(path: Path, frame: Any, name: str) -> Array:
    """A column as numbers or text, empty where a category is missing."""
    if name not in frame:
        raise unknown("column", name, [str(column) for column in frame], where=f"{path}, obs")
    found = frame[name]
    if hasattr(found, "dtype"):
        return np.asarray(found.asstr()[:], dtype=str) if found.dtype.kind == "O" else np.asarray(found[:])
    if not {"categories", "codes"} <= set(found):
        kind = str(found.attrs.get("encoding-type", ""))
        raise DataFormat("a column of this kind is not read", where=f"{path}, obs/{name}", found=repr(kind),
                         expected="numbers, text or categories")  # fmt: skip
    kinds = found["categories"]
    texts = kinds.asstr()[:] if kinds.dtype.kind == "O" else kinds[:].astype(str)
    named: Array = np.append(np.asarray(texts, dtype=str), "")[found["codes"][:]]
    return named
