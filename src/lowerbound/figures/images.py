"""Sheets of images, pixel-exact: each image is magnified by a whole number, row 0 on top."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataRange, DataShape
from lowerbound.figures.canvas import (
    BACKGROUND,
    DPI,
    FAINT,
    INK,
    QUIET,
    TEXT,
    TITLE,
    Style,
    blank,
    calm,
    finish,
    match,
    name_axes,
    numbers,
    signed,
    text_size,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]
MARGIN, GAP, SPACE = 20, 3, 10  # pixels: around the sheet, between images, between images and labels
PALE = np.array([240, 220, 223])  # laid over what is off the data
PAPER = np.array([int(BACKGROUND[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.uint8)


def image_grid(
    images: npt.ArrayLike,
    *,
    columns: int | None = None,
    title: str = "",
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Images side by side, in reading order.

    Args:
        images: (N, C, H, W) with 1 or 3 channels, or (N, H, W).
        columns: images in a row; None makes the grid as square as it can be.
        row_labels: one text per row of the grid.
        column_labels: one text per column of the grid.
        limits: the values drawn black and white; what lies beyond is drawn as the nearer of them.

    Raises:
        DataShape: not images, or labels that do not fit the grid.
        DataMissing: a pixel is NaN.
        DataRange: a pixel is infinite, or 8-bit images meet limits of 0 and 1.

    >>> import numpy as np
    >>> from lowerbound.figures import image_grid
    >>> figure = image_grid(np.eye(8).reshape(1, 1, 8, 8).repeat(6, 0), columns=3, title="six of them")
    >>> len(figure.axes)
    1
    """
    tiles = pixels(images, "images", limits)
    across = math.ceil(math.sqrt(len(tiles))) if columns is None else min(columns, len(tiles))
    if across < 1:
        raise BadOption("a grid needs at least one column", where="columns", found=str(columns))
    down = math.ceil(len(tiles) / across)
    cells = np.full((down * across, *tiles.shape[1:]), PAPER, dtype=np.uint8)
    cells[: len(tiles)] = tiles
    return _sheet(cells.reshape(down, across, *tiles.shape[1:]), title, row_labels, column_labels)


