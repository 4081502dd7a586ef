"""What may come in from memory, in which layout, and what is turned away."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from lowerbound.data import Data, load
from lowerbound.errors import BadOption, DataFormat, DataMissing, DataRange, DataShape

Shape = tuple[int, ...]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((5, 7), (5, 7)),
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 1, 8, 9), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 3, 8, 3), (5, 3, 8, 3)),
        ((5, 6, 8, 9), (5, 6, 8, 9)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_layouts(given: Shape, kept: Shape, dtype: str) -> None:
    x = np.arange(np.prod(given)).reshape(given).astype(dtype)
    data = load(x)
    assert data.x.shape == kept
    last = given[-1] != kept[-1]
    assert np.array_equal(data.x.reshape(given) if not last else data.x.transpose(0, 2, 3, 1), x)
    assert load(x, mask=x > 3).mask is not None


@pytest.mark.parametrize("shape", [(), (5,), (5, 9, 8, 4), (5, 2, 2, 2, 2), (0, 3), (3, 0), (0, 8, 8)])
def test_shapes_that_are_refused(shape: Shape) -> None:
    with pytest.raises(DataShape):
        load(np.zeros(shape))


TYPES = {"bool": "uint8", "float16": "float32", ">f8": "float64", ">i4": "int32", "uint16": "uint16", "int64": "int64"}


@pytest.mark.parametrize("dtype", sorted(TYPES))
def test_types(dtype: str) -> None:
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    data = load(x)
    assert data.x.dtype == np.dtype(TYPES[dtype])
    assert data.x.tolist() == [[0, 1], [1, 0]]
    assert x.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "complex64", "datetime64[s]", "longdouble"])
def test_types_that_are_refused_by_name(dtype: str) -> None:
    with pytest.raises(DataFormat, match=str(np.zeros((2, 2), dtype).dtype).replace("[", r"\[")):
        load(np.zeros((2, 2), dtype))


def test_lists_and_tensors() -> None:
    want = [[1.0, 2.0], [3.0, 4.0]]
    tensor = torch.tensor(want, requires_grad=True)
    for given in (want, tuple(map(tuple, want)), tensor, np.array(want), Data(np.array(want))):
        assert load(given).x.tolist() == want
    with pytest.raises(DataShape, match="differ in length"):
        load([[1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.zeros(2, 2, dtype=torch.bfloat16), "bfloat16"),
        (sparse.csr_array(np.eye(2) * 1j), "type complex128"),
        ((i for i in range(3)), "generator"),
        ({"a": [1.0]}, "dict"),
        (np.ma.masked_array(np.eye(2)), "mask=~x.mask"),
        ([["a", "b"]], "type <U1"),
        ([[1.0, None]], "Missing cells are NaN"),
        (3, "int"),
        (None, "NoneType"),
    ],
)
def test_values_that_are_turned_away(given: Any, words: str) -> None:
    with pytest.raises(DataFormat, match=words):
        load(given)


def test_missing_cells() -> None:
    x = np.array([[1.0, np.nan], [3.0, 4.0]])
    with pytest.raises(DataMissing, match=r"array, row 0, column 1: .* missing = 'nan'"):
        load(x)
    data = load(x, missing="nan")
    assert data.mask is not None and data.mask.tolist() == [[True, False], [True, True]]
    assert data.x.tolist() == [[1, 0], [3, 4]]
    assert np.isnan(x[0, 1])
    assert load(x[1:], missing="nan").mask is None
    with pytest.raises(BadOption, match="'error' or 'nan'"):
        load(x, missing="skip")


def test_a_mask_and_missing_cells_add_up() -> None:
    x = np.array([[1.0, np.nan, 3.0, np.inf]])
    mask = np.array([[True, True, False, False]])
    data = load(x, mask=mask, missing="nan")
    assert data.mask is not None and data.mask.tolist() == [[True, False, False, False]]
    assert data.x.tolist() == [[1, 0, 0, 0]]
    assert mask.tolist() == [[True, True, False, False]]
    assert load(np.array([[1.0, np.nan]]), mask=[[True, False]]).x.tolist() == [[1, 0]]
    with pytest.raises(DataFormat, match="bool"):
        load(x, mask=np.ones((1, 4)))
    with pytest.raises(DataShape, match="mask"):
        load(x, mask=np.ones((1, 3), bool))


def test_infinite_cells_are_always_refused() -> None:
    x = np.zeros((2, 4, 4))
    x[1, 2, 3] = -np.inf
    with pytest.raises(DataRange, match=r"row 1, channel 0, pixel \(2, 3\): .*found -inf"):
        load(x, missing="nan")


def test_data_come_through_unchanged() -> None:
    data = load(np.eye(3), labels=[3, 1, 3]).with_split(1, 1)
    again = load(data)
    assert again.fingerprint == data.fingerprint and again.split is data.split
    holes = load(Data(np.array([[np.nan, 1.0]]), columns=("a", "b")), missing="nan")
    assert holes.mask is not None and holes.columns == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "codes", "names"),
    [
        ([7, 3, 7], [1, 0, 1], ("3", "7")),
        ([1.0, np.nan, 0.0], [1, -1, 0], ("0", "1")),
        (["b", "", "a"], [1, -1, 0], ("a", "b")),
        (np.array([b"b", b"a", b"a"]), [1, 0, 0], ("a", "b")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
    ],
)
def test_labels(labels: Any, codes: list[int], names: tuple[str, ...]) -> None:
    data = load(np.eye(3), labels=labels)
    assert data.labels is not None and data.labels.dtype == np.int64
    assert data.labels.tolist() == codes and data.label_names == names


@pytest.mark.parametrize("labels", [[0.5, 1, 2], [[1, 2], [3, 4], [5, 6]], [1, 2], [None, 1, 2]])
def test_labels_that_are_refused(labels: Any) -> None:
    with pytest.raises((DataFormat, DataShape), match="label"):
        load(np.eye(3), labels=labels)


def test_labels_by_name_need_columns() -> None:
    with pytest.raises(BadOption, match="labels"):
        load(np.eye(3), labels="kind")


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_frames(package: str) -> None:
    frames = pytest.importorskip(package)
    frame = frames.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 1.5], "kind": ["x", "y", "x"]})
    data = load(frame, labels="kind", missing="nan")
    assert data.columns == ("a", "b")
    assert data.values().tolist() == [[1, 0.5], [2, 0], [3, 1.5]]
    assert data.mask is not None and not data.mask[1, 1]
    assert data.label_names == ("x", "y")
    typed = load(frame)
    assert typed.schema is not None and [column.kind for column in typed.schema] == ["count", "positive", "binary"]
    assert typed.schema.columns[2].categories == ("x", "y") and typed.x[:, 2].tolist() == [0, 1, 0]
    with pytest.raises(DataMissing, match="row 1, column 'b'"):
        load(frame[["a", "b"]], missing="error")
    with pytest.raises(DataFormat, match=r"column 'z'.*not of plain values"):
        load(frames.DataFrame({"z": [[1], [2]]}))
