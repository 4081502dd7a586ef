"""Filling in: what was observed stays, and a row's draws depend on what is observed of it and on the seed alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.data.holes import half, hide, scattered
from lowerbound.errors import BadOption, DataShape, Incompatible, UnknownName
from lowerbound.linear import fill_closed_form
from lowerbound.measures.imputation import fill_gaussian
from lowerbound.tasks import impute as module
from lowerbound.tasks.annealing import Annealing
from lowerbound.tasks.impute import Imputed

Array = npt.NDArray[Any]
METHODS = ("importance", "metropolis", "gibbs")
FEW: dict[str, Any] = {"samples": 60, "sweeps": 2, "draws": 3}


@pytest.fixture(scope="module")
def images() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=3, progress=False)


@pytest.fixture(scope="module")
def linear() -> lb.Run:
    """Probabilistic PCA of a table in units of its own."""
    from sklearn.datasets import load_iris

    x = load_iris().data * [1.0, 20.0, 0.1, 2.0]
    run = lb.fit(x, latent=2, encoder="linear", decoder="linear", scaling="columns", epochs=1, progress=False)
    run.model.double()
    fill_closed_form(run.model, torch.from_numpy(run.rows(part="train").values(dtype=np.float64)))
    return run


def holed(run: lb.Run, rows: int = 6) -> Data:
    return hide(run.rows().take(slice(0, rows)), "half")


def parts(found: Imputed) -> dict[str, Array]:
    return {name: getattr(found, name) for name in ("values", "draws", "mean", "lower", "upper", "ess")}


@pytest.mark.parametrize("method", METHODS)
def test_what_was_observed_stays_to_the_bit(images: lb.Run, method: Any) -> None:
    rows = holed(images)
    found = lb.impute(images, rows, method=method, **FEW)
    assert found.values.dtype == rows.x.dtype == found.draws.dtype
    assert (found.values[found.mask] == rows.x[found.mask]).all()
    assert (found.draws[:, found.mask] == rows.x[found.mask]).all()
    assert (found.values[~found.mask] != rows.x[~found.mask]).any()
    assert (found.draws[0] != found.draws[1])[~found.mask].any()
    assert (found.lower <= found.upper).all() and (found.lower < found.upper)[~found.mask].any()
    assert (found.method == method).all() and found.reason == "as asked"


@pytest.mark.parametrize("method", METHODS)
def test_order_choice_blocks_and_what_is_hidden_do_not_matter(
    images: lb.Run, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANNEALING", Annealing(temperatures=4, chains=16, leapfrog=1))
    rows = holed(images, 5)
    assert rows.mask is not None
    whole = parts(lb.impute(images, rows, method=method, **FEW))
    junk = Data(np.where(rows.mask, rows.x, np.float32(7.0)), mask=rows.mask)
    other = lb.impute(images, junk.take([4, 1]), method=method, **FEW)
    monkeypatch.setattr(module, "CELLS", 2 * 256 * 64)
    split = parts(lb.impute(images, rows, method=method, **FEW))
    seeded = lb.impute(images, rows, method=method, seed=1, **FEW)
    for name, found in parts(other).items():
        rest = np.moveaxis(whole[name], 1, 0) if name == "draws" else whole[name]
        mine = np.moveaxis(found, 1, 0) if name == "draws" else found
        np.testing.assert_allclose(mine, rest[[4, 1]], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(split[name], whole[name], rtol=1e-5, atol=1e-7)
    assert not np.array_equal(seeded.draws, whole["draws"])


def test_a_mask_nan_and_data_say_the_same(linear: lb.Run) -> None:
    x = linear.rows().values(dtype=np.float64)[:5]
    mask = scattered(x.shape, 0.4, seed=1)
    given = lb.impute(linear, x, mask=mask, method="importance", **FEW)
    by_nan = lb.impute(linear, np.where(mask, x, np.nan), method="importance", **FEW)
    by_data = lb.impute(linear, Data(x, mask=mask), method="importance", **FEW)
    for found in (by_nan, by_data):
        assert np.array_equal(found.values, given.values) and np.array_equal(found.mask, mask)
    assert given.values.dtype == np.float64


def test_the_conditional_law_of_a_gaussian_in_the_units_of_the_data(linear: lb.Run) -> None:
    """Mean and width of intervals against conditioning on the model's own moments, found from its samples."""
    x = linear.rows(part="train").values(dtype=np.float64)[:8]
    drawn = lb.sample(linear, 100_000, kind="draw").values.astype(np.float64)
    for column in (1, 2):
        found = lb.impute(linear, _without(x, column), method="metropolis", sweeps=120)
        expected = fill_gaussian(drawn, _without(x, column), ridge=1e-12)[:, column]
        spread = float(np.std((drawn - fill_gaussian(drawn, _without(drawn, column), ridge=1e-12))[:, column]))
        np.testing.assert_allclose(found.mean[:, column], expected, atol=0.15 * spread)
        width = (found.upper - found.lower)[:, column] / (2 * 1.6449)
        np.testing.assert_allclose(width, spread, rtol=0.12)


