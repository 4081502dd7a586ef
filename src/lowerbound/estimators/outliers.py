"""`VAEOutlierDetector`: rows that are strange."""

from typing import Any, Self

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from lowerbound.errors import BadOption
from lowerbound.estimators.base import Array
from lowerbound.estimators.callbacks import with_callbacks
from lowerbound.estimators.density import Density
from lowerbound.tasks.anomaly import LEVEL, contributions


class VAEOutlierDetector(OutlierMixin, Density):  # type: ignore[misc]  # scikit-learn has no types
    """Strange rows told by log p(x) under a variational autoencoder, as an outlier detector of scikit-learn.

    Source: An & Cho 2015, "Variational autoencoder based anomaly detection using reconstruction probability"; here the
    score is log p(x) itself, by importance sampling (Burda et al. 2016, arXiv:1509.00519).

    Args:
        contamination: share of the training rows that are outliers, to 0.5; ``auto``: 5 in 100 of the rows held out
            from training (of the training rows where none are held out) lie below the threshold.
        latent, recipe, likelihood, samples, max_iter, batch_size, validation_fraction, n_iter_no_change, settings,
            warm_start, random_state, verbose: as of ``VariationalAutoencoder``.

    Attributes:
        offset_: log p(x) below which a row is an outlier, in nats.
        run_: the trained run.
        n_iter_: passes over the rows.

    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> found = VAEOutlierDetector(latent=1, max_iter=2, random_state=0).fit(X)
    >>> found.predict([[0.0, 0.0], [99.0, -99.0]]).tolist()
    [1, -1]
    """

    offset_: float

    def __init__(
        self, contamination: Any = "auto", *, latent: int = 8, recipe: str = "vae", likelihood: str = "auto",
        samples: int = 100, max_iter: int = 200, batch_size: int = 128, validation_fraction: float = 0.1,
        n_iter_no_change: int = 20, settings: dict[str, Any] | None = None, warm_start: bool = False,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.contamination, self.latent, self.recipe, self.likelihood = contamination, latent, recipe, likelihood
        self.samples, self.max_iter, self.batch_size, self.settings = samples, max_iter, batch_size, settings
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.warm_start, self.random_state, self.verbose = warm_start, random_state, verbose

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train, and find the threshold.

        Args:
            X: (rows, columns).
            y: not used.

        Raises:
            DataError: values that cannot be used, naming row and column. BadOption: an option out of its range.
        """
        share = LEVEL if self.contamination == "auto" else self.contamination
        if isinstance(share, str) or not 0 < share <= 0.5:
            raise BadOption("not a share of outliers", where="contamination", found=str(self.contamination),
                            expected="'auto', or above 0 to 0.5")  # fmt: skip
        data = self._data(X, reset=True)
        self.run_ = self._learn(data, again=self.warm_start)
        held = self.run_.facts["split"]["validation"] and self.contamination == "auto"
        judged = self.run_.rows(part="validation") if held else data
        self.offset_ = float(np.quantile(self._density(judged), share))
        return self

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row in nats, (rows,): lower is stranger."""
        return self._log_p(X)

    def decision_function(self, X: Any) -> Array:
        """log p(x) - offset_, (rows,), in nats: below 0 for outliers."""
        return self._log_p(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """-1 for outliers, 1 for other rows, (rows,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> Array:
        """What each column adds to -log p(x), in nats, (rows, columns): 0 where a cell is missing."""
        check_is_fitted(self)
        return contributions(self.run_, self._data(X), self.samples, self.seed_)[0]
