"""Recipes side by side."""

import numpy as np
import pytest

from lowerbound.errors import DataMissing, DataShape
from lowerbound.figures import Map, comparison, png

PANELS = {"log p(x) (nats)": {"pca": [1.0], "vae": [1.0, 2.0, 6.0]}, "KL (nats)": {"pca": [], "vae": [3.0]}}


def plane(images: bool = False) -> Map:
    rng = np.random.default_rng(0)
    sheet = rng.random((16, 1, 8, 8)) if images else None
    return Map(
        "vae", "3 %", rng.normal(size=(20, 2)), np.arange(20) % 3, np.linspace(0, 2, 36).reshape(6, 6), 3.0, sheet
    )


def test_the_median_and_the_quartiles_are_drawn() -> None:
    axes = comparison(PANELS, title="two").axes[0]
    big = [line for line in axes.lines if line.get_markersize() == 5]
    assert [float(np.asarray(line.get_xdata()).item()) for line in big] == [1.0, 2.0]
    bars = [line for line in axes.lines if line.get_linewidth() == 3.5]
    assert list(np.asarray(bars[1].get_xdata())) == [1.5, 4.0]
    empty = comparison(PANELS, title="two").axes[1]
    assert [text.get_text() for text in empty.texts] == ["none"]


def test_maps_are_shaded_where_there_is_no_data() -> None:
    drawn = comparison(PANELS, [plane()], title="one map").axes
    axes = next(axes for axes in drawn if axes.get_title(loc="left") == "vae")
    colours = axes.images[0].to_rgba(axes.images[0].get_array())
    reach = plane().reach
    pale = (colours[reach <= 0.99][:, :3] == colours[0, 0, :3]).all()
    assert pale and not (colours[reach > 1.01][:, :3] == colours[0, 0, :3]).all(-1).any()
    assert len(axes.collections[0].get_offsets()) == 20


@pytest.mark.parametrize("maps", [[], [plane()], [plane(images=True)] * 6])
def test_the_same_picture_every_time(maps: list[Map]) -> None:
    assert png(comparison(PANELS, maps, title="t")) == png(comparison(PANELS, maps, title="t"))


def test_panels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataShape, match="different methods"):
        comparison({"a": {"x": [1.0]}, "b": {"y": [1.0]}}, title="")
    with pytest.raises(DataShape):
        comparison({}, title="")
    with pytest.raises(DataMissing):
        comparison({"a": {"x": [np.nan]}}, title="")
