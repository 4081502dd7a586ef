"""Maps of two-dimensional latent codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataShape
from lowerbound.figures.canvas import (
    BACKGROUND,
    FAINT,
    INK,
    PALETTE,
    QUIET,
    TEXT,
    TITLE,
    Numbers,
    Style,
    chart,
    colour_bar,
    finish,
    match,
    name_axes,
    numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "o^sD"
EMPTY = "#f0dcdf"


@dataclass(frozen=True)
class Ground:
    """How densely data lie below a map.

    Args:
        density: (S, T) log-density, the first row at the bottom.
        extent: of the map: left, right, bottom, top.
        level: log-density below which there are no data to speak of.
    """

    density: Numbers
    extent: tuple[float, float, float, float]
    level: float


def latent_map(
    z: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    label_names: Sequence[str] = (),
    *,
    title: str,
    axis_labels: tuple[str, str] = ("z1", "z2"),
    explained: tuple[float, float] | None = None,
    ground: Ground | None = None,
    note: str = "",
    height: float = 5.0,
) -> Figure:
    """Latent codes in the plane, coloured by label.

    Points are drawn in a fixed shuffled order, so that no class hides another by coming last; both axes have the same
    scale, so that distances read true.

    Args:
        z: (N, 2) codes.
        labels: (N,) whole numbers are classes (a legend, at most 40), real numbers are a quantity (a colour bar).
        label_names: the name of each class by code, or the one name of the quantity.
        axis_labels: what the two axes are.
        explained: the share of the variance (0..1) along each axis, written beside its label.
        ground: where the data lie; places without data are shaded, and the map ends where it ends.
        note: a smaller line below the title.
        height: of the figure, in inches.

    Raises:
        DataShape: not N codes of two numbers, not N labels, or more than 40 classes.
        DataMissing: a code or label is NaN.
        BadOption: a share outside 0..1.

    >>> import numpy as np
    >>> from lowerbound.figures import latent_map
    >>> figure = latent_map(np.eye(2), [0, 1], ("cat", "dog"), title="two points")
    >>> figure.axes[0].get_xlabel()
    'z1'
    """
    codes = numbers(z, "z", (None, 2))
    figure, axes = chart(1.2 * height, height, title, note)
    shuffled = np.random.default_rng(0).permutation(len(codes))
    kinds = np.zeros(len(codes), dtype=np.int64) if labels is None else np.asarray(labels)
    values = numbers(kinds, "labels", (len(codes),))[shuffled]
    if kinds.dtype.kind == "f":
        _quantity(figure, axes, codes[shuffled], values, "".join(label_names[:1]))
    else:
        _classes(axes, codes[shuffled], values.astype(np.int64), label_names, legend=labels is not None)
    axes.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
    axes.set_aspect("equal", adjustable="datalim" if ground is None else "box")
    axes.margins(0.04)
    if ground is not None:
        _shade(axes, ground)
    name_axes(axes, *_shares(axis_labels, explained))
    return finish(figure)


def _shade(axes: Axes, ground: Ground) -> None:
    """Colour the places without data and draw lines of equal density around the others."""
    density = numbers(ground.density, "density", (None, None))
    left, right, bottom, top = ground.extent
    across, up = np.linspace(left, right, density.shape[1]), np.linspace(bottom, top, density.shape[0])
    lowest, highest = min(float(density.min()), ground.level) - 1, max(float(density.max()), ground.level + 1)
    axes.contourf(across, up, density, levels=[lowest, ground.level], colors=[EMPTY], zorder=-1)
    levels = np.linspace(ground.level, highest, 5)[:-1]
    axes.contour(across, up, density, levels=levels, colors=[FAINT], linewidths=0.8, linestyles="solid", zorder=0)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _shares(names: tuple[str, str], explained: tuple[float, float] | None) -> list[str]:
    if explained is None:
        return match(names, 2, "axis_labels")
    shares = numbers(explained, "explained", (2,))
    if (shares < 0).any() or (shares > 1).any():
        raise BadOption("a share of variance lies outside 0..1", where="explained", found=str(explained))
    return [f"{name} ({100 * share:.1f} % of the variance)" for name, share in zip(names, shares, strict=True)]


def _dots(count: int) -> Style:
    """Marker area and opacity that let dense regions read as dense, from ten points to a hundred thousand."""
    area, alpha = np.clip(20000 / count, 3, 26), np.clip(40 / np.sqrt(count), 0.3, 0.9)
    return {"s": float(area), "alpha": float(alpha), "linewidths": 0}


def _quantity(figure: Figure, axes: Axes, codes: Numbers, values: Numbers, name: str) -> None:
    points = axes.scatter(codes[:, 0], codes[:, 1], c=values, cmap="viridis", marker="o", **_dots(len(codes)))
    colour_bar(figure, axes, points, name)


def _classes(axes: Axes, codes: Numbers, values: npt.NDArray[np.int64], names: Sequence[str], *, legend: bool) -> None:
    kinds, group = np.unique(values, return_inverse=True)
    if len(kinds) > len(PALETTE) * len(MARKERS):
        limit = f"at most {len(PALETTE) * len(MARKERS)}"
        mend = "Pass them as real numbers for a colour bar."
        raise DataShape("too many classes to tell apart", found=f"{len(kinds)} labels", expected=limit, mend=mend)
    colours = np.array(PALETTE)[group % len(PALETTE)]
    for i, marker in enumerate(MARKERS):
        drawn = group // len(PALETTE) == i
        x, y = codes[drawn].T
        axes.scatter(x, y, c=colours[drawn].tolist(), marker=marker, **_dots(len(codes)))
    if legend:
        texts = [str(names[kind]) if 0 <= kind < len(names) else str(kind) for kind in kinds.tolist()]
        _key(axes, texts)
        if len(texts) <= len(PALETTE):
            _name_in_place(axes, texts, [np.median(codes[group == i], axis=0) for i in range(len(texts))])


def _key(axes: Axes, texts: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for i, text in enumerate(texts):
        style: Style = {"marker": MARKERS[i // len(PALETTE)], "color": PALETTE[i % len(PALETTE)], "linestyle": "none"}
        handles.append(Line2D([], [], markersize=5, markeredgewidth=0, label=text, **style))
    place: Style = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": 1 + (len(texts) - 1) // 20}
    axes.legend(handles=handles, frameon=False, fontsize=TEXT, labelcolor=QUIET, handletextpad=0.2, **place)


def _name_in_place(axes: Axes, texts: Sequence[str], places: Sequence[Numbers]) -> None:
    """Write each class at its median, so that the map can be read without matching colours."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground=BACKGROUND)]
    for text, place in zip(texts, places, strict=True):
        style: Style = {"ha": "center", "va": "center", "fontsize": TITLE, "color": INK, "fontweight": "bold"}
        axes.text(place[0], place[1], text, path_effects=halo, **style)
