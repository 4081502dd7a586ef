"""Pictures: right side up, the same bytes every time, and no trace in the session that drew them."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lowerbound import errors, figures

matplotlib = pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Rectangle, StepPatch  # noqa: E402
from matplotlib.text import Text  # noqa: E402

Array = npt.NDArray[np.float64]
RNG = np.random.default_rng(5)
IMAGES, CODES, TABLE = RNG.random((9, 1, 5, 4)), RNG.normal(size=(30, 2)), RNG.normal(size=(40, 14))
CLASSES, GRID = np.arange(30) % 3, np.array([-1.5, 0.0, 1.5])
DRAWN: dict[str, tuple[Callable[[], Figure], list[str]]] = {
    "grid": (
        lambda: figures.image_grid(IMAGES, title="nine", row_labels="abc", column_labels=["wide label", "e", "f"]),
        ["nine", "a", "b", "c", "wide label", "e", "f"],
    ),
    "reconstructions": (
        lambda: figures.reconstructions(IMAGES, IMAGES / 2, title="halved", corrupted=1 - IMAGES),
        ["halved", "input", "original", "reconstruction"],
    ),
    "manifold": (
        lambda: figures.manifold(IMAGES, extent=(GRID, GRID * 2), title="plane"),
        ["plane", "z1", "z2", "−1.50", "0.00", "3.00"],
    ),
    "traversal": (
        lambda: figures.traversal(IMAGES[None], row_labels=["z7"], column_labels=list("abcdefghi"), title="walk"),
        ["walk", "z7", "a", "i"],
    ),
    "classes": (
        lambda: figures.latent_map(CODES, CLASSES, ("ant", "bee"), title="map", explained=(0.5, 0.25)),
        ["map", "ant", "bee", "2", "z1 (50.0 % of the variance)", "z2 (25.0 % of the variance)"],
    ),
    "quantity": (
        lambda: figures.latent_map(CODES, CODES[:, 0], ["weight"], title="map", axis_labels=("u", "v")),
        ["weight", "u", "v"],
    ),
    "curves": (
        lambda: figures.training_curves({"train": [-9, -5, -4], "validation": [-8, -6, None]}, title=r"$\run_1$"),
        [r"$\run_1$", "train", "validation", "best: −6.00 nats, epoch 2", "epoch", "ELBO per row (nats)"],
    ),
    "kl": (
        lambda: figures.kl_bars([0.0, 2.0, 0.5], title="KL"),
        ["KL", "z2", "KL (nats)", "2 of 3 active (above 0.01 nats, dashed), 2.50 nats in all"],
    ),
    "comparison": (
        lambda: figures.comparison_bars(
            ["PCA", "VAE"], [-132, -99], [0.5, None], unit="nats", title="MNIST", reference=-100
        ),
        ["PCA", "VAE", "−132.00 ± 0.50", "−99.00", "dashed: reference, −100.00", "nats; bars: one standard error"],
    ),
    "heat": (
        lambda: figures.heat_map([[1.0, -2.0, 0.0], [0.0, 0.5, 1.0]], "ab", "cde", title="table", colour_label="nats"),
        ["table", "a", "b", "c", "e", "nats", "−2.00", "0.50"],
    ),
    "histograms": (
        lambda: figures.table_histograms(TABLE, TABLE[:9], [f"column {i}" for i in range(14)], title="wine"),
        ["wine (first 12 of 14 columns)", "column 0", "column 11", "data"],
    ),
}
every_picture = pytest.mark.parametrize("name", DRAWN)


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """The figure's PNG as (H, W, 3) bytes."""
    return np.asarray(Image.open(BytesIO(figures.png(figure))).convert("RGB"))


def inside(figure: Figure) -> npt.NDArray[np.uint8]:
    """The part of the PNG that its one pair of axes covers."""
    picture = pixels(figure)
    x0, y0, x1, y1 = np.round(figure.axes[0].get_window_extent().extents).astype(int)
    return picture[picture.shape[0] - y1 : picture.shape[0] - y0, x0:x1]


def shades(figure: Figure, down: int, across: int) -> list[list[int]]:
    """The green value at the middle of each cell of a sheet."""
    sheet = inside(figure)
    rows, columns = (
        ((np.arange(n) + 0.5) * size / n).astype(int) for n, size in ((down, len(sheet)), (across, sheet.shape[1]))
    )
    return [[int(value) for value in row] for row in sheet[np.ix_(rows, columns)][:, :, 1]]


