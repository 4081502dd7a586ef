"""What every estimator shares: how rows and seeds come in, and a run in double precision comes out."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import validate_data

from lowerbound.data import Data
from lowerbound.errors import DataFormat, DataRange
from lowerbound.model import assemble
from lowerbound.run import Run, restore
from lowerbound.train import fit

Array = npt.NDArray[Any]


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A face of scikit-learn: NaN is a missing cell; what is computed after training is computed in float64."""

    random_state: Any

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Plain values; of the run the files that its folder would hold, without code."""
        state: dict[str, Any] = super().__getstate__()
        return {**state, "run_": state["run_"].files()} if "run_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "run_" in state:
            state = {**state, "run_": restore(state["run_"].__getitem__, type(self).__name__)}
        super().__setstate__(state)

    def _rows(self, X: Any, *, reset: bool = False) -> Array:
        """Checked rows, (rows, columns) float64."""
        kind = getattr(X, "dtype", None)
        if getattr(kind, "kind", "") in ("m", "M"):  # which numpy would turn into numbers of some unit
            raise DataFormat("dates are no numbers", where="X", found=f"dtype {kind}",
                             mend="Pass a frame: VariationalAutoencoder knows its columns of dates.")  # fmt: skip
        found: Array = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=False)
        bad = np.argwhere(np.isinf(found))
        if len(bad):
            names = getattr(self, "feature_names_in_", np.arange(found.shape[1]))
            cells = [f"row {row}, column {str(names[column])!r}" for row, column in bad[:5]]
            raise DataRange("infinity, which is no value", where="X", found=f"{len(bad)} cells: " + "; ".join(cells),
                            expected="numbers, or NaN where a cell is missing")  # fmt: skip
        return found

    def _seed(self) -> int:
        if self.random_state is None:  # the global generator is left alone
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _trained(self, data: Data, **settings: Any) -> Run:
        """A run trained in single precision, on all rows, to be used in double."""
        run = fit(data, **{"validation": 0.0, "test": 0.0, "patience": 0, "progress": False, **settings})
        trained, run.model = run.model, assemble(run.model.spec).double()  # made anew: constants were rounded as well
        run.model.load_state_dict(trained.state_dict())
        device = next(trained.parameters()).device
        run.model.to("cpu" if device.type == "mps" else device).eval()  # mps knows no double precision
        return run


def as_data(X: Array, **more: Any) -> Data:
    """Rows as ``Data``: NaN is missing."""
    seen = ~np.isnan(X)
    return Data(np.where(seen, X, 0.0), mask=None if seen.all() else seen, **more)
