"""Missing cells filled in: their conditional mean, draws, and intervals, and how far to trust them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound import devices
from lowerbound.batches import Batch
from lowerbound.data import Data, load
from lowerbound.data.columns import Column
from lowerbound.data.door import is_table
from lowerbound.errors import BadOption, DataError, Incompatible, unknown
from lowerbound.model import VAE
from lowerbound.randomness import DRAWS_PER_BLOCK
from lowerbound.run import Run
from lowerbound.tasks.annealing import Annealing, doubled
from lowerbound.tasks.filling import Filling, Holes, chained, weighted
from lowerbound.tasks.score import RELIABLE_K, Progress, refuse

CELLS, ROWS = 1 << 21, 32  # of draws, and rows, at once: they bound the memory, and stay near the cache
CHAINS, WARM = 16, 5
ANNEALING = Annealing(temperatures=32, chains=CHAINS, leapfrog=3)
LEAST_ESS = 50.0  # of weights that ``auto`` is content with, and below which a warning is given
MIXED = 3.0  # times the number of chains: chains worth fewer draws disagree (a potential scale reduction above 1.2)

Array = npt.NDArray[Any]
Method = Literal["auto", "importance", "metropolis", "gibbs"]
METHODS = ("auto", "importance", "metropolis", "gibbs")
REASONS = {
    "importance": f"q was trained on rows with holes, and its weights are worth {LEAST_ESS:g} draws or more",
    "metropolis": "q was trained on complete rows, or too few of its weights count; chains need no good q",
}
NOT_AT_RANDOM = "the run models why cells are missing, which weights alone take account of"


@dataclass(frozen=True)
class Imputed:
    """Rows without holes.

    Args:
        values: (rows, *shape), in the type that rows are stored in: observed cells as they were given, to the bit,
            missing ones by their conditional mean, rounded where the type or the column is whole numbers.
        draws: (M, rows, *shape), in that type: M completed copies, draws of p(missing | observed).
        mean: (rows, *shape) float64, in the units of the data; of a category the code of the likeliest.
        lower, upper: bounds of the interval of each missing cell; of an observed one both are its value.
        mask: True = observed.
        method: (rows,), ``importance``, ``metropolis`` or ``gibbs``; ``none`` where no cell is missing.
        ess: (rows,), how many independent draws the row's mean rests on.
        acceptance: (rows,), share of proposals that a row's chains accepted; NaN without chains.
        pareto_k: (rows,), of the weights; NaN without.
        interval: share that the interval is to hold.
        columns: names, of a table.
        reason: why these methods.
    """

    values: Array
    draws: Array
    mean: Array
    lower: Array
    upper: Array
    mask: Array
    method: Array
    ess: Array
    acceptance: Array
    pareto_k: Array
    interval: float
    columns: tuple[str, ...]
    reason: str

    @property
    def doubtful(self) -> npt.NDArray[np.bool_]:
        """(rows,), whether a row's draws are too few, or too alike, to be believed."""
        chain = np.isin(self.method, ("metropolis", "gibbs"))
        few = ~(self.ess >= np.where(chain, MIXED * CHAINS, LEAST_ESS))  # where nothing is known as well
        found: npt.NDArray[np.bool_] = (few | (self.pareto_k > RELIABLE_K)) & (self.method != "none")
        return found

    @property
    def warnings(self) -> list[str]:
        """What to know before believing it, a sentence each."""
        return list(_warnings(self))

    def as_dict(self) -> dict[str, Any]:
        """What is said of it in JSON: no values."""
        touched = self.method != "none"
        told = {"ess_median": self.ess, "acceptance_median": self.acceptance}
        return {
            "cells": int((~self.mask).sum()), "methods": dict(Counter(self.method.tolist())), "reason": self.reason,
            "draws": len(self.draws), "interval": self.interval,
            "doubtful_rows": np.flatnonzero(self.doubtful).tolist(),
            **{name: _median(found[touched]) for name, found in told.items()}, "warnings": self.warnings,
        }  # fmt: skip

    def __str__(self) -> str:
        facts = self.as_dict()
        rows = int((self.method != "none").sum())
        ess = "" if facts["ess_median"] is None else f", median ESS {facts['ess_median']:.0f}"
        line = f"{facts['cells']} missing cells in {rows} of {len(self.mask)} rows filled in{ess}: {self.reason}"
        return "\n".join([line, *(f"- {each}" for each in self.warnings)])


