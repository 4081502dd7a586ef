"""Factors for pictures that have none: each picture turned, scaled and moved over a full grid."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from lowerbound.data.source import Array, Data
from lowerbound.errors import BadOption, DataShape, unknown

GENERATORS = {
    "rotation": "angles, evenly over a whole turn",
    "scale": "sizes, from a half to the whole",
    "position": "places across, and as many down, within a quarter of the picture",
}
SMALLEST, FURTHEST = 0.5, 0.25
ROWS, PICTURES = 20_000, 50  # made at most, and taken, evenly spread


def variations(data: Data, generators: Mapping[str, Any]) -> Data:
    """Every picture in every combination of the generators, with the factors that made it.

    What moves in from outside repeats the border. Grey levels between pixels are interpolated; whole numbers are
    rounded, so that zeros and ones stay such.

    Args:
        data: pictures (N, C, H, W) without missing cells; 50 of them at most, evenly spread,
            and fewer where more than 20,000 rows would be made.
        generators: of ``rotation``, ``scale`` and ``position`` how many values each takes, 2 or more.

    Returns:
        Data with factors ``image`` (if there is more than one), ``rotation`` in degrees, ``scale``, ``x`` and ``y`` in
        pixels: those that vary.

    Raises:
        DataShape: not pictures, or cells that are missing. UnknownName: another generator. BadOption: not a number of
        values, none at all, or too many combinations.

    >>> made = variations(Data(np.eye(8).reshape(1, 1, 8, 8)), {"rotation": 4, "position": 3})
    >>> made.rows, made.factor_names
    (36, ('rotation', 'x', 'y'))
    """
    if not data.is_image or data.mask is not None:
        found = "missing cells" if data.is_image else f"rows of shape {data.shape}"
        raise DataShape("only whole pictures can be turned, scaled and moved", where=data.name, found=found)
    grid = _grid(generators, data.shape[1], data.shape[2])
    each = int(np.prod([len(values) for values in grid.values()]))
    if each > ROWS:
        raise BadOption("too many combinations", where="factors", found=f"{each}", expected=f"at most {ROWS}")
    chosen = np.unique(np.linspace(0, data.rows - 1, min(data.rows, PICTURES, ROWS // each)).round().astype(np.int64))
    table = np.array(list(product(chosen, *grid.values())))
    x = np.stack([_moved(data.x[int(i)], *settings) for i, *settings in table]).astype(data.x.dtype)
    names = ("image", *grid)
    varied = [k for k in range(len(names)) if len(np.unique(table[:, k])) > 1]
    labels = None if data.labels is None else data.labels[table[:, 0].astype(np.int64)]
    return replace(
        data, x=x, factors=table[:, varied], factor_names=tuple(names[k] for k in varied), labels=labels, source="",
        split=None,
    )  # fmt: skip


def parse_generators(written: str) -> dict[str, int]:
    """Generators as the command line writes them.

    >>> parse_generators("rotation=8,position=4")
    {'rotation': 8, 'position': 4}

    Raises:
        BadOption: not NAME=COUNT.
    """
    found = {}
    for piece in written.split(","):
        name, _, count = (side.strip() for side in piece.partition("="))
        if not count.isdecimal():
            raise BadOption("not a generator", where="factors", found=piece, expected="NAME=COUNT, as rotation=8")
        found[name] = int(count)
    return found


def _grid(generators: Mapping[str, Any], height: int, width: int) -> dict[str, Array]:
    for name, count in generators.items():
        if name not in GENERATORS:
            raise unknown("generator", name, GENERATORS, where="factors")
        if not isinstance(count, int) or count < 2:
            raise BadOption("not a number of values", where=f"factors: {name}", found=repr(count), expected="2 or more")
    if not generators:
        raise BadOption("no generator", where="factors", expected=", ".join(GENERATORS))
    turns, sizes, places = (generators.get(name, 1) for name in GENERATORS)
    return {
        "rotation": np.arange(turns) * 360 / turns,
        "scale": np.linspace(SMALLEST, 1, sizes) if sizes > 1 else np.ones(1),
        "x": np.linspace(-FURTHEST, FURTHEST, places) * width if places > 1 else np.zeros(1),
        "y": np.linspace(-FURTHEST, FURTHEST, places) * height if places > 1 else np.zeros(1),
    }


def _moved(picture: Array, rotation: float, scale: float, x: float, y: float) -> Array:
    """One picture (C, H, W), turned counter-clockwise about its middle, scaled, then moved right and down."""
    from scipy.ndimage import affine_transform  # the library takes a moment to load

    angle, middle = np.deg2rad(rotation), (np.array(picture.shape[1:]) - 1) / 2
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    offset = middle - back @ (middle + np.array([y, x]))
    channels = picture.astype(np.float64)
    made = np.stack([affine_transform(one, back, offset, order=1, mode="nearest") for one in channels])
    return np.rint(made) if picture.dtype.kind in "iub" else made
