"""Measures of latent spaces where the answer is known in closed form."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from lowerbound import measures
from lowerbound.data.synthetic import LinearGaussian

ROWS = 4000
Codes = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]


def linear_codes(weights: npt.NDArray[np.float64]) -> Codes:
    """Exact posteriors of a linear model for rows of its own, W' W diagonal: means, variances, a draw of each."""
    rng = np.random.default_rng(0)
    model = LinearGaussian(weights, np.zeros(len(weights)), 0.5)
    z = rng.normal(size=(ROWS, weights.shape[1]))
    x = z @ weights.T + math.sqrt(0.5) * rng.normal(size=(ROWS, len(weights)))
    mean, covariance = model.posterior(x)
    variance = np.broadcast_to(np.diag(covariance), mean.shape)
    return mean, variance, mean + np.sqrt(variance) * rng.normal(size=mean.shape)


def kl_to_standard(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(1))


def test_an_exact_model_fills_its_prior_and_its_information_is_known() -> None:
    codes = linear_codes(np.array([[1.0, 0.0], [0.0, 0.7], [0.5, 0.0]]))
    information = 0.5 * math.log(1 + 1.25 / 0.5) + 0.5 * math.log(1 + 0.49 / 0.5)  # ln(1 + w'w / sigma^2) / 2 each
    assert measures.mutual_information(*codes) == pytest.approx(information, abs=0.03)
    assert measures.prior_gap(*codes, kl_to_standard(*codes[:2])) == pytest.approx(0, abs=0.03)
    assert measures.total_correlation(*codes) == pytest.approx(0, abs=0.01)
    assert measures.gaussian_total_correlation(*codes[:2]) == pytest.approx(0, abs=0.001)


def test_codes_away_from_the_prior_are_seen() -> None:
    """Shifted by 0.7 in each of two dimensions: N(0.7, I) against N(0, I) is 0.7^2; dimensions stay independent."""
    mean, variance, z = linear_codes(np.array([[2.0, 0.3], [0.1, 0.4]]) @ np.eye(2))
    gap = measures.prior_gap(mean + 0.7, variance, z + 0.7, kl_to_standard(mean + 0.7, variance))
    assert gap == pytest.approx(0.49, abs=0.05)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_total_correlation_of_correlated_gaussian_codes(rho: float) -> None:
    """q(z) = N(0, C) of unit variances: -ln(1 - rho^2) / 2 for both estimates."""
    rng = np.random.default_rng(1)
    spread, noise = np.array([[1.0, rho], [rho, 1.0]]) - 0.09 * np.eye(2), np.full((ROWS, 2), 0.09)
    mean = rng.multivariate_normal(np.zeros(2), spread, ROWS)
    exact = -0.5 * math.log(1 - rho**2)
    sampled = measures.total_correlation(mean, noise, mean + 0.3 * rng.normal(size=(ROWS, 2)))
    assert sampled == pytest.approx(exact, abs=0.05)
    assert measures.gaussian_total_correlation(mean, noise) == pytest.approx(exact, abs=0.05)


def test_dependence_without_correlation_is_seen_by_the_sampled_measure_alone() -> None:
    """The four corners and the middle of a square: H(z1) = ln 5 - 0.8 ln 2 = H(z2), H(z1, z2) = ln 5."""
    mean = 90 * np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]])
    exact = math.log(5) - 1.6 * math.log(2)
    assert measures.total_correlation(mean, np.ones_like(mean), mean) == pytest.approx(exact, abs=1e-9)
    assert measures.gaussian_total_correlation(mean, np.ones_like(mean)) == pytest.approx(0, abs=1e-12)


def test_active_units_are_counted_by_the_variance_of_the_mean() -> None:
    mean = np.array([[1.0, 0.09, 0.11], [-1.0, -0.09, -0.11]])
    assert measures.active_units(mean) == 2