@dataclass(frozen=True)
class _Options:
    method: Method
    draws: int
    samples: int
    sweeps: int
    interval: float
    seed: int


def impute(
    run: Run, data: Any = None, *, mask: Any = None, draws: int = 10, method: Method = "auto", interval: float = 0.9,
    samples: int = 1000, sweeps: int = 20, seed: int = 0, progress: Progress | None = None,
) -> Imputed:  # fmt: skip
    """Fill in missing cells from p(missing | observed).

    ``importance`` draws z from q(z|observed) and weighs it, which is right where q was trained on rows with such holes;
    ``metropolis`` runs chains of z and the missing cells, each proposal of q accepted or refused so that no good q is
    needed (Metropolis within Gibbs), started by annealing from the prior and moved by Hamiltonian steps between;
    ``gibbs`` accepts every proposal (pseudo-Gibbs), which is quick and has a bias unless q is exact. ``auto`` takes
    importance if the run was trained on rows with holes, for those whose weights are worth fifty draws, else chains: a
    q that was trained on complete rows alone is so sure of itself that not even its weights show it.

    Args:
        run: trained.
        data: rows as ``load`` takes them, NaN = missing; the run's test rows when left out.
        mask: bool of the shape of the rows, True = observed: cells to be taken as missing besides.
        draws: M, completed copies to keep.
        method: see above.
        interval: share of p(missing | observed) between ``lower`` and ``upper``, cell by cell.
        samples: K, draws of z a row for ``importance``.
        sweeps: of each of the 16 chains of a row that count, besides 5 to begin with.
        seed: of the draws. A row's draws depend on what is observed of it and on the seed alone.
        progress: called with rows done and rows in all.

    Returns:
        The rows without holes, in the type they are stored in, with draws, intervals and diagnostics.

    Raises:
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood; chains of
            a model of why cells are missing.
        BadOption: numbers that mean nothing. UnknownName: another method. DataError: rows that do not fit the model.

    Sources: Rezende, Mohamed & Wierstra 2014, arXiv:1401.4082; Mattei & Frellsen 2018, arXiv:1802.04826; the same 2019,
    arXiv:1812.02633; Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871 (weights with p(mask|x)).

    >>> from lowerbound.train import fit
    >>> from lowerbound.data.holes import hide
    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> impute(run, hide(run.rows().take([0, 1]), "half"), method="importance", samples=20).draws.shape
    (10, 2, 1, 8, 8)
    """
    options = _checked(_Options(method, draws, samples, sweeps, interval, seed))
    refuse(run, samples)
    options = _weighing(run.model, options)
    rows = holed(run, data, mask)
    seen = np.ones(rows.x.shape, bool) if rows.mask is None else rows.mask
    clean = replace(
        rows, x=np.where(seen, rows.x, rows.x.dtype.type(0)), mask=seen
    )  # what lies beneath is nobody's value
    found = list(_blocks(run, clean, options, progress))
    filled = [np.concatenate(part, axis=axis) for part, axis in zip(zip(*found, strict=True), _AXES, strict=True)]
    mean, low, high, kept, chosen, ess, acceptance, pareto_k = filled
    values = {name: stored(part, rows, seen) for name, part in {"values": mean, "draws": kept}.items()}
    given = rows.values(dtype=np.float64)
    bounds = {n: np.where(seen, given, part) for n, part in {"mean": mean, "lower": low, "upper": high}.items()}
    reason = "as asked" if method != "auto" else _reason(chosen) if method == options.method else NOT_AT_RANDOM
    return Imputed(**values, **bounds, mask=seen, method=chosen, ess=ess, acceptance=acceptance, pareto_k=pareto_k,
                   interval=interval, columns=rows.columns, reason=reason)  # fmt: skip


