"""Draws made of noise by quantile functions: each law of a table, and rows so strange that encoders know nothing."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.data.columns import Column
from lowerbound.likelihoods.columns import Columns
from lowerbound.likelihoods.counts import LogNegativeBinomial, LogPoisson
from lowerbound.likelihoods.mixed import Mixed, _quantile
from lowerbound.randomness import scope

COLUMNS = (
    Column("heavy", "real", "student_t", -9, 9), Column("many", "count", "negative_binomial", 0, 99, 1.0, (0.0,)),
    Column("kind", "categorical", "categorical", categories=("x", "y", "z")),
    Column("spiked", "positive", "log_normal", 0.1, 50, 0.0, (1.0, 2.5)),
    Column("grade", "ordinal", "ordinal", categories=("low", "middle", "high")),
    Column("few", "count", "poisson", 0, 9, 1.0), Column("share", "bounded", "logit_normal", 0, 1),
    Column("sex", "binary", "categorical", categories=("n", "y")), Column("plain", "real", "gaussian", -9, 9),
)  # fmt: skip
DRAWS = 60_000


def drawn() -> tuple[Mixed, Columns, Any]:
    with scope(0, "test"):
        family = Columns((len(COLUMNS),), COLUMNS).double().requires_grad_(False)
        p = family(torch.randn(1, 1, *family.numbers, dtype=torch.float64))
        eps = torch.randn(DRAWS, 1, 1, len(COLUMNS), dtype=torch.float64)
    assert isinstance(p, Mixed)
    return p, family, p.outcome(eps)[:, 0, 0].numpy()


def test_draws_of_a_table_have_the_probabilities_of_its_log_prob() -> None:
    """Every discrete value and spike by its frequency, what is measured by its distribution function."""
    p, family, x = drawn()
    for at, column in enumerate(COLUMNS):
        values, counts = np.unique(x[:, at], return_counts=True)
        often = [(v, n) for v, n in zip(values, counts, strict=True) if column.discrete or v in column.spikes]
        for value, count in often:
            cell = torch.full((1, 1, len(COLUMNS)), float(value), dtype=torch.float64)
            cell = torch.where(torch.arange(len(COLUMNS)) == at, cell, family.fill.double())
            chance = float(p.log_prob(cell)[0, 0, at].exp())
            assert abs(count - DRAWS * chance) < 5 * np.sqrt(DRAWS * chance * (1 - chance)) + 5, (column.name, value)
        assert not column.discrete or sum(n for _, n in often) == DRAWS
    measured = [at for at, column in enumerate(COLUMNS) if not column.discrete]
    for place, at in enumerate(measured):
        inner = x[~np.isin(x[:, at], COLUMNS[at].spikes), at]
        y = p.layout.line(torch.as_tensor(np.tile(inner[:, None], len(measured))))[0][:, place].numpy()
        scaled = (y - float(p.loc[0, 0, place])) / float(p.sigma[0, 0, place])
        law = stats.t(float(p.freedom[0, 0, 0])) if COLUMNS[at].family == "student_t" else stats.norm()
        assert stats.kstest(scaled, law.cdf).pvalue > 1e-4, COLUMNS[at].name


def test_one_number_a_cell_makes_the_draw() -> None:
    """A cell's draw rises with its number, and no other cell's number has a part in it."""
    p, _, _ = drawn()
    eps = torch.zeros(3, 1, 1, len(COLUMNS), dtype=torch.float64)
    eps[2] = 1.3
    base = p.outcome(eps)
    assert torch.equal(base[0], base[1]) and (base[2] >= base[1])[..., [0, 2, 4, 5, 6, 7, 8]].all()
    for at in range(len(COLUMNS)):
        moved = eps.clone()
        moved[0, ..., at] = 1.3
        same = torch.arange(len(COLUMNS)) != at
        assert torch.equal(p.outcome(moved)[0][..., same], base[0][..., same])
        assert torch.equal(p.outcome(moved)[0][..., ~same], base[2][..., ~same])


@pytest.mark.parametrize("mean", [1e-8, 0.7, 5.0, 300.0, 1e5])
def test_quantiles_of_counts_are_scipys(mean: float) -> None:
    u = torch.linspace(1e-9, 1 - 1e-9, 301, dtype=torch.float64)
    log_mean = torch.full_like(u, mean).log()
    assert np.array_equal(LogPoisson(log_mean).icdf(u).numpy(), stats.poisson.ppf(u.numpy(), mean))
    for size in (1e-2, 0.5, 3.0, 1e4):
        found = LogNegativeBinomial(log_mean, torch.tensor(size, dtype=torch.float64).log()).icdf(u)
        assert np.array_equal(found.numpy(), stats.nbinom.ppf(u.numpy(), size, size / (size + mean))), size


@pytest.mark.parametrize(("mean", "size"), [(1e9, 0.5), (1e9, 1e9), (1e30, 3.0), (1e-8, 1e9), (1e7, 1e300)])
def test_quantiles_of_counts_beyond_measure_are_finite_and_spread_as_they_should(mean: float, size: float) -> None:
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    law = LogNegativeBinomial(torch.full_like(u, mean).log(), torch.tensor(size, dtype=torch.float64).log())
    found = law.icdf(u).numpy()
    assert np.isfinite(found).all() and (np.diff(found) >= 0).all()
    if mean > 1:
        spread = np.sqrt(mean + mean * (mean / size))
        assert found.mean() == pytest.approx(mean, rel=0.02) and found.std() == pytest.approx(spread, rel=0.05)


@pytest.fixture(scope="module")
def table() -> lb.Run:
    source = np.random.default_rng(0)
    size, kind = source.lognormal(2, 0.3, 150), np.array(["ash", "elm"])[source.integers(0, 2, 150)]
    lines = [f"{a:.2f},{b},{c},{d:.1f}" for a, b, c, d in
             zip(size, kind, source.poisson(3 * size), source.normal(50, 5, 150), strict=True)]  # fmt: skip
    lines[::9] = [line.rpartition(",")[0] + "," for line in lines[::9]]
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = f"{folder}/t.csv"
        with open(path, "w") as file:
            file.write("\n".join(["size,tree,nests,x", *lines]) + "\n")
        run = lb.fit(path, latent=2, epochs=3, progress=False)
        assert run.rows(part="train").rows
    return run


@pytest.mark.parametrize("factor", [1e2, 1e9])
@pytest.mark.parametrize("method", ["auto", "importance", "gibbs"])
def test_rows_far_from_all_others_are_filled_in_with_numbers(table: lb.Run, factor: float, method: Any) -> None:
    rows = table.rows(part="train").take([1, 2])
    x, mask = rows.x.copy(), np.ones(rows.x.shape, bool)
    x[:, 0] *= factor
    mask[0, 2:], mask[1, 1] = False, False
    strange = Data(x, mask=mask, columns=rows.columns, schema=rows.schema)
    found = lb.impute(table, strange, method=method, samples=60, sweeps=2, draws=3)
    for part in (found.values, found.draws, found.mean, found.lower, found.upper):
        assert np.isfinite(part).all()
    assert found.warnings and rows.schema is not None
    for column, cells in zip(rows.schema, np.moveaxis(found.draws, -1, 0), strict=True):
        inside = (cells >= column.low) & (cells <= column.high)
        assert (inside | (column.name == "size")).all(), column.name


def test_a_table_of_nan_has_a_category_still() -> None:
    table = torch.tensor([[math.nan, math.nan], [math.log(0.3), math.log(0.7)]])
    assert _quantile(table, torch.tensor([0.9, 0.9])).tolist() == [0, 1]
