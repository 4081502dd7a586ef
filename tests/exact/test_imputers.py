"""Imputers without a trained model: public figures on one mask of the breast cancer data, and small exact cases."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_breast_cancer

from lowerbound.errors import BadOption, DataRange, DataShape
from lowerbound.measures.imputation import fill_chained, fill_gaussian, fill_mean, fill_neighbours, fill_principal
from lowerbound.selftests.base import rows_of

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def breast() -> tuple[Array, Array]:
    """Scaled rows, and cells of the mask of seed 1234 that MIWAE's example hides: half of all."""
    x = load_breast_cancer().data.astype(np.float32)
    x = (x - x.mean(0)) / x.std(0)
    hidden = np.random.RandomState(1234).choice(x.size, x.size // 2, replace=False)
    assert hidden[:3].tolist() == [14853, 7252, 7817]
    return x.astype(float), hidden


FIGURES: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "mean": (lambda x: fill_mean(x, x), 1.0275, 0.001),
    "five neighbours": (lambda x: fill_neighbours(x, x, 5), 0.569, 0.001),
    "ten neighbours": (lambda x: fill_neighbours(x, x), 0.538, 0.001),
    "chained": (lambda x: fill_chained(x, x), 0.333, 0.002),
    "ppca": (lambda x: fill_principal(x, x, 10), 0.281, 0.003),
    "gaussian": (lambda x: fill_gaussian(x, x, 40), 0.230, 0.005),
}


@pytest.mark.parametrize("name", FIGURES)
def test_known_errors_on_the_public_mask(name: str, breast: tuple[Array, Array]) -> None:
    fill, expected, tolerance = FIGURES[name]
    x, hidden = breast
    holed = x.copy()
    holed.ravel()[hidden] = np.nan
    filled = fill(holed)
    seen = ~np.isnan(holed)
    assert (filled[seen] == x[seen]).all()
    assert ((filled - x).ravel()[hidden] ** 2).mean() == pytest.approx(expected, abs=tolerance)


def test_complete_rows_give_the_closed_forms() -> None:
    """Conditioning on sample moments, and on those of probabilistic PCA's closed form."""
    x = rows_of("iris").numpy()
    holed = x[:5].copy()
    holed[:, 2] = np.nan
    seen = [0, 1, 3]
    mean, full = x.mean(0), np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(full)
    noise = values[:2].mean()
    low = noise * np.eye(4) + vectors[:, 2:] * (values[2:] - noise) @ vectors[:, 2:].T
    for covariance, filled in ((full, fill_gaussian(x, holed, ridge=1e-12)), (low, fill_principal(x, holed, 2))):
        slope = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen, 2])
        np.testing.assert_allclose(filled[:, 2], mean[2] + (x[:5][:, seen] - mean[seen]) @ slope, rtol=1e-6)


def test_em_makes_the_observed_cells_likelier() -> None:
    """No step of EM makes the likelihood of a Gaussian worse, so that more of them fit it better."""
    from scipy.stats import multivariate_normal

    from lowerbound.measures import imputation as module

    x = rows_of("iris").numpy()[::3].copy()
    x[::2, 1] = np.nan
    found = []
    for iterations in (1, 3, 30):
        made = fill_gaussian(x, x, iterations, ridge=1e-9)
        spread = module._expected(x, made.mean(0), np.cov(made.T, bias=True))[1] / len(x)
        law = multivariate_normal(made.mean(0), np.cov(made.T, bias=True) + spread)
        seen = multivariate_normal(law.mean[[0, 2, 3]], law.cov[np.ix_([0, 2, 3], [0, 2, 3])])
        found.append(law.logpdf(x[1::2]).sum() + seen.logpdf(x[::2][:, [0, 2, 3]]).sum())
    assert found[0] < found[1] < found[2]


def test_rows_without_any_value_get_the_mean() -> None:
    x = rows_of("iris").numpy()
    nothing = np.full((1, 4), np.nan)
    for fill in (fill_mean, fill_chained, fill_gaussian, fill_neighbours, lambda a, b: fill_principal(a, b, 2)):
        np.testing.assert_allclose(fill(x, nothing), x.mean(0, keepdims=True), rtol=1e-6)


EVERY = [fill_mean, fill_neighbours, fill_chained, fill_gaussian, lambda a, b: fill_principal(a, b, 1)]


@pytest.mark.parametrize("fill", EVERY)
def test_bad_rows_are_refused(fill: Callable[[Any, Any], Array]) -> None:
    with pytest.raises(DataShape, match="cannot be compared"):
        fill(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(DataShape, match="column 1: no value to learn from"):
        fill([[1.0, np.nan], [2.0, np.nan]], [[1.0, 2.0]])
    with pytest.raises(DataRange, match="infinite"):
        fill([[1.0, 2.0], [2.0, np.inf]], [[1.0, 2.0]])


def test_bad_options_are_refused() -> None:
    x = np.eye(3)
    wrongs: list[Callable[[], Array]] = [
        lambda: fill_neighbours(x, x, 0), lambda: fill_chained(x, x, 0), lambda: fill_gaussian(x, x, 0),
        lambda: fill_gaussian(x, x, ridge=0.0), lambda: fill_principal(x, x, 3), lambda: fill_principal(x, x, 0),
        lambda: fill_principal(x, x, 1, 0),
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(BadOption):
            wrong()
