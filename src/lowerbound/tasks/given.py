"""New rows of a table with some columns given: drawn from p(z | given) by importance, not by rejection."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound.data.columns import Column, unseen
from lowerbound.data.conditions import LABEL
from lowerbound.errors import BadOption, DataRange, Incompatible, unknown
from lowerbound.evaluation import evaluating
from lowerbound.model import VAE
from lowerbound.randomness import Draw, fill, generator
from lowerbound.run import Run
from lowerbound.tasks.paths import prior_draws
from lowerbound.tasks.score import noise_of

Array = npt.NDArray[Any]
PROPOSALS, EACH = 10_000, 20  # draws to choose from: so many, or so many a row where that is more
BLOCK = 1024
RANGE = re.compile(r"(.*?)\.\.(.*)")
WHOLE = ("binary", "count", "byte", "codes")  # supports of whole numbers


@dataclass(frozen=True)
class Wanted:
    """What one column is to hold: a value, or one in a range.

    Args:
        at: number of the column.
        low: the least value.
        high: the largest.
        whole: whether only whole numbers can stand there.
        spikes: values in the range that have a probability of their own beside the density.
    """

    at: int
    low: float
    high: float
    whole: bool = False
    spikes: tuple[float, ...] = ()

    def draw(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Values spread over the range, from levels (n,) in [0, 1), and the logarithm of their density.

        Where there are spikes, half of the values are these.
        """
        width, zero = self.high - self.low, torch.zeros_like(level)
        if width == 0:
            return zero + self.low, zero
        if self.whole:
            first, last = np.ceil(self.low), np.floor(self.high)
            return first + (level * (last - first + 1)).floor(), zero - np.log(last - first + 1)
        if not self.spikes:
            return self.low + level * width, zero - np.log(width)
        spikes, twice = torch.tensor(self.spikes, dtype=level.dtype), 2 * level
        spiked = spikes[(twice * len(spikes)).long().clamp(max=len(spikes) - 1)]
        x = torch.where(level < 0.5, spiked, self.low + (twice - 1) * width)
        return x, -torch.where(level < 0.5, zero + np.log(2 * len(spikes)), zero + np.log(2 * width))


