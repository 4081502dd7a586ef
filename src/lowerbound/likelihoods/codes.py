"""Categories, as whole numbers that name them."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution

from lowerbound.likelihoods.base import Likelihood

Categories = Annotated[int, Field(ge=2)]


class Codes(CategoricalDistribution):
    """Categories 0 to K - 1 by their logits, (..., K); values, mean and variance are those of the numbers."""

    @property
    def mean(self) -> Tensor:
        return (self.probs * self._codes).sum(-1)

    @property
    def variance(self) -> Tensor:
        return (self.probs * self._codes.square()).sum(-1) - self.mean.square()

    @property
    def _codes(self) -> Tensor:
        return torch.arange(self._num_events, device=self.logits.device).to(self.logits)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        drawn: Tensor = super().sample(torch.Size(sample_shape))  # type: ignore[no-untyped-call]  # torch leaves it so
        return drawn.to(self.logits)


class Categorical(Likelihood, name="categorical"):
    """One of a number of categories per cell, written as 0, 1, ..., categories - 1.

    P(x = k|z) = softmax(f(z))_k, f the decoder's numbers of the cell. The numbers name the categories and have no
    order. Source: Agresti 2002, "Categorical data analysis", chapter 7.

    Args:
        shape: of a row.
        categories: how many there are.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Categorical((1,), categories=4)(torch.zeros(1, 4)).log_prob(torch.zeros(1, 1)).exp()
    tensor([[0.2500]])
    """

    support = "codes"
    discrete = True

    def __init__(self, shape: tuple[int, ...], *, categories: Categories) -> None:
        super().__init__(shape)
        self.categories, self.per_cell = categories, categories
        self.support = self.support_of({"categories": categories})

    @classmethod
    def support_of(cls, table: Mapping[str, Any]) -> str:
        return f"codes:{table['categories']}"

    def forward(self, numbers: Tensor) -> Distribution:
        logits = torch.stack(self._split(numbers), dim=-1)
        return Codes(logits=logits, validate_args=False)
