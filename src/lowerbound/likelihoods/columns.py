"""Tables: a likelihood of one family per column."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from lowerbound.data.columns import Column, column_of
from lowerbound.errors import DataShape
from lowerbound.likelihoods.base import HASTE, Likelihood
from lowerbound.likelihoods.mixed import Layout, Mixed
from lowerbound.parts import NonNegative


class Columns(Likelihood, name="columns"):
    """Each column of a table by a distribution of its own kind.

    p(x|z) is a product over columns: normal, Student-t, log-normal or logit-normal of what is measured, negative
    binomial or Poisson of counts, softmax of categories, proportional odds of what is ordinal. The sigma of a measured
    column is ``predicted`` by the decoder or ``learned``, one number per column, and no less than rounding to the
    column's resolution leaves, resolution / sqrt(12). Values that stand in more than a fifth of the rows of a measured
    or counted column have a probability of their own. Sources: Nazabal, Olmos, Ghahramani & Valera 2020, "Handling
    incomplete heterogeneous data using VAEs", Pattern Recognition 107; McCullagh 1980, "Regression models for ordinal
    data", JRSS B 42.

    Args:
        shape: of a row, (columns,).
        columns: of the table.
        scale: see above.
        floor: the least sigma, in units of the scaled data.

    Raises:
        DataShape: columns that are not those of the rows. BadOption: an option of the wrong type or range.

    >>> Columns((1,), [{"name": "a", "kind": "binary", "family": "categorical", "categories": ["n", "y"]}])(
    ...     torch.zeros(1, 1)).log_prob(torch.ones(1, 1)).exp()
    tensor([[0.5000]])
    """

    support = "columns"
    relocates = True

    def __init__(
        self, shape: tuple[int, ...], columns: Sequence[Mapping[str, Any] | Column], *,
        scale: Literal["predicted", "learned"] = "predicted", floor: NonNegative = 1e-3,
    ) -> None:  # fmt: skip
        super().__init__(shape)
        self.columns = tuple(map(column_of, columns))
        if self.shape != (len(self.columns),):
            found = f"{len(self.columns)} columns, rows {self.shape}"
            raise DataShape("the columns are not those of the rows", where=self.title, found=found)
        self.scale, self.floor = scale, floor
        self.layout = Layout(self.columns, scales=scale == "predicted")
        measured, negative, ordered = len(self.layout.measured), len(self.layout.negative), self.layout.ordered
        self.slow = nn.Parameter(torch.zeros(measured)) if scale == "learned" and measured else None
        self.dispersion = nn.Parameter(torch.zeros(negative)) if negative else None
        self.gaps = nn.Parameter(torch.zeros(len(ordered), self.layout.places.shape[-1] - 1)) if ordered else None
        self.register_buffer("harmless", torch.tensor([_harmless(column) for column in self.columns]), persistent=False)

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.layout.total,)

    @property
    def fill(self) -> Tensor:  # type: ignore[override]  # columns differ in their supports
        """A value in the support of each column, (columns,)."""
        harmless: Tensor = self.harmless  # type: ignore[assignment]  # a buffer
        return harmless

    @property
    def weights(self) -> Tensor | None:
        """Of the columns in training, (columns,); None where all are 1."""
        found = [column.weight for column in self.columns]
        return None if set(found) == {1.0} else torch.tensor(found).to(self.fill)

    def forward(self, numbers: Tensor) -> Distribution:
        scales = None if self.slow is None else HASTE * self.slow
        if self.scale == "learned" and scales is None:
            scales = numbers.new_zeros(0)
        dispersion = None if self.dispersion is None else HASTE * self.dispersion
        none = torch.zeros_like(self.fill)
        return Mixed(self.layout, numbers, shift=none, scale=none + 1, scales=scales, floor=self.floor,
                     dispersion=dispersion, cuts=self._cuts())  # fmt: skip

    def _cuts(self) -> Tensor | None:
        """Rising, symmetric about 0 at the start."""
        if self.gaps is None:
            return None
        wide = softplus(self.gaps).cumsum(-1)
        sizes = torch.tensor(self.layout.ordered, device=wide.device).clamp(min=2)
        last = wide.gather(1, (sizes[:, None] - 2).clamp(min=0))
        return wide - (wide[:, :1] + last).detach() / 2


def _harmless(column: Column) -> float:
    inner = 0.5 * (column.low + column.high)
    return 0.0 if column.coded else 1.0 if column.family == "log_normal" else round(inner) if column.discrete else inner
