"""Files of arrays: what is written comes back, and what is damaged is named, whatever the damage."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from lowerbound.data import load
from lowerbound.errors import BadOption, DataFormat, DataNotFound, DataShape, LowerboundError, UnknownName

Array = np.ndarray[Any, Any]
PICTURES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
IDX = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(x: Array) -> bytes:
    head = bytes([0, 0, IDX[x.dtype.str[1:]], x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape)
    return head + x.astype(x.dtype.newbyteorder(">")).tobytes()


def npy_bytes(x: Array, **options: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, x, **options)
    return out.getvalue()


def npz_bytes(**named: Array) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **named)
    return out.getvalue()


def zip_bytes(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


def mat_bytes(**named: object) -> bytes:
    out = io.BytesIO()
    scipy.io.savemat(out, named, do_compression=True)
    return out.getvalue()


WRITERS: dict[str, Callable[[Array], bytes]] = {
    "a.idx": idx_bytes,
    "t10k-images-idx3-ubyte": idx_bytes,
    "t10k-images.idx3-ubyte.gz": lambda x: gzip.compress(idx_bytes(x)),
    "a.npy": npy_bytes,
    "a.npz": lambda x: npz_bytes(x=x),
    "a.mat": lambda x: mat_bytes(x=x),
}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", sorted(WRITERS))
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_round_trip(tmp_path: Path, name: str, dtype: str) -> None:
    x = (PICTURES - 7).astype(dtype)
    data = load(written(tmp_path, name, WRITERS[name](x)))
    assert data.x.dtype == x.dtype
    assert np.array_equal(data.x, x[:, None])
    assert data.name == name
    assert load(data.source).fingerprint == data.fingerprint


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_npy_in_every_order(tmp_path: Path, version: tuple[int, int]) -> None:
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3)).astype(">f8")
    data = load(written(tmp_path, "a.npy", npy_bytes(x, version=version)))
    assert data.x.dtype.isnative
    assert np.array_equal(data.x, x)


def test_a_large_npy_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowerbound.data.formats.MAP_ABOVE", 100)
    x = np.arange(60.0).reshape(20, 3)
    data = load(written(tmp_path, "a.npy", npy_bytes(x)))
    assert not data.x.flags.writeable and not data.x.flags.owndata
    assert data.fingerprint == load(x).fingerprint


@pytest.mark.parametrize("key", ["x", "X", "imgs", "images", "data", "anything"])
@pytest.mark.parametrize("label", ["y", "label", "labels"])
def test_archives_find_values_labels_and_factors(tmp_path: Path, key: str, label: str) -> None:
    y = np.array(["b", "a"])
    classes = np.array([[1, 2], [3, 4]])
    named = {key: PICTURES, label: y, "latents_classes": classes}
    data = load(written(tmp_path, "a.npz", npz_bytes(**named)), key=key if key == "anything" else None)
    assert np.array_equal(data.x[:, 0], PICTURES)
    assert data.labels is not None and data.labels.tolist() == [1, 0] and data.label_names == ("a", "b")
    assert np.array_equal(data.factors, classes) and data.factor_names == ("factor 0", "factor 1")  # type: ignore[arg-type]


def test_matlab_labels_are_a_column(tmp_path: Path) -> None:
    data = load(written(tmp_path, "a.mat", mat_bytes(X=np.eye(3), y=np.array([[1], [0], [1]]), note="text")))
    assert data.labels is not None and data.labels.tolist() == [1, 0, 1]


def test_labels_given_go_before_labels_found(tmp_path: Path) -> None:
    path = written(tmp_path, "a.npz", npz_bytes(x=np.eye(2), y=np.arange(2)))
    assert load(path, labels=["q", "p"]).label_names == ("p", "q")


OBJECTS = npy_bytes(np.array([[1, 2]], dtype=object), allow_pickle=True)


def test_objects_beside_the_values_are_not_read(tmp_path: Path) -> None:
    content = zip_bytes(imgs=npy_bytes(PICTURES), metadata=OBJECTS)
    assert np.array_equal(load(written(tmp_path, "a.npz", content)).x[:, 0], PICTURES)


GOOD = {name: write(PICTURES) for name, write in WRITERS.items()}
LYING_NPY = npy_bytes(np.zeros((2, 5))).replace(b"(2, 5)", b"(9, 9)")
HUGE_NPY = npy_bytes(np.zeros((2, 500000000), dtype="V0")).replace(b"'|V0'", b"'<f8'")
SHORT_IDX = idx_bytes(PICTURES)[:-1]
HUGE_IDX = b"\0\0\x08\x03" + struct.pack(">3I", 10**9, 10**3, 10**3) + b"0123456789"

DAMAGE = {
    "empty.npy": (b"", "an empty file"),
    "empty.npz": (b"", "File is not a zip file"),
    "empty.mat": (b"", "an empty file"),
    "empty.idx": (b"", "an empty file"),
    "empty.idx3-ubyte.gz": (b"", "an empty file"),
    "empty.csv": (b"", "the file is empty"),
    "png.npy": (b"\x89PNG\r\n\x1a\n....", "found a PNG file"),
    "zip.npy": (GOOD["a.npz"], r"found a zip \(npz\) file"),
    "gzip.idx": (GOOD["t10k-images.idx3-ubyte.gz"], "found a gzip file"),
    "plain.idx3-ubyte.gz": (idx_bytes(PICTURES), "BadGzipFile"),
    "text.mat": (b"not a matlab file at all" * 20, "damaged or not what its name says"),
    "hdf.mat": (b"\x89HDF\r\n\x1a\n" + b"\0" * 600, "damaged or not what its name says"),
    "text.npz": (b"hello", "not a zip file"),
    "wrong.idx": (b"\0\0\x07\x01\0\0\0\x01x", "expected an idx header"),
    "short.idx": (SHORT_IDX, "found 23 bytes, expected 24 bytes"),
    "long.idx": (idx_bytes(PICTURES) + b"x", "found 25 bytes, expected 24 bytes"),
    "short.idx3-ubyte.gz": (gzip.compress(SHORT_IDX), "found 23, expected 24 bytes"),
    "long.idx3-ubyte.gz": (gzip.compress(idx_bytes(PICTURES) + b"x"), "found more, expected 24 bytes"),
    "huge.idx": (HUGE_IDX, "expected 1,000,000,000,000,000 bytes"),
    "huge.idx3-ubyte.gz": (gzip.compress(HUGE_IDX), "expected 1,000,000,000,000,000 bytes"),
    "cut.idx3-ubyte.gz": (GOOD["t10k-images.idx3-ubyte.gz"][:-12], "EOFError"),
    "crc.idx3-ubyte.gz": (GOOD["t10k-images.idx3-ubyte.gz"][:-8] + b"\0" * 8, "CRC"),
    "lying.npy": (LYING_NPY, "found 80 bytes, expected 648 bytes"),
    "lying.npz": (zip_bytes(x=LYING_NPY), "found 80 bytes, expected 648 bytes"),
    "huge.npy": (HUGE_NPY, "expected 8,000,000,000 bytes"),
    "longhead.npy": (b"\x93NUMPY\x01\x00\xff\xff{", "header is longer"),
    "objects.npy": (OBJECTS, "holds Python objects"),
    "objects.npz": (zip_bytes(x=OBJECTS), "holds Python objects"),
    "complex.npy": (npy_bytes(np.eye(2) * 1j), "type complex128"),
    "text.npy": (npy_bytes(np.array([["a"]])), "type <U1"),
    "several.npz": (npz_bytes(left=np.eye(2), right=np.eye(2)), r"found left, right.*Name it with key"),
    "both.npz": (npz_bytes(x=np.eye(2), data=np.eye(2)), r"found data, x"),
    "several.mat": (mat_bytes(left=np.eye(2), right=np.eye(2)), r"found left, right"),
    "none.mat": (mat_bytes(note={"a": 1}), "which array holds the values"),
    "unknown.xyz": (b"1", "ending of the name"),
}


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    content, words = DAMAGE[name]
    path = written(tmp_path, name, content)
    with pytest.raises(DataFormat, match=words) as error:
        load(path)
    assert (str(path) in str(error.value) or str(error.value).startswith(name)) and "\n" not in str(error.value)


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowerbound.data.formats.CAP", 1000)
    x = np.zeros((100, 100), np.uint8)
    for name, content in (("a.npz", npz_bytes(x=x)), ("a.mat", mat_bytes(x=x))):
        with pytest.raises(DataShape, match=r"too large to unpack.*at most 1,000"):
            load(written(tmp_path, name, content))
    with pytest.raises(DataShape, match="too large"):
        load(written(tmp_path, "a.idx3-ubyte.gz", gzip.compress(idx_bytes(x))))


@pytest.mark.parametrize("name", [*sorted(WRITERS), "a.csv", "a.csv.gz"])
def test_no_damage_escapes(tmp_path: Path, name: str) -> None:
    """Cut everywhere, and one byte changed everywhere: the right values or one of our errors, nothing else."""
    text = b"a;b\n" + b"1.5;2\n" * 9
    good = {"a.csv": text, "a.csv.gz": gzip.compress(text), **GOOD}[name]
    random = np.random.default_rng(0)
    step = max(1, len(good) // 60)
    cut = [good[:n] for n in range(0, len(good), step)]
    changed = [good[:n] + bytes([good[n] ^ random.integers(1, 256)]) + good[n + 1 :] for n in range(0, len(good), step)]
    for content in cut + changed:
        try:
            load(written(tmp_path, name, content))
        except LowerboundError as error:
            assert "\n" not in str(error)


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="no such file"):
        load(tmp_path / "nothing.npy")
    odd = tmp_path / "a b\u00e9.npy"
    np.save(odd, np.eye(2))
    assert load(str(odd)).name == "a b\u00e9.npy"
    assert load(odd).source == str(odd.resolve())


def test_options_without_use_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.npy", npy_bytes(np.eye(2)))
    with pytest.raises(BadOption, match="key is of no use here"):
        load(path, key="x")
    with pytest.raises(BadOption, match="header is of no use here"):
        load(path, header=True)
    with pytest.raises(UnknownName, match="Did you mean 'left'"):
        load(written(tmp_path, "a.npz", npz_bytes(left=np.eye(2), right=np.eye(2))), key="lefd")
