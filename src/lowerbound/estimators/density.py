"""What the estimators with a density share: how rows come in, training, log p(x) and cells filled in."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from lowerbound.data import Data, load
from lowerbound.data.frames import is_frame, read_frame
from lowerbound.errors import BadOption, DataMissing, DataRange
from lowerbound.estimators.base import Array, Estimator, as_data
from lowerbound.estimators.callbacks import CallbackSupportMixin, watched
from lowerbound.estimators.shown import framed, library
from lowerbound.randomness import key
from lowerbound.run import Run
from lowerbound.tasks.anomaly import log_density
from lowerbound.tasks.impute import Imputed, impute

HELD_OUT = 10  # rows that decide when to stop; fewer say too little, and all train


class Density(CallbackSupportMixin, Estimator):
    """A trained p(x) behind the face of scikit-learn; rows may be sparse: what is not stored is 0."""

    latent: int
    recipe: str
    likelihood: str
    samples: int
    max_iter: int
    batch_size: int
    validation_fraction: float
    n_iter_no_change: int
    settings: dict[str, Any] | None
    warm_start: bool
    verbose: int
    run_: Run
    n_iter_: int
    seed_: int
    library_: str  # of the frames of a table

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _data(self, X: Any, *, reset: bool = False) -> Data:
        """Rows as ``Data``: frames with texts or dates by the kinds of their columns, all else as numbers."""
        if issparse(X):
            return self._sparse(X, reset)
        known = not reset and self.run_.schema is not None
        if is_frame(X) and (known or _worded(X)):
            validate_data(self, X, reset=reset, skip_check_array=True)
            self.library_ = library(X) if reset else self.library_
            return load(X, missing="nan", schema=None if reset else self.run_.schema)
        data = as_data(self._rows(X, reset=reset))
        if reset and data.mask is not None and not data.mask.any(0).all():
            names = getattr(self, "feature_names_in_", np.arange(data.shape[0]))[~data.mask.any(0)]
            raise DataMissing("no cell of a column is observed", where="X, column " + ", ".join(map(str, names)),
                              expected="NaN in some cells only", mend="Leave the column out.")  # fmt: skip
        return data

    def _sparse(self, X: Any, reset: bool) -> Data:
        """Rows that stay packed: a few at a time are unpacked where they are used."""
        found = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=np.float64, ensure_all_finite=False)
        if not np.isfinite(found.data).all():
            raise DataRange("NaN or infinity in sparse rows", where="X", expected="numbers",
                            mend="Rows with missing cells have to be dense: pass X.toarray().")  # fmt: skip
        return load(found)

    def _learn(
        self, data: Data, *, epochs: int | None = None, masked: bool = False, again: bool = False,
        go_on: bool = False,
    ) -> Run:  # fmt: skip
        """Train, from the weights that are there if ``again``, and as the optimiser left off if ``go_on``.

        ``masked``: on rows that may have holes later.
        """
        start = getattr(self, "run_", None) if again else None
        if data.mask is None and (masked or (start is not None and start.model.embedding.masked)):
            data = replace(data, mask=np.ones(data.x.shape, bool))
        before = self.n_iter_ if start is not None else 0
        self.seed_ = key(self._seed(), "fit", before) if before else self._seed()
        epochs_asked = epochs or self.max_iter
        with watched(self, epochs_asked) as tell:
            run = self._trained(
                data, recipe=self.recipe, init=start, go_on=go_on and bool(start and start.memory), seed=self.seed_,
                epochs=epochs_asked, progress=tell or bool(self.verbose),
                **{**self._options(data, epochs is None), **(self.settings or {})},
            )  # fmt: skip
        self.n_iter_ = run.summary["epochs"] + (before if epochs else 0)
        return run

    def _options(self, data: Data, whole: bool) -> dict[str, Any]:
        """Keys of the configuration; rows are held out only where they are enough."""
        if not 0 <= self.validation_fraction < 1:
            raise BadOption("not a share", where="validation_fraction", found=str(self.validation_fraction),
                            expected="0 or more, below 1")  # fmt: skip
        held = int(self.validation_fraction * data.rows)
        usual = "gaussian" if data.schema is None else "columns"
        return {
            "latent": self.latent, "batch": self.batch_size, "patience": self.n_iter_no_change,
            "likelihood": usual if self.likelihood == "auto" else self.likelihood,
            "validation": held if whole and held >= HELD_OUT else 0,
        }  # fmt: skip

    def _log_p(self, X: Any) -> Array:
        """log p(x), (rows,), in nats."""
        check_is_fitted(self)
        return self._density(self._data(X))

    def _density(self, data: Data) -> Array:
        return log_density(self.run_, data, samples=self.samples, seed=self.seed_)

    def _shown(self, values: Array) -> Any:
        """Rows as those given for training came."""
        schema = self.run_.schema
        return values if schema is None else framed(values, schema, self.library_)

    def _imputed(self, data: Data) -> Imputed:
        return impute(self.run_, data, draws=1, seed=self.seed_)


def _worded(X: Any) -> bool:
    """Whether a frame has columns that are not of numbers."""
    return any(column.codes is not None or column.date for column in read_frame(X).columns)
