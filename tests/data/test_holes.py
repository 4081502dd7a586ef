"""Masks by name, and text tables with their holes filled."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from lowerbound.data import Data
from lowerbound.data.holes import box, half, hide, scattered
from lowerbound.data.refill import refilled
from lowerbound.errors import BadOption, DataShape, UnknownName

IMAGES = (2, 1, 5, 4)


@pytest.mark.parametrize(
    ("side", "hidden"),
    [("top", np.s_[:3, :]), ("bottom", np.s_[2:, :]), ("left", np.s_[:, :2]), ("right", np.s_[:, 2:])]
)  # fmt: skip
def test_a_half(side: str, hidden: tuple[slice, slice]) -> None:
    expected = np.ones((5, 4), bool)
    expected[hidden] = False
    assert (half(IMAGES, side) == expected).all()  # type: ignore[arg-type]


def test_a_box_lies_in_the_middle() -> None:
    mask = box((1, 3, 8, 8), 0.25)
    assert not mask[:, :, 3:5, 3:5].any() and mask.sum() == 3 * (64 - 4)
    assert not box((1, 1, 4, 4), 1.0).any()


def test_scattered_cells_are_as_many_as_asked_and_follow_the_seed() -> None:
    one, two = scattered((100, 7), 0.3), scattered((100, 7), 0.3, seed=1)
    assert (~one).sum() == (~two).sum() == 210 and (one != two).any()
    assert np.array_equal(one, scattered((100, 7), 0.3))


def test_hiding_adds_to_what_is_missing() -> None:
    missing = np.ones(IMAGES, bool)
    missing[0, 0, 0, 0] = False
    mask = hide(Data(np.zeros(IMAGES), mask=missing), "half:bottom").mask
    assert mask is not None and not mask[0, 0, 0, 0] and mask[1, 0, 0, 0]
    mask = hide(Data(np.zeros(IMAGES)), "random:0.2", seed=3).mask
    assert mask is not None and np.array_equal(mask, scattered(IMAGES, 0.2, 3))


@pytest.mark.parametrize(
    ("how", "error"),
    [("thirds", UnknownName), ("half:middle", UnknownName), ("random:0", BadOption), ("box:2", BadOption),
     ("random:much", BadOption)],
)  # fmt: skip
def test_ways_that_are_none_are_refused(how: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        hide(Data(np.zeros(IMAGES)), how)
    with pytest.raises(DataShape, match="not images"):
        half((3, 4))


FILES = {
    b"a,b\n1,\n?,4\n": b"a,b\n1,9\n8,4\n",
    b'a;b\r\n"1,5";\r\n;2,25\r\n': b'a;b\r\n"1,5";9\r\n8;2,25\r\n',
    b"\xef\xbb\xbfa\tb\n1.50\t \n\n\tx": b"\xef\xbb\xbfa\tb\n1.50\t 9\n\n8\tx",
    b'a,b\n"two\nlines",""\nNA,"c, d"': b'a,b\n"two\nlines","9"\n8,"c, d"',
}


@pytest.mark.parametrize("before", FILES)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_all_but_the_holes_stays_as_it_was(before: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(before) if name.endswith("gz") else before)
    made = refilled(path, {(0, "b"): "9", (1, "a"): "8"}, 2)
    assert (gzip.decompress(made) if name.endswith("gz") else made) == FILES[before]
    with pytest.raises(DataShape, match="'c'"):
        refilled(path, {(0, "c"): "9"}, 2)
    with pytest.raises(DataShape, match="another number of rows"):
        refilled(path, {}, 7)


def test_decimal_commas_quotes_and_files_without_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"1,5;x\n;\n")
    assert refilled(path, {(1, "c1"): "2.25", (1, "c2"): "y;z"}, 2) == b'1,5;x\n2,25;"y;z"\n'