def constant(values: npt.ArrayLike) -> Array:
    """One 2 x 2 image of one shade per value, given in 255ths."""
    return np.asarray(values, dtype=float).reshape(-1, 1, 1, 1) / 255 * np.ones((1, 1, 2, 2))


def texts(figure: Figure) -> set[str]:
    figure.canvas.draw()
    return {text.get_text() for text in figure.findobj(Text)}


def test_a_bright_top_left_pixel_is_drawn_top_left() -> None:
    image = np.zeros((1, 1, 6, 6))
    image[0, 0, 0, 0] = 1
    drawn = inside(figures.image_grid(image, title="corner"))
    bright = np.argwhere((drawn == 255).all(axis=2))
    assert bright.min(axis=0).tolist() == [0, 0]
    assert bright.max(axis=0).tolist() == [len(drawn) // 6 - 1] * 2


@pytest.mark.parametrize("shape", [(3, 3), (8, 8), (28, 20), (28, 28), (64, 64), (33, 47), (300, 200)])
def test_every_pixel_becomes_a_square_of_whole_pixels(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *shape))
    drawn = inside(figures.image_grid(image / 255, title="a title that makes the sheet wider", row_labels=["row"]))
    scale = len(drawn) // shape[0]
    np.testing.assert_array_equal(drawn, image[0].transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1))


def test_a_grid_is_read_like_a_page_and_limits_clip() -> None:
    figure = figures.image_grid(constant([10, 20, 30, 40, 500, -9])[:, 0], columns=3)
    assert shades(figure, 2, 3) == [[10, 20, 30], [40, 255, 0]]
    assert shades(figures.image_grid(constant([255, 510]), limits=(0, 2)), 1, 2) == [[128, 255]]


def test_reconstructions_are_drawn_below_their_originals() -> None:
    figure = figures.reconstructions(constant([10, 20]), constant([30, 40]), title="", corrupted=constant([50, 60]))
    assert shades(figure, 3, 2) == [[50, 60], [10, 20], [30, 40]]


def test_a_traversal_has_a_row_per_path() -> None:
    steps = constant([10, 20, 30, 40, 50, 60]).reshape(2, 3, 1, 2, 2)
    assert shades(figures.traversal(steps, title=""), 2, 3) == [[10, 20, 30], [40, 50, 60]]


def test_on_a_manifold_the_first_axis_goes_right_and_the_second_up() -> None:
    figure = figures.manifold(constant([10, 20, 30, 40, 50, 60]), extent=([-1, 0, 1], [-2, 2]), title="")
    assert shades(figure, 2, 3) == [[40, 50, 60], [10, 20, 30]]
    axes = figure.axes[0]
    across = [label.get_text() for label in axes.get_xticklabels()]
    height = [axes.transData.transform((0, y))[1] for y in axes.get_yticks()]
    assert across == ["−1.00", "0.00", "1.00"] and (np.diff(axes.get_xticks()) > 0).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["−2.00", "2.00"] and height[1] > height[0]


def test_on_a_map_the_second_axis_goes_up_and_colours_follow_the_labels() -> None:
    heights = np.arange(-9.0, 9.0)
    figure = figures.latent_map(np.stack([0 * heights, heights], 1), np.where(heights < 0, 4, 7), title="")
    axes = figure.axes[0]
    points, colours = (
        np.asarray(get()) for get in (axes.collections[0].get_offsets, axes.collections[0].get_facecolor)
    )
    below, above = ({tuple(c) for c in colours[side]} for side in (points[:, 1] < 0, points[:, 1] >= 0))
    assert len(below) == len(above) == 1 and below != above
    assert axes.transData.transform((0, 3))[1] > axes.transData.transform((0, -1))[1]


@every_picture
def test_the_same_arrays_give_the_same_bytes_and_nothing_else_is_in_them(name: str) -> None:
    draw, _ = DRAWN[name]
    figure = draw()
    content = figures.png(figure)
    assert content == figures.png(figure) == figures.png(draw())
    assert set(Image.open(BytesIO(content)).info) <= {"dpi"}


