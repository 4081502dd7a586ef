"""`VariationalAutoencoder`: a transformer and a density."""

from typing import Any, Self

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from lowerbound.estimators.base import Array
from lowerbound.estimators.callbacks import with_callbacks
from lowerbound.estimators.density import Density
from lowerbound.run import Run
from lowerbound.tasks.generate import sample
from lowerbound.tasks.latent import decode, encode


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Density):  # type: ignore[misc]  # no types
    """A variational autoencoder as an estimator of scikit-learn: codes, new rows, log p(x), cells filled in.

    NaN is a missing cell. Frames with texts or dates are tables with a kind for each column, and come back as frames.
    Training is in single precision, all that follows in double. Source: Kingma & Welling 2014, arXiv:1312.6114.

    Args:
        latent: dimension of z.
        recipe: a row of ``lowerbound recipes``.
        likelihood: family of p(x|z); ``auto`` is ``columns`` for frames with texts, else ``gaussian``.
        samples: draws a row for log p(x).
        max_iter: passes over the rows, at most.
        batch_size: rows a step.
        validation_fraction: share of the rows that decides when to stop; none if it is fewer than 10 rows.
        n_iter_no_change: passes without a better bound on those before stopping.
        settings: further keys of the configuration, ``{"train.rate": 1e-3}``.
        warm_start: whether ``fit`` goes on from the weights that are there.
        random_state: seed, generator, or None.
        verbose: 1 for a progress bar.

    Attributes:
        run_: the trained run, for all that ``lowerbound`` can do with one.
        n_iter_: passes over the rows.
        seed_: of the draws.

    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(latent=2, max_iter=2, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.score_samples(X).shape, vae.sample(3).shape
    ((150, 2), (150,), (3, 4))
    """

    def __init__(
        self, latent: int = 8, *, recipe: str = "vae", likelihood: str = "auto", samples: int = 100,
        max_iter: int = 200, batch_size: int = 128, validation_fraction: float = 0.1, n_iter_no_change: int = 20,
        settings: dict[str, Any] | None = None, warm_start: bool = False, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.latent, self.recipe, self.likelihood, self.samples = latent, recipe, likelihood, samples
        self.max_iter, self.batch_size, self.settings = max_iter, batch_size, settings
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.warm_start, self.random_state, self.verbose = warm_start, random_state, verbose

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train.

        Args:
            X: (rows, columns).
            y: not used.

        Raises:
            DataError: values that cannot be used, naming row and column. ConfigError: an option that cannot.
        """
        data = self._data(X, reset=True)
        self.run_: Run = self._learn(data, again=self.warm_start)
        return self

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One pass over more rows, as if it were the next of one training: the optimiser goes on where it stood.

        Scaling and kinds of columns are those of the first rows. After unpickling the optimiser starts anew.

        Args:
            X: (rows, columns).
            y: not used.
        """
        begun = hasattr(self, "run_")
        data = self._data(X, reset=not begun)
        self.run_ = self._learn(data, epochs=1, masked=not begun, again=True, go_on=True)
        return self

    def transform(self, X: Any) -> Array:
        """Posterior means, (rows, latent)."""
        check_is_fitted(self)
        return encode(self.run_, self._data(X))

    def inverse_transform(self, X: Any) -> Any:
        """The mean of p(x|z) for codes (rows, latent): (rows, columns), or a frame."""
        check_is_fitted(self)
        return self._shown(decode(self.run_, X))

    def sample(self, n_samples: int = 1) -> Any:
        """New rows, drawn from p(z) and p(x|z): (n_samples, columns), or a frame."""
        check_is_fitted(self)
        return self._shown(sample(self.run_, n_samples, kind="draw", seed=self._seed()).values)

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row in nats, (rows,), densities in the units of X; observed cells alone count."""
        return self._log_p(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x) a row, in nats."""
        return float(self._log_p(X).mean())

    def impute(self, X: Any) -> Any:
        """Rows with missing cells at their conditional mean, (rows, columns), or a frame; see `lowerbound.impute`."""
        check_is_fitted(self)
        return self._shown(self._imputed(self._data(X)).values)

    @property
    def _n_features_out(self) -> int:
        return self.run_.model.latent
