"""Made data against their exact answers, with stated error rates."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lowerbound.data import synthetic
from lowerbound.errors import BadOption


def test_linear_gaussian_density_is_that_of_its_covariance() -> None:
    data, truth = synthetic.linear_gaussian(50, features=4, latent=2, noise=0.3, seed=1)
    want = multivariate_normal(truth.mean, truth.weights @ truth.weights.T + 0.09 * np.eye(4)).logpdf(data.x)
    np.testing.assert_allclose(truth.log_density(data.x), want, rtol=1e-9)


def test_linear_gaussian_posterior_is_bayes_rule() -> None:
    data, truth = synthetic.linear_gaussian(5, features=4, latent=2, seed=2)
    mean, spread = truth.posterior(data.x)
    z = np.array([[0.3, -1.0]] * 5)
    joint = [
        multivariate_normal(truth.weights @ z[0] + truth.mean, truth.sigma2 * np.eye(4)).logpdf(x)
        + multivariate_normal(np.zeros(2), np.eye(2)).logpdf(z[0])
        for x in data.x
    ]
    conditional = [multivariate_normal(m, spread).logpdf(z[0]) for m in mean]
    np.testing.assert_allclose(np.array(joint) - conditional, truth.log_density(data.x), rtol=1e-9)


def test_linear_gaussian_rows_are_drawn_from_it() -> None:
    data, truth = synthetic.linear_gaussian(40_000, features=3, latent=1, seed=3)
    # five standard errors of a covariance of N rows: wrong once in a million
    error = 5 * np.sqrt(2 / data.rows) * np.diag(truth.covariance).max()
    np.testing.assert_allclose(np.cov(data.x.T), truth.covariance, atol=error)
    np.testing.assert_allclose(data.x.mean(axis=0), truth.mean, atol=error)


def test_mixture_density_and_rows_agree() -> None:
    data, truth = synthetic.mixture(20_000, features=2, components=3, seed=4)
    parts = zip(truth.weights, truth.means, truth.covariances, strict=True)
    want = sum(weight * multivariate_normal(mean, spread).pdf(data.x) for weight, mean, spread in parts)
    np.testing.assert_allclose(truth.log_density(data.x), np.log(want), rtol=1e-9)
    assert data.labels is not None
    for k in range(3):
        rows = data.x[data.labels == k]
        limit = 5 * np.sqrt(np.linalg.norm(truth.covariances[k]) / len(rows))
        assert np.abs(rows.mean(axis=0) - truth.means[k]).max() < limit
        assert abs(len(rows) / data.rows - truth.weights[k]) < 5 * np.sqrt(0.25 / data.rows)


def test_factors_are_a_full_grid_of_distinct_pictures() -> None:
    data = synthetic.factors(size=16, positions=6, sizes=3)
    assert data.x.shape == (324, 1, 16, 16)
    assert data.factors is not None
    assert np.array_equal(np.ravel_multi_index(tuple(data.factors.T), (6, 6, 3, 3)), np.arange(324))
    assert len(np.unique(data.x.reshape(324, -1), axis=0)) == 324
    assert np.array_equal(data.x.sum(axis=(1, 2, 3)), (data.factors[:, 2] + 2) * (data.factors[:, 3] + 2))
    x, y, width, height = data.factors[200]
    assert np.argwhere(data.x[200, 0]).min(axis=0).tolist() == [2 * y, 2 * x]
    assert data.x[200, 0, 2 * y].sum() == width + 2 and data.x[200, 0, :, 2 * x].sum() == height + 2


def test_the_same_seed_gives_the_same_rows() -> None:
    for make in (synthetic.linear_gaussian, synthetic.mixture):
        first, again, other = (make(20, seed=seed)[0].fingerprint for seed in (1, 1, 2))
        assert first == again != other


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(BadOption, match="rows"):
        synthetic.mixture(0)
    with pytest.raises(BadOption, match="too small"):
        synthetic.factors(size=8, positions=6, sizes=3)