@every_picture
def test_the_style_of_the_session_does_not_show(name: str) -> None:
    draw, _ = DRAWN[name]
    dark = dict.fromkeys(("figure.facecolor", "axes.facecolor", "axes.edgecolor", "savefig.facecolor"), "black")
    loud = {"font.size": 20, "font.family": ["serif"], "text.color": "red", "axes.labelcolor": "red", "axes.grid": True}
    lines = {
        "lines.linewidth": 9,
        "image.origin": "lower",
        "image.cmap": "jet",
        "savefig.dpi": 20,
        "savefig.bbox": "tight",
    }
    ticks = {"xtick.labelsize": 30, "ytick.direction": "in", "xtick.minor.visible": True, "axes.titlesize": 40}
    plain = figures.png(draw())
    with matplotlib.rc_context(dark | loud | lines | ticks):
        assert figures.png(draw()) == plain


@every_picture
def test_every_label_is_on_the_picture(name: str) -> None:
    draw, expected = DRAWN[name]
    assert set(expected) <= texts(draw())


@every_picture
def test_nothing_is_cut_off_at_the_edge(name: str) -> None:
    picture = pixels(DRAWN[name][0]())
    edge = np.concatenate([picture[:4].reshape(-1, 3), picture[-4:].reshape(-1, 3), picture[:, :4].reshape(-1, 3)])
    assert (np.concatenate([edge, picture[:, -4:].reshape(-1, 3)]) == (0xFC, 0xFC, 0xFA)).all()


@every_picture
def test_without_matplotlib_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.MissingExtra, match=r"lowerbound\[plot\]"):
        DRAWN[name][0]()