_AXES = (0, 0, 0, 1, 0, 0, 0, 0)


def holed(run: Run, data: Any = None, mask: Any = None) -> Data:
    """Rows for a run with NaN, and where the mask says so, missing.

    Args:
        run: trained.
        data: as ``load`` takes it; the run's test rows when left out.
        mask: True = observed, of the shape of the rows; or None.

    Raises:
        DataError: rows that do not fit the model. DataShape, DataFormat: a mask that does not fit.

    >>> from lowerbound.train import fit
    >>> run = fit([[0.0, 1.0], [1.0, 3.0], [2.0, 5.5]], latent=1, epochs=1, validation=0, test=0, progress=False)
    >>> holed(run, [[1.0, float("nan")]]).mask.tolist()
    [[True, False]]
    """
    if data is None or isinstance(data, Data):
        rows = run.rows(data)
    else:
        rows = run.rows(load(data, missing="nan", schema=run.schema if is_table(data) else None))
    if mask is None:
        return rows
    like = load(rows.x, mask=mask).mask
    return replace(rows, mask=like if rows.mask is None or like is None else like & rows.mask)


def stored(values: Array, rows: Data, seen: Array) -> Array:
    """Values (..., rows, *shape) in the type, unit and columns rows are stored in, observed cells as they are.

    Args:
        values: in the units of the data.
        rows: whose type it is.
        seen: True = observed.
    """
    kind, plain = rows.x.dtype, values / rows.unit
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        plain = np.rint(plain).clip(limits.min, limits.max)
    if rows.schema is not None:
        plain = rows.schema.legal(plain.reshape(-1, plain.shape[-1])).reshape(plain.shape)
    return np.where(seen, rows.x, plain.astype(kind))


def _checked(options: _Options) -> _Options:
    if options.method not in METHODS:
        raise unknown("method", options.method, METHODS, where="impute")
    for name in ("draws", "samples", "sweeps"):
        number = getattr(options, name)
        if not isinstance(number, int | np.integer) or number < 1:
            raise BadOption("not a number of them", where=name, found=str(number), expected="1 or more")
    if not 0 < options.interval < 1:
        raise BadOption("not a share", where="interval", found=str(options.interval), expected="above 0, below 1")
    return options


def _weighing(model: VAE, options: _Options) -> _Options:
    """The options, with ``auto`` decided where p(mask|x) leaves no choice."""
    if model.missingness_family is None:
        return options
    if options.method not in ("auto", "importance"):
        raise Incompatible(f"method '{options.method}' knows no p(mask|x)", expected="importance")
    return replace(options, method="importance")


