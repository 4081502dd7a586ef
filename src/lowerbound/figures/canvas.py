"""What all pictures share: palette and type, checks of the arrays, and a PNG that is the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import BadOption, DataMissing, DataRange, DataShape, MissingExtra, OutputExists

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Numbers = npt.NDArray[np.float64]
Style = dict[str, Any]

# Ten colours that stay apart for colour-blind readers (Paul Tol's "muted" set, and a grey), the first two most of all.
PALETTE = (
    "#332288", "#cc6677", "#44aa99", "#ddcc77", "#88ccee", "#117733", "#aa4499", "#999933", "#882255", "#8a8f98",
)  # fmt: skip
BACKGROUND, INK, QUIET, FAINT = "#fcfcfa", "#2b2f36", "#6b717b", "#dfe1e4"
FAMILY = "DejaVu Sans"  # comes with matplotlib, so the picture does not depend on the fonts of a machine
TITLE, TEXT = 9.0, 7.5  # points
DPI = 128  # a power of two: a width in pixels is then exact in inches, and images land on whole pixels


def require() -> None:
    """Refuse to go on without matplotlib."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("drawing a picture", "plot")


def blank(width: float, height: float, *, layout: bool = False) -> Figure:
    """An empty figure of ``width`` x ``height`` inches; with ``layout``, matplotlib finds room for the labels."""
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Style = {"facecolor": BACKGROUND, "edgecolor": BACKGROUND, "linewidth": 0, "frameon": True}
    figure = Figure((width, height), dpi=DPI, **style)
    figure.set_layout_engine("compressed" if layout else "none", **({"w_pad": 0.12, "h_pad": 0.12} if layout else {}))
    FigureCanvasAgg(figure)
    return figure


def chart(width: float, height: float, title: str, note: str = "") -> tuple[Figure, Axes]:
    """A figure with one pair of quiet axes under a title and, smaller, a note; widened if the title needs it."""
    needed = max(text_size(title, TITLE)[0], text_size(note)[0]) / DPI + 1
    figure = blank(max(width, needed), height, layout=True)
    axes = figure.add_subplot()
    calm(axes, title, pad=20 if note else 8)
    place: Style = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": TEXT, "color": QUIET}
    axes.annotate(note, (0, 1), (0, 7), ha="left", va="bottom", **place)
    return figure, axes


def colour_bar(figure: Figure, axes: Axes, drawn: ScalarMappable, name: str) -> None:
    """A named colour bar right of the axes, opaque however faint the points are."""
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(drawn.norm, drawn.cmap), ax=axes, aspect=28, pad=0.02)
    calm(bar.ax)
    name_axes(bar.ax, up=name)


def calm(axes: Axes, title: str = "", *, size: float = TITLE, pad: float = 8) -> None:
    """Give axes the common look, spelt out so that no style of the user's session shows through."""
    axes.set_facecolor(BACKGROUND)
    axes.set_axisbelow(True)
    axes.grid(visible=False, which="both")
    axes.minorticks_off()
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=FAINT, linewidth=0.8)
    axes.tick_params(labelsize=TEXT, labelcolor=QUIET, color=FAINT, length=3, width=0.8, pad=3, direction="out")
    axes.tick_params(labelfontfamily=FAMILY, top=False, right=False, bottom=True, left=True)
    axes.set_title("", loc="center")
    axes.set_title(title, loc="left", fontsize=size, color=INK, pad=pad, fontweight="normal")


def name_axes(axes: Axes, across: str = "", up: str = "") -> None:
    """Label both axes in the common type."""
    axes.set_xlabel(across, fontsize=TEXT, color=QUIET, labelpad=5, loc="center", fontweight="normal")
    axes.set_ylabel(up, fontsize=TEXT, color=QUIET, labelpad=5, loc="center", fontweight="normal")


def finish(figure: Figure) -> Figure:
    """Give every text the common family, take "$" in a user's names literally, and settle the layout.

    The layout is settled here once, because each further drawing would move it by a fraction of a pixel.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontfamily(FAMILY)
            text.set_parse_math(False)
            text.set_text(printable(text.get_text()))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def printable(text: str) -> str:
    """The text with a mark in place of control characters, which no font has."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def text_size(text: str, points: float = TEXT) -> tuple[int, int]:
    """Width and height in pixels of a text, before it is drawn."""
    require()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    if not text:
        return 0, 0
    font = FontProperties(family=FAMILY, size=points)
    written = printable(text).split("\n")
    lines = [TextToPath().get_text_width_height_descent(line, font, ismath=False) for line in written]
    width, height = max(line[0] for line in lines), 1.35 * points * len(lines)
    return int(np.ceil(width * DPI / 72)), int(np.ceil(height * DPI / 72))