def reconstructions(
    originals: npt.ArrayLike, reconstructions: npt.ArrayLike, *, title: str, corrupted: npt.ArrayLike | None = None
) -> Figure:
    """Images above what the model made of them, one column per image.

    Args:
        originals: (N, C, H, W) or (N, H, W), in 0..1.
        reconstructions: the same shape.
        corrupted: the same shape: what the encoder saw, drawn as a first row.

    Raises:
        DataShape: the shapes differ, or are not those of images.
        DataMissing: a pixel is NaN.

    >>> import numpy as np
    >>> from lowerbound.figures import reconstructions
    >>> x = np.zeros((5, 1, 8, 8))
    >>> [text.get_text() for text in reconstructions(x, x + 0.5, title="grey").axes[0].texts][:2]
    ['original', 'reconstruction']
    """
    given = {"input": corrupted, "original": originals, "reconstruction": reconstructions}
    rows = {name: pixels(images, name) for name, images in given.items() if images is not None}
    shapes = {name: tiles.shape[:3] for name, tiles in rows.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataShape("images to compare differ in shape", found=f"(N, H, W): {found}", expected="the same shape")
    return _sheet(np.stack(list(rows.values())), title, list(rows), None)


def traversal(
    images: npt.ArrayLike,
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    title: str,
) -> Figure:
    """Decoded images along paths in latent space: one row per path (a dimension, a pair of ends), one column per step.

    Args:
        images: (rows, steps, C, H, W), in 0..1.
        row_labels: one text per row, for example the dimension moved.
        column_labels: one text per step, for example the value it is moved to.

    Raises:
        DataShape: not rows of images, or labels that do not fit them.
        DataMissing: a pixel is NaN.

    >>> import numpy as np
    >>> from lowerbound.figures import traversal
    >>> figure = traversal(np.zeros((2, 5, 1, 8, 8)), row_labels=["z1", "z2"], title="still")
    >>> figure.axes[0].texts[0].get_text()
    'z1'
    """
    array = np.asarray(images)
    if array.ndim != 5:
        raise DataShape("images has the wrong shape", found=str(array.shape), expected="(rows, steps, C, H, W)")
    tiles = pixels(array.reshape(-1, *array.shape[2:]), "images")
    return _sheet(tiles.reshape(*array.shape[:2], *tiles.shape[1:]), title, row_labels, column_labels)


def manifold(
    images: npt.ArrayLike,
    *,
    extent: tuple[npt.ArrayLike, npt.ArrayLike],
    title: str,
    empty: npt.ArrayLike | None = None,
    names: tuple[str, str] = ("z1", "z2"),
) -> Figure:
    """The images decoded from a grid over two latent dimensions: z1 grows to the right, z2 grows upwards.

    As in figure 4 of Kingma and Welling (2014), where the grid is taken through the prior's inverse distribution
    function; the axes say where each image was decoded, so any spacing reads true.

    Args:
        images: (n * n, C, H, W) in 0..1; image ``j * n + i`` was decoded at ``(z1[i], z2[j])``.
        extent: ``(z1, z2)``, the n values of the first and of the second latent dimension, both ascending.
        empty: (n * n,) True where no data lie; such images are drawn pale.
        names: of the two dimensions.

    Raises:
        DataShape: the images are not n * n, or the values do not ascend.
        DataMissing: a pixel is NaN.

    >>> import numpy as np
    >>> from lowerbound.figures import manifold
    >>> figure = manifold(np.zeros((4, 1, 8, 8)), extent=([-1, 1], [-2, 2]), title="plane")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['−2.00', '2.00']
    """
    z1, z2 = (_ascending(values, name) for name, values in zip(("z1", "z2"), extent, strict=True))
    tiles = pixels(images, "images")
    if len(tiles) != len(z1) * len(z2):
        expected = f"{len(z2)} x {len(z1)}, one for each pair of values in extent"
        raise DataShape("images do not fill the grid", found=f"{len(tiles)} images", expected=expected)
    if empty is not None:
        tiles = np.where(numbers(empty, "empty", (len(tiles),))[:, None, None, None] > 0, _paled(tiles), tiles)
    cells = tiles.reshape(len(z2), len(z1), *tiles.shape[1:])[::-1]  # the largest z2 on top
    left, bottom = max(text_size(signed(value))[0] for value in z2) + 44, 60
    figure, axes, (height, width) = _place(cells, 0, title, (left, MARGIN, bottom, MARGIN))
    _ticks(axes, z1, z2, height, width)
    name_axes(axes, *names)
    return finish(figure)


def _paled(tiles: Pixels) -> Pixels:
    """Images as seen through rose-coloured paper."""
    return np.rint(0.35 * tiles + 0.65 * PALE).astype(np.uint8)


def pixels(images: npt.ArrayLike, what: str, limits: tuple[float, float] = (0.0, 1.0)) -> Pixels:
    """Check images (N, C, H, W) or (N, H, W) and give them as (N, H, W, 3) bytes."""
    low, high = limits
    if not low < high:
        raise BadOption("limits must ascend", where="limits", found=str(limits), expected="(black, white)")
    array = np.asarray(images)
    array = array[:, None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        expected = "(N, 1 or 3, H, W) or (N, H, W)"
        raise DataShape(f"{what} has the wrong shape", found=str(np.shape(images)), expected=expected)
    x = numbers(array, what, (None,) * 4)
    if array.dtype.kind in "iu" and x.max() > high:
        problem, mend = f"{what} holds whole numbers beyond white", "Divide 8-bit images by 255."
        raise DataRange(problem, found=f"{x.max():g}", expected=f"at most {high:g}", mend=mend)
    shades = np.rint(255 * np.clip((x - low) / (high - low), 0, 1)).astype(np.uint8)
    return np.broadcast_to(shades.transpose(0, 2, 3, 1), (len(x), *x.shape[2:], 3))


def _ascending(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    z = numbers(values, f"extent ({name})", (None,))
    if (np.diff(z) <= 0).any():
        raise DataShape(f"extent ({name}) does not ascend", expected="the values of the grid, smallest first")
    return z


def _magnified(cells: Pixels, gap: int) -> Pixels:
    """Cells (R, C, H, W, 3) as one picture; each pixel becomes a square of whole pixels of the screen."""
    down, across, height, width, _ = cells.shape
    target = min(max(1000 / across, 64), 160)
    scale = max(1, round(target / max(height, width)))
    tall, wide = scale * height + gap, scale * width + gap
    padded = np.full((down, across, tall, wide, 3), PAPER, dtype=np.uint8)
    padded[:, :, : tall - gap, : wide - gap] = cells.repeat(scale, 2).repeat(scale, 3)
    picture = padded.transpose(0, 2, 1, 3, 4).reshape(down * tall, across * wide, 3)
    return picture[: down * tall - gap, : across * wide - gap]


def _place(
    cells: Pixels, gap: int, title: str, margins: tuple[int, int, int, int]
) -> tuple[Figure, Axes, tuple[int, int]]:
    """A figure just large enough for the cells, with margins (left, right, bottom, top) in pixels, and its axes."""
    picture = _magnified(cells, gap)
    height, width = picture.shape[:2]
    left, right, bottom, top = margins
    title_width, title_height = text_size(title, TITLE)
    top += title_height + SPACE // 2 if title else 0
    full_width, full_height = left + max(width, title_width) + right, bottom + height + top
    figure = blank(full_width / DPI, full_height / DPI)
    place = (left / full_width, bottom / full_height, width / full_width, height / full_height)
    axes = figure.add_axes(place)
    calm(axes)
    axes.set_axis_off()
    axes.imshow(picture, interpolation="nearest", origin="upper", aspect="auto", extent=(0, width, height, 0))
    figure.text(place[0], 1 - MARGIN / full_height, title, fontsize=TITLE, color=INK, ha="left", va="top")
    return figure, axes, (height, width)


def _sheet(cells: Pixels, title: str, row_labels: Sequence[str] | None, column_labels: Sequence[str] | None) -> Figure:
    """Cells (R, C, H, W, 3) with a label left of each row and above each column."""
    rows = match(row_labels, cells.shape[0], "row_labels")
    columns = match(column_labels, cells.shape[1], "column_labels")
    pitch = _magnified(cells[:1, :1], 0).shape[1] + GAP
    beside = max(text_size(label)[0] for label in rows)
    widest = max(text_size(label)[0] for label in columns)
    upright = widest > pitch
    above = widest if upright else max(text_size(label)[1] for label in columns)
    margins = (MARGIN + (beside + SPACE if beside else 0), MARGIN, MARGIN, MARGIN + (above + SPACE if above else 0))
    figure, axes, (height, width) = _place(cells, GAP, title, margins)
    style: Style = {"fontsize": TEXT, "color": QUIET}
    for i, label in enumerate(rows):
        y = (i + 0.5) * (height + GAP) / len(rows) - GAP / 2
        axes.text(-SPACE, y, label, ha="right", va="center", **style)
    for i, label in enumerate(columns):
        x = (i + 0.5) * (width + GAP) / len(columns) - GAP / 2
        axes.text(x, -SPACE * 0.7, label, ha="center", va="bottom", rotation=90 if upright else 0, **style)
    return finish(figure)


def _ticks(axes: Axes, z1: npt.NDArray[np.float64], z2: npt.NDArray[np.float64], height: int, width: int) -> None:
    """Mark the middle of about seven columns and rows with the latent value they were decoded at."""
    across, up = (_marks(len(z)) for z in (z1, z2))
    axes.set_axis_on()
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    axes.set_xticks((across + 0.5) * width / len(z1), labels=[signed(z1[i]) for i in across])
    axes.set_yticks(height - (up + 0.5) * height / len(z2), labels=[signed(z2[j]) for j in up])


def _marks(count: int) -> npt.NDArray[np.intp]:
    """At most eight of ``count`` places, evenly spaced and about centred."""
    stride = -(-count // 8)
    return np.arange((count - 1) % stride // 2, count, stride)
