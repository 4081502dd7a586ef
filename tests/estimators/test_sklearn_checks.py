"""scikit-learn's own checks of an estimator, none expected to fail."""

from typing import Any

import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks

from lowerbound.estimators import VAEImputer, VAEOutlierDetector, VariationalAutoencoder

FEW: dict[str, Any] = {"latent": 2, "max_iter": 2, "validation_fraction": 0}
ESTIMATORS = [VariationalAutoencoder(samples=4, **FEW), VAEImputer(**FEW), VAEOutlierDetector(samples=4, **FEW)]


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: {})
def test_sklearn(estimator: Any, check: Any) -> None:
    before = np.random.get_state()
    check(estimator)
    if check.func.__name__ == "check_methods_sample_order_invariance":  # which draws from numpy's generator itself
        np.random.set_state(before)
