"""What a growing number of importance weights comes to, in memory that does not grow with it.

Sources: Kong 1992, "A note on importance sampling using standardized weights", Chicago (the effective sample size);
Vehtari, Simpson, Gelman, Yao & Gabry 2024, "Pareto smoothed importance sampling", JMLR 25, arXiv:1507.02646 (the shape
of the tail as a warning); Zhang & Stephens 2009, "A new and efficient estimation method for the generalized Pareto
distribution", Technometrics 51 (its fit).
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LEAST_TAIL = 20  # weights in a tail that is fitted at all: 100 draws
NO_SPREAD = 1e-3  # relative; a tail narrower than this is rounding

Array = npt.NDArray[np.float64]


class Tally:
    """Importance weights of rows: their mean, its error, and how far to trust that.

    Args:
        rows: how many.
        most: weights that a row may get.

    >>> tally = Tally(1, 4)
    >>> tally.add(torch.tensor([0]), torch.tensor([[0.0], [1.0], [2.0], [1.0]]))
    >>> tally.log_mean, tally.ess.round(2)
    (array([1.24022901]), array([2.72]))
    """

    def __init__(self, rows: int, most: int) -> None:
        self.drawn = torch.zeros(rows, dtype=torch.int64)
        self.top = torch.full((rows,), -math.inf, dtype=torch.float64)
        self.first, self.second = torch.zeros_like(self.top), torch.zeros_like(self.top)
        self.largest = torch.full((_tail(most) + 1, rows), -math.inf, dtype=torch.float64)

    def add(self, rows: Tensor, log_w: Tensor) -> None:
        """Take in more weights.

        Args:
            rows: their numbers, (n,).
            log_w: log weights in nats, (draws, n).
        """
        new = torch.maximum(self.top[rows], log_w.max(0).values)
        base = new.nan_to_num(neginf=0.0)  # only zero weights so far
        shrink, w = (self.top[rows] - base).exp(), (log_w - base).exp()
        self.first[rows] = self.first[rows] * shrink + w.sum(0)
        self.second[rows] = self.second[rows] * shrink**2 + w.square().sum(0)
        self.top[rows] = new
        self.drawn[rows] += len(log_w)
        kept = torch.cat([self.largest[:, rows], log_w.to(self.largest)])
        self.largest[:, rows] = kept.topk(len(self.largest), dim=0).values

    @property
    def log_mean(self) -> Array:
        """Log of the mean weight, (rows,)."""
        found: Array = (self.top + self.first.log() - self.drawn.double().log()).numpy()
        return found

    @property
    def ess(self) -> Array:
        """Effective sample size, (rows,): (sum w)^2 / sum w^2, 1 to the number drawn."""
        return self._ess(slice(None)).numpy()

    @property
    def se(self) -> Array:
        """Standard error of the log mean, (rows,), by the delta method; NaN with one weight."""
        return self.error(slice(None)).numpy()

    def error(self, rows: slice | Tensor) -> Tensor:
        """Standard error of some rows, (n,)."""
        drawn = self.drawn[rows]
        variance = (drawn / self._ess(rows) - 1).clamp(min=0) / (drawn - 1)
        return torch.where(drawn > 1, variance, math.nan).sqrt()

    @property
    def pareto_k(self) -> Array:
        """Shape of the tail of the weights, (rows,), as ``pareto_shape`` fits it."""
        found = torch.full_like(self.top, math.nan)
        for drawn in self.drawn.unique().tolist():
            rows = self.drawn == drawn
            found[rows] = pareto_shape(self.largest[: _tail(drawn) + 1, rows].T)
        return found.numpy()

    def _ess(self, rows: slice | Tensor) -> Tensor:
        return self.first[rows].square() / self.second[rows]


def pareto_shape(tail: Tensor) -> Tensor:
    """The shape k of a generalised Pareto distribution fitted to the largest weights of each row.

    A fraction 1/k of the moments of the weights exists: below 0.5 the variance does, and the error is known from the
    sample; above 0.7 it is not, even of many draws. A weak prior draws the fit of few weights towards 0.5.

    Args:
        tail: log weights, (rows, M + 1), largest first; the last is the threshold.

    Returns:
        (rows,); NaN where there are fewer than twenty weights above the threshold, or none that stands out.

    Source: Vehtari et al. 2024, arXiv:1507.02646, appendix; Zhang & Stephens 2009, Technometrics 51.

    >>> uniform = (torch.arange(1000.0) + 0.5) / 1000
    >>> pareto_shape(-0.9 * uniform.log().reshape(1, -1)).round(decimals=1)
    tensor([0.9000])
    """
    count = tail.shape[1] - 1
    if count < LEAST_TAIL:
        return torch.full((len(tail),), math.nan, dtype=tail.dtype)
    w = (tail - tail[:, :1]).exp()
    x = w[:, :count] - w[:, count:]
    points = 30 + math.isqrt(count)
    grid = 1 - (points / (torch.arange(points, dtype=tail.dtype) + 0.5)).sqrt()
    quartile = x[:, count - int(count / 4 + 0.5)].clamp(min=1e-300)
    b = 1 / x[:, :1] + grid / (3 * quartile[:, None])
    k = torch.log1p(-b[:, :, None] * x[:, None, :]).mean(-1)
    fit = count * ((-b / k).log() - k - 1)
    b = (fit.nan_to_num(nan=-math.inf).softmax(1) * b).sum(1)
    k = torch.log1p(-b[:, None] * x).mean(1)
    k = (count * k + 10 * 0.5) / (count + 10)
    return torch.where(x[:, 0] > NO_SPREAD, k, math.nan)


def _tail(drawn: int) -> int:
    """How many of the largest weights make the tail."""
    return math.ceil(min(0.2 * drawn, 3 * math.sqrt(drawn)))
