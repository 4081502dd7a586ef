"""Measures of generated rows: exact values, and what they say of rows that are like the real ones."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lowerbound.errors import BadOption, DataMissing, DataShape, UnknownName
from lowerbound.measures import generation

Array = npt.NDArray[Any]


def normal(rows: int, cells: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, cells))


def test_coverage_and_density_of_equal_distributions() -> None:
    """In any number of dimensions coverage is 1 - prod (n - i) / (n + m - i), near .969 for k = 5, and density 1."""
    found = [generation.prdc(normal(600, 100, seed), normal(600, 100, seed + 100)) for seed in range(4)]
    coverage, density = (np.mean([one[name].value for one in found]) for name in ("coverage", "density"))
    assert found[0]["coverage"].perfect == pytest.approx(0.96914, abs=1e-4)
    assert coverage == pytest.approx(0.969, abs=0.01)
    assert density == pytest.approx(1.0, abs=0.15)  # in 100 dimensions few rows lie in most balls


def test_what_is_perfect_for_precision_is_what_equal_distributions_give() -> None:
    found = [generation.prdc(normal(200, 30, seed), normal(200, 30, seed + 100)) for seed in range(20)]
    for name in ("precision", "recall", "density", "coverage"):
        value, perfect, se = np.mean([(one[name].value, one[name].perfect, one[name].se) for one in found], axis=0)
        spread = np.std([one[name].value for one in found])
        assert value == pytest.approx(perfect, abs=4 * spread / math.sqrt(20))
        assert 0.7 * spread < se < 2 * spread
        assert 0.5 < perfect < 0.95 or name in ("density", "coverage")


def test_balls_by_hand() -> None:
    """Ten times on a line, k = 1: real 0 1 3 with radii 1 1 2, made 0.5 1 9 with radii 0.5 0.5 8; edges are outside."""
    real, made = (np.add.outer(1000.0 * np.arange(10), x).reshape(-1, 1) for x in ([0.0, 1.0, 3.0], [0.5, 1.0, 9.0]))
    found = generation.prdc(real, made, neighbours=1)
    values = {name: one.value for name, one in found.items()}
    assert values == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "density": 1.0, "coverage": 2 / 3})
    assert found["precision"].perfect == pytest.approx(2 / 3)  # 3 is nobody's nearest


def test_made_rows_far_away_have_none_of_it() -> None:
    found = generation.prdc(normal(50, 3, 0), normal(50, 3, 1) + 50)
    assert {one.value for one in found.values()} == {0.0} == {one.chance for one in found.values()}


@pytest.mark.parametrize("sizes", [(40, 40), (25, 50)])
def test_the_permutation_test_of_mmd_errs_as_often_as_it_says(sizes: tuple[int, int]) -> None:
    """400 repeats at level 5 %: 20 expected; more than 36 or fewer than 8 have probability below 0.001."""
    rng = np.random.default_rng(0)
    draws = ((rng.normal(size=(sizes[0], 2)), rng.normal(size=(sizes[1], 2))) for _ in range(400))
    wrong = sum(generation.mmd(*pair, permutations=99, seed=i).p_value <= 0.05 for i, pair in enumerate(draws))
    assert 8 <= wrong <= 36


def test_mmd_is_the_unbiased_mean_over_pairs() -> None:
    x, y = normal(7, 3, 0), normal(5, 3, 1) + 0.5
    rows = np.concatenate([x, y])
    squared = ((rows[:, None] - rows) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * np.median(squared[np.triu_indices(12, 1)])))
    off = ~np.eye(12, dtype=bool)
    means = [kernel[a, b][off[a, b]].mean() for a, b in (
        (slice(7), slice(7)), (slice(7, 12), slice(7, 12)), (slice(7), slice(7, 12)))]  # fmt: skip
    found = generation.mmd(x, y, permutations=9)
    assert found.value == pytest.approx(means[0] + means[1] - 2 * means[2], abs=1e-12)
    assert found.chance == pytest.approx(means[0] + means[1])


def test_mmd_sees_another_distribution() -> None:
    assert generation.mmd(normal(100, 2, 0), normal(100, 2, 1) + 0.8).p_value == 0.005
    assert generation.mmd(normal(100, 2, 0), normal(100, 2, 1)).p_value > 0.05
    assert generation.mmd(np.zeros((5, 2)), np.zeros((5, 2))).p_value == 1.0


def test_frechet_distance_of_a_shift_and_of_a_stretch() -> None:
    """The same sample moved by d, stretched by s: ||d||^2 + (s - 1)^2 tr C with the sample's own C, exactly."""
    x = normal(500, 4, 0) @ np.diag([3.0, 1.0, 0.5, 0.0])
    centred, move = x - x.mean(0), np.array([1.0, 2.0, 0.0, 0.5])
    trace = float(np.trace(np.cov(x, rowvar=False)))
    assert generation.frechet(x, x + move).value == pytest.approx(5.25, abs=1e-9)
    assert generation.frechet(x, 2 * centred + x.mean(0)).value == pytest.approx(trace, rel=1e-9)
    assert generation.frechet(x, np.tile(x.mean(0), (500, 1))).value == pytest.approx(trace, rel=1e-9)
    assert generation.frechet(x, x).chance == pytest.approx(trace)


