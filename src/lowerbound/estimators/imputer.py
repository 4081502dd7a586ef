"""`VAEImputer`: missing cells filled in, where `IterativeImputer` stands."""

import numbers
from typing import Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from lowerbound.data import Data
from lowerbound.errors import BadOption, DataMissing
from lowerbound.estimators.base import Array, as_data
from lowerbound.estimators.callbacks import with_callbacks
from lowerbound.estimators.density import Density


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, Density):  # type: ignore[misc]  # scikit-learn has no types
    """Missing cells filled in by a variational autoencoder, in the place of ``IterativeImputer``.

    Missing cells get their mean given the observed ones of the row, or a draw; observed cells stay as they are, to the
    bit. A column of which nothing is observed is left out, as there. Source: Mattei & Frellsen 2019, "MIWAE",
    arXiv:1812.02633 (with ``recipe="iwae"``; ``vae`` is quicker).

    Args:
        missing_values: what marks a missing cell.
        sample_posterior: a draw from p(missing | observed) instead of its mean.
        latent, recipe, likelihood, max_iter, batch_size, validation_fraction, n_iter_no_change, settings: as of
            ``VariationalAutoencoder``.
        min_value: least value that is filled in, one for all columns or one each.
        max_value: the largest.
        add_indicator: further columns that say which cells were missing.
        keep_empty_features: keep columns of which nothing is observed, filled with 0.
        warm_start, random_state, verbose: as of ``VariationalAutoencoder``.

    Attributes:
        run_: the trained run, of the columns that are kept.
        indicator_: ``MissingIndicator``, or None.
        n_iter_: passes over the rows.

    >>> X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, np.nan], [4.0, 8.0]])
    >>> np.isnan(VAEImputer(latent=1, max_iter=2, random_state=0).fit_transform(X)).any()
    np.False_
    """

    indicator_: Any

    def __init__(
        self, *, missing_values: Any = np.nan, sample_posterior: bool = False, latent: int = 8, recipe: str = "vae",
        likelihood: str = "gaussian", max_iter: int = 200, batch_size: int = 128, validation_fraction: float = 0.1,
        n_iter_no_change: int = 20, settings: dict[str, Any] | None = None, min_value: Any = -np.inf,
        max_value: Any = np.inf, add_indicator: bool = False, keep_empty_features: bool = False,
        warm_start: bool = False, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.missing_values, self.sample_posterior, self.latent, self.recipe = (
            missing_values, sample_posterior, latent, recipe
        )  # fmt: skip
        self.likelihood, self.max_iter, self.batch_size = likelihood, max_iter, batch_size
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.settings, self.min_value, self.max_value = settings, min_value, max_value
        self.add_indicator, self.keep_empty_features = add_indicator, keep_empty_features
        self.warm_start, self.random_state, self.verbose = warm_start, random_state, verbose

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._nan
        tags.input_tags.sparse = False  # 0 is a value, and seldom the missing one
        return tags

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train.

        Args:
            X: (rows, columns), with holes or without.
            y: not used.

        Raises:
            DataError: values that cannot be used, naming row and column. BadOption: bounds that cannot be used.
        """
        x = self._holed(X, reset=True)
        self._bounds()
        self.kept_ = ~np.isnan(x).all(0)
        if not self.kept_.any():
            raise DataMissing("no cell is observed", where="X", found="NaN only")
        self.indicator_ = MissingIndicator(error_on_new=False).fit(x) if self.add_indicator else None
        self.run_ = self._learn(self._seen(x), masked=True, again=self.warm_start)
        return self

    def transform(self, X: Any) -> Array:
        """Rows without missing cells, (rows, columns that are kept, and then the indicators)."""
        check_is_fitted(self)
        x = self._holed(X)
        found = self._imputed(self._seen(x))
        values = found.draws[0] if self.sample_posterior else found.values
        low, high = (bound[self.kept_] for bound in self._bounds())
        filled = np.zeros(x.shape)
        filled[:, self.kept_] = np.where(found.mask, values, values.clip(low, high))
        made = filled if self.keep_empty_features else filled[:, self.kept_]
        return made if self.indicator_ is None else np.hstack([made, self.indicator_.transform(x)])

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns that ``transform`` gives: those kept, then the indicators."""
        check_is_fitted(self)
        names: Array = super().get_feature_names_out(input_features)
        kept: Array = names if self.keep_empty_features else names[self.kept_]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    @property
    def _nan(self) -> bool:
        return isinstance(self.missing_values, numbers.Real) and self.missing_values != self.missing_values

    def _holed(self, X: Any, *, reset: bool = False) -> Array:
        """Rows with NaN in missing cells."""
        x = self._rows(X, reset=reset)
        if self._nan:
            return x
        if np.isnan(x).any():
            raise DataMissing("Input X contains NaN", expected=f"missing cells to be {self.missing_values!r}")
        return np.where(x == self.missing_values, np.nan, x)

    def _seen(self, x: Array) -> Data:
        return as_data(x[:, self.kept_])

    def _bounds(self) -> tuple[Array, Array]:
        """Least and largest value to fill in, (columns,) each."""
        low, high = (
            np.broadcast_to(np.asarray(b, float), self.n_features_in_) for b in (self.min_value, self.max_value)
        )
        if not (low < high).all():
            raise BadOption("not below max_value", where="min_value", found=str(self.min_value),
                            expected=f"less than {self.max_value}")  # fmt: skip
        return low, high