def _blocks(run: Run, rows: Data, options: _Options, progress: Progress | None) -> Iterator[tuple[Array, ...]]:
    """What is found of some rows at a time, as numpy."""
    model, resident = doubled(run.model), run.resident(rows, torch.float64)
    size = max(1, min(ROWS, CELLS // (DRAWS_PER_BLOCK * int(np.prod(rows.shape)))))
    done = 0
    with torch.no_grad(), devices.kernels():
        for batch in resident.blocks(size):
            yield _block(model, batch, options)
            done += len(batch.x)
            if progress is not None:
                progress(done, rows.rows)


def _block(model: VAE, batch: Batch, options: _Options) -> tuple[Array, ...]:
    """Mean, bounds, draws and diagnostics of the rows of a block; rows without holes are left out of the work."""
    mask = batch.mask
    if mask is None:
        raise DataError("rows without a mask")
    whole = mask.flatten(1).all(1)
    auto = "importance" if model.embedding.masked else "metropolis"
    method = np.where(whole.cpu().numpy(), "none", auto if options.method == "auto" else options.method)
    found = _Found(batch, options, getattr(model.likelihood_family, "columns", ()))
    found.take(~whole, _fill(model, batch.cut(~whole), options, method[~whole.cpu().numpy()]))
    if options.method == "auto" and auto == "importance":
        poor = found.poor() & ~whole
        method[poor.cpu().numpy()] = "metropolis"
        found.take(poor, _fill(model, batch.cut(poor), options, method[poor.cpu().numpy()]))
    return (*found.arrays[:4], method, *found.arrays[4:])


def _fill(model: VAE, batch: Batch, options: _Options, method: Array) -> Filling | None:
    if not len(batch.x):
        return None
    holes = Holes(model, batch, options.seed)
    if method[0] == "importance":
        return weighted(holes, options.samples, max(options.draws, CHAINS * options.sweeps))
    exact = method[0] == "metropolis"
    annealing = ANNEALING if exact else None
    sweeps = max(options.sweeps, -(-options.draws // CHAINS))
    return chained(holes, CHAINS, sweeps, WARM, exact=exact, annealing=annealing)


class _Found:
    """What is known of the rows of a block so far."""

    def __init__(self, batch: Batch, options: _Options, columns: Sequence[Column]) -> None:
        self.options = options
        self.coded = [i for i, column in enumerate(columns) if column.coded]
        shape = batch.x.shape
        x = batch.x.cpu().numpy()
        kept = np.broadcast_to(x, (options.draws, *shape)).copy()
        nothing = [np.full(len(x), np.nan) for _ in range(3)]
        self.arrays = [x.copy(), x.copy(), x.copy(), kept, *nothing]

    def take(self, rows: Tensor, filling: Filling | None) -> None:
        """Put in what was found of some rows."""
        if filling is None:
            return
        at = rows.cpu().numpy()
        edge = (1 - self.options.interval) / 2
        draws = filling.draws.cpu().numpy()
        low, high = np.quantile(draws, [edge, 1 - edge], axis=0)
        singles = (filling.ess, filling.acceptance, filling.pareto_k)
        mean = filling.mean.cpu().numpy()
        if self.coded:
            mean[:, self.coded] = _commonest(draws[..., self.coded])
        found = (mean, low, high, draws[: self.options.draws], *(each.cpu().numpy() for each in singles))
        for number, (array, part) in enumerate(zip(self.arrays, found, strict=True)):
            array[(slice(None), at) if number == 3 else at] = part

    def poor(self) -> Tensor:
        """Rows that importance is not good enough for."""
        ess, pareto_k = self.arrays[4], self.arrays[6]
        return torch.from_numpy(~(ess >= LEAST_ESS) | (pareto_k > RELIABLE_K))


def _commonest(codes: Array) -> Array:
    """The value that most draws have, (rows, columns), of codes (draws, rows, columns)."""
    kinds = np.unique(codes)
    counts = np.array([(codes == kind).sum(0) for kind in kinds]).reshape(len(kinds), *codes.shape[1:])
    found: Array = kinds[counts.argmax(0)]
    return found


def _reason(method: Array) -> str:
    counted = Counter(method.tolist())
    told = [f"{name} for {counted[name]} rows ({why})" for name, why in REASONS.items() if counted[name]]
    return "; ".join(told) or "no cell is missing"


def _median(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _warnings(found: Imputed) -> Iterator[str]:
    doubtful, rows = int(found.doubtful.sum()), int((found.method != "none").sum())
    chain = found.doubtful & np.isin(found.method, ("metropolis", "gibbs"))
    if doubtful > chain.sum():
        yield f"{doubtful - chain.sum()} of {rows} rows: few weights count; their draws are too much alike"
    if chain.any():
        yield f"{chain.sum()} of {rows} rows: chains disagree; more sweeps would change the answer"
    if (found.method == "gibbs").any():
        yield "pseudo-Gibbs has a bias unless q(z|x) is the exact posterior"
