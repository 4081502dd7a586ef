"""Sparse matrices: the answers of the dense ones, files that hold them, and those that are refused."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch

import lowerbound as lb
from lowerbound import batches
from lowerbound.data.counts import most_variable
from lowerbound.data.matrices import read_tenx
from lowerbound.data.sparse import Sparse
from lowerbound.errors import DataError, DataFormat, DataMissing, DataRange, DataShape, UnknownName

X = np.random.default_rng(0).poisson(0.4 * np.random.default_rng(1).gamma(1, 1, (300, 1)), (300, 20)).astype(np.int32)
MADE = (scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix, scipy.sparse.lil_array)
H5AD = "h5py is not installed"


@pytest.mark.parametrize("recipe", ["count-vae", "vae"])
def test_a_sparse_matrix_trains_to_the_same_bits(recipe: str) -> None:
    settings: Any = {"recipe": recipe, "latent": 2, "epochs": 2, "progress": False, "precision": "fp64"}
    dense, sparse = (lb.fit(x, **settings) for x in (X, scipy.sparse.csr_array(X)))
    assert sparse.data is not None and isinstance(sparse.data.x, Sparse)
    assert sparse.facts == dense.facts and sparse.config == dense.config
    weights, found = dense.model.state_dict(), sparse.model.state_dict()
    assert all(torch.equal(weights[name], found[name]) for name in weights)
    seen = [lb.evaluate(run, samples=5).as_dict() for run in (dense, sparse)]
    assert seen[0].pop("loss") == seen[1].pop("loss") and repr(seen[0]) == repr(seen[1])
    rows = scipy.sparse.csc_matrix(X[:9])
    assert np.array_equal(
        lb.score(dense, rows, samples=5).log_likelihood, lb.score(sparse, X[:9], samples=5).log_likelihood
    )
    assert np.array_equal(lb.embed(sparse, rows).mean, lb.embed(dense, X[:9]).mean)


@pytest.mark.parametrize("make", MADE)
def test_every_layout_is_the_array(make: Callable[[Any], Any]) -> None:
    given = make(X)
    data, dense = lb.load(given), lb.load(X)
    x: Any = data.x
    assert (x.shape, x.size, x.dtype, len(x), data.fingerprint) == (X.shape, X.size, X.dtype, 300, dense.fingerprint)
    some, kept = np.array([7, 2, 2]), np.array([3, 0])
    for found, expected in [
        (x[:], X), (np.asarray(x), X), (x[some], X[some]), (x[5], X[5]), (x[-1], X[-1]), (x[4:9], X[4:9]),
        (x[X[:, 0] > 0], X[X[:, 0] > 0]),
        (x[:, 3], X[:, 3]), (x[:, kept][:], X[:, kept]), (x[some, 3], X[some, 3]), (x[2, 3], X[2, 3]),
        (data.take(some).values(), X[some]), (data.with_split(seed=1).test.x[:], dense.with_split(seed=1).test.x),
    ]:  # fmt: skip
        assert isinstance(found, np.ndarray | np.generic) and found.dtype in (expected.dtype, np.float32)
        assert np.array_equal(found, expected)
    assert isinstance(x[:, kept], Sparse) and isinstance(data.take(some).x, Sparse)
    assert type(given) is type(make(X)) and (given.toarray() == X).all()


def test_what_is_known_of_a_sparse_matrix_is_that_of_the_dense_one() -> None:
    low = np.array([[0, -2.0, 0], [0.5, 0, 0]])
    for x in (X, low, np.ones((2, 2)), np.zeros((2, 2))):
        found = Sparse(scipy.sparse.csr_array(x)).summary
        whole = bool((x == np.floor(x)).all())
        assert (found.low, found.high, found.whole) == (x.min(), x.max(), whole)
        assert (found.zeros, found.cells) == ((x == 0).sum(), x.size)


def test_what_stands_twice_is_summed_and_the_source_is_left_alone() -> None:
    twice = scipy.sparse.csr_matrix(([1, 2, 4], [1, 1, 0], [0, 3]), shape=(1, 3))
    assert np.asarray(lb.load(twice).x).tolist() == [[4, 3, 0]]
    assert twice.data.tolist() == [1, 2, 4] and twice.indices.tolist() == [1, 1, 0]


def test_missing_cells_make_an_array_of_it() -> None:
    holed = scipy.sparse.csr_array(np.array([[0, np.nan], [1, 0]]))
    with pytest.raises(DataMissing, match="row 0, column 1"):
        lb.load(holed)
    data = lb.load(holed, missing="nan")
    assert data.mask is not None and data.mask.tolist() == [[True, False], [True, True]]
    assert lb.load(scipy.sparse.csr_array(X), mask=X < 3).x[:].tolist() == np.where(X < 3, X, 0).tolist()


@pytest.mark.parametrize(
    ("matrix", "error", "words"),
    [
        (scipy.sparse.csr_array(np.array([[0, 0], [np.inf, 0]])), DataRange, "row 1, column 0.*not finite"),
        (scipy.sparse.csr_array(np.array([[1j, 0]])), DataFormat, "not plain numbers: found type complex128"),
        (scipy.sparse.csr_array((0, 3)), DataShape, "not a matrix with values"),
        (scipy.sparse.coo_array(np.array([1, 0])), DataShape, "not a matrix with values"),
    ],
)
def test_an_unsound_matrix_is_refused(matrix: Any, error: type[DataError], words: str) -> None:
    with pytest.raises(error, match=words):
        lb.load(matrix)


def test_a_sparse_mask_is_turned_away() -> None:
    with pytest.raises(DataFormat, match=r"mask.*source\.toarray\(\)"):
        lb.load(X, mask=scipy.sparse.csr_array(X > 1))


def test_a_place_outside_the_matrix_is_refused() -> None:
    matrix = scipy.sparse.csr_array(X)
    matrix.indices[5] = 99
    with pytest.raises(DataFormat, match="not a sound sparse matrix"):
        lb.load(matrix)


def test_a_count_below_zero_is_named_in_training() -> None:
    with pytest.raises(DataRange, match=r"row 2, column 4.*gives this value no probability"):
        lb.fit(scipy.sparse.csr_array(np.where(np.arange(300)[:, None] * 20 + np.arange(20) == 44, -1, X)),
               likelihood="poisson", epochs=1, progress=False)  # fmt: skip


def test_too_much_is_not_unpacked_at_once() -> None:
    wide = Sparse(scipy.sparse.csr_array((2_000_000, 20_000)))
    assert wide[[3, 1_999_999]].shape == (2, 20_000)
    with pytest.raises(DataShape, match="too large to unpack at once"):
        np.asarray(wide)


def test_the_columns_that_vary_most_stay_sparse() -> None:
    dense, sparse = (most_variable(lb.load(x), 5) for x in (X, scipy.sparse.csr_array(X)))
    assert isinstance(sparse.x, Sparse) and np.array_equal(sparse.x[:], dense.x)
    total = np.maximum(X.sum(1, keepdims=True), 1)
    spread = np.log1p(X * np.median(total) / total).var(axis=0)
    assert np.array_equal(dense.x, X[:, np.sort(np.argsort(-spread)[:5])])


def folder(path: Path, x: Any = X, packed: bool = True, features: str = "features.tsv") -> Path:
    """A matrix as 10x writes it: a line a feature, names beside it."""
    path.mkdir()
    scipy.io.mmwrite(path / "matrix.mtx", scipy.sparse.coo_matrix(np.asarray(x).T))
    names = "".join(f"ENSG{i}\t{'twice' if i < 2 else f'gene {i}'}\tGene Expression\n" for i in range(x.shape[1]))
    (path / features).write_text(names)
    (path / "barcodes.tsv").write_text("".join(f"cell-{i}\n" for i in range(len(x))))
    for file in list(path.iterdir()) if packed else []:
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return path


@pytest.mark.parametrize(("packed", "features"), [(True, "features.tsv"), (False, "genes.tsv")])
def test_a_folder_of_10x_is_read(tmp_path: Path, packed: bool, features: str) -> None:
    data = lb.load(folder(tmp_path / "cells", packed=packed, features=features))
    assert isinstance(data.x, Sparse) and data.x.dtype == np.int32 and np.array_equal(data.x[:], X)
    assert data.columns[:3] == ("ENSG0", "ENSG1", "gene 2") and data.source == str(tmp_path / "cells")


def test_a_run_from_a_folder_finds_its_rows_again(tmp_path: Path) -> None:
    run = lb.fit(folder(tmp_path / "cells"), out=tmp_path / "run", recipe="count-vae", epochs=1, progress=False)
    opened = lb.open(tmp_path / "run")
    assert np.array_equal(lb.encode(opened), lb.encode(run)) and isinstance(opened.data.x, Sparse)  # type: ignore[union-attr]
    assert opened.config.model.likelihood["exposure"] == "library"


HEADER = "%%MatrixMarket matrix coordinate integer general\n"


def broken(path: Path, file: str, content: bytes | None) -> Path:
    folder(path, X[:4, :3], packed=False)
    (path / file).unlink()
    if content is not None:
        (path / file).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("file", "content", "error", "words"),
    [
        ("barcodes.tsv", None, DataFormat, r"not there.*barcodes\.tsv\[\.gz\]"),
        ("features.tsv", None, DataFormat, r"features\.tsv\[\.gz\] or genes\.tsv"),
        ("barcodes.tsv", b"a\nb\n", DataShape, "3 x 4, 3 features, 2 barcodes"),
        ("barcodes.tsv", b"\xff\xfe\x00", DataFormat, r"barcodes\.tsv: damaged"),
        ("matrix.mtx", b"hello\n3 4 1\n1 1 5\n", DataFormat, "Missing banner"),
        ("matrix.mtx", b"", DataFormat, "Missing banner"),
        ("matrix.mtx", f"{HEADER}3 4 1\n4 1 5\n".encode(), DataFormat, "Line 3: Row index out of bounds"),
        ("matrix.mtx", f"{HEADER}3 4 2\n1 1 5\n".encode(), DataFormat, "Truncated"),
        ("matrix.mtx", f"{HEADER}3 4 1000000000000\n1 1 5\n".encode(), DataFormat, "length and header disagree"),
        ("matrix.mtx", f"{HEADER}3 4 1\n3 2 -5\n".encode(), DataRange,
         "feature 3, barcode 2: a count below 0: found -5"),
        ("matrix.mtx", HEADER.replace("integer", "real").encode() + b"3 4 1\n2 1 nan\n", DataMissing,
         "row 0, column 'gene 1'"),
        ("matrix.mtx", b"%%MatrixMarket matrix array integer general\n1 1\n1\n", DataFormat, "not a matrix of counts"),
    ],
)  # fmt: skip
def test_a_bad_folder_is_refused_by_name(
    tmp_path: Path, file: str, content: bytes | None, error: type[DataError], words: str
) -> None:
    path = broken(tmp_path / "cells", file, content)
    if file != "features.tsv":
        (path / "features.tsv").write_text("gene 0\ngene 1\ngene 2\n")
    with pytest.raises(error, match=words):
        lb.load(path)


def test_a_broken_off_archive_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "cells")
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz"):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataFormat, match=r"cells.*ended before"):
            lb.load(path)
        (path / name).write_bytes(whole)
    assert read_tenx(path)["x"].shape == X.shape
    with pytest.raises(DataFormat, match="Give the folder that holds"):
        lb.load(path / "matrix.mtx.gz")


def test_what_scipy_saved_is_read(tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "x.npz", scipy.sparse.csc_array(X))
    data = lb.load(tmp_path / "x.npz")
    assert isinstance(data.x, Sparse) and np.array_equal(data.x[:], X)


def annotated(path: Path, x: Any, *, layer: bool = False) -> Path:
    """A file as AnnData writes it."""
    h5py = pytest.importorskip("h5py", reason=H5AD)
    with h5py.File(path, "w") as file:
        for axis, size in (("obs", X.shape[0]), ("var", X.shape[1])):
            frame = file.create_group(axis)
            frame.attrs["_index"] = "names"
            frame.create_dataset("names", data=[f"{axis} {i}" for i in range(size)])
        kinds = file["obs"].create_group("line")
        kinds.create_dataset("categories", data=["A549", "H838"])
        kinds.create_dataset("codes", data=np.where(np.arange(300) == 4, -1, np.arange(300) % 2).astype(np.int8))
        file["obs"].create_dataset("depth", data=np.arange(300) % 3)
        if not scipy.sparse.issparse(x):
            file.create_dataset("X", data=x)
            return path
        group = file.create_group("layers/counts" if layer else "X")
        group.attrs["encoding-type"], group.attrs["shape"] = f"{x.format}_matrix", x.shape
        for name in ("data", "indices", "indptr"):
            group.create_dataset(name, data=getattr(x, name), compression="gzip")
    return path


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix])
def test_a_file_of_anndata_is_read(tmp_path: Path, make: Callable[[Any], Any]) -> None:
    data = lb.load(annotated(tmp_path / "x.h5ad", make(X)), labels="line")
    assert isinstance(data.x, Sparse) and np.array_equal(data.x[:], X) and data.columns[1] == "var 1"
    assert data.label_names == ("A549", "H838") and data.labels is not None
    assert data.labels[:6].tolist() == [0, 1, 0, 1, -1, 1]
    assert lb.load(tmp_path / "x.h5ad", labels="depth").label_names == ("0", "1", "2")
    assert lb.load(tmp_path / "x.h5ad", labels=np.zeros(300)).label_names == ("0",)


def test_other_matrices_of_a_file_are_named(tmp_path: Path) -> None:
    path = annotated(tmp_path / "x.h5ad", scipy.sparse.csr_matrix(X), layer=True)
    with pytest.raises(DataFormat, match=r"no matrix 'X': found layers/counts\. Name it with key"):
        lb.load(path)
    assert np.array_equal(lb.load(path, key="layers/counts").x[:], X)
    with pytest.raises(UnknownName, match=r"unknown column 'lines'.*line"):
        lb.load(path, key="layers/counts", labels="lines")
    assert np.array_equal(lb.load(annotated(tmp_path / "dense.h5ad", X)).x, X)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda file: file["X"].attrs.modify("shape", (299, 20)), DataFormat, "not a sound sparse matrix"),
        (lambda file: file["X/indices"].write_direct(np.full(len(file["X/indices"]), 77)), DataFormat, "not a sound"),
        (
            lambda file: file["X"].attrs.modify("encoding-type", "other"),
            DataFormat,
            "not a sparse matrix: found 'other'",
        ),
        (lambda file: file.__delitem__("X/indptr"), DataFormat, "not a sparse matrix"),
        (lambda file: file["X"].attrs.modify("shape", (300, 25)), DataShape, "does not fit its names.*20 in var"),
    ],
)
def test_a_bad_file_of_anndata_is_refused(
    tmp_path: Path, change: Callable[[Any], None], error: type[DataError], words: str
) -> None:
    h5py = pytest.importorskip("h5py", reason=H5AD)
    path = annotated(tmp_path / "x.h5ad", scipy.sparse.csr_matrix(X))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(error, match=words):
        lb.load(path)


def test_a_broken_off_file_of_anndata_is_refused(tmp_path: Path) -> None:
    path = annotated(tmp_path / "x.h5ad", scipy.sparse.csr_matrix(X))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataFormat, match=r"x\.h5ad: the file is damaged or not what its name says"):
        lb.load(path)


def test_no_more_than_a_batch_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest array that is ever made of the matrix, which has 11 MB if all of it is."""
    monkeypatch.setattr(batches, "FETCHED", 1 << 18)
    monkeypatch.setattr(batches, "UNPACKED", 1 << 16)
    unpacked, largest = Sparse._unpacked, [0]

    def watched(self: Sparse) -> Any:
        made = unpacked(self)
        largest.append(made.nbytes)
        return made

    monkeypatch.setattr(Sparse, "_unpacked", watched)
    x = scipy.sparse.random_array((1400, 2000), density=0.002, rng=np.random.default_rng(0), dtype=np.float32).tocsr()
    x.data = np.ceil(x.data * 4)
    run = lb.fit(x, latent=2, epochs=1, batch=32, encoder="linear", decoder="linear", validation=100, test=100,
                 likelihood="poisson:exposure=library", progress=False)  # fmt: skip
    lb.encode(run, x)
    lb.score(run, samples=1)
    assert 32 * 2000 * 4 <= max(largest) <= 1 << 20
