"""How an answer follows a strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataShape
from lowerbound.figures.canvas import FAINT, PALETTE, Style, chart, finish, name_axes, numbers
from lowerbound.figures.charts import DASHED, GRID, LEGEND

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def response(
    strengths: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    title: str,
    unit: str = "probability",
    note: str = "",
    limits: tuple[float, float] | None = None,
    width: float = 6.4,
) -> Figure:
    """The median answer over rows at each strength, a band that holds four rows in five, and single rows, pale.

    Args:
        strengths: (S,), ascending.
        values: (rows, S), the answer for each row.
        unit: of the answer, as the axis says it.
        note: a smaller line below the title.
        limits: of the answer.
        width: of the figure, in inches.

    Raises:
        DataShape: strengths do not ascend, or answers that do not fit them. DataMissing: one is NaN.

    >>> figure = response([0, 1], [[0.1, 0.8], [0.2, 0.6]], title="glasses")
    >>> figure.axes[0].get_ylabel()
    'probability'
    """
    x = numbers(strengths, "strengths", (None,))
    y = numbers(values, "values", (None, len(x)))
    if (np.diff(x) <= 0).any():
        raise DataShape("strengths do not ascend", found=str(x.tolist()))
    figure, axes = chart(width, 2.7, title, note)
    low, middle, high = np.quantile(y, (0.1, 0.5, 0.9), axis=0)
    thin: Style = {"color": PALETTE[0], "linewidth": 0.6, "alpha": 0.25, "linestyle": "-", "marker": "None"}
    for row in np.linspace(0, len(y) - 1, min(len(y), 40)).astype(int):
        axes.plot(x, y[row], **thin)
    axes.fill_between(x, low, high, color=PALETTE[4], alpha=0.3, linewidth=0, label="four rows in five")
    thick: Style = {"color": PALETTE[0], "linewidth": 1.8, "linestyle": "-", "marker": "o", "markersize": 3.5}
    axes.plot(x, middle, label="median", **thick)
    if x[0] <= 0 <= x[-1]:
        axes.axvline(0, **DASHED | {"color": FAINT})
    if limits is not None:
        margin = 0.03 * (limits[1] - limits[0])
        axes.set_ylim(limits[0] - margin, limits[1] + margin)
    axes.set_xticks(x, labels=[f"{value:+g}".replace("-", "−") if value else "0" for value in x])
    axes.grid(axis="y", **GRID)
    axes.legend(loc="best", **LEGEND)
    name_axes(axes, "strength", unit)
    return finish(figure)
