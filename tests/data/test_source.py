"""`Data` and `Split`: the same values whatever the layout in memory, and splits that are what they say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound.data import Data, Split, load
from lowerbound.errors import BadOption, DataError, DataRange, DataShape, UnknownName

Array = np.ndarray[Any, Any]


def strided(x: Array) -> Array:
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "strided": strided,
    "fortran": np.asfortranarray,
    "backwards": lambda x: x[::-1].copy()[::-1],
    "mirrored": lambda x: x[:, ::-1].copy()[:, ::-1],
    "read only": read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
}
SHAPES = st.one_of(
    arrays.array_shapes(min_dims=2, max_dims=3, max_side=5),
    st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 4), st.integers(1, 4)),
)
DTYPES = st.sampled_from(["uint8", "int16", "int64", "float32", "float64", "bool"])


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(LAYOUTS)))
def test_the_layout_in_memory_does_not_matter(draw: st.DataObject, layout: str) -> None:
    dtype = draw.draw(DTYPES)
    elements = {"min_value": -(2.0**99), "max_value": 2.0**99} if dtype.startswith("float") else {}
    x = draw.draw(arrays.arrays(dtype, SHAPES, elements=elements))
    other = LAYOUTS[layout](x)
    before = other.tobytes()
    want, got = load(x), load(other)
    assert got.fingerprint == want.fingerprint
    np.testing.assert_array_equal(got.values(), want.values())
    assert got.values().flags.c_contiguous
    assert other.tobytes() == before
    assert other.dtype.isnative == (layout != "big-endian" or x.dtype.itemsize == 1)


def test_one_value_repeated_by_strides() -> None:
    x = np.broadcast_to(np.float32(0.5), (1000, 7))
    data = load(x)
    assert data.x.strides == (0, 0)
    assert data.fingerprint == load(np.full((1000, 7), 0.5, np.float32)).fingerprint


def test_values_may_be_written_to_and_rows_may_not() -> None:
    x = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    load(x).values()[:] = 7
    assert x[0, 0] == 0


def table(**more: Any) -> Data:
    return Data(np.arange(40.0).reshape(20, 2), columns=("group", "value"), **more)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: replace(d, unit=2.0),
        lambda d: replace(d, columns=("a", "b")),
        lambda d: replace(d, labels=np.zeros(20, np.int64)),
        lambda d: replace(d, mask=d.x > 3),
        lambda d: replace(d, x=d.x.astype(np.float32)),
        lambda d: replace(d, x=np.where(d.x == 39, 40, d.x)),
        lambda d: d.take(slice(0, 19)),
        lambda d: d.take(np.arange(20)[::-1]),
    ],
)
def test_the_fingerprint_sees_every_change(change: Callable[[Data], Data]) -> None:
    assert change(table()).fingerprint != table().fingerprint


def test_the_fingerprint_ignores_names_and_what_is_masked() -> None:
    mask = np.arange(40).reshape(20, 2) != 5
    data = table(mask=mask)
    hidden = replace(data, x=np.where(mask, data.x, np.nan), name="other", source="elsewhere")
    assert hidden.fingerprint == data.with_split().fingerprint == data.fingerprint


def test_the_fingerprint_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table().fingerprint
    monkeypatch.setattr("lowerbound.data.source.CHUNK", 6)
    assert table().fingerprint == whole


def test_eight_bit_images_are_scaled_and_binary_ones_are_not() -> None:
    grey = load(np.full((2, 4, 4), 255, np.uint8))
    assert grey.unit == 1 / 255
    assert grey.values().max() == 1.0
    assert load(np.ones((2, 4, 4), np.uint8)).unit == 1.0
    assert load(np.full((2, 4), 255, np.uint8)).unit == 1.0


def test_masked_cells_are_zero_whatever_lies_under_them() -> None:
    data = Data(np.array([[1.0, np.nan], [np.inf, 2.0]]), mask=np.array([[True, False], [False, True]]))
    assert data.values().tolist() == [[1, 0], [0, 2]]


def test_a_value_too_large_for_the_type_is_refused() -> None:
    data = Data(np.array([[2.0**990, 1.0]]), name="big")
    assert data.values(dtype=np.float64)[0, 0] == 2.0**990
    with pytest.raises(DataRange, match=r"big: .*at most 3.40282e\+38, the largest float32"):
        data.values()
    assert Data(data.x, mask=data.x < 2).values().tolist() == [[0, 1]]


def test_values_are_floats() -> None:
    with pytest.raises(BadOption, match="int64"):
        load(np.full((2, 4, 4), 9, np.uint8)).values(dtype=np.int64)


def test_take_takes_all_that_goes_with_a_row() -> None:
    labels = np.arange(20) % 3
    data = table(labels=labels, label_names=("a", "b", "c"), factors=labels[:, None], factor_names=("f",))
    taken = data.take(np.arange(20) % 2 == 1)
    assert taken.x[:, 0].tolist() == list(range(2, 40, 4))
    assert taken.labels is not None and taken.labels.tolist() == labels[1::2].tolist()
    assert taken.factors is not None and taken.factors[:, 0].tolist() == labels[1::2].tolist()
    assert taken.label_names == ("a", "b", "c")


def test_a_run_of_rows_stays_a_view() -> None:
    data = table()
    assert np.shares_memory(data.take(np.arange(3, 9)).x, data.x)
    assert data.take([3, 5]).x[:, 0].tolist() == [6, 10]
    assert data.take([-2, -1]).x[:, 0].tolist() == [36, 38]


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": np.zeros((2, 3, 4))},
        {"mask": np.ones((2, 2), bool)},
        {"labels": np.zeros(3, np.int64)},
        {"factors": np.zeros((20, 2)), "factor_names": ("one",)},
        {"columns": ("one",)},
        {"split": Split(np.arange(5), np.arange(4, 6), np.arange(6, 7))},
        {"split": Split(np.arange(5), np.arange(5, 5), np.arange(20, 21))},
    ],
)
def test_parts_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataShape):
        replace(table(), **wrong)


def sizes(data: Data) -> tuple[int, int, int]:
    return data.train.rows, data.validation.rows, data.test.rows


@settings(max_examples=40, deadline=None)
@given(
    st.integers(3, 200), st.floats(0, 0.3), st.floats(0, 0.3), st.integers(0, 5), st.sampled_from(["random", "time"])
)
def test_a_split_is_a_partition(rows: int, validation: float, test: float, seed: int, how: str) -> None:
    data = Data(np.arange(rows, dtype=float)[:, None]).with_split(validation, test, seed, how)
    assert data.split is not None
    parts = (data.split.train, data.split.validation, data.split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    for part, size in ((parts[1], validation), (parts[2], test)):
        assert abs(len(part) - size * rows) <= 1 and (len(part) > 0) == (size > 0)
    if how == "time":
        assert np.concatenate(parts).tolist() == list(range(rows))


def test_a_split_depends_on_the_seed_alone() -> None:
    first, again, other = (table().with_split(seed=seed).test.x.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_sizes_are_counts_or_fractions() -> None:
    assert sizes(table().with_split(3, 0.2)) == (13, 3, 4)
    assert sizes(table().with_split(0, 0)) == (20, 0, 0)


def test_groups_stay_together() -> None:
    group = np.arange(60) * 7 % 10
    data = Data(np.stack([group, np.arange(60)], axis=1).astype(float), columns=("group", "value"), labels=group)
    for column in ("group", "label"):
        split = data.with_split(0.2, 0.2, seed=3, how=f"group:{column}")
        seen = [set(part.x[:, 0]) for part in (split.train, split.validation, split.test)]
        assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
        assert sizes(split) == (36, 12, 12)


def test_a_published_test_set_is_kept() -> None:
    rows = np.arange(20)
    data = table(split=Split(rows[:15], rows[:0], rows[15:]))
    for how in (None, "given", "random", "time"):
        split = data.with_split(5, 0.5, how=how).split
        assert split is not None
        assert split.test.tolist() == rows[15:].tolist()
        assert len(split.validation) == 5
        assert max(split.train.max(), split.validation.max()) < 15
    whole = table(split=Split(rows[:10], rows[10:15], rows[15:]))
    assert whole.with_split(how="given").split is whole.split


def test_how_the_data_came_is_kept() -> None:
    assert table().with_split(how="time").with_split(5, 5).test.x[0, 0] == 30


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"validation": 0.5, "test": 0.5}, DataShape, "no row is left"),
        ({"test": -0.1}, BadOption, "test"),
        ({"test": 21}, BadOption, "count to 20"),
        ({"validation": 1.5}, BadOption, "validation"),
        ({"seed": -1}, BadOption, "seed"),
        ({"how": "given"}, BadOption, "no split was published"),
        ({"how": "randm"}, UnknownName, "Did you mean 'random'"),
        ({"how": "group:grup"}, UnknownName, "Did you mean 'group'"),
    ],
)
def test_a_split_that_cannot_be_is_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        table().with_split(**options)


def test_there_is_no_test_set_before_the_split() -> None:
    with pytest.raises(DataError, match="with_split"):
        _ = table().test


def test_mapped_rows_stay_mapped(tmp_path: Path) -> None:
    path = tmp_path / "rows.dat"
    np.arange(200, dtype=np.float32).tofile(path)
    mapped = np.memmap(path, np.float32, "r", shape=(50, 4))
    data = load(mapped)
    assert np.shares_memory(data.with_split(how="time").train.x, mapped)
    assert data.fingerprint == load(np.array(mapped)).fingerprint
