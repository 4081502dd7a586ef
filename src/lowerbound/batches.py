"""Rows on the device in their stored type, and the minibatches taken from them."""

import math
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.data.mapped import expected, gathered, scattered, stays
from lowerbound.errors import BadOption
from lowerbound.randomness import BLOCKS, Draw, permutation, row_digests, row_noise

PURPOSE = "binarize"
FETCHED = 256 << 20  # bytes of rows that may be fetched to be kept
UNPACKED = 1 << 22  # cells of such rows that one block holds at most
UPLOADED = 1 << 16  # rows sent to an accelerator in one go
MIXED = 64  # MiB of rows that a block shuffle mixes at a time, if nobody says


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


class Fed:
    """Rows that stay where they are, on disk or packed, and come to the device when a batch needs them.

    Args:
        array: whose ``array[rows]`` is an array in memory.
        device: where they come to.
        near: neighbours that will soon be wanted too where one is: they are read together.
    """

    def __init__(self, array: Any, device: torch.device | str, near: int = 1) -> None:
        self.array, self.device, self.shape, self.near = array, torch.device(device), array.shape, near
        self._asked = set[int]()  # blocks of neighbours
        scattered(array)

    def __len__(self) -> int:
        return len(self.array)

    def index_select(self, _: int, index: Tensor) -> Tensor:
        """The rows of ``index``, as of a tensor."""
        rows = index.cpu().numpy()
        if self.near > 1:
            self._ask(set((rows // self.near).tolist()))
        elif len(rows) and rows[-1] - rows[0] == len(rows) - 1:
            expected(self.array, rows[0], rows[-1])
        return torch.from_numpy(gathered(self.array, rows)).to(self.device)

    def _ask(self, blocks: set[int]) -> None:
        new = blocks - self._asked
        self._asked = self._asked | new if len(self._asked) < 2 * BLOCKS else blocks
        for block in new:
            first = block * self.near
            expected(self.array, first, min(first + self.near, len(self)) - 1)

    def whole(self) -> Tensor:
        """All of them on the device, by way of a few at a time."""
        made = torch.empty(self.shape, dtype=self.index_select(0, torch.zeros(1).long()).dtype, device=self.device)
        for part in torch.arange(len(self)).split(UPLOADED):
            made[part[0] : part[-1] + 1] = self.index_select(0, part)
        return made


class Rows:
    """A data set on the device, kept in its stored type and converted batch by batch.

    What is too large for memory stays where it is, and each batch is fetched from there.

    Args:
        x: stored values, (N, *shape); a value is ``stored * unit``.
        unit: see x.
        mask: (N, *shape) bool or None.
        labels: (N,) or None.
        context: (N, context) or None.
        binarize: ``none`` or ``grey`` (values as they are), ``threshold`` (> 0.5), ``fixed`` (drawn once, keyed by the
            row and the seed) or ``sample`` (drawn at every use).
        seed: of ``fixed``, and of ``sample`` in evaluation.
        mixed: rows that are mixed at a time in an epoch's order, see ``permutation``; 0: all.
    """

    def __init__(
        self, x: np.ndarray[Any, Any], *, unit: float = 1.0, mask: np.ndarray[Any, Any] | None = None,
        labels: np.ndarray[Any, Any] | None = None, context: np.ndarray[Any, Any] | None = None,
        binarize: str = "none", seed: int = 0, mixed: int = 0,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.unit, self.dtype, self.binarize, self.seed, self.mixed = unit, dtype, binarize, seed, mixed
        near = mixed // BLOCKS
        self.x = _resident(x, device, near)
        self.mask = None if mask is None else _resident(mask, device, near)
        self.labels = None if labels is None else _copied(labels, device)
        self.context = None if context is None else _resident(context, device)
        self.cut = binarize in ("fixed", "threshold")  # still to be done to the rows of a batch
        if self.cut and isinstance(self.x, Tensor):
            self._binarize_once(self.x)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.x.device

    @property
    def at_hand(self) -> bool:
        """Whether all of them are on the device."""
        return not any(isinstance(field, Fed) for field in (self.x, self.mask, self.context))

    def order(self, seed: int, epoch: int) -> Tensor:
        """The numbers of the rows in the order in which an epoch takes them, int64 on the device."""
        return permutation(len(self), seed, epoch, self.mixed).to(self.device)

    def requests(self) -> dict[str, Draw]:
        """Noise that taking a batch needs."""
        return {PURPOSE: Draw(self.shape, "uniform")} if self.binarize == "sample" else {}

    def take(self, index: Tensor, noise: Mapping[str, Tensor]) -> Batch:
        """The rows of ``index``, (rows,) int64 on the device, converted and if asked binarised with ``noise``."""
        x = self._values(self.x.index_select(0, index))
        if self.binarize == "sample":
            x = (noise[PURPOSE] < x).to(self.dtype)
        elif self.cut:
            x = self._ones(x).to(self.dtype)
        fields = (self.mask, self.context, self.labels)
        mask, context, labels = (None if field is None else field.index_select(0, index) for field in fields)
        return Batch(x, mask, None if context is None else context.to(self.dtype), labels, index)

    def only(self, index: Tensor) -> "Rows":
        """Some of the rows, (rows,) int64 on the device, as they are."""
        made = copy(self)
        for name in ("x", "mask", "labels", "context"):
            field = getattr(self, name)
            setattr(made, name, None if field is None else field.index_select(0, index))
        return made

    def spread(self, most: int) -> "Rows":
        """At most so many of the rows, evenly spread; of rows that are not at hand what 256 MiB hold, now at hand."""
        if not self.at_hand:
            most = max(1, min(most, FETCHED // max(1, 4 * math.prod(self.shape))))
        elif len(self) <= most:
            return self
        count = min(most, len(self))
        return self.only(torch.arange(count, device=self.device) * len(self) // count)

    def blocks(self, size: int, every: slice = slice(None)) -> Iterator[Batch]:
        """All rows in order, in blocks of at most ``size``; what training samples is sampled once, as ``fixed``.

        Args:
            size: rows a block.
            every: some of the blocks only.
        """
        size = size if self.at_hand else max(1, min(size, UNPACKED // math.prod(self.shape)))
        for first in range(0, len(self), size)[every]:
            index = torch.arange(first, min(first + size, len(self)), device=self.device)
            sampled = self.binarize == "sample"
            noise = {PURPOSE: self._levels(self._values(self.x.index_select(0, index)))} if sampled else {}
            yield self.take(index, noise)

    def _values(self, stored: Tensor) -> Tensor:
        x = stored.to(self.dtype)
        return x if self.unit == 1.0 else x * self.unit

    def _binarize_once(self, stored: Tensor) -> None:
        ones = torch.empty(stored.shape, dtype=torch.uint8, device=self.device)
        for first in range(0, len(self), 4096):
            ones[first : first + 4096] = self._ones(self._values(stored[first : first + 4096]))
        self.x, self.unit, self.cut = ones, 1.0, False

    def _ones(self, x: Tensor) -> Tensor:
        return x > (0.5 if self.binarize == "threshold" else self._levels(x))

    def _levels(self, x: Tensor) -> Tensor:
        """Uniform numbers keyed by the rows and the seed."""
        return row_noise(self.seed, PURPOSE, row_digests(x), Draw(self.shape, "uniform"), 0, 1)[0].to(x)


def _resident(array: Any, device: torch.device | str, near: int = 1) -> Tensor | Fed:
    """On the device if it is in memory, or fits in half of what an accelerator has left."""
    if isinstance(array, np.ndarray) and not stays(array):
        return _copied(array, device)
    fed = Fed(array, device, near)
    if fed.device.type == "cuda" and stays(array) and 2 * array.nbytes < torch.cuda.mem_get_info(fed.device)[0]:
        return fed.whole()
    return fed


def _copied(array: np.ndarray[Any, Any], device: torch.device | str) -> Tensor:
    owned = np.array(array, copy=True, order="C")  # never a view of the user's array: it may be read-only, or change
    return torch.from_numpy(owned).to(device)


def mixed_rows(shuffle: str, row: int) -> int:
    """Rows that are mixed at a time, of so many bytes each; 0 for all.

    Args:
        shuffle: ``full``, or ``block`` with or without ``:`` and a number of MiB, 64 if left out.
        row: bytes of a row.

    Raises:
        BadOption: not a number of MiB.

    >>> mixed_rows("full", 256), mixed_rows("block", 256), mixed_rows("block:1", 256)
    (0, 262144, 4096)
    """
    if shuffle == "full":
        return 0
    size = shuffle.partition(":")[2] or str(MIXED)
    if not size.isdecimal() or not int(size):
        raise BadOption("not a number of MiB", where="data.shuffle", found=repr(size), expected="1 or more")
    return max(1, (int(size) << 20) // row)
