"""What the encoder sees of a table, and the change of variable that takes bounded columns to the whole line."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.columns import Column
from lowerbound.embedding import Embedding

NODES = 16  # of the quadrature that gives the mean of a bounded column
EDGE = 1e-7  # of the unit interval, which float32 can still tell from its ends
ROUNDING = 1e-6
BIG = 80.0  # the largest exponent whose power float32 holds


class Line(nn.Module):
    """Positive columns by their logarithm, bounded ones by their logit, all others as they are.

    Args:
        columns: (D,) of them.

    >>> line = Line([Column("a", "positive", "log_normal"), Column("b", "real", "gaussian")])
    >>> line(torch.tensor([[1.0, 5.0]]))[0]
    tensor([[0., 5.]])
    """

    logs: Tensor
    logits: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.register_buffer("logs", _flags(c.family == "log_normal" for c in columns), persistent=False)
        self.register_buffer("logits", _flags(c.family == "logit_normal" for c in columns), persistent=False)
        self.bounded = any(c.family == "logit_normal" for c in columns)
        for name, values in (
            ("low", [c.low - c.width for c in columns]),
            ("high", [c.high + c.width for c in columns]),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values on the line, (..., D), and the logarithm of the slope there."""
        low, width = self._bounds(x)
        log_x = x.clamp(min=torch.finfo(x.dtype).tiny).log()
        u = ((x - low) / width).clamp(EDGE, 1 - EDGE)
        y = torch.where(self.logs, log_x, torch.where(self.logits, u.logit(), x))
        bounded = -width.log() - u.log() - torch.log1p(-u)
        return y, torch.where(self.logs, -log_x, torch.where(self.logits, bounded, 0.0))

    def back(self, y: Tensor) -> Tensor:
        """From the line, (..., D), to values."""
        low, width = self._bounds(y)
        return self._of(y, lambda: low + width * y.sigmoid(), lambda: y.clamp(max=BIG).exp())

    def mean(self, m: Tensor, s: Tensor) -> Tensor:
        """Of values that are normal on the line, mean m and deviation s: closed, for a logit by Gauss and Hermite."""
        low, width = self._bounds(m)
        nodes, weights = (torch.as_tensor(found, dtype=m.dtype, device=m.device) for found in quadrature())
        inner = ((m[..., None] + s[..., None] * nodes).sigmoid() * weights).sum(-1) if self.bounded else m
        return self._of(m, lambda: low + width * inner, lambda: (m + 0.5 * s.square()).clamp(max=BIG).exp())

    def least(self, y: Tensor, step: Tensor) -> Tensor:
        """What a distance ``step`` in values is on the line around y: at most 1 where it is curved."""
        s, (_, width) = y.sigmoid(), self._bounds(y)
        found = self._of(torch.ones_like(y), lambda: 1 / (width * s * (1 - s) + EDGE), lambda: (-y).exp())
        return torch.where(self.logs | self.logits, (step * found).clamp(max=1.0), step)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.low.to(like), self.high.to(like)
        return low, (high - low).clamp(min=EDGE)

    def _of(self, plain: Tensor, bounded: Callable[[], Tensor], positive: Callable[[], Tensor]) -> Tensor:
        return torch.where(self.logs, positive(), torch.where(self.logits, bounded(), plain))


class TableEmbedding(Embedding):
    """The encoder's input of a table: numbers on the line and scaled, a channel for each category and spike.

    ``shift`` and ``scale``, (D,), are those of the numbers on the line, spikes apart; of categories 0 and 1.

    Args:
        columns: of the table.
        mode: ``columns``, or ``none`` for no scaling.
        masked: whether the encoder gets the mask as further channels.

    >>> column = Column("a", "categorical", "categorical", categories=("x", "y", "z"))
    >>> TableEmbedding([column], mode="columns")(torch.tensor([[1.0]]))
    tensor([[0., 1., 0.]])
    """

    at: Tensor
    value: Tensor
    numeric: Tensor

    def __init__(self, columns: Sequence[Column], *, mode: str = "none", masked: bool = False) -> None:
        super().__init__((len(columns),), mode="columns", masked=masked)
        self.mode, self.line = mode, Line(columns)
        shown = [
            (i, float(v)) for i, c in enumerate(columns) for v in (range(len(c.categories)) if c.coded else c.spikes)
        ]
        at, value = zip(*shown, strict=True) if shown else ((), ())
        self.register_buffer("at", torch.tensor(at, dtype=torch.int64), persistent=False)
        self.register_buffer("value", torch.tensor(value, dtype=torch.float64), persistent=False)
        numeric = [i for i, column in enumerate(columns) if not column.coded]
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.int64), persistent=False)

    @property
    def outputs(self) -> tuple[int, ...]:
        return (len(self.numeric) + len(self.at) + len(self.shift) * self.masked,)

    def start_from(self, x: Tensor, mask: Tensor | None = None) -> None:
        if self.mode == "none":
            return
        seen = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        spiked = torch.zeros_like(x).index_add(-1, self.at, self._shown(x, None)) > 0
        safe = torch.where(seen, x, 1.0)
        super().start_from(self.line(safe)[0], seen & ~spiked)
        coded = torch.ones_like(self.shift, dtype=torch.bool).index_fill(0, self.numeric, False)
        self.shift.masked_fill_(coded, 0.0)
        self.scale.masked_fill_(coded, 1.0)

    def forward(self, x: Tensor, mask: Tensor | None = None, spoil: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        scaled = (self.line(x)[0] - self.shift) / self.scale
        shown = self._shown(x, mask)
        if len(self.at):
            scaled = torch.where(torch.zeros_like(scaled).index_add(-1, self.at, shown) > 0, 0.0, scaled)
        if mask is not None:
            scaled = torch.where(mask, scaled, 0.0)
        if spoil is not None:
            scaled = spoil(scaled)
        parts = [scaled[:, self.numeric], shown]
        if self.masked:
            parts.append(torch.ones_like(scaled) if mask is None else mask.to(scaled))
        return torch.cat(parts, dim=-1)

    def restore(self, p: Distribution) -> Distribution:
        moved: Distribution = p.relocated(self.shift, self.scale)  # type: ignore[attr-defined]  # of tables only
        return moved

    def _shown(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """A channel for each category and spike, 1 where the cell is it."""
        found = same(x[:, self.at], self.value.to(x))
        return (found if mask is None else found & mask[:, self.at]).to(x)


def same(x: Tensor, value: Tensor) -> Tensor:
    """Whether values are those, the rounding of single precision apart."""
    return (x - value).abs() <= ROUNDING * value.abs()


def _flags(values: object) -> Tensor:
    return torch.tensor(list(values), dtype=torch.bool)  # type: ignore[call-overload]  # any iterable of bools


def quadrature() -> tuple[list[float], list[float]]:
    """Nodes and weights that integrate over the standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes.tolist(), (weights / weights.sum()).tolist()
