"""Thickness and slant of strokes whose true values are known."""

import numpy as np
import pytest

from lowerbound.errors import DataMissing, DataShape
from lowerbound.measures.strokes import slant, thickness


def bar(width: int, length: int) -> np.ndarray:
    image = np.zeros((1, 1, width + 4, length + 4))
    image[..., 2:-2, 2:-2] = 1
    return image


@pytest.mark.parametrize(("width", "length"), [(1, 400), (2, 300), (5, 500)])
def test_a_bar_is_as_thick_as_it_is(width: int, length: int) -> None:
    exact = width * length / (width + length)
    assert thickness(bar(width, length))[0] == pytest.approx(exact, rel=0.01)
    assert thickness(bar(width, length).swapaxes(2, 3))[0] == pytest.approx(exact, rel=0.01)


def test_faint_ink_is_no_thinner_and_no_ink_is_nothing() -> None:
    image = bar(3, 50)
    assert thickness(0.2 * image) == pytest.approx(thickness(image))
    assert thickness(0 * image)[0] == 0 and slant(0 * image)[0] == 0


@pytest.mark.parametrize("shear", [-0.5, 0.0, 0.25, 1.0])
def test_a_sheared_stroke_leans_by_its_shear(shear: float) -> None:
    """A column whose pixels of row r are moved by shear * height; row 0 is the top, so leaning right is positive."""
    height, image = 41, np.zeros((1, 1, 41, 121))
    for row in range(height):
        place = 60 + shear * (height // 2 - row)
        left = int(np.floor(place))
        image[0, 0, row, left], image[0, 0, row, left + 1] = 1 - (place - left), place - left
    assert slant(image)[0] == pytest.approx(np.degrees(np.arctan(shear)), abs=1e-9)
    assert slant(image[..., ::-1])[0] == pytest.approx(-np.degrees(np.arctan(shear)), abs=1e-9)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(DataShape, match="not images"):
        thickness(np.zeros((3, 4)))
    with pytest.raises(DataMissing, match="image 1"):
        slant(np.array([[[[0.0]]], [[[np.nan]]]]))