def _without(x: Array, column: int) -> Array:
    x = x.astype(np.float64, copy=True)
    x[:, column] = np.nan
    return x


def test_auto_takes_chains_where_weights_fail_and_says_why(linear: lb.Run, images: lb.Run) -> None:
    complete = linear.rows().take([0, 1])
    found = lb.impute(linear, complete)
    assert found.reason == "no cell is missing" and (found.method == "none").all() and not found.warnings
    assert np.array_equal(found.values, complete.x)
    far = lb.impute(images, holed(images, 3), samples=60, sweeps=2)
    assert (far.method == "metropolis").all() and "metropolis for 3 rows (q was trained on complete rows" in far.reason
    holes = np.where(scattered((150, 4), 0.3), linear.data.x, np.nan) if linear.data else None
    run = lb.fit(holes, latent=2, epochs=2, missing="nan", progress=False)
    near = lb.impute(run, [[np.nan, 60.0, 0.3, 2.0]], samples=4000)
    assert "importance for 1 rows (q was trained on rows with holes" in near.reason
    few = lb.impute(run, [[np.nan, 60.0, 0.3, 2.0]], samples=40, sweeps=2)  # which are never worth fifty
    assert (few.method == "metropolis").all()


def test_diagnostics_warn(images: lb.Run) -> None:
    few = lb.impute(images, holed(images), method="importance", samples=5)
    assert few.doubtful.all() and "few weights count" in few.warnings[0] and np.isnan(few.acceptance).all()
    chain = lb.impute(images, holed(images), method="metropolis", sweeps=1)
    assert ((chain.acceptance >= 0) & (chain.acceptance <= 1)).all() and np.isnan(chain.pareto_k).all()
    gibbs = lb.impute(images, holed(images), method="gibbs", sweeps=1)
    assert "pseudo-Gibbs has a bias" in gibbs.warnings[-1]
    assert gibbs.as_dict()["acceptance_median"] is None
    assert "192 missing cells in 6 of 6 rows filled in" in str(gibbs)


def test_bytes_and_zeros_and_ones() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4), np.uint8)
    run = lb.fit(x, latent=2, epochs=2, progress=False)
    mask = half((4, 1, 4, 4), "right")
    found = lb.impute(run, Data(x[:4], unit=1 / 255, mask=mask), **FEW)
    assert found.values.dtype == np.uint8 and (found.values[mask] == x[:4][mask]).all()
    assert set(np.unique(found.draws[:, ~mask])) <= {0, 255}
    assert (found.values[~mask] > 0).any() and (found.values[~mask] < 255).any()


def test_laws_without_quantiles_are_drawn_row_by_row() -> None:
    x = np.random.default_rng(0).poisson(3.0, (80, 4)).astype(float)
    run = lb.fit(x, latent=1, likelihood="poisson", epochs=2, progress=False)
    x[:5, 1] = np.nan
    whole = lb.impute(run, x[:5], method="importance", **FEW)
    some = lb.impute(run, x[3:0:-1], method="importance", **FEW)
    assert np.array_equal(some.draws, whole.draws[:, 3:0:-1])
    assert (whole.draws == np.rint(whole.draws)).all() and (whole.draws >= 0).all()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"draws": 0}, BadOption), ({"samples": 0}, BadOption), ({"sweeps": 0}, BadOption),
        ({"interval": 1.0}, BadOption), ({"interval": float("nan")}, BadOption), ({"method": "mean"}, UnknownName),
        ({"mask": np.ones((2, 2), bool)}, DataShape), ({"draws": 1.5}, BadOption),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(images: lb.Run, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        lb.impute(images, **wrong)


def test_an_autoencoder_has_no_conditional() -> None:
    run = lb.fit("digits", recipe="ae", latent=2, epochs=1, progress=False)
    with pytest.raises(Incompatible, match="'point' has no density"):
        lb.impute(run)


def test_hidden_cells_are_judged_beside_rivals(linear: lb.Run) -> None:
    found = lb.imputation(linear, hidden="random:0.25", sweeps=40)
    assert set(found.mse) == {"run", "mean", "neighbour", "neighbours", "chained", "ppca", "gaussian"}
    assert found.mse["run"] < found.mse["mean"] and 0.6 < found.coverage <= 1
    assert found.mse["ppca"] == pytest.approx(found.mse["run"], rel=0.05), "the run is probabilistic PCA"
    assert "of the hidden cells lie in the 90% intervals" in str(found)
    with pytest.raises(DataShape, match="not images"):
        lb.imputation(linear, hidden="half")
