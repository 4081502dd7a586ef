"""log p(x) by importance sampling from q(z|x), per row and with its error.

Source: Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders", arXiv:1509.00519.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound import devices
from lowerbound.batches import Batch
from lowerbound.distributions import per_row
from lowerbound.errors import BadOption, Incompatible
from lowerbound.evaluation import evaluating
from lowerbound.model import VAE
from lowerbound.randomness import DRAWS_PER_BLOCK, Draw, row_noise
from lowerbound.run import Run
from lowerbound.tasks.tally import Tally

DECODED = 1024  # samples decoded at once: they stay near the cache, and the memory is bounded for any K
MOST = 100_000  # samples a row that a tolerance may ask for
RELIABLE_ESS = 10.0
RELIABLE_K = 0.7  # above it the error of an estimate is not known from its own weights: Vehtari et al. 2024

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
"""Called with the rows that are done and the rows in all."""
Weigh = Callable[[int, int], Tensor]
"""Log weights, (stop - start, rows), of the draws ``start`` to ``stop`` of some rows."""
Proposal = Callable[[VAE, Batch, int], Weigh]
"""Where draws of z come from: given a model, rows and a seed, what weighs them."""


@dataclass(frozen=True)
class Scores:
    """log p(x) per row, in nats.

    Args:
        log_likelihood: (rows,), the importance-weighted estimate; its mean over rows is at most log p(x) on average.
        se: (rows,), standard error of each, by the delta method; NaN with one sample.
        ess: (rows,), effective sample size, 1 to K.
        pareto_k: (rows,), shape of the tail of the weights: above 0.7 the error is larger than ``se`` says, however
            small that is; NaN where there are too few weights to tell, or they do not vary.
        samples_per_row: (rows,), K of each: the same for all, unless a tolerance asked for more.
        tolerance: the standard error that was asked for, or None.
        given: what p(x) is conditioned on, for people; empty for nothing.
    """

    log_likelihood: Array
    se: Array
    ess: Array
    pareto_k: Array
    samples_per_row: Array
    tolerance: float | None = None
    given: str = ""

    @property
    def samples(self) -> int:
        """K, the largest of any row."""
        return int(self.samples_per_row.max(initial=0))

    @property
    def mean(self) -> float:
        """Mean log p(x) per row."""
        return float(self.log_likelihood.mean())

    @property
    def mean_se(self) -> float:
        """Standard error of the mean over rows."""
        return standard_error(self.log_likelihood)

    @property
    def reliable(self) -> npt.NDArray[np.bool_]:
        """(rows,), whether effective sample size and tail let the error be believed."""
        return reliable(self.ess, self.pareto_k)

    @property
    def unsettled(self) -> npt.NDArray[np.int64]:
        """Numbers of the rows whose error is not known to be within the tolerance."""
        if self.tolerance is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(~((self.se <= self.tolerance) & self.reliable))

    @property
    def warnings(self) -> list[str]:
        """What to know before believing the estimate, a sentence each."""
        return list(_warnings(self))

    def __str__(self) -> str:
        ess = float(np.median(self.ess))
        known = f"|{self.given}" if self.given else ""
        return f"log p(x{known}) = {self.mean:.2f} ± {self.mean_se:.2f} nats (K = {_span(self)}, ESS {ess:.0f})"


def score(
    run: Run, data: Any = None, *, samples: int = 1000, seed: int = 0, tolerance: float | None = None,
    most: int = MOST, progress: Progress | None = None,
) -> Scores:  # fmt: skip
    """Score rows by importance-sampled log p(x).

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: K, draws from q(z|x) per row.
        seed: of the draws. A row's draws depend on its contents and the seed alone: neither the order of the rows nor a
            choice among them changes its score, and the draws of a smaller K are the first of a larger.
        tolerance: nats; a row's K is doubled until its standard error is at most this.
        most: where that ends; rows that are not there then are ``unsettled``.
        progress: called with rows done and rows in all, after every few rows.

    Returns:
        Scores, one entry a row, in nats, densities in the units of the data.

    Raises:
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood.
        BadOption: fewer than one sample, a tolerance that is not positive, or ``most`` below ``samples``.

    Sources: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519; Vehtari et al. 2024, arXiv:1507.02646.

    >>> from lowerbound.train import fit
    >>> print(score(fit("digits", latent=2, epochs=1, progress=False), samples=8).samples)
    8
    """
    refuse(run, samples, tolerance, most)
    rows, found, done = run.resident(run.rows(data)), [], 0
    limit, most = (math.inf, samples) if tolerance is None else (tolerance, most)
    with devices.kernels():  # once around all blocks: what is freed between them is kept
        for batch in rows.blocks(DECODED):
            told = None if progress is None else shifted(progress, done, len(rows))
            found.append(weigh(run.model, batch, samples, seed, tolerance=limit, most=most, progress=told))
            done += len(batch.x)
    columns = [(t.log_mean, t.se, t.ess, t.pareto_k, t.drawn.numpy()) for t in found]
    log_p, se, ess, pareto_k, drawn = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Scores(log_p, se, ess, pareto_k, drawn, tolerance, run.config.data.context)


def log_likelihood(model: VAE, batch: Batch, samples: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """log p(x), its standard error and the effective sample size of each row of a batch, in bounded memory.

    Args:
        model: with a posterior that has a density.
        batch: rows in the units of the data.
        samples: K.
        seed: of the draws.
    """
    tally = weigh(model, batch, samples, seed)
    return tally.log_mean, tally.se, tally.ess


def from_posterior(model: VAE, batch: Batch, seed: int) -> Weigh:
    """Draws from q(z|x)."""
    return from_distribution(model, batch, seed, model.posterior(batch.x, batch.context, batch.mask))


def from_distribution(model: VAE, batch: Batch, seed: int, q: Distribution) -> Weigh:
    """Draws from a q(z) of each row, of the model's family."""
    digests, draw = model.embedding.digests(batch.x, batch.mask), noise_of(model)

    def weigh(start: int, stop: int) -> Tensor:
        eps = row_noise(seed, "importance", digests, draw, start, stop).to(batch.x)
        return log_weight(model, q, eps, batch)

    return weigh