def test_frechet_distance_of_gaussians_and_its_error() -> None:
    """N(0, A) against N(m, B) with A, B diagonal: ||m||^2 + sum (sqrt a - sqrt b)^2."""
    a, b, m = np.array([4.0, 1.0, 0.25]), np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.0, 0.0])
    exact = 0.25 + 1.0 + 0.25
    found = [
        generation.frechet(normal(3000, 3, i) * np.sqrt(a), normal(3000, 3, i + 99) * np.sqrt(b) + m) for i in range(60)
    ]
    values = np.array([one.value for one in found])
    assert values.mean() == pytest.approx(exact, abs=0.03)
    assert np.mean([one.se for one in found]) == pytest.approx(values.std(), rel=0.25)


def test_what_is_perfect_for_frechet_is_what_equal_gaussians_give() -> None:
    scale = np.array([2.0, 1.0, 1.0, 0.5, 0.1])
    found = [generation.frechet(normal(150, 5, i) * scale, normal(300, 5, i + 999) * scale) for i in range(150)]
    assert np.mean([one.value for one in found]) == pytest.approx(found[0].perfect, rel=0.1)


@pytest.mark.parametrize("classifier", generation.CLASSIFIERS)
def test_a_classifier_cannot_tell_equal_distributions_apart(classifier: str) -> None:
    same = generation.two_sample(normal(300, 5, 0), normal(400, 5, 1), classifier=classifier)
    assert same.value == pytest.approx(0.5, abs=4 * same.se) and same.p_value > 0.001
    assert (same.perfect, same.chance, same.se) == (0.5, 1.0, pytest.approx(0.5 / math.sqrt(600), rel=0.01))
    other = generation.two_sample(normal(300, 5, 0), 3 * normal(400, 5, 1), classifier=classifier)
    assert other.value > 0.85 and other.p_value < 1e-9
    assert other == generation.two_sample(normal(300, 5, 0), 3 * normal(400, 5, 1), classifier=classifier)


def test_without_the_grid_of_the_data_every_sample_gives_itself_away() -> None:
    data = np.round(np.random.default_rng(0).uniform(0, 1, (300, 2)) * 4) / 4
    made = np.clip(data[:, ::-1] + np.random.default_rng(1).uniform(-0.1, 0.1, (300, 2)), 0, 1)
    snapped = generation.snap(made, data, pooled=True)
    assert set(np.unique(snapped)) == {0, 0.25, 0.5, 0.75, 1}
    np.testing.assert_array_equal(snapped, data[:, ::-1])
    assert generation.two_sample(data, made).value > 0.95 > 0.6 > generation.two_sample(data, snapped).value


def test_a_grid_for_each_column_and_none_where_values_hardly_repeat() -> None:
    real = np.random.default_rng(0).normal(size=8)
    data = np.stack([np.tile([0.0, 1.0], 4), np.tile([0.0, 100.0], 4), real], axis=1)
    found = generation.snap(np.array([[0.6, 60.0, 0.123], [-7.0, 49.0, 9.0]]), data, pooled=False)
    np.testing.assert_array_equal(found, [[1.0, 100.0, 0.123], [0.0, 0.0, 9.0]])
    assert generation.snap(np.zeros((3, 1, 2, 2)), np.ones((9, 1, 2, 2)), pooled=True).shape == (3, 1, 2, 2)


def test_copies_of_training_rows_are_found() -> None:
    train, real = normal(300, 4, 0), normal(100, 4, 1)
    fresh, copied = (generation.memorisation(train, real, made) for made in (normal(100, 4, 2), train[:100] + 1e-3))
    assert fresh.value == pytest.approx(0.5, abs=3 * fresh.se) and fresh.p_value > 0.01
    assert copied.value > 0.99 and copied.p_value < 1e-9
    assert generation.memorisation(train, real, normal(100, 4, 2) * 9).value < 0.05


def test_distances_to_the_neighbours() -> None:
    train = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    np.testing.assert_allclose(generation.nearest_distance(train, train, 2), [5, 5, 5])
    with pytest.raises(DataShape, match="fewer training rows than neighbours"):
        generation.nearest_distance(train, train, 4)


def test_features_are_the_first_principal_components() -> None:
    rows = normal(200, 3, 0) @ np.diag([3.0, 1.0, 0.1])
    features = generation.principal_features(rows, 2)(rows.reshape(200, 1, 3))
    assert features.shape == (200, 2)
    assert features.var(0).sum() == pytest.approx(np.linalg.eigvalsh(np.cov(rows.T, ddof=0))[1:].sum())
    assert generation.principal_features(rows, 20)(rows).shape == (200, 3)


@pytest.mark.parametrize("measure", [generation.mmd, generation.prdc, generation.frechet, generation.two_sample])
def test_rows_that_cannot_be_compared_are_refused(measure: Callable[..., Any]) -> None:
    for made in (normal(60, 4, 0), normal(1, 3, 0), np.zeros(3)):
        with pytest.raises(DataShape, match="cannot be compared"):
            measure(normal(60, 3, 0), made)
    with pytest.raises(DataMissing, match="not finite"):
        measure(normal(60, 3, 0), np.full((60, 3), np.nan))


def test_options_that_mean_nothing_are_refused() -> None:
    x = normal(20, 2, 0)
    with pytest.raises(UnknownName, match="forest, mlp"):
        generation.two_sample(x, x, classifier="tree")
    with pytest.raises(BadOption, match="permutations"):
        generation.mmd(x, x, permutations=0)
    with pytest.raises(BadOption, match="neighbours"):
        generation.prdc(x, x, neighbours=0)
