"""Pictures of the latent space: what is on top is on top, right is right, and pale is where nothing is."""

from io import BytesIO

import numpy as np
import pytest

from lowerbound import errors, figures

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

CORNER = np.zeros((2, 4, 1, 4, 4))  # two paths of four steps; top left path 0 is grey, path 1 white; one pixel is off
CORNER[0, :, 0, 0, 0], CORNER[1, :, 0, 0, 0], CORNER[:, :, 0, 1, 3] = [0.2, 0.4, 0.6, 0.8], 1.0, 1.0


def drawn(figure: object) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(figures.png(figure))).convert("RGB")).astype(int)  # type: ignore[arg-type]


def test_an_animation_shows_each_step_top_left_first_and_comes_back() -> None:
    film = Image.open(BytesIO(figures.gif(CORNER, columns=2)))
    assert film.n_frames == 6 and film.info["loop"] == 0
    seen, lasts = [], []
    for frame in range(6):
        film.seek(frame)
        picture = np.asarray(film.convert("L"))
        seen.append(picture[0, 0])
        lasts.append(film.info["duration"])
        side = (picture.shape[1] - 2) // 2
        assert picture[0, side + 2] == 255 and picture[side - 1, side - 1] == 0
        assert picture[side // 4, side - 1] == 255 and picture[side - 1, side // 4] == 0, "second row, last column"
    assert seen == [51, 102, 153, 204, 153, 102] and lasts == [400, 80, 80, 400, 80, 80]
    assert figures.gif(CORNER) == figures.gif(CORNER)


def test_an_animation_of_colours() -> None:
    red = np.zeros((1, 2, 3, 4, 4))
    red[:, :, 0] = 1
    assert np.asarray(Image.open(BytesIO(figures.gif(red))).convert("RGB"))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"columns": 0}, {"seconds": float("nan")}])
def test_animations_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.BadOption, match="cannot be animated"):
        figures.gif(CORNER, **wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.DataShape):
        figures.gif(CORNER[0])


def test_figures_beside_and_below_each_other() -> None:
    left, right = figures.image_grid(CORNER[0], title="left"), figures.kl_bars([1.0], title="KL")
    (a, b), across, down = (
        (drawn(left), drawn(right)),
        drawn(figures.beside(left, right)),
        drawn(figures.beside(left, right, down=True)),
    )
    np.testing.assert_array_equal(across[: len(a), : a.shape[1]], a)
    np.testing.assert_array_equal(across[: len(b), a.shape[1] :], b)
    np.testing.assert_array_equal(down[: len(a), : a.shape[1]], a)
    np.testing.assert_array_equal(down[len(a) :, : b.shape[1]], b)


def test_places_without_data_are_pale() -> None:
    images = np.zeros((4, 1, 2, 2))
    axis = np.array([-1.0, 1.0])
    picture = drawn(figures.manifold(images, extent=(axis, axis), title="", empty=[False, True, False, False]))
    dark = np.argwhere(picture.sum(-1) == 0)
    pale = np.argwhere((picture == [156, 143, 145]).all(-1))
    assert len(dark) > 2.5 * len(pale) > 0
    assert pale[:, 0].min() > np.median(dark[:, 0]) and pale[:, 1].min() > np.median(dark[:, 1]), "bottom right"


def test_the_map_shades_what_the_ground_lacks() -> None:
    """Data lie on the right; the left half is shaded, from top to bottom."""
    density = np.tile(np.linspace(-2, 2, 9), (9, 1))
    ground = figures.Ground(density, (-2.0, 2.0, -1.0, 1.0), 0.0)
    figure = figures.latent_map(np.array([[1.0, 0.5]]), title="half", ground=ground, note="a note")
    axes = figure.axes[0]
    assert (*axes.get_xlim(), *axes.get_ylim()) == (-2, 2, -1, 1)
    picture, height = drawn(figure), figure.canvas.get_width_height()[1]
    for x, y, shaded in [(-1.0, 0.7, True), (-1.0, -0.7, True), (1.0, -0.7, False)]:
        across, up = axes.transData.transform((x, y))
        colour = picture[height - 1 - int(up), int(across)]
        assert (colour.tolist() == [240, 220, 223]) is shaded, (x, y)


def test_the_answers_rise_to_the_right() -> None:
    figure = figures.response([-1, 0, 1], [[0.1, 0.2, 0.9], [0.0, 0.4, 1.0], [0.3, 0.3, 0.3]], title="t", limits=(0, 1))
    median = next(line for line in figure.axes[0].lines if line.get_label() == "median")
    np.testing.assert_allclose(median.get_ydata(), [0.1, 0.3, 0.9])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["−1", "0", "+1"]
    with pytest.raises(errors.DataShape, match="do not ascend"):
        figures.response([0, 0], [[1, 2]], title="")
