"""Rows of a table with some columns given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import lowerbound as lb
from lowerbound.errors import BadOption, DataRange, LowerboundError, UnknownName
from lowerbound.tasks.given import Wanted

ROWS = 3000


@pytest.fixture(scope="module")
def linear() -> Any:
    """A model whose x is Gaussian, with its mean and covariance."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 2)) @ generator.normal(size=(2, 4)) + generator.normal(size=(300, 4)) + [0, 5, 0, 1]
    run = lb.fit(x, recipe="pca", latent=2, validation=0, test=0, progress=False)
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    noise = values[:2].mean()
    cov = (vectors[:, 2:] * (values[2:] - noise)) @ vectors[:, 2:].T + noise * np.eye(4)
    return run, x.mean(0), cov


def conditional(mean: Any, cov: Any, at: list[int], value: Any) -> tuple[Any, Any]:
    rest = [i for i in range(4) if i not in at]
    slope = np.linalg.solve(cov[np.ix_(at, at)], cov[np.ix_(at, rest)])
    return mean[rest] + (value - mean[at]) @ slope, cov[np.ix_(rest, rest)] - slope.T @ cov[np.ix_(at, rest)]


def near(found: Any, wanted: Any, spread: Any, ess: float) -> None:
    """Within five standard errors; the draws are worth at most the smaller of the rows and the weights."""
    assert (np.abs(found - wanted) < 5 * np.sqrt(spread / min(ROWS, ess))).all(), (found, wanted)


def test_values_given_lead_to_the_conditional_gaussian(linear: Any) -> None:
    run, mean, cov = linear
    made = lb.sample(run, ROWS, kind="draw", given={"x1": 6.0, "x3": "0.5"})
    assert np.allclose(made.values[:, 1], 6.0) and np.allclose(made.values[:, 3], 0.5)
    m, s = conditional(mean, cov, [1, 3], np.array([6.0, 0.5]))
    others = made.values[:, [0, 2]].astype(float)
    assert 100 < made.ess <= 20 * ROWS
    near(others.mean(0), m, np.diag(s), made.ess)
    near(((others - m) ** 2).mean(0), np.diag(s), 2 * np.diag(s) ** 2, made.ess)
    near(((others - m).prod(1)).mean(), s[0, 1], s[0, 0] * s[1, 1] + s[0, 1] ** 2, made.ess)


def test_a_range_is_a_truncated_normal(linear: Any) -> None:
    run, mean, cov = linear
    low, high, sd = 6.0, 7.5, np.sqrt(cov[1, 1])
    made = lb.sample(run, ROWS, kind="draw", given={"x1": (low, high)})
    inside = made.values[:, 1].astype(float)
    assert (low <= inside).all() and (inside <= high).all()
    a, b = (low - mean[1]) / sd, (high - mean[1]) / sd
    mass = norm.cdf(b) - norm.cdf(a)
    truncated = mean[1] + sd * (norm.pdf(a) - norm.pdf(b)) / mass
    near(inside.mean(), truncated, inside.var(), made.ess)
    others = made.values[:, [0, 2, 3]].astype(float)
    near(
        others.mean(0), mean[[0, 2, 3]] + cov[1, [0, 2, 3]] / cov[1, 1] * (truncated - mean[1]), others.var(0), made.ess
    )


@pytest.mark.parametrize(
    ("wanted", "mass"),
    [
        (Wanted(0, 2, 5), 3.0), (Wanted(0, 2, 5, whole=True), 4.0), (Wanted(0, 0, 2, spikes=(0.0, 1.0)), 4.0),
        (Wanted(0, 3, 3), 1.0),
    ],
)  # fmt: skip
def test_the_density_of_proposals_integrates_to_what_there_is(wanted: Wanted, mass: float) -> None:
    """The mean of 1/q over draws of q is the length of a range, the number of its points, or both."""
    import torch

    x, log_q = wanted.draw((torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000)
    assert float((-log_q).exp().mean()) == pytest.approx(mass, rel=1e-3)
    assert wanted.low <= x.min() and x.max() <= wanted.high


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    generator = np.random.default_rng(1)
    kind = generator.integers(3, size=400)
    gain = np.where(generator.random(400) < 0.5, 0, generator.gamma(3, 100, 400).round(1))
    cells = zip(np.array(["red", "green", "blue"])[kind], generator.poisson(3 + 4 * kind), gain,
                np.round(20 * kind + generator.normal(50, 9, 400), 1), strict=True)  # fmt: skip
    path = Path(tmp_path_factory.mktemp("given")) / "table.csv"
    path.write_text("colour,visits,gain,weight\n" + "".join(",".join(map(str, row)) + "\n" for row in cells))
    run = lb.fit(path, latent=2, epochs=60, rate=5e-3, validation=0, test=0, progress=False)
    assert run.schema is not None and run.schema.columns[2].spikes == (0.0,)
    return run


@pytest.mark.parametrize(
    ("given", "meets"),
    [
        ({"colour": "blue"}, lambda x: x[:, 0] == 0), ({"visits": "8..12"}, lambda x: (x[:, 1] >= 8) & (x[:, 1] <= 12)),
        ({"gain": "0..200"}, lambda x: x[:, 2] <= 200), ({"gain": 0}, lambda x: x[:, 2] == 0),
        ({"weight": "80..", "visits": (5, 30)}, lambda x: (x[:, 3] >= 80) & (x[:, 1] >= 5)),
    ],
    ids=["category", "range", "below", "spike", "two"],
)  # fmt: skip
def test_rows_are_those_that_rejection_would_leave(table: Any, given: Any, meets: Any) -> None:
    made = lb.sample(table, ROWS, given=given)
    free = lb.sample(table, 12 * ROWS, seed=7).values
    free[:, 0] = np.array([table.schema.columns[0].categories[int(c)] == "blue" for c in free[:, 0]]) - 1.0
    mine = made.values.copy()
    mine[:, 0] = np.array([table.schema.columns[0].categories[int(c)] == "blue" for c in mine[:, 0]]) - 1.0
    assert meets(mine).all()
    left = free[meets(free)]
    assert len(left) > 300 and 100 < made.ess
    error = np.sqrt(left.var(0) / len(left) + mine.var(0) / min(ROWS, made.ess)) + 1e-9
    assert (np.abs(left.mean(0) - mine.mean(0)) < 5 * error + 0.01 * left.std(0)).all()


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"color": "red"}, UnknownName, "colour"), ({"colour": "pink"}, DataRange, "pink"),
        ({"colour": ("red", "green")}, BadOption, "no order|empty"), ({"visits": "9..3"}, BadOption, "empty"),
        ({"visits": "few"}, BadOption, "few"), ({"visits": (3.2, 3.8)}, BadOption, "whole"),
        ({"weight": float("nan")}, BadOption, "nan"), ({"visits": -3}, LowerboundError, "visits"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_given_is_refused_by_name(table: Any, given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        lb.sample(table, 3, given=given)


def test_no_temperature_beside_columns(table: Any) -> None:
    with pytest.raises(BadOption, match="temperature"):
        lb.sample(table, 3, given={"visits": 3}, temperature=0.5)
