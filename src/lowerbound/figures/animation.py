"""Sheets of images that move: an animation as the bytes of a GIF file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataShape, MissingExtra
from lowerbound.figures.images import pixels

SIDE = 112  # pixels that the longer side of an image is magnified to, about
GAP = 2
PAUSE = 5  # frames that an end is shown for


def gif(
    images: npt.ArrayLike, *, columns: int | None = None, seconds: float = 0.08, there_and_back: bool = True
) -> bytes:
    """Paths of images as an animation: one frame a step, all paths side by side.

    Args:
        images: (paths, steps, C, H, W), in 0..1.
        columns: paths side by side; None makes a frame as square as it can be.
        seconds: a frame is shown for; five times as long at the ends.
        there_and_back: go back the way it came, so that the animation runs in a circle.

    Returns:
        A GIF file, the same bytes for the same images.

    Raises:
        DataShape: not paths of images. DataMissing: a pixel is NaN. MissingExtra: without Pillow.
        BadOption: no seconds or no columns.

    >>> gif(np.zeros((1, 3, 1, 4, 4)))[:6]
    b'GIF89a'
    """
    array = np.asarray(images)
    if array.ndim != 5:
        raise DataShape("images has the wrong shape", found=str(array.shape), expected="(paths, steps, C, H, W)")
    if not 0.02 <= seconds <= 60 or (columns is not None and columns < 1):
        raise BadOption(
            "cannot be animated", found=f"seconds {seconds}, columns {columns}", expected="0.02 to 60, 1 or more"
        )
    if find_spec("PIL") is None:
        raise MissingExtra("writing an animation", "images")
    paths, steps = array.shape[:2]
    tiles = pixels(array.reshape(-1, *array.shape[2:]), "images").reshape(paths, steps, *array.shape[3:], 3)
    across = columns or int(np.ceil(np.sqrt(paths)))
    order = [*range(steps), *(range(steps - 2, 0, -1) if there_and_back else ())]
    times = [round(1000 * seconds) * (PAUSE if step in (0, steps - 1) else 1) for step in order]
    return _written([_frame(tiles[:, step], across) for step in order], times, grey=array.shape[2] == 1)


def _frame(tiles: npt.NDArray[np.uint8], across: int) -> npt.NDArray[np.uint8]:
    """(paths, H, W, 3) as one picture; each pixel becomes a square of whole pixels."""
    times = max(1, round(SIDE / max(tiles.shape[1:3])))
    large = np.pad(tiles.repeat(times, 1).repeat(times, 2), ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    down = -(-len(large) // across)
    sheet = np.full((down * across, *large.shape[1:]), 255, np.uint8)
    sheet[: len(large)] = large
    height, width = large.shape[1:3]
    whole = (
        sheet.reshape(down, across, height, width, 3).transpose(0, 2, 1, 3, 4).reshape(down * height, across * width, 3)
    )
    return whole[:-GAP, :-GAP]


def _written(frames: Sequence[npt.NDArray[np.uint8]], times: list[int], *, grey: bool) -> bytes:
    from PIL import Image

    made: list[Any] = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    made = [image.convert("L") if grey else image.quantize(256) for image in made]
    content = BytesIO()
    made[0].save(content, "GIF", save_all=True, append_images=made[1:], duration=times, loop=0, optimize=False)
    return content.getvalue()