def signed(value: float, digits: int = 2) -> str:
    """A number for a label, with a real minus sign and no "-0"."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def numbers(
    values: npt.ArrayLike | Sequence[float | None], what: str, shape: Sequence[int | None], *, missing: bool = False
) -> Numbers:
    """Check an array to draw: numeric, of ``shape`` (None = any length but 0), and finite unless ``missing``."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataShape(f"{what} is not an array of numbers", found=str(error)) from error
    wanted = "(" + ", ".join("any" if length is None else str(length) for length in shape) + ")"
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.size == 0:
        raise DataShape(f"{what} has the wrong shape", found=str(array.shape), expected=f"{wanted}, not empty")
    if not missing:
        finite(array, what)
    return array


def finite(array: npt.NDArray[np.generic], what: str) -> None:
    """Refuse NaN and infinity, naming the first."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    if np.isnan(array[where]):
        raise DataMissing(f"{what} holds NaN", where=f"index {where}", mend="Fill or drop the missing values first.")
    raise DataRange(f"{what} is infinite", where=f"index {where}", expected="finite numbers")


def match(names: Sequence[str] | None, length: int, what: str) -> list[str]:
    """The names as texts, one each; None gives empty ones."""
    if names is None:
        return [""] * length
    if len(names) != length:
        raise DataShape(f"{what} do not fit the picture", found=f"{len(names)} names", expected=f"{length}")
    return [str(name) for name in names]


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes: no date, no software, the same for the same figure.

    Args:
        figure: what a function of this module returned.

    >>> from lowerbound.figures import kl_bars, png
    >>> png(kl_bars([1.0], title="KL"))[1:4]
    b'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content = BytesIO()
    write = FigureCanvasAgg(figure).print_png
    write(content, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return content.getvalue()


def beside(*figures: Figure, down: bool = False) -> Figure:
    """Figures side by side as one, each as it is, their upper edges level; or below each other, their left edges.

    Args:
        figures: what functions of this module returned.
        down: below each other.

    >>> from lowerbound.figures import beside, kl_bars
    >>> one = kl_bars([1.0], title="KL")
    >>> beside(one, one).canvas.get_width_height()[0] == 2 * one.canvas.get_width_height()[0]
    True
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = []
    for figure in figures:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        drawn.append(np.asarray(canvas.buffer_rgba()))
    heights, widths = [len(picture) for picture in drawn], [picture.shape[1] for picture in drawn]
    width, height = (max(widths), sum(heights)) if down else (sum(widths), max(heights))
    whole = blank(width / DPI, height / DPI)
    for i, picture in enumerate(drawn):
        left, top = (0, sum(heights[:i])) if down else (sum(widths[:i]), 0)
        whole.figimage(picture, left, height - top - len(picture), origin="upper")
    return whole


def save(figure: Figure, path: str | Path, *, force: bool = False) -> Path:
    """Write a figure as a PNG file, the same bytes for the same figure, and return the path.

    Args:
        figure: what a function of this module returned.
        path: a file ending in ``.png``; its folder must exist.
        force: overwrite a file that is already there.

    Raises:
        BadOption: the name does not end in ``.png``, or its folder is not there.
        OutputExists: the file is there and ``force`` is False.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from lowerbound.figures import kl_bars, save
    >>> with TemporaryDirectory() as folder:
    ...     save(kl_bars([1.0], title="KL"), Path(folder, "kl.png")).name
    'kl.png'
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise BadOption("pictures are written as PNG", found=str(target), expected="a name ending in .png")
    if not target.parent.is_dir():
        raise BadOption("the folder for the picture is not there", found=str(target.parent), mend="Create it first.")
    content = png(figure)
    try:
        with target.open("wb" if force else "xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise OutputExists("the file is already there", where=str(target), mend="Pass force to overwrite.") from error
    return target
