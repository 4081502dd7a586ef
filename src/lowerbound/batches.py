"""Rows on the device in their stored type, and the minibatches taken from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.randomness import Draw, row_digests, row_noise

PURPOSE = "binarize"


@dataclass(frozen=True)
class Batch:
    """Rows of a minibatch.

    Args:
        x: values, (rows, *shape), one entry per cell.
        mask: True where observed, same shape, or None when all is.
        context: what the model is conditioned on, (rows, context).
        labels: (rows,) codes of classes, -1 where unknown.
        index: row numbers in the data, (rows,).
    """

    x: Tensor
    mask: Tensor | None = None
    context: Tensor | None = None
    labels: Tensor | None = None
    index: Tensor | None = None

    def cut(self, rows: slice | Tensor) -> "Batch":
        """Some of the rows."""
        fields = (self.mask, self.context, self.labels, self.index)
        return Batch(self.x[rows], *(None if field is None else field[rows] for field in fields))


class Rows:
    """A data set resident on the device, kept in its stored type and converted batch by batch.

    Args:
        x: stored values, (N, *shape); a value is ``stored * unit``.
        unit: see x.
        mask: (N, *shape) bool or None.
        labels: (N,) or None.
        context: (N, context) or None.
        binarize: ``none`` or ``grey`` (values as they are), ``threshold`` (> 0.5), ``fixed`` (drawn once, keyed by the
            row and the seed) or ``sample`` (drawn at every use).
        seed: of ``fixed``, and of ``sample`` in evaluation.
    """

    def __init__(
        self, x: np.ndarray[Any, Any], *, unit: float = 1.0, mask: np.ndarray[Any, Any] | None = None,
        labels: np.ndarray[Any, Any] | None = None, context: np.ndarray[Any, Any] | None = None,
        binarize: str = "none", seed: int = 0,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.unit, self.dtype, self.binarize, self.seed = unit, dtype, binarize, seed
        self.x = _resident(x, device)
        self.mask = None if mask is None else _resident(mask, device)
        self.labels = None if labels is None else _resident(labels, device)
        self.context = None if context is None else _resident(context, device).to(dtype)
        if binarize in ("fixed", "threshold"):
            self._binarize_once()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.x.device

    def requests(self) -> dict[str, Draw]:
        """Noise that taking a batch needs."""
        return {PURPOSE: Draw(self.shape, "uniform")} if self.binarize == "sample" else {}

    def take(self, index: Tensor, noise: Mapping[str, Tensor]) -> Batch:
        """The rows of ``index``, (rows,) int64 on the device, converted and if asked binarised with ``noise``."""
        x = self._values(self.x.index_select(0, index))
        if self.binarize == "sample":
            x = (noise[PURPOSE] < x).to(self.dtype)
        fields = (self.mask, self.context, self.labels)
        mask, context, labels = (None if field is None else field.index_select(0, index) for field in fields)
        return Batch(x, mask, context, labels, index)

    def blocks(self, size: int) -> Iterator[Batch]:
        """All rows in order, in blocks of at most ``size``; what training samples is sampled once, as ``fixed``."""
        for first in range(0, len(self), size):
            index = torch.arange(first, min(first + size, len(self)), device=self.device)
            sampled = self.binarize == "sample"
            noise = {PURPOSE: self._levels(self._values(self.x.index_select(0, index)))} if sampled else {}
            yield self.take(index, noise)

    def _values(self, stored: Tensor) -> Tensor:
        x = stored.to(self.dtype)
        return x if self.unit == 1.0 else x * self.unit

    def _binarize_once(self) -> None:
        ones = torch.empty(self.x.shape, dtype=torch.uint8, device=self.device)
        for first in range(0, len(self), 4096):
            x = self._values(self.x[first : first + 4096])
            ones[first : first + 4096] = x > (0.5 if self.binarize == "threshold" else self._levels(x))
        self.x, self.unit = ones, 1.0

    def _levels(self, x: Tensor) -> Tensor:
        """Uniform numbers keyed by the rows and the seed."""
        return row_noise(self.seed, PURPOSE, row_digests(x), Draw(self.shape, "uniform"), 0, 1)[0].to(x)


def _resident(array: np.ndarray[Any, Any], device: torch.device | str) -> Tensor:
    owned = np.array(array, copy=True, order="C")  # never a view of the user's array: it may be read-only, or change
    return torch.from_numpy(owned).to(device)
