"""Axes as they are written, grids, and points of optuna."""

import pytest

from lowerbound.errors import BadOption, ConfigError
from lowerbound.tasks.searching import Grid, Optuna, Point, Range, axis


def test_axes_as_they_are_written() -> None:
    assert axis("latent=2, 5") == ("model.latent", (2, 5))
    assert axis("model.encoder.widths=[4],[4, 4]") == ("model.encoder.widths", ([4], [4, 4]))
    assert axis("prior=standard,mixture:components=5")[1] == ("standard", "mixture:components=5")
    assert axis("objective.beta={start=0,end=1,over=0.5},2")[1] == ({"start": 0, "end": 1, "over": 0.5}, 2)
    assert axis("latent=2..5") == ("model.latent", Range(2, 5))
    assert axis("rate=1e-4..1e-2:log")[1] == Range(1e-4, 1e-2, log=True)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("latent", "not an axis"),
        ("=2", "not an axis"),
        ("latent=", "not an axis"),
        ("latent=5..2", "not a range: found '5..2'"),
        ("latent=2..", "not a range"),
        ("rate=0..1:log", "above 0 for log"),
        ("latent=a..b", "not a range"),
        ("widths=[4", "widths"),
    ],
)
def test_others_are_refused(written: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        axis(written)


def test_a_grid_is_every_combination_once() -> None:
    grid = Grid({"a": (1, 2, 3), "b": Range(0, 1), "c": ("x",)})
    found = list(iter(grid.ask, None))
    assert (
        len(found) == 6
        and found == list(grid)
        and found[:2] == [{"a": 1, "b": 0, "c": "x"}, {"a": 1, "b": 1, "c": "x"}]
    )
    for space in ({"a": ()}, {"a": (1, 1)}, {"a": Range(0.0, 1.0)}):
        with pytest.raises(BadOption, match="over a"):
            Grid(space)  # type: ignore[arg-type]


SPACE = {"rate": Range(1e-4, 1e-1, log=True), "latent": Range(2, 9), "widths": ([4], [8, 8])}


def asked(search: Optuna) -> list[Point]:
    found = []
    while (point := search.ask()) is not None:
        found.append(point)
        search.tell(point, None if point["latent"] == 9 else -abs(point["latent"] - 5) - 10 * (point["widths"] == [4]))
    return found


def test_optuna_looks_where_it_was_good() -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    found = asked(Optuna(SPACE, 40, 0))
    assert len(found) == 40 and found == asked(Optuna(SPACE, 40, 0)) != asked(Optuna(SPACE, 40, 1))
    assert all(1e-4 <= p["rate"] <= 1e-1 and 2 <= p["latent"] <= 9 and p["widths"] in SPACE["widths"] for p in found)  # type: ignore[operator]
    late = [point for seed in range(3) for point in asked(Optuna(SPACE, 40, seed))[20:]]
    near = sum(point["widths"] == [8, 8] and abs(point["latent"] - 5) < 2 for point in late)
    assert near > 20  # by chance 11, and 3 more or fewer


def test_points_that_were_tried_come_first_and_count() -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    before = asked(Optuna(SPACE, 3, 0))
    other = {"rate": 1e-2, "latent": 3, "widths": [5]}  # of another sweep
    found = asked(Optuna(SPACE, 5, 0, [*before, other]))
    assert found[:3] == before and len(found) == 5 and found[3] not in before
    with pytest.raises(BadOption, match="trials"):
        Optuna(SPACE, 0, 0)