def noise_of(model: VAE) -> Draw:
    """The noise of one draw from q(z|x).

    Raises:
        Incompatible: a posterior without a density.
    """
    shape = model.posterior_family.noise_shape
    if shape is None:
        raise Incompatible(f"posterior '{model.posterior_family.name}' has no density, so log p(x) cannot be estimated")
    return Draw(shape)


def weigh(
    model: VAE, batch: Batch, samples: int, seed: int = 0, *, tolerance: float = math.inf, most: int = 0,
    proposal: Proposal = from_posterior, progress: Progress | None = None,
) -> Tally:  # fmt: skip
    """Importance weights of each row of a batch, a few rows and draws at a time."""
    most = max(samples, most)
    tally = Tally(len(batch.x), most)

    def fill(rows: Tensor) -> int:
        start, stop, last = 0, samples, int(rows[-1]) + 1
        while len(rows):
            for some in _groups(rows, stop - start):
                for log_w in _blocks(model, batch.cut(some), start, stop, seed, proposal):
                    tally.add(some, log_w)
            rows = rows[~(tally.error(rows) <= tolerance)] if stop < most else rows[:0]
            start, stop = stop, min(2 * stop, most)
        return last

    with evaluating(model):  # around the threads: what it sets is for all of them
        for done in devices.side_by_side(fill, _groups(torch.arange(len(batch.x)), samples)):
            if progress is not None:
                progress(done, len(batch.x))
    return tally


def log_weights(
    model: VAE, batch: Batch, samples: int, seed: int = 0, *, proposal: Proposal = from_posterior
) -> Tensor:  # fmt: skip
    """All importance weights, log p(x, z) - log q(z|x) in nats: (samples, rows), float64 on the CPU."""
    groups = _groups(torch.arange(len(batch.x)), samples)
    found = [torch.cat(list(_blocks(model, batch.cut(rows), 0, samples, seed, proposal))) for rows in groups]
    return torch.cat(found, dim=1)


