"""Curves, bars, dots and tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataMissing, DataRange
from lowerbound.figures.canvas import (
    BACKGROUND,
    DPI,
    FAINT,
    INK,
    PALETTE,
    QUIET,
    TEXT,
    TITLE,
    Numbers,
    Style,
    blank,
    calm,
    chart,
    colour_bar,
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

PANELS = 12  # histograms in one figure
GRID: Style = {"visible": True, "color": FAINT, "linewidth": 0.6, "linestyle": "-"}
DASHED: Style = {"color": PALETTE[1], "linewidth": 1, "linestyle": (0, (4, 3))}
LEGEND: Style = {"frameon": False, "fontsize": TEXT, "labelcolor": QUIET, "handlelength": 1.6}


def training_curves(
    series: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    quantity: str = "ELBO per row",
    unit: str = "nats",
    better: Literal["higher", "lower"] = "higher",
    epochs: Sequence[int] | None = None,
) -> Figure:
    """What was reported in each epoch; the best epoch of the last series is marked.

    Args:
        series: name to one value per epoch; None or NaN where an epoch has none. Put the validation rows last.
        quantity: what the values are.
        unit: their unit.
        better: which end of the scale is better: "higher" for a bound, "lower" for a loss.
        epochs: the number of each epoch; None counts from 1.

    Raises:
        DataShape: no series, or series of different lengths.
        DataMissing: a series without any value.

    >>> from lowerbound.figures import training_curves
    >>> figure = training_curves({"train": [-200, -120, -100], "validation": [-190, -121, -104]}, title="digits")
    >>> figure.axes[0].get_ylabel()
    'ELBO per row (nats)'
    """
    length = len(next(iter(series.values()), ()))
    x = numbers(range(1, length + 1) if epochs is None else epochs, "epochs", (None,))
    figure, axes = chart(6.4, 3.8, title)
    from matplotlib.ticker import MaxNLocator

    for i, (name, values) in enumerate(series.items()):
        y = numbers(values, f"series '{name}'", (len(x),), missing=True)
        seen = np.isfinite(y)
        if not seen.any():
            raise DataMissing(f"series '{name}' holds no finite value", mend="Leave it out.")
        style: Style = {"color": PALETTE[i % len(PALETTE)], "linestyle": "-", "markersize": 4}
        axes.plot(x[seen], y[seen], linewidth=1.5, marker="o" if seen.sum() < 3 else "None", label=name, **style)
    _mark_best(axes, x[seen], y[seen], 1 if better == "higher" else -1, unit)
    axes.legend(loc="best", **LEGEND)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10], integer=True))
    axes.grid(axis="y", **GRID)
    name_axes(axes, "epoch", f"{quantity} ({unit})" if unit else quantity)
    return finish(figure)


def _mark_best(axes: Axes, epochs: Numbers, values: Numbers, sign: int, unit: str) -> None:
    best, colour = int(np.argmax(sign * values)), axes.lines[-1].get_color()
    label = f"best: {signed(values[best])} {unit}".rstrip() + f", epoch {epochs[best]:g}"
    style: Style = {"markersize": 6, "markerfacecolor": BACKGROUND, "markeredgecolor": colour, "markeredgewidth": 1.5}
    axes.plot(epochs[best], values[best], marker="o", linestyle="none", label=label, **style)


def kl_bars(kl: npt.ArrayLike, *, threshold: float = 0.01, title: str, names: Sequence[str] | None = None) -> Figure:
    """KL(q || p) of each latent dimension in nats, largest first; those at or below the threshold are pale.

    Args:
        kl: (D,) mean KL per dimension, in nats, in any order.
        threshold: nats above which a dimension counts as active, drawn as a dashed line.
        names: one name per dimension; None gives z1, z2, and so on.

    Raises:
        DataShape: not one number per dimension.
        DataMissing: a KL is NaN.

    >>> from lowerbound.figures import kl_bars
    >>> figure = kl_bars([0.0, 2.5, 0.4], title="KL")
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['z2', 'z3', 'z1']
    """
    values = numbers(kl, "kl", (None,))
    count, order = len(values), np.argsort(-values, kind="stable")
    labels = match([f"z{i + 1}" for i in range(count)] if names is None else names, count, "names")
    active = values[order] > threshold
    note = f"{active.sum()} of {count} active (above {threshold:g} nats, dashed), {signed(values.sum())} nats in all"
    figure, axes = chart(float(np.clip(1.5 + 0.2 * count, 4.6, 9)), 3.5, title, note)
    axes.bar(np.arange(count), values[order], 0.72, color=np.where(active, PALETTE[0], FAINT).tolist(), linewidth=0)
    axes.axhline(threshold, **DASHED)
    shown = np.arange(0, count, -(-count // 40))
    axes.set_xticks(shown, labels=[labels[order[i]] for i in shown], rotation=90 if count > 16 else 0)
    axes.set_xlim(-0.7, max(count, 4) - 0.3)
    axes.grid(axis="y", **GRID)
    name_axes(axes, "latent dimension", "KL (nats)")
    return finish(figure)


def comparison_bars(
    names: Sequence[str],
    values: npt.ArrayLike,
    errors: npt.ArrayLike | Sequence[float | None] | None = None,
    *,
    unit: str,
    title: str,
    reference: float | None = None,
    reference_name: str = "reference",
) -> Figure:
    """One dot per method with its standard error, the first on top, and the number itself beside it.

    Args:
        names: (N,) methods.
        values: (N,) their results.
        errors: (N,) standard errors, drawn once to either side; NaN or None where there is none.
        unit: what is measured and its unit, as the axis says it.
        reference: a value to compare with, drawn as a dashed line.
        reference_name: what that line is.

    Raises:
        DataShape: names, values and errors differ in number.
        DataMissing: a value is NaN.
        DataRange: a standard error is negative.

    >>> from lowerbound.figures import comparison_bars
    >>> figure = comparison_bars(["PCA", "VAE"], [-132.0, -99.0], [0.5, 0.2], unit="nats", title="test rows")
    >>> figure.axes[0].get_xlabel()
    'nats; bars: one standard error'
    """
    x = numbers(values, "values", (None,))
    spread = numbers(np.full(len(x), np.nan) if errors is None else errors, "errors", (len(x),), missing=True)
    if (spread < 0).any():
        raise DataRange("a standard error is negative", found=f"{np.nanmin(spread):g}", expected="0 or more")
    note = "" if reference is None else f"dashed: {reference_name}, {signed(reference)}"
    figure, axes = chart(6.4, 1.25 + 0.3 * len(x), title, note)
    if reference is not None:
        axes.axvline(reference, **DASHED)
    style: Style = {"elinewidth": 1.3, "capsize": 4, "capthick": 1.3, "markersize": 4.5, "linestyle": "none"}
    axes.errorbar(x, np.arange(len(x)), xerr=spread, fmt="o", color=PALETTE[0], **style)
    for i, (value, error) in enumerate(zip(x, spread, strict=True)):
        text = signed(value) + (f" ± {error:.2f}" if np.isfinite(error) else "")
        axes.text(1.02, i, text, transform=axes.get_yaxis_transform(), va="center", fontsize=TEXT, color=INK)
    axes.set_yticks(range(len(x)), labels=match(names, len(x), "names"))
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(x) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.grid(axis="x", **GRID)
    name_axes(axes, f"{unit}; bars: one standard error" if np.isfinite(spread).any() else unit)
    return finish(figure)


def heat_map(
    matrix: npt.ArrayLike, row_labels: Sequence[str], column_labels: Sequence[str], *, title: str, colour_label: str
) -> Figure:
    """A matrix as coloured cells, the first row on top; white is zero, and small matrices show their numbers.

    Args:
        matrix: (R, C) numbers; negative ones get a second colour.
        row_labels: (R,) texts.
        column_labels: (C,) texts.
        colour_label: what the colour means, with its unit.

    Raises:
        DataShape: not a matrix, or labels that do not fit it.
        DataMissing: a cell is NaN.

    >>> from lowerbound.figures import heat_map
    >>> figure = heat_map([[1.2, 0.0]], ["z1"], ["scale", "x"], title="information", colour_label="nats")
    >>> figure.axes[1].get_ylabel()
    'nats'
    """
    cells = numbers(matrix, "matrix", (None, None))
    rows, columns = match(row_labels, len(cells), "row_labels"), match(column_labels, cells.shape[1], "column_labels")
    side = float(np.clip(5.5 / max(cells.shape), 0.16, 0.55))
    beside, below = (max(text_size(label)[0] for label in labels) / DPI for labels in (rows, columns))
    upright = below > side - 0.05
    height = 0.65 + side * len(rows) + (below if upright else 0.2)
    figure, axes = chart(1.2 + beside + side * len(columns), height, title)
    from matplotlib.colors import LinearSegmentedColormap

    largest, negative = max(float(np.abs(cells).max()), 1e-12), bool(cells.min() < 0)
    colours = LinearSegmentedColormap.from_list("", [PALETTE[1]] * negative + [BACKGROUND, PALETTE[0]])
    limits: Style = {"vmin": -largest * negative, "vmax": largest, "interpolation": "nearest", "origin": "upper"}
    image = axes.imshow(cells, cmap=colours, aspect="equal", **limits)
    axes.set_xticks(range(len(columns)), labels=columns, rotation=90 if upright else 0)
    axes.set_yticks(range(len(rows)), labels=rows)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[["left", "bottom"]].set_visible(False)
    if side > 0.4:
        _write_cells(axes, cells, largest)
    colour_bar(figure, axes, image, colour_label)
    return finish(figure)


def _write_cells(axes: Axes, cells: Numbers, largest: float) -> None:
    for (i, j), value in np.ndenumerate(cells):
        ink = BACKGROUND if value > 0.55 * largest else INK
        axes.text(j, i, signed(value), ha="center", va="center", fontsize=TEXT - 1, color=ink)


def table_histograms(real: npt.ArrayLike, sampled: npt.ArrayLike, columns: Sequence[str], *, title: str) -> Figure:
    """Each column's histogram in the data and in samples of the model, as shares of their rows.

    The bins cover the range of the data; samples beyond it are counted in the outermost bins. Missing cells (NaN) are
    left out. More than twelve columns: the first twelve, and the title says so.

    Args:
        real: (N, D) data.
        sampled: (M, D) samples.
        columns: (D,) their names.

    Raises:
        DataShape: the numbers of columns differ.
        DataMissing: a column without any value.

    >>> from lowerbound.figures import table_histograms
    >>> figure = table_histograms([[1.5], [2.5]], [[2.0]], ["alcohol"], title="wine")
    >>> figure.axes[0].get_title(loc="left")
    'alcohol'
    """
    x = numbers(real, "real", (None, None), missing=True)
    y = numbers(sampled, "sampled", (None, x.shape[1]), missing=True)
    names = match(columns, x.shape[1], "columns")[:PANELS]
    across = min(4, len(names))
    down = -(-len(names) // across)
    heading = title + (f" (first {PANELS} of {x.shape[1]} columns)" if x.shape[1] > PANELS else "")
    width = max(0.4 + 1.75 * across, 5.2, text_size(heading, TITLE)[0] / DPI + 0.4)
    figure = blank(width, 0.9 + 1.5 * down, layout=True)
    figure.suptitle(heading, x=0.12 / width, ha="left", fontsize=TITLE, color=INK, fontweight="normal")
    for i, name in enumerate(names):
        axes = figure.add_subplot(down, across, i + 1)
        calm(axes, name, size=TEXT)
        _compare(axes, _observed(x[:, i], f"real, column '{name}'"), _observed(y[:, i], f"sampled, column '{name}'"))
    handles = axes.get_legend_handles_labels()[0]
    labels = ["data", "samples (those beyond the data's range in the outermost bins)"]
    figure.legend(handles, labels, loc="outside lower left", ncols=2, **LEGEND)
    return finish(figure)


def _observed(column: Numbers, what: str) -> Numbers:
    seen = column[np.isfinite(column)]
    if not len(seen):
        raise DataMissing(f"{what} holds no finite value", mend="Leave the column out.")
    return seen


def _compare(axes: Axes, real: Numbers, sampled: Numbers) -> None:
    kinds = np.unique(real)
    few = np.array_equal(kinds, kinds.round()) and np.ptp(kinds) < PANELS
    edges = np.arange(kinds[0], kinds[-1] + 2) - 0.5 if few else np.histogram_bin_edges(real, bins=24)
    inside = np.clip(sampled, edges[0], edges[-1])
    shares = [np.histogram(part, edges)[0] / len(part) for part in (real, inside)]
    axes.stairs(shares[0], edges, fill=True, color=PALETTE[4], alpha=0.55, linewidth=0, label="data")
    axes.stairs(shares[1], edges, fill=False, color=PALETTE[0], linewidth=1.2, label="samples")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 1.08 * max(share.max() for share in shares))
    axes.locator_params(axis="x", nbins=4)
