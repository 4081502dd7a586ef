"""A change of unit: log p(x) moves by the Jacobian, and nothing that is filled in moves at all."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.embedding import Embedding

EXACT: dict[str, Any] = {"latent": 2, "epochs": 4, "progress": False, "precision": "fp64", "test": 0}
ROWS = 140
FACTORS = {"height": 100.0, "weight": 1000.0, "temperature": 0.001}


def table(path: Path, factors: dict[str, float], seed: int) -> Path:
    """Heights, weights (log-normal), temperatures, a kind and a count, a fifth of all cells missing."""
    source = np.random.default_rng(seed)
    z = source.normal(size=(ROWS, 2))
    numbers = {
        "height": np.round(1.7 + 0.1 * z[:, 0] + 0.03 * source.normal(size=ROWS), 2),
        "weight": np.round(np.exp(4 + 0.5 * z[:, 1] + 0.2 * source.normal(size=ROWS)), 1),
        "temperature": np.round(37 + 2 * z[:, 0] - z[:, 1], 1),
    }
    cells = {name: [f"{value * factors.get(name, 1.0):.10g}" for value in values] for name, values in numbers.items()}
    cells["kind"] = np.array(["ash", "elm", "oak"])[(z[:, 1] > 0).astype(int) + (z[:, 0] > 1)].tolist()
    cells["nests"] = [str(n) for n in source.poisson(np.exp(1 + 0.3 * z[:, 0]))]
    gone = source.random((ROWS, 5)) < 0.2
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(cells)
    writer.writerows([["" if gone[i, j] else column[i] for j, column in enumerate(cells.values())]
                      for i in range(ROWS)])  # fmt: skip
    path.write_text(file.getvalue())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("units")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tables_are_filled_in_alike_in_every_unit(folder: Path, seed: int) -> None:
    """Kinds of columns, early stopping, single and multiple imputations, intervals and scores, by all methods."""
    paths = [table(folder / f"{seed}-{i}.csv", factors, seed) for i, factors in enumerate(({}, FACTORS))]
    kinds = "height=real; temperature=real"
    plain, other = (lb.fit(path, seed=seed, columns=kinds, validation=20, **EXACT) for path in paths)
    unit = np.array([FACTORS.get(column.name, 1.0) for column in plain.schema or ()])
    assert [column.kind for column in plain.schema or ()] == [column.kind for column in other.schema or ()]
    rows = [run.rows(part="train").take(slice(0, 12)) for run in (plain, other)]
    for method in ("importance", "metropolis"):
        a, b = (lb.impute(run, part, method=method, sweeps=2, samples=60, draws=4, seed=seed)  # type: ignore[arg-type]
                for run, part in zip((plain, other), rows, strict=True))  # fmt: skip
        for name in ("values", "draws", "mean", "lower", "upper"):
            one, two = getattr(a, name) * unit, getattr(b, name)
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9, err_msg=f"{method} {name}")
        assert (a.draws[0] != a.draws[1])[~a.mask].any() and np.allclose(a.ess, b.ess, equal_nan=True)
    seen = np.asarray(rows[0].mask)
    shift = (seen * np.log(unit)).sum(1)
    found = [lb.score(run, part, samples=30).log_likelihood for run, part in zip((plain, other), rows, strict=True)]
    np.testing.assert_allclose(found[0] - found[1], shift, atol=1e-4)
    held = [[line["validation_elbo"] for line in run.history] for run in (plain, other)]
    assert np.ptp(np.subtract(*held)) < 1e-9  # the same but for a constant: noise of held-out rows has no unit


@pytest.mark.parametrize("factor", [100.0, 1 / 2.54, 9 / 5])
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_arrays_are_filled_in_alike_in_every_unit(factor: float, objective: str) -> None:
    """Any change x -> a + b x, as of Fahrenheit, column by column."""
    source = np.random.default_rng(3)
    x = source.normal(size=(120, 2)) @ source.normal(size=(2, 4)) + 0.2 * source.normal(size=(120, 4)) + 5
    x[source.random(x.shape) < 0.3] = np.nan
    scale, shift = np.array([1.0, factor, factor, 1.0]), np.array([0.0, 0.0, 32.0, 0.0])
    runs = [lb.fit(rows, missing="nan", objective=objective, validation=15, **EXACT)
            for rows in (x, x * scale + shift)]  # fmt: skip
    a, b = (lb.impute(run, rows[:50], sweeps=2, samples=100, draws=3)
            for run, rows in zip(runs, (x, x * scale + shift), strict=True))  # fmt: skip
    assert (a.method == b.method).all()
    for name in ("values", "draws", "mean", "lower", "upper"):
        np.testing.assert_allclose(getattr(a, name) * scale + shift, getattr(b, name), rtol=1e-6, err_msg=name)


def test_digests_see_what_differs_and_not_its_last_digits() -> None:
    embedding = Embedding((2,), mode="columns", masked=False).double()
    x = torch.tensor([[1.7, 60.0], [1.8, 60.0], [1.7, 60.1]], dtype=torch.float64).repeat(4, 1)
    x[3:] += torch.arange(9.0)[:, None] / 7
    embedding.start_from(x)
    first = embedding.digests(x)
    assert len(set(first)) == len(x.unique(dim=0)) == 11
    assert embedding.digests(x * (1 + 1e-14)) == first
    other = Embedding((2,), mode="columns", masked=False).double()
    other.start_from(x * 100)
    assert other.digests(x * 100) == first
    half = torch.tensor([[True, False]]).expand(len(x), -1)
    hidden = embedding.digests(x, half)
    assert hidden == embedding.digests(torch.where(half, x, torch.nan), half) and not set(hidden) & set(first)
    assert embedding.digests(x, ~half) != hidden
    plain = Embedding((2,))
    assert plain.digests(x) != plain.digests(x * 100)  # nothing is scaled: a model that knows no other unit either


def test_a_row_alone_has_the_digest_it_has_among_others() -> None:
    source = np.random.default_rng(0)
    data = Data(np.exp(source.normal(size=(70, 3))))
    run = lb.fit(data, latent=1, epochs=1, progress=False)
    x = torch.from_numpy(data.x)
    whole = run.model.embedding.digests(x)
    assert [run.model.embedding.digests(x[i : i + 1])[0] for i in range(70)] == whole