def log_weight(model: VAE, q: Distribution, eps: Tensor, batch: Batch) -> Tensor:
    """log p(x, z) - log q(z) in nats, (draws, rows), of the z that q makes of noise (draws, rows, *noise_shape)."""
    z = model.draw(q, eps)
    log_px = model.log_likelihood(model.likelihood(z, batch.context), batch.x, batch.mask)
    p = model.prior(batch.context)
    return log_px + per_row(p.log_prob(z), p) - per_row(q.log_prob(z), q)


def standard_error(values: Array) -> float:
    """Standard error of the mean of independent values; NaN for one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def reliable(ess: Array, pareto_k: Array, least: float = RELIABLE_ESS) -> npt.NDArray[np.bool_]:
    """Whether an effective sample size and a tail let an estimate's error be believed."""
    found: npt.NDArray[np.bool_] = (ess >= least) & ~(pareto_k > RELIABLE_K)
    return found


def refuse(run: Run, samples: int, tolerance: float | None = None, most: int = MOST) -> None:
    """Refuse what has no log p(x), and numbers that mean nothing."""
    if samples < 1:
        raise BadOption("not a number of samples", where="samples", found=str(samples), expected="1 or more")
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise BadOption("not a tolerance", where="tolerance", found=str(tolerance), expected="nats above 0")
    if tolerance is not None and most < samples:
        raise BadOption("fewer than the samples", where="most", found=str(most), expected=f"{samples} or more")
    if run.config.data.binarize == "grey":
        raise Incompatible(
            "the run was trained on grey levels: its cross-entropy is not a log-likelihood",
            mend="Fit with data.binarize = sample, or the likelihood 'continuous_bernoulli'.",
        )
    noise_of(run.model)


def _groups(rows: Tensor, draws: int) -> tuple[Tensor, ...]:
    """Row numbers, as many at a time as may be decoded at once."""
    groups: tuple[Tensor, ...] = rows.split(max(1, DECODED // min(draws, DRAWS_PER_BLOCK)))
    return groups


def _blocks(
    model: VAE, batch: Batch, start: int, stop: int, seed: int, proposal: Proposal
) -> Iterator[Tensor]:  # fmt: skip
    """Log weights of some rows, a few draws at a time: (draws, rows) float64 on the CPU."""
    step = max(1, DECODED // len(batch.x) // DRAWS_PER_BLOCK) * DRAWS_PER_BLOCK
    with evaluating(model):
        weigh = proposal(model, batch, seed)
        while start < stop:
            last = min(start + step - start % DRAWS_PER_BLOCK, stop)  # noise comes in blocks: none is made twice
            yield weigh(start, last).double().cpu()
            start = last


def shifted(progress: Progress, done: int, rows: int) -> Progress:
    """Progress of a block of rows as progress of all."""
    return lambda more, _: progress(done + more, rows)


def _span(scores: Scores) -> str:
    least = int(scores.samples_per_row.min(initial=scores.samples))
    return str(least) if least == scores.samples else f"{least} to {scores.samples}"


def _warnings(scores: Scores) -> Iterator[str]:
    rows, few = len(scores.ess), int((scores.ess < RELIABLE_ESS).sum())
    if lost := int(np.isnan(scores.log_likelihood).sum()):
        yield f"{lost} of {rows} rows have no estimate: q(z|x) is not finite there, or has no width left"
    if few:
        yield f"{few} of {rows} rows have an effective sample size below {RELIABLE_ESS:g}: log p(x) is likely too low"
    heavy = int((scores.pareto_k > RELIABLE_K).sum())
    if heavy:
        yield f"{heavy} of {rows} rows have Pareto k above {RELIABLE_K:g}: their error is larger than it says"
    if len(scores.unsettled):
        least = f"a standard error of {scores.tolerance:g} nats"
        yield f"{len(scores.unsettled)} of {rows} rows are not known to be within {least} at K = {scores.samples}"
