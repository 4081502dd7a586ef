"""p-values, typicality and ROC curves against values worked out by hand and by counting."""

import math
from fractions import Fraction

import numpy as np
import pytest

from lowerbound.errors import DataShape
from lowerbound.measures import auroc, calibration_error, conformal, typicality


def test_conformal_p_values_are_uniform_where_rows_are_alike() -> None:
    """Each of n + 1 scores in turn against the rest: every value of the grid once, so P(p <= t) = t on it."""
    scores = np.random.default_rng(0).permutation(20).astype(float)
    found = [Fraction(conformal(np.delete(scores, i), scores[[i]])[0]).limit_denominator(20) for i in range(20)]
    assert sorted(found) == [Fraction(i, 20) for i in range(1, 21)]


def test_ties_count_against_strangeness_and_nan_stays() -> None:
    found = conformal(np.array([1.0, 1.0, 2.0, np.nan]), np.array([1.0, 2.0, math.inf, math.nan]))
    np.testing.assert_array_equal(found, [1.0, 0.5, 0.25, math.nan])


def test_typicality_of_rows_too_likely_and_too_unlikely() -> None:
    held_out = np.array([-10.0, -12.0, -math.inf])
    np.testing.assert_array_equal(typicality(held_out, np.array([-11.0, -31.0, 9.0, -math.inf])), [0, 20, 20, math.inf])


@pytest.mark.parametrize("held_out", [np.array([]), np.array([math.nan])])
def test_without_held_out_scores_there_is_no_answer(held_out: np.ndarray) -> None:
    for measure in (conformal, typicality):
        with pytest.raises(DataShape, match="held-out"):
            measure(held_out, np.ones(2))


def test_auroc_counts_pairs_with_ties_half() -> None:
    rng = np.random.default_rng(0)
    scores, strange = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.3
    pairs = scores[strange][:, None] - scores[~strange]
    found = auroc(scores, strange)
    assert found.value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-12)
    assert (found.perfect, found.chance) == (1.0, 0.5)
    assert auroc(scores.astype(int) ** 3, strange).value == found.value
    assert auroc(-scores, strange).value == pytest.approx(1 - found.value)


def test_the_error_of_auroc_is_its_spread() -> None:
    """Two normals a standard deviation apart: mean Phi(1 / sqrt 2) = 0.7602, spread as DeLong says, within 10 %."""
    rng = np.random.default_rng(0)
    strange = np.repeat([0, 1], [60, 40])
    found = [auroc(rng.normal(size=100) + strange, strange) for _ in range(500)]
    values = np.array([one.value for one in found])
    assert values.mean() == pytest.approx(0.7602, abs=4 * values.std() / math.sqrt(500))
    assert np.mean([one.se for one in found]) == pytest.approx(values.std(), rel=0.1)


@pytest.mark.parametrize("strange", [np.zeros(3), np.ones(3)])
def test_one_kind_alone_has_no_curve(strange: np.ndarray) -> None:
    with pytest.raises(DataShape, match="ordinary and strange"):
        auroc(np.arange(3.0), strange)
    with pytest.raises(DataShape, match="1 scores NaN"):
        auroc(np.array([0.0, math.nan, 1.0]), np.array([0, 1, 1]))


def test_calibration_error_by_hand() -> None:
    """Two bins: ten rows say 0.9 and eight are right, five say 0.55 and four are; 10/15 * 0.1 + 5/15 * 0.25."""
    said = np.array([[0.9, 0.1]] * 10 + [[0.45, 0.55]] * 5)
    truth = np.array([0] * 8 + [1] * 2 + [1] * 4 + [0])
    found = calibration_error(said, truth)
    assert found.value == pytest.approx((10 * 0.1 + 5 * 0.25) / 15) and found.chance == pytest.approx(3 / 15)
    with pytest.raises(DataShape, match="rows with labels"):
        calibration_error(said, truth[:3])


def test_who_is_right_as_often_as_said_is_calibrated_and_who_brags_is_not() -> None:
    rng = np.random.default_rng(0)
    said = rng.dirichlet([1.0, 1.0, 1.0], 4000)
    truth = (rng.random(4000)[:, None] > said.cumsum(1)).sum(1)
    honest, brags = calibration_error(said, truth), calibration_error(said**3 / (said**3).sum(1, keepdims=True), truth)
    assert honest.p_value > 0.05 and abs(honest.value - honest.perfect) < 3 * honest.se
    assert brags.p_value < 0.01 and brags.value > brags.perfect + 5 * brags.se
