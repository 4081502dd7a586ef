"""Factors made by turning, scaling and moving pictures."""

from typing import Any

import numpy as np
import pytest

from lowerbound.data import Data
from lowerbound.data.variations import parse_generators, variations
from lowerbound.errors import BadOption, DataShape, LowerboundError, UnknownName

PICTURE = np.random.default_rng(0).integers(0, 2, (1, 1, 8, 8)).astype(np.uint8)


def test_quarter_turns_are_exact() -> None:
    made = variations(Data(PICTURE), {"rotation": 4})
    assert made.factors is not None and made.factors[:, 0].tolist() == [0, 90, 180, 270]
    for k in range(4):
        assert np.array_equal(made.x[k, 0], np.rot90(PICTURE[0, 0], k)), k
    assert made.x.dtype == np.uint8 and made.factor_names == ("rotation",)


def test_moves_are_to_the_right_and_down_and_repeat_the_border() -> None:
    made = variations(Data(PICTURE), {"position": 3})
    assert made.factor_names == ("x", "y") and made.factors is not None
    shifted = {tuple(place): x[0] for place, x in zip(made.factors.tolist(), made.x, strict=True)}
    assert np.array_equal(shifted[2, 0][:, 2:], PICTURE[0, 0, :, :-2])
    assert np.array_equal(shifted[0, 2][2:], PICTURE[0, 0, :-2])
    assert np.array_equal(shifted[0, 2][0], PICTURE[0, 0, 0])


def test_a_half_of_the_size_has_a_quarter_of_the_area() -> None:
    x = np.zeros((1, 3, 32, 32))
    x[:, :, 8:24, 8:24] = 1.0
    made = variations(Data(x), {"scale": 2})
    areas = made.x.sum((1, 2, 3))
    assert areas[0] / areas[1] == pytest.approx(0.25, rel=0.02) and made.x.dtype == np.float64


def test_the_grid_is_full_and_pictures_are_a_factor() -> None:
    data = Data(np.zeros((200, 1, 8, 8)), labels=np.arange(200))
    made = variations(data, {"rotation": 3, "scale": 2})
    assert made.factor_names == ("image", "rotation", "scale") and made.factors is not None and made.labels is not None
    counts = [len(np.unique(column)) for column in made.factors.T]
    assert counts == [50, 3, 2] and made.rows == 300 == len(np.unique(made.factors, axis=0))
    assert np.array_equal(made.labels, made.factors[:, 0]) and made.split is None and made.source == ""


def test_what_cannot_be_made_is_refused() -> None:
    images = Data(PICTURE)
    bad: list[tuple[type[LowerboundError], Data, dict[str, Any]]] = [
        (DataShape, Data(np.zeros((3, 2))), {"rotation": 2}), (UnknownName, images, {"shear": 2}),
        (DataShape, Data(PICTURE, mask=np.ones(PICTURE.shape, bool)), {"scale": 2}), (BadOption, images, {}),
        (BadOption, images, {"rotation": 1}), (BadOption, images, {"rotation": 2.5}),
        (BadOption, images, {"position": 200}),
    ]  # fmt: skip
    for error, data, generators in bad:
        with pytest.raises(error):
            variations(data, generators)
    assert parse_generators("rotation=8, scale = 3") == {"rotation": 8, "scale": 3}
    with pytest.raises(BadOption, match="NAME=COUNT"):
        parse_generators("rotation")
