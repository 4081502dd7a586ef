"""Images with holes beside what may stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataShape
from lowerbound.figures.images import traversal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOLE = (0.45, 0.62, 0.80)  # a blue that no grey is taken for


def filling(
    images: npt.ArrayLike, mask: npt.ArrayLike, draws: npt.ArrayLike, mean: npt.ArrayLike, *,
    complete: bool = False, title: str = "",
) -> Figure:  # fmt: skip
    """One image a line: what was given, with holes in blue; several draws; their mean; the original where known.

    Args:
        images: (N, C, H, W), in 0..1; what stands in missing cells is drawn only if ``complete``.
        mask: of that shape, True = observed.
        draws: (M, N, C, H, W).
        mean: (N, C, H, W).
        complete: whether the images hold what was hidden; it is then drawn last.
        title: above.

    Raises:
        DataShape: shapes that do not fit together.
        DataMissing: a pixel that is drawn is NaN.

    >>> x = np.zeros((2, 1, 8, 8))
    >>> figure = filling(x, x > 1, np.stack([x, x + 1]), x, title="holes")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['', '', 'given', 'draw 1', 'draw 2', 'mean']
    """
    x, seen, made, middle = np.asarray(images), np.asarray(mask), np.asarray(draws), np.asarray(mean)
    if x.ndim != 4 or not (x.shape == seen.shape == middle.shape == made.shape[1:]):
        found = f"images {x.shape}, mask {seen.shape}, draws {made.shape}, mean {middle.shape}"
        raise DataShape("images that do not fit together", found=found, expected="(N, C, H, W), draws (M, N, C, H, W)")
    colour = np.reshape(HOLE, (3, 1, 1))
    given = np.where(np.broadcast_to(seen.all(1, keepdims=True), _rgb(x).shape), _rgb(x), colour)
    columns = [given, *map(_rgb, made), _rgb(middle), *([_rgb(x)] if complete else [])]
    labels: Sequence[str] = [
        "given", *(f"draw {i + 1}" for i in range(len(made))), "mean", *(["original"] if complete else [])
    ]  # fmt: skip
    return traversal(np.stack(columns, axis=1), row_labels=[""] * len(x), column_labels=labels, title=title)


def _rgb(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.asarray(images, dtype=np.float64)
    return np.broadcast_to(x, (len(x), 3, *x.shape[2:])) if x.shape[1] == 1 else x
