"""Recipes side by side: what each reaches over its seeds, where its latent space leaves the data, what it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataShape
from lowerbound.figures.canvas import (
    BACKGROUND,
    FAINT,
    INK,
    PALETTE,
    QUIET,
    TEXT,
    TITLE,
    Style,
    blank,
    calm,
    finish,
    numbers,
)
from lowerbound.figures.images import pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 4  # panels in a row
MAPS = 5  # maps in a row
SHADED = "The plane in which the codes vary most, codes of test rows on it; shaded: decodes to what lies off the data"
PALE = "#f0dcdf"
FAR = 2.0  # radii from the data at which a place is drawn as empty as can be
NONE: Style = {"fontsize": TEXT - 1, "color": QUIET}

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Map:
    """A plane through a latent space.

    Args:
        name: to stand above it.
        note: below the name.
        codes: (N, 2) codes on the plane.
        labels: (N,) whole numbers, or None.
        reach: (S, S), the first row at the bottom: how far from the data each point of the plane decodes; above 1 is
            off the data.
        extent: half the width of the plane, centred at 0.
        images: (K, C, H, W) samples in 0..1, or None.
    """

    name: str
    note: str
    codes: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None
    reach: npt.NDArray[Any]
    extent: float
    images: npt.NDArray[Any] | None = None


def comparison(panels: Mapping[str, Values], maps: Sequence[Map] = (), *, title: str) -> Figure:
    """One panel for each measure: a dot per seed, the median, and a bar between the quartiles; then the maps.

    Args:
        panels: what is measured, with its unit, to the values of each method; a method without values is left empty.
            All have the same methods in the same order.
        maps: of some of the methods; places that decode off the data are shaded.

    Raises:
        DataShape: no panels, or panels of different methods.
        DataMissing: a value is NaN.

    >>> from lowerbound.figures import comparison
    >>> figure = comparison({"log p(x) (nats)": {"pca": [-3.0], "vae": [-1.0, -2.0]}}, title="two methods")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['pca', 'vae']
    """
    methods = list(next(iter(panels.values()), {}))
    if not methods or any(list(values) != methods for values in panels.values()):
        raise DataShape("panels of different methods, or none", expected="the same methods in the same order in each")
    down, rows = -(-len(panels) // ACROSS), -(-len(maps) // MAPS)
    pictures = any(one.images is not None for one in maps)
    heights = [(0.75 + 0.22 * len(methods)) * down, rows * (4.5 if pictures else 2.6) + 0.3 * bool(maps)]
    figure = blank(11.0, 0.5 + sum(heights), layout=True)
    figure.suptitle(title, x=0.012, ha="left", fontsize=TITLE + 1, color=INK, fontweight="normal")
    parts = heights[: 1 + bool(maps)]
    places = np.atleast_1d(figure.subfigures(len(parts), 1, height_ratios=parts))  # type: ignore[arg-type]
    grid = places[0].subplots(down, ACROSS, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for place, (axes, (label, values)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
        _panel(axes, label, values, named=place % ACROSS == 0)
    if maps:
        _maps(places[1], maps, rows, pictures=pictures)
    return finish(figure)


def _panel(axes: Axes, label: str, values: Values, *, named: bool) -> None:
    calm(axes, label, size=TEXT + 0.5, pad=5)
    for y, (name, found) in enumerate(values.items()):
        if not len(found):
            axes.text(0.02, y, "none", transform=axes.get_yaxis_transform(), va="center", **NONE)
            continue
        x = numbers(found, f"'{label}' of {name}", (None,))
        low, middle, high = np.quantile(x, (0.25, 0.5, 0.75))
        axes.plot([low, high], [y, y], color=PALETTE[0], linewidth=3.5, alpha=0.3, solid_capstyle="butt")
        axes.plot(x, np.full(len(x), y), marker="o", markersize=2.6, color=PALETTE[0], alpha=0.45, linestyle="none")
        axes.plot(middle, y, marker="o", markersize=5, color=PALETTE[0], linestyle="none")
    axes.set_yticks(range(len(values)), labels=list(values) if named else [""] * len(values))
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.margins(x=0.1)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="both", visible=True, color=FAINT, linewidth=0.6, linestyle="-")


def _maps(place: Any, maps: Sequence[Map], rows: int, *, pictures: bool) -> None:
    place.suptitle(SHADED, x=0.012, ha="left", fontsize=TEXT, color=QUIET, fontweight="normal")
    across = min(MAPS, max(len(maps), 3))
    each = 2 if pictures else 1
    heights = [1.15, 1] * rows if pictures else [1] * rows
    grid = place.subplots(rows * each, across, squeeze=False, height_ratios=heights)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, one in enumerate(maps):
        row, column = divmod(i, across)
        _map(grid[each * row, column], one)
        if one.images is not None:
            _sheet(grid[each * row + 1, column], one.images)


def _map(axes: Axes, one: Map) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    axes.set_axis_on()
    calm(axes, one.name, size=TITLE, pad=15)
    note: Style = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": TEXT - 0.5, "color": QUIET}
    axes.annotate(one.note, (0, 1), (0, 5), ha="left", va="bottom", **note).set_in_layout(False)
    edge = 1 / FAR
    shade = LinearSegmentedColormap.from_list("", [(0, BACKGROUND), (edge, BACKGROUND), (edge, PALE), (1, PALETTE[1])])
    across: Style = {"extent": (-one.extent, one.extent) * 2, "origin": "lower", "interpolation": "nearest"}
    axes.imshow(numbers(one.reach, "reach", (None, None)), cmap=shade, vmin=0, vmax=FAR, **across)
    codes = numbers(one.codes, "codes", (None, 2))
    kinds = np.zeros(len(codes), np.int64) if one.labels is None else np.unique(one.labels, return_inverse=True)[1]
    colours = np.array(PALETTE)[kinds % len(PALETTE)].tolist()
    axes.scatter(codes[:, 0], codes[:, 1], c=colours, s=float(np.clip(3000 / len(codes), 1.5, 8)), linewidths=0)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    axes.set_xlim(-one.extent, one.extent)
    axes.set_ylim(-one.extent, one.extent)
    axes.set_aspect("equal")


def _sheet(axes: Axes, images: npt.NDArray[Any]) -> None:
    """Samples in a square, each magnified by a whole number."""
    tiles = pixels(images, "images")
    side = int(np.sqrt(len(tiles)))
    times = max(1, round(48 / max(tiles.shape[1:3])))
    tiles = np.pad(tiles[: side * side].repeat(times, 1).repeat(times, 2), ((0, 0), (1, 1), (1, 1), (0, 0)),
                   constant_values=252)  # fmt: skip
    _, height, width, _ = tiles.shape
    sheet = tiles.reshape(side, side, height, width, 3).transpose(0, 2, 1, 3, 4)
    axes.imshow(sheet.reshape(side * height, side * width, 3), interpolation="antialiased")
    axes.set_aspect("equal")
