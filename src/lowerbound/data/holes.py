"""Masks that hide cells whose values are known, to see how well they are filled in."""

from dataclasses import replace
from typing import Literal

import numpy as np

from lowerbound.data.source import Array, Data
from lowerbound.errors import BadOption, DataShape, unknown

Side = Literal["top", "bottom", "left", "right"]
SIDES = ("top", "bottom", "left", "right")


def half(shape: tuple[int, ...], side: Side = "bottom") -> Array:
    """A mask, True = observed, that hides one half of an image: of an odd number of lines the larger.

    Args:
        shape: of rows, (rows, C, H, W).
        side: that is hidden.

    Raises:
        DataShape: not images. UnknownName: another side.

    >>> half((1, 1, 2, 2), "bottom")[0, 0].tolist()
    [[True, True], [False, False]]
    """
    height, width = _image(shape)
    if side not in SIDES:
        raise unknown("side", str(side), SIDES)
    mask = np.ones(shape, bool)
    lines = {"top": np.s_[: -(height // -2)], "bottom": np.s_[height // 2 :]}
    columns = {"left": np.s_[: -(width // -2)], "right": np.s_[width // 2 :]}
    mask[:, :, lines.get(side, slice(None)), columns.get(side, slice(None))] = False
    return mask


def box(shape: tuple[int, ...], share: float = 0.5) -> Array:
    """A mask that hides a box in the middle of an image.

    Args:
        shape: of rows, (rows, C, H, W).
        share: of the height and of the width that the box takes, above 0, at most 1.

    Raises:
        DataShape: not images. BadOption: a share that cannot be.

    >>> int((~box((1, 1, 8, 8))).sum())
    16
    """
    height, width = _image(shape)
    tall, wide = (max(1, round(_share(share) * size)) for size in (height, width))
    top, left = (height - tall) // 2, (width - wide) // 2
    mask = np.ones(shape, bool)
    mask[:, :, top : top + tall, left : left + wide] = False
    return mask


def scattered(shape: tuple[int, ...], share: float = 0.5, seed: int = 0) -> Array:
    """A mask that hides that share of all cells, at random whatever they hold: missing completely at random.

    Args:
        shape: of rows, (rows, ...).
        share: above 0, at most 1.
        seed: of the choice.

    Raises:
        BadOption: a share or a seed that cannot be.

    >>> int(scattered((10, 4), 0.25).sum())
    30
    """
    cells = int(np.prod(shape))
    if seed < 0:
        raise BadOption("a seed is not negative", where="seed", found=str(seed))
    hidden = np.random.Generator(np.random.PCG64(seed)).permutation(cells)[: round(_share(share) * cells)]
    mask = np.ones(cells, bool)
    mask[hidden] = False
    return mask.reshape(shape)


def hide(data: Data, how: str = "random", seed: int = 0) -> Data:
    """Rows with cells hidden in a way that has a name; what was missing stays missing.

    Args:
        data: any rows; images for ``half`` and ``box``.
        how: ``random``, ``half`` or ``box``, and after a colon how much or which: ``random:0.3``, ``half:top``,
            ``box:0.25``.
        seed: of ``random``.

    Raises:
        UnknownName: no such way, or side. BadOption: a share that cannot be. DataShape: not images.

    >>> hide(Data(np.zeros((2, 1, 4, 4))), "half:left").mask.mean().item()
    0.5
    """
    name, _, value = how.partition(":")
    if name not in ("half", "box", "random"):
        raise unknown("way to hide cells", name, ("half", "box", "random"), where="hide")
    if name == "half":
        mask = half(data.x.shape, value or "bottom")  # type: ignore[arg-type]  # checked there
    else:
        share = _number(value)
        mask = box(data.x.shape, share) if name == "box" else scattered(data.x.shape, share, seed)
    return replace(data, mask=mask if data.mask is None else data.mask & mask)


def _image(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 4:
        raise DataShape("not images", found=str(shape), expected="(rows, channels, height, width)")
    return shape[2], shape[3]


def _share(share: float) -> float:
    if not 0 < share <= 1:
        raise BadOption("not a share", where="share", found=str(share), expected="above 0, at most 1")
    return share


def _number(text: str) -> float:
    try:
        return float(text or 0.5)
    except ValueError as error:
        raise BadOption("not a share", where="hide", found=repr(text), expected="a number") from error
