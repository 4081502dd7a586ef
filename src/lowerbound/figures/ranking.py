"""Settings in the order of what they reach, with error bars."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from lowerbound.errors import DataShape
from lowerbound.figures.canvas import FAINT, PALETTE, QUIET, TEXT, Style, chart, finish, name_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[str, float, float, Sequence[float]]


def ranking(points: Sequence[Point], tied: Collection[str] = (), *, title: str, note: str = "", unit: str) -> Figure:
    """A line for each setting, the best at the top: a bar of two standard errors, and a pale dot for every seed.

    Args:
        points: name, mean, standard error and the values of single seeds, the best first.
        tied: names of those that are not told apart from the best; drawn in its colour, the others in grey.
        title: above it.
        note: a smaller line below the title.
        unit: of the values, as the axis says it.

    Raises:
        DataShape: no points.

    >>> points = [("latent=5", -90.0, 0.5, [-90.2, -89.8]), ("latent=2", -99.0, 0.5, [-99])]
    >>> figure = ranking(points, title="sweep", unit="log p(x) (nats)")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['latent=5', 'latent=2']
    """
    if not points:
        raise DataShape("nothing to draw", expected="one point or more")
    figure, axes = chart(6.4, 1.2 + 0.22 * len(points), title, note)
    dots: Style = {"linestyle": "none", "marker": "o", "markeredgewidth": 0}
    for place, (name, mean, error, values) in enumerate(points):
        colour = PALETTE[0] if place == 0 or name in tied else QUIET
        axes.plot([mean - 2 * error, mean + 2 * error], [place, place], color=colour, linewidth=1.4, linestyle="-")
        axes.plot(list(values), [place] * len(values), color=colour, alpha=0.35, markersize=3.5, **dots)
        axes.plot([mean], [place], color=colour, markersize=5.5, **dots)
    axes.set_yticks(range(len(points)), labels=[name for name, *_ in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.tick_params(axis="y", labelsize=TEXT, length=0)
    name_axes(axes, unit)
    return finish(figure)
