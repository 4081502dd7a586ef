"""What a measure says of itself, and the checks that all measures share."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataMissing, DataShape

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Measure:
    """A number that says what it is to be compared with.

    Args:
        value: what was found.
        se: its standard error; NaN where there is none.
        perfect: what the best possible answer gives, on rows as many as these.
        chance: what an answer gives that knows nothing.
        p_value: of a test that the answer is perfect; NaN where none is made.

    >>> print(Measure(0.91, 0.01, perfect=0.5, chance=1.0))
    0.91 ± 0.01 (perfect 0.5, chance 1)
    """

    value: float
    se: float
    perfect: float
    chance: float
    p_value: float = math.nan

    def as_dict(self) -> dict[str, float]:
        """Plain values that JSON can hold; a ``p_value`` only where a test is made."""
        found: dict[str, float] = asdict(self)
        return found if math.isfinite(self.p_value) else {name: found[name] for name in found if name != "p_value"}

    def __str__(self) -> str:
        spread = f" ± {self.se:.2g}" if math.isfinite(self.se) else ""
        test = f", p = {self.p_value:.3g}" if math.isfinite(self.p_value) else ""
        return f"{self.value:.4g}{spread} (perfect {self.perfect:.4g}, chance {self.chance:.4g}{test})"


def share(hits: npt.ArrayLike) -> tuple[float, float]:
    """The share of hits and its binomial standard error.

    >>> share([True, False, True, True])
    (0.75, 0.21650635094610965)
    """
    p = float(np.asarray(hits, dtype=np.float64).mean())
    return p, math.sqrt(p * (1 - p) / np.size(hits))


def both(real: Any, made: Any, least: int = 2) -> tuple[Array, Array]:
    """Two sets of rows as (rows, cells) float64, or what is wrong with them.

    Args:
        real: (rows, ...).
        made: likewise, with as many cells a row.
        least: rows that each must have.

    Raises:
        DataShape: rows of different sizes, or too few.
        DataMissing: a value that is not finite.

    >>> both([[1, 2], [3, 4]], [[[5], [6]], [[7], [8]]])[1]
    array([[5., 6.],
           [7., 8.]])
    """
    x, y = (np.asarray(some, dtype=np.float64) for some in (real, made))
    if min(x.ndim, y.ndim) < 2 or min(len(x), len(y)) < least or math.prod(x.shape[1:]) != math.prod(y.shape[1:]):
        expected = f"at least {least} rows each, of one size"
        raise DataShape("two sets of rows that cannot be compared", found=f"{x.shape}, {y.shape}", expected=expected)
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataMissing("a value is not finite", where="rows that are measured", mend="Fill in missing cells first.")
    return x, y