def codes_given(run: Run, rows: int, given: Mapping[str, object], seed: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Codes drawn from p(z | given), the values of the columns given, and what the draws are worth.

    Pairs of a code of the prior and of values spread evenly over what is given are weighted by p(values | z), and rows
    are drawn from them by weight.

    Args:
        run: of a table, conditioned on nothing.
        rows: how many.
        given: a value, or a range (low, high) or ``"low..high"``, by the name of the column.
        seed: of the draws.

    Returns:
        z (rows, latent); values (rows, columns), of which only those of columns given count; a mask of these,
        (columns,); and the effective sample size of the weights.

    Raises:
        UnknownName: no such column. BadOption: not a value or range of it. DataRange: a category that is not there, or
        values that no draw can have. Incompatible: counts of which the total is taken as known.

    Source: Robert & Casella 2004, "Monte Carlo statistical methods", section 14.3 (sampling importance resampling).
    """
    noise_of(run.model)
    if getattr(run.model.likelihood_family, "exposure", "none") != "none":
        raise Incompatible("given columns and counts given their total", mend="Train with exposure = none.")
    wanted = [_wanted(run, name, value) for name, value in given.items()]
    count = max(PROPOSALS, EACH * rows)
    z, x, log_q = _proposals(run, wanted, count, seed)
    mask = torch.zeros(run.model.shape, dtype=torch.bool)
    mask[[each.at for each in wanted]] = True
    with evaluating(run.model):
        log_w = torch.cat(
            [_log_p(run.model, *block, mask) for block in zip(z.split(BLOCK), x.split(BLOCK), strict=True)]
        )
    log_w = log_w.double().cpu() - log_q
    if not torch.isfinite(log_w.max()):
        raise DataRange("no draw can have these values", where="given", found=", ".join(given))
    w = log_w.softmax(0)
    levels = fill(Draw((), "uniform"), rows, generator(seed, "choice")).double()
    chosen = torch.searchsorted(w.cumsum(0), levels * w.sum()).clamp(max=count - 1)
    return z[chosen.to(z.device)], x[chosen.to(x.device)], mask.to(z.device), float(1 / w.square().sum())


def _proposals(run: Run, wanted: list[Wanted], count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes and values, (count, ...) each, and the log density that the values were drawn with."""
    z = prior_draws(run, count, seed, "given").to(next(run.model.parameters()))
    levels = fill(Draw((len(wanted),), "uniform"), count, generator(seed, "values")).double()
    x, log_q = torch.zeros(count, *run.model.shape, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    for number, each in enumerate(wanted):
        x[:, each.at], log_density = each.draw(levels[:, number])
        log_q += log_density
    return z, x.to(z), log_q


def _log_p(model: VAE, z: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    """log p(given values | z), (rows,)."""
    return model.log_likelihood(model.likelihood(z), x, mask.to(x.device).expand_as(x))


def _wanted(run: Run, name: str, value: object) -> Wanted:
    names = list(run.facts["columns"]) or [f"x{j}" for j in range(run.model.shape[0])]
    if name not in names and name == LABEL:
        run.at({name: value})  # which says that it cannot be
    if name not in names:
        raise unknown("column", name, names, where="given")
    at = names.index(name)
    column = None if run.schema is None else run.schema.columns[at]
    low, high = (_number(side, name, column) for side in _ends(value, name, column))
    if not low <= high:
        raise BadOption("a range that is empty", where=f"given {name}", found=str(value), expected="low..high")
    if column is None:
        support = run.model.likelihood_family.support
        return _checked(Wanted(at, low, high, support in WHOLE), name, value)
    if column.kind in ("categorical", "binary") and low != high:
        raise BadOption("categories have no order", where=f"given {name}", found=str(value), expected="one of them")
    spikes = tuple(spike for spike in column.spikes if low <= spike <= high)
    return _checked(Wanted(at, low, high, column.discrete, spikes), name, value)


def _checked(wanted: Wanted, name: str, value: object) -> Wanted:
    """Whole numbers, where only those can stand."""
    if wanted.whole and np.ceil(wanted.low) > np.floor(wanted.high):
        raise BadOption("no whole number", where=f"given {name}", found=str(value))
    if wanted.whole:
        return replace(wanted, low=float(np.ceil(wanted.low)), high=float(np.floor(wanted.high)))
    return wanted


def _ends(value: object, name: str, column: Column | None) -> tuple[object, object]:
    """Both ends of what is given; an end left open is the column's."""
    if isinstance(value, tuple) and len(value) == 2:
        return value
    known = column is not None and column.coded and str(value) in column.categories
    found = None if known or not isinstance(value, str) else RANGE.fullmatch(value)
    if found is None:
        return value, value
    low, high = (side.strip() or None for side in found.groups())
    if column is None and None in (low, high):
        raise BadOption("a range without an end", where=f"given {name}", found=str(value), expected="low..high")
    if column is None:
        return low, high
    first, last = (column.categories[0], column.categories[-1]) if column.coded else (column.low, column.high)
    return low or first, high or last


def _number(value: object, name: str, column: Column | None) -> float:
    """The number that stands for a cell."""
    if column is not None and column.coded:
        if str(value) not in column.categories:
            raise unseen(column, str(value), "given")
        return float(column.categories.index(str(value)))
    try:
        if column is not None and column.origin and isinstance(value, str):
            return (datetime.fromisoformat(value) - datetime.fromisoformat(column.origin)).total_seconds() / 86_400
        number = float(value)  # type: ignore[arg-type]  # what is no number is refused below
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise BadOption("not a value", where=f"given {name}", found=repr(value), expected="a number, or low..high")
    return number
