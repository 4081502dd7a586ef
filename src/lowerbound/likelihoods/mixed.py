"""The distribution of a row of a table: each column of its own family, all of one kind computed at once."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints
from torch.nn.functional import logsigmoid, softplus

from lowerbound.data.columns import Column
from lowerbound.distributions import Student, levels, student
from lowerbound.likelihoods.counts import CountDistribution, LogNegativeBinomial, LogPoisson
from lowerbound.tabular import BIG, Line, same

FAR = 30.0  # a logit as good as infinite


class Layout(nn.Module):
    """Which columns are of which family, and where the numbers of each stand: tensors that follow the model's device.

    The numbers of a row are, one group after the other: locations of the measured columns, their scales (unless there
    are none), degrees of freedom of Student-t columns, log means of counts, logits of categories and spikes but the
    first of each column, locations of ordinal columns.

    Args:
        columns: of the table.
        scales: whether scales are among the numbers.
    """

    step: Tensor
    measured: Tensor
    students: Tensor
    negative: Tensor
    poisson: Tensor
    nominal: Tensor
    ordinal: Tensor
    gates: Tensor
    spikes: Tensor
    places: Tensor
    order: Tensor
    sizes: Tensor
    gated_counts: Tensor

    def __init__(self, columns: Sequence[Column], scales: bool) -> None:
        super().__init__()
        named = list(enumerate(columns))
        measured = [i for i, column in named if not column.discrete]
        self._keep("measured", measured)
        self.line = Line([columns[i] for i in measured])
        self._keep("students", [at for at, i in enumerate(measured) if columns[i].family == "student_t"])
        for family in ("negative_binomial", "poisson"):
            self._keep(family.partition("_")[0], [i for i, column in named if column.family == family])
        self._keep("nominal", [i for i, column in named if column.family == "categorical"])
        self._keep("ordinal", [i for i, column in named if column.family == "ordinal"])
        self._keep("gates", [i for i, column in named if column.spikes])
        self._keep("gated_counts", [columns[i].discrete for i in self.gates.tolist()], torch.bool)
        self._keep("step", [columns[i].resolution / math.sqrt(12) for i in measured], torch.float64)
        self._spikes([columns[i] for i in self.gates.tolist()])
        choices = [len(columns[i].categories) for i in self.nominal.tolist()]
        choices += [1 + len(columns[i].spikes) for i in self.gates.tolist()]
        self.ordered = [len(columns[i].categories) for i in self.ordinal.tolist()]
        self._choose(choices, max([*choices, *self.ordered, 1]))
        self._keep("sizes", [len(column.categories) for column in columns])
        order = [
            *measured,
            *self.negative.tolist(),
            *self.poisson.tolist(),
            *self.nominal.tolist(),
            *self.ordinal.tolist(),
        ]
        self._keep("order", sorted(range(len(order)), key=order.__getitem__))
        counts = len(self.negative) + len(self.poisson)
        self.groups = [len(measured), len(measured) * scales, len(self.students), counts,
                       sum(choices) - len(choices), len(self.ordinal)]  # fmt: skip

    def _keep(self, name: str, values: Sequence[Any], dtype: torch.dtype = torch.int64) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=dtype, device="cpu"), persistent=False)

    def _spikes(self, columns: Sequence[Column]) -> None:
        """Spikes side by side, (gates, most), NaN where a column has fewer."""
        most = max((len(column.spikes) for column in columns), default=0)
        rows = [[*column.spikes, *[math.nan] * (most - len(column.spikes))] for column in columns]
        self.register_buffer(
            "spikes", torch.tensor(rows, dtype=torch.float64).reshape(len(columns), most), persistent=False
        )

    def _choose(self, choices: Sequence[int], widest: int) -> None:
        """Where the logits of each choice stand, (choices, widest); a zero and an infinite one stand at the end."""
        total, start, rows = sum(choices) - len(choices), 0, []
        for count in choices:
            rows.append([total, *range(start, start + count - 1), *[total + 1] * (widest - count)])
            start += count - 1
        self.register_buffer(
            "places", torch.tensor(rows, dtype=torch.int64).reshape(len(choices), widest), persistent=False
        )

    @property
    def total(self) -> int:
        """How many numbers a row needs."""
        return sum(self.groups)


class Mixed(Distribution):
    """Rows of a table by their numbers: log_prob (..., columns) has a density of what is measured, else a probability.

    A spike has its probability; beside it the density is of what is no spike.

    Args:
        layout: of the columns.
        numbers: (..., rows, layout.total).
        shift, scale: of the measured columns after log or logit, and the mean of counts, (columns,).
        scales: log variances of the measured columns where they are not among the numbers, (measured,).
        floor: the least sigma, in units of the scaled data.
        dispersion: log r of the negative binomial columns.
        cuts: of the ordinal columns, (ordinal, widest - 1), rising.
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(
        self, layout: Layout, numbers: Tensor, *, shift: Tensor, scale: Tensor, scales: Tensor | None, floor: float,
        dispersion: Tensor | None, cuts: Tensor | None,
    ) -> None:  # fmt: skip
        self.layout, self.numbers, self.shift, self.scale = layout, numbers, shift, scale
        self.rest: dict[str, Any] = {"scales": scales, "floor": floor, "dispersion": dispersion, "cuts": cuts}
        self.loc, raw, freedom, self.log_means, logits, ordinal = numbers.split(layout.groups, dim=-1)
        self._shift, self._scale = shift[layout.measured], scale[layout.measured]
        self._log_variance, self._freedom, self._logits, self._ordinal = raw, freedom, logits, ordinal
        super().__init__(torch.Size((*numbers.shape[:-1], len(layout.order))), validate_args=False)

    def relocated(self, shift: Tensor, scale: Tensor) -> "Mixed":
        """The same with another location and scale of the measured columns."""
        return Mixed(self.layout, self.numbers, shift=shift, scale=scale, **self.rest)

    def log_prob(self, value: Tensor) -> Tensor:
        found = [self._log_measured(value), *self._log_counts(value), self._log_coded(value)]
        return self._gated(torch.cat(found, dim=-1)[..., self.layout.order], value)

    @property
    def mean(self) -> Tensor:
        """Of the numbers that stand in the cells, of codes too."""
        return self._mixture([self._measured_mean(), *(p.mean for p in self._counts()), self._coded_mean()])

    @property
    def point(self) -> Tensor:
        """What to write into the cells: the mean of what is measured or counted, else the likeliest category."""
        likeliest = self.table[..., : self._coded, :].argmax(-1).to(self.numbers)
        return self._mixture([self._measured_mean(), *(p.mean for p in self._counts()), likeliest])

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape)
        return self.outcome(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def outcome(self, eps: Tensor) -> Tensor:
        """A draw of each cell by its quantile function, of one standard normal number (..., rows, columns) each."""
        layout, at = self.layout, self.layout.gates
        which, eps = self._gate(eps) if len(at) else (at, eps)
        u, y = levels(eps), eps[..., layout.measured]
        if len(layout.students):
            heavy = student(self.freedom, u[..., layout.measured[layout.students]])
            y = y.index_copy(-1, layout.students, heavy)
        measured = layout.line.back(self._shift + self._scale * (self.loc + self.sigma * y))
        columns = [columns for columns in (layout.negative, layout.poisson) if len(columns)]
        counts = [p.icdf(u[..., columns]) for p, columns in zip(self._counts(), columns, strict=True)]
        coded = torch.cat([layout.nominal, layout.ordinal])
        codes = _quantile(self.table[..., : self._coded, :], u[..., coded])
        x = torch.cat([measured, *counts, codes.to(measured)], dim=-1)[..., layout.order].detach()
        if not len(at):
            return x
        spikes = torch.cat([torch.zeros_like(layout.spikes[:, :1]), layout.spikes.nan_to_num()], 1).to(x)
        spiked = spikes.expand(*which.shape, -1).gather(-1, which[..., None]).squeeze(-1)
        return x.index_copy(-1, at, torch.where(which > 0, spiked, x[..., at]))

    def _gate(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Which spike the cells with spikes are, 0 for none, and the noise with what that leaves of theirs."""
        at, tiny = self.layout.gates, torch.finfo(eps.dtype).eps
        table = self.table[..., self._coded :, : 1 + self.layout.spikes.shape[1]].detach()
        u = levels(eps[..., at])
        rest = (u / table[..., 0].exp()).clamp(tiny, 1 - tiny)  # no spike comes first: levels below its share are left
        return _quantile(table, u), eps.index_copy(-1, at, torch.special.ndtri(rest))

    @property
    def _coded(self) -> int:
        """Columns of categories: they stand first in the table, the gates of spikes last."""
        return len(self.layout.nominal) + len(self.layout.ordinal)

    @cached_property
    def sigma(self) -> Tensor:
        """Of the scaled data: no less than rounding to the column's resolution would leave."""
        log_variance = self._log_variance if self.rest["scales"] is None else self.rest["scales"]
        where = self._shift + self._scale * self.loc.detach()
        least = self.layout.line.least(where, self.layout.step.to(where)) / self._scale
        found: Tensor = (self.rest["floor"] ** 2 + least.square() + log_variance.exp()).sqrt()
        return found

    @cached_property
    def freedom(self) -> Tensor:
        """Degrees of freedom of the Student-t columns, above 1, so that they have a mean."""
        return 1 + softplus(self._freedom + 1)

    def _log_measured(self, x: Tensor) -> Tensor:
        x = x[..., self.layout.measured]
        y, jacobian = self.layout.line(x)
        y = (y - self._shift) / self._scale
        log_p: Tensor = Normal(self.loc, self.sigma, validate_args=False).log_prob(y)
        if len(at := self.layout.students):
            heavy: Distribution = Student(self.freedom, self.loc[..., at], self.sigma[..., at])
            log_p = log_p.index_copy(-1, at, heavy.log_prob(y[..., at]).expand(*log_p.shape[:-1], -1))
        found: Tensor = log_p + jacobian - self._scale.log()
        return found

    def _measured_mean(self) -> Tensor:
        found: Tensor = self.layout.line.mean(self._shift + self._scale * self.loc, self._scale * self.sigma)
        return found

    def _counts(self) -> list[CountDistribution]:
        """Negative binomial and Poisson columns, where there are any."""
        layout, found = self.layout, list[CountDistribution]()
        at = torch.cat([layout.negative, layout.poisson])
        usual = self.shift[at]  # the mean in the training rows, where it was measured
        log_means = self.log_means + torch.where(usual > 0, usual, 1.0).log()
        many, few = log_means.clamp(max=BIG).split([len(layout.negative), len(layout.poisson)], dim=-1)
        if (size := self.rest["dispersion"]) is not None and len(layout.negative):
            found.append(LogNegativeBinomial(many, size))
        return [*found, LogPoisson(few)] if len(layout.poisson) else found

    def _log_counts(self, x: Tensor) -> list[Tensor]:
        columns = [at for at in (self.layout.negative, self.layout.poisson) if len(at)]
        return [p.log_prob(x[..., at]) for p, at in zip(self._counts(), columns, strict=True)]

    @cached_property
    def table(self) -> Tensor:
        """log P of each category and spike, (..., choices, widest): nominal columns, ordinal ones, gates."""
        logits, cuts = self._logits, self.rest["cuts"]
        ends = torch.stack([torch.zeros_like(logits.sum(-1)), torch.full_like(logits.sum(-1), -math.inf)], dim=-1)
        found = torch.cat([logits, ends], dim=-1)[..., self.layout.places].log_softmax(-1)
        if cuts is None:
            return found
        first = len(self.layout.nominal)
        return torch.cat([found[..., :first, :], self._ordered(self._ordinal, cuts), found[..., first:, :]], dim=-2)

    def _ordered(self, loc: Tensor, cuts: Tensor) -> Tensor:
        """log(s(b - l) - s(a - l)) for the cuts a < b around each category."""
        widest, sizes = self.layout.places.shape[-1], torch.tensor(self.layout.ordered, device=cuts.device)
        far = torch.full_like(cuts[:, :1], FAR)
        edges = torch.cat([-far, cuts[:, : widest - 1], far], 1)
        place = torch.arange(widest + 1, device=cuts.device)
        edges = torch.where(place >= sizes[:, None], FAR, edges)
        lower, upper = edges[:, :-1] - loc[..., None], edges[:, 1:] - loc[..., None]
        gap = (edges[:, 1:] - edges[:, :-1]).clamp(min=1e-6)
        found = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-gap))
        return torch.where(place[:-1] < sizes[:, None], found, -math.inf).log_softmax(-1)

    def _log_coded(self, x: Tensor) -> Tensor:
        columns = torch.cat([self.layout.nominal, self.layout.ordinal])
        codes = x[..., columns].round().long().clamp(min=0)
        codes = codes.minimum(self.layout.sizes[columns] - 1)
        return self._chosen(self.table[..., : self._coded, :], codes)

    @staticmethod
    def _chosen(table: Tensor, codes: Tensor) -> Tensor:
        codes = codes.expand(*table.shape[: max(table.dim() - 1 - codes.dim(), 0)], *codes.shape)
        table = table.expand(*codes.shape, table.shape[-1])
        return table.gather(-1, codes[..., None]).squeeze(-1)

    def _coded_mean(self) -> Tensor:
        codes = torch.arange(self.table.shape[-1], device=self.table.device).to(self.table)
        return (self.table[..., : self._coded, :].exp() * codes).sum(-1)

    def _gated(self, log_p: Tensor, x: Tensor) -> Tensor:
        """With the probability of spikes, and of what is none."""
        at = self.layout.gates
        if not len(at):
            return log_p
        spike = same(x[..., at, None], self.layout.spikes.to(x))
        which = torch.where(spike.any(-1), spike.float().argmax(-1) + 1, 0)
        table, inner = self.table[..., self._coded :, :], log_p[..., at]
        beside = self._chosen(table, torch.zeros_like(which)) + inner
        on = self._chosen(table, which)
        both = torch.where(self.layout.gated_counts, torch.logaddexp(on, beside), on)
        return log_p.index_copy(-1, at, torch.where(which > 0, both, beside))

    def _mixture(self, groups: Sequence[Tensor]) -> Tensor:
        """Means of all columns, with the spikes in their share."""
        found, at = torch.cat(list(groups), dim=-1)[..., self.layout.order], self.layout.gates
        if not len(at):
            return found
        p = self.table[..., self._coded :, : 1 + self.layout.spikes.shape[1]].exp()
        values = torch.cat(
            [found[..., at, None], self.layout.spikes.nan_to_num().to(found).expand(*p.shape[:-1], -1)], -1
        )
        return found.index_copy(-1, at, (p * values).sum(-1))


def _quantile(table: Tensor, u: Tensor) -> Tensor:
    """The category at each level u, (..., choices).

    Args:
        table: log probabilities, (..., choices, widest), -inf beyond the last category.
        u: levels in (0, 1), (..., choices).
    """
    p = table.exp()
    above = p.cumsum(-1) / p.sum(-1, keepdim=True)
    last = (table > -math.inf).sum(-1).clamp(min=1) - 1  # of a table of NaN, from a code out of all measure, the first
    return (above < u[..., None]).sum(-1).minimum(last)
