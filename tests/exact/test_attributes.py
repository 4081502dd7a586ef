"""Attribute vectors and shares of variance against what they must be."""

from dataclasses import replace

import numpy as np
import pytest

from lowerbound.data import Data
from lowerbound.errors import DataError, DataShape, UnknownName
from lowerbound.tasks.attributes import Judge, direction, question
from lowerbound.tasks.columns import column, members
from lowerbound.tasks.traverse import explained

RNG = np.random.default_rng(3)


def test_the_difference_of_means() -> None:
    codes, on = RNG.normal(size=(40, 3)), np.arange(40) % 3 == 0
    found = direction(codes, on.astype(float), draws=50)
    np.testing.assert_allclose(found.vector, codes[on].mean(0) - codes[~on].mean(0))
    assert (found.low < found.vector).all() and (found.vector < found.high).all()


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    """Difference of two means of 2000 rows each, standard deviations 1 and 2: standard error sqrt(1/2000 + 4/2000)."""
    on = np.repeat([0.0, 1.0], 2000)
    codes = RNG.normal(size=(4000, 1)) * (1 + on)[:, None] + on[:, None]
    found = direction(codes, on, draws=4000)
    half = 1.96 * np.sqrt(5 / 2000)
    assert (found.high - found.low)[0] / 2 == pytest.approx(half, rel=0.06)
    assert found.cosine == 1


def test_rows_that_belong_together_are_drawn_together() -> None:
    """Ten copies of each of 60 rows say no more than the 60."""
    codes, on = RNG.normal(size=(60, 1)), np.arange(60) % 2.0
    once = direction(codes, on, draws=2000)
    groups = np.repeat(np.arange(60), 10)
    again = direction(codes.repeat(10, 0), on.repeat(10), groups=groups, draws=2000)
    np.testing.assert_allclose(again.high - again.low, once.high - once.low, rtol=0.1)
    alone = direction(codes.repeat(10, 0), on.repeat(10), draws=2000)
    assert (alone.high - alone.low)[0] < 0.45 * (once.high - once.low)[0]


def test_within_kinds_what_tells_kinds_apart_is_left_out() -> None:
    """Kinds differ by 100 in the first dimension, and the mean rows with and without do; the vector is (0, 1)."""
    kind = np.repeat([0, 1, 2, 3], 6)
    on = np.array([0, 0, 0, 0, 0, 1] + [0, 1, 1, 1, 1, 1] + [0] * 6 + [0, 0, 0, 1, 1, 1], dtype=float)
    codes = np.stack([100.0 * kind, on], axis=1)
    found = direction(codes, on, within=kind)
    np.testing.assert_allclose(found.vector, [0, 1], atol=1e-12)
    np.testing.assert_allclose([found.low, found.high], [[0, 1], [0, 1]], atol=1e-12)
    assert abs(direction(codes, on).vector[0]) > 5
    with pytest.raises(DataError, match="no rows of the same kind"):
        direction(codes, on, within=np.arange(24))


def test_the_probe_is_the_normal_of_its_plane() -> None:
    """The border of two normals of one covariance has the normal inverse(covariance) @ (difference of means)."""
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    on = np.arange(20000) % 2.0
    codes = RNG.multivariate_normal([0, 0], covariance, 20000) + on[:, None] * [1.0, 0.0]
    found = direction(codes, on, method="probe", draws=1).vector
    normal = np.linalg.inv(covariance) @ [1.0, 0.0]
    assert found @ normal / np.linalg.norm(found) / np.linalg.norm(normal) > 0.999
    assert found @ found == pytest.approx(found @ (codes[on == 1].mean(0) - codes[on == 0].mean(0)))
    with pytest.raises(UnknownName, match="method 'median'"):
        direction(codes, on, method="median")


ROWS = Data(
    np.arange(12.0).reshape(6, 2), columns=("a", "b"), labels=np.array([2, 2, 0, -1, 0, 0]),
    label_names=("no", "maybe", "yes"), factors=np.array([[0], [1], [2], [3], [4], [5]]), factor_names=("size",),
)  # fmt: skip


def test_what_an_attribute_asks() -> None:
    train = np.arange(6)
    np.testing.assert_array_equal(question(ROWS, "label=no", train).on, [0, 0, 1, np.nan, 1, 1])
    np.testing.assert_array_equal(question(ROWS, "label", train).on, [1, 1, 0, np.nan, 0, 0])
    asked = question(ROWS, "size", np.arange(3))
    assert asked.name == "size > 1"
    np.testing.assert_array_equal(asked.on, [0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(question(ROWS, [True, False] * 3, train).on, [1, 0] * 3)
    assert members(ROWS, "a=4").tolist() == [2]
    masked = replace(ROWS, mask=np.array([[True, False]] * 6))
    assert not column(masked, "b").known.any()


@pytest.mark.parametrize(
    ("attribute", "error", "said"),
    [
        ("colour", UnknownName, "unknown attribute 'colour'"),
        ("label=perhaps", UnknownName, "unknown value of 'label' 'perhaps'"),
        ([0, 1], DataShape, "labels of the wrong length"),
        (["a"] * 6, DataShape, "wrong length or type"),
        ([0, 0, 0, 0, 0, 1], DataError, "0 of 3 training rows"),
        ([0, 0, 0, 0, 0, float("nan")], DataError, "row 5"),
    ],
)
def test_what_nobody_can_answer_is_refused(attribute: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        question(ROWS, attribute, np.arange(3))


def test_the_share_of_the_variance_between_kinds() -> None:
    kinds = np.repeat([0.0, 1.0, 2.0], 2000)
    assert explained(RNG.normal(size=6000), kinds) < 0.003
    assert explained(kinds * 5, kinds) == 1
    mixed = kinds * np.sqrt(1.5) + RNG.normal(size=6000)  # variance 1 between, 1 within
    assert explained(mixed, kinds) == pytest.approx(0.5, abs=0.02)
    assert explained(mixed, np.where(np.arange(6000) % 2, kinds, np.nan)) == pytest.approx(0.5, abs=0.03)
    assert explained(np.ones(6000), kinds) == explained(mixed, np.zeros(6000)) == 0


def test_the_judge_tells_what_can_be_told() -> None:
    kinds = np.arange(200) % 2
    x = RNG.normal(size=(200, 4)) + 6.0 * kinds[:, None]
    judge = Judge(Data(x[:100]), kinds[:100])
    found = judge.accuracy(Data(x[100:]), kinds[100:])
    assert (found["mean"], found["se"], found["chance"]) == (1, 0, 0.5)
    np.testing.assert_allclose(judge.probabilities(x).sum(1), 1)
    assert judge.told(x[:2]).tolist() == [0, 1]