def test_drawing_leaves_the_session_as_it_was() -> None:
    program = """
import sys, numpy as np
from lowerbound import figures
assert "matplotlib" not in sys.modules, "imported before anything was drawn"
import matplotlib
settings = lambda: {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}
before, state = settings(), np.random.get_state()[1].tobytes()
figures.png(figures.image_grid(np.eye(4)[None], title="t"))
figures.png(figures.latent_map(np.eye(2), [0.5, 1.5], title="t"))
figures.png(figures.training_curves({"train": [1, 2]}, title="t"))
figures.png(figures.heat_map(np.eye(2), "ab", "cd", title="t", colour_label="c"))
assert settings() == before and np.random.get_state()[1].tobytes() == state
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


NAN, INF = IMAGES.copy(), IMAGES.copy()
NAN[3, 0, 2, 1], INF[3, 0, 2, 1] = np.nan, np.inf


@pytest.mark.parametrize(
    ("error", "words", "draw"),
    [
        (errors.DataShape, "(9, 2, 5, 4)", lambda: figures.image_grid(IMAGES.repeat(2, 1))),
        (errors.DataShape, "(0, 1, 5, 4)", lambda: figures.image_grid(IMAGES[:0])),
        (errors.DataShape, "(20,)", lambda: figures.image_grid(IMAGES[0].ravel())),
        (errors.DataShape, "2 names", lambda: figures.image_grid(IMAGES, row_labels="ab")),
        (errors.DataMissing, "(3, 0, 2, 1)", lambda: figures.image_grid(NAN)),
        (errors.DataRange, "(3, 0, 2, 1)", lambda: figures.image_grid(INF)),
        (errors.DataRange, "255", lambda: figures.image_grid(np.full((2, 3, 3), 255, dtype=np.uint8))),
        (errors.BadOption, "columns", lambda: figures.image_grid(IMAGES, columns=0)),
        (errors.BadOption, "limits", lambda: figures.image_grid(IMAGES, limits=(1, 1))),
        (errors.DataShape, "(8, 5, 4)", lambda: figures.reconstructions(IMAGES, IMAGES[:8], title="")),
        (errors.DataMissing, "input", lambda: figures.reconstructions(IMAGES, IMAGES, title="", corrupted=NAN)),
        (errors.DataShape, "8 images", lambda: figures.manifold(IMAGES[:8], extent=(GRID, GRID), title="")),
        (errors.DataShape, "ascend", lambda: figures.manifold(IMAGES, extent=(GRID, -GRID), title="")),
        (errors.DataShape, "(9, 1, 5, 4)", lambda: figures.traversal(IMAGES, title="")),
        (errors.DataShape, "(30, 1)", lambda: figures.latent_map(CODES[:, :1], title="")),
        (errors.DataShape, "(29,)", lambda: figures.latent_map(CODES, CLASSES[1:], title="")),
        (errors.DataShape, "50 labels", lambda: figures.latent_map(np.ones((50, 2)), np.arange(50), title="")),
        (errors.DataMissing, "labels", lambda: figures.latent_map(CODES, np.full(30, np.nan), title="")),
        (errors.BadOption, "explained", lambda: figures.latent_map(CODES, title="", explained=(50, 25))),
        (errors.DataShape, "not empty", lambda: figures.training_curves({}, title="")),
        (errors.DataShape, "'b'", lambda: figures.training_curves({"a": [1, 2], "b": [1]}, title="")),
        (errors.DataMissing, "'a'", lambda: figures.training_curves({"a": [None, np.nan]}, title="")),
        (errors.DataMissing, "kl", lambda: figures.kl_bars([1, np.nan], title="")),
        (errors.DataShape, "not an array", lambda: figures.kl_bars(["z", "y"], title="")),
        (errors.DataShape, "3 names", lambda: figures.comparison_bars("abc", [1, 2], unit="", title="")),
        (errors.DataRange, "negative", lambda: figures.comparison_bars("a", [1], [-1], unit="", title="")),
        (errors.DataShape, "1 names", lambda: figures.heat_map(TABLE[:2, :2], "a", "cd", title="", colour_label="")),
        (errors.DataShape, "(40, 13)", lambda: figures.table_histograms(TABLE, TABLE[:, 1:], "ab", title="")),
        (errors.DataMissing, "'a'", lambda: figures.table_histograms(np.full((3, 1), np.nan), [[1]], "a", title="")),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(
    error: type[errors.LowerboundError], words: str, draw: Callable[[], Figure]
) -> None:
    with pytest.raises(error) as caught:
        draw()
    assert words in str(caught.value)


def test_kl_bars_fall_and_those_below_the_threshold_are_pale() -> None:
    axes = figures.kl_bars([0.3, 0.005, 2.0, 0.01], title="").axes[0]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_height() for bar in bars] == [2.0, 0.3, 0.01, 0.005]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["z3", "z1", "z4", "z2"]
    assert len({bar.get_facecolor() for bar in bars[:2]}) == 1 == len({bar.get_facecolor() for bar in bars[2:]})
    assert bars[1].get_facecolor() != bars[2].get_facecolor()


@pytest.mark.parametrize(("better", "epoch"), [("higher", 30), ("lower", 10)])
def test_the_best_epoch_of_the_last_series_is_marked(better: str, epoch: int) -> None:
    series = {"train": [9, 9, 9], "validation": [1, None, 3]}
    figure = figures.training_curves(series, title="", better=better, epochs=[10, 20, 30])  # type: ignore[arg-type]
    assert figure.axes[0].lines[-1].get_xdata() == [epoch]


def test_the_first_method_is_on_top_with_its_error_to_both_sides() -> None:
    axes = figures.comparison_bars(["first", "second"], [1, 5], [0.5, 2], unit="", title="").axes[0]
    bars = axes.containers[0].lines[2][0].get_segments()  # type: ignore[attr-defined]
    assert [segment[:, 0].tolist() for segment in bars] == [[0.5, 1.5], [3, 7]]
    assert axes.transData.transform((0, 0))[1] > axes.transData.transform((0, 1))[1]


def test_a_heat_map_has_its_first_row_on_top() -> None:
    axes = figures.heat_map([[1, 0], [0, 0]], "ab", "cd", title="", colour_label="").axes[0]
    assert axes.transData.transform((0, 0))[1] > axes.transData.transform((0, 1))[1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_histograms_are_shares_and_count_every_observed_row() -> None:
    real, sampled = np.array([[0.0], [1], [1], [np.nan]]), np.array([[1.0], [99], [0], [0]])
    steps = figures.table_histograms(real, sampled, ["bit"], title="").axes[0].patches
    shares = [np.asarray(step.get_data()[0]) for step in steps if isinstance(step, StepPatch)]
    np.testing.assert_allclose(np.stack(shares), np.array([[1 / 3, 2 / 3], [0.5, 0.5]]))


def test_saving_writes_the_bytes_once(tmp_path: Path) -> None:
    figure, path = DRAWN["kl"][0](), tmp_path / "kl.png"
    assert figures.save(figure, path) == path
    assert path.read_bytes() == figures.png(figure)
    path.write_bytes(b"mine")
    with pytest.raises(errors.OutputExists, match=r"kl\.png"):
        figures.save(figure, path)
    assert path.read_bytes() == b"mine"
    figures.save(figure, str(path), force=True)
    assert path.read_bytes() == figures.png(figure)
    with pytest.raises(errors.BadOption, match=r"\.png"):
        figures.save(figure, tmp_path / "kl.pdf")
    with pytest.raises(errors.BadOption, match="folder"):
        figures.save(figure, tmp_path / "absent" / "kl.png")
