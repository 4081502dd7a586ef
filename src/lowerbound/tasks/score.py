"""log p(x) by importance sampling from q(z|x), per row and with its error.

Sources: Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders", arXiv:1509.00519 (the bound); Kong
1992, "A note on importance sampling using standardized weights" (the effective sample size).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.batches import Batch
from lowerbound.distributions import per_row
from lowerbound.errors import BadOption, Incompatible
from lowerbound.evaluation import evaluating
from lowerbound.model import VAE
from lowerbound.randomness import DRAWS_PER_BLOCK, Draw, row_digests, row_noise
from lowerbound.run import Run

DECODED = 2048  # samples decoded at once: near the cache, and the memory stays bounded for any K
RELIABLE_ESS = 10.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """log p(x) per row, in nats.

    Args:
        log_likelihood: (rows,), the importance-weighted estimate; its mean over rows is at most log p(x) on average.
        se: (rows,), standard error of each, by the delta method; NaN with one sample.
        ess: (rows,), effective sample size, 1 to K.
        samples: K.
    """

    log_likelihood: Array
    se: Array
    ess: Array
    samples: int

    @property
    def mean(self) -> float:
        """Mean log p(x) per row."""
        return float(self.log_likelihood.mean())

    @property
    def mean_se(self) -> float:
        """Standard error of the mean over rows."""
        return standard_error(self.log_likelihood)

    def __str__(self) -> str:
        ess = float(np.median(self.ess))
        return f"log p(x) = {self.mean:.2f} ± {self.mean_se:.2f} nats (K = {self.samples}, ESS {ess:.0f})"


def score(run: Run, data: Any = None, *, samples: int = 1000, seed: int = 0) -> Scores:
    """Score rows by importance-sampled log p(x).

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: K, draws from q(z|x) per row.
        seed: of the draws. A row's draws depend on its contents and the seed alone: neither the order of the rows nor a
            choice among them changes its score.

    Returns:
        Scores, one entry a row, in nats, densities in the units of the data.

    Raises:
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood.
        BadOption: fewer than one sample.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519.

    >>> from lowerbound.train import fit
    >>> print(score(fit("digits", latent=2, epochs=1, progress=False), samples=8).samples)
    8
    """
    _refuse(run, samples)
    rows = run.resident(run.rows(data))
    found = [log_likelihood(run.model, batch, samples, seed) for batch in rows.blocks(DECODED)]
    log_p, se, ess = (np.concatenate(column) for column in zip(*found, strict=True))
    return Scores(log_p, se, ess, samples)


def log_likelihood(model: VAE, batch: Batch, samples: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """log p(x), its standard error and the effective sample size of each row of a batch, in bounded memory.

    Args:
        model: with a posterior that has a density.
        batch: rows in the units of the data.
        samples: K.
        seed: of the draws.
    """
    top = torch.full((len(batch.x),), -math.inf, dtype=torch.float64)
    first, second = torch.zeros_like(top), torch.zeros_like(top)
    for rows, log_w in weight_blocks(model, batch, samples, seed):
        new = torch.maximum(top[rows], log_w.max(0).values)
        shrink, w = (top[rows] - new).exp(), (log_w - new).exp()
        first[rows] = first[rows] * shrink + w.sum(0)
        second[rows] = second[rows] * shrink**2 + w.square().sum(0)
        top[rows] = new
    ess = first.square() / second
    variance = (samples / ess - 1).clamp(min=0) / (samples - 1) if samples > 1 else torch.full_like(ess, math.nan)
    log_p = top + first.log() - math.log(samples)
    return log_p.numpy(), variance.sqrt().numpy(), ess.numpy()


def log_weights(model: VAE, batch: Batch, samples: int, seed: int = 0) -> Tensor:
    """All importance weights, log p(x, z) - log q(z|x) in nats: (samples, rows), float64 on the CPU."""
    out = torch.empty(samples, len(batch.x), dtype=torch.float64)
    filled = [0] * len(batch.x)
    for rows, log_w in weight_blocks(model, batch, samples, seed):
        start = filled[rows.start]
        out[start : start + len(log_w), rows] = log_w
        filled[rows.start] = start + len(log_w)
    return out


def weight_blocks(model: VAE, batch: Batch, samples: int, seed: int) -> Iterator[tuple[slice, Tensor]]:
    """Log weights a few rows and draws at a time: (rows, (draws, rows) float64 on the CPU)."""
    shape = model.posterior_family.noise_shape
    if shape is None:
        raise Incompatible(f"posterior '{model.posterior_family.name}' has no density, so log p(x) cannot be estimated")
    step = max(1, DECODED // min(samples, DRAWS_PER_BLOCK))
    for first in range(0, len(batch.x), step):
        rows = slice(first, min(first + step, len(batch.x)))
        some = batch.cut(rows)
        digests = row_digests(some.x, some.mask)
        with evaluating(model):
            q = model.posterior(some.x, some.context, some.mask)
            for start in range(0, samples, DRAWS_PER_BLOCK):
                stop = min(start + DRAWS_PER_BLOCK, samples)
                eps = row_noise(seed, "importance", digests, Draw(shape), start, stop).to(some.x)
                yield rows, _log_weight(model, q, eps, some).double().cpu()


def standard_error(values: Array) -> float:
    """Standard error of the mean of independent values; NaN for one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _log_weight(model: VAE, q: Distribution, eps: Tensor, batch: Batch) -> Tensor:
    z = model.draw(q, eps)
    log_px = model.log_likelihood(model.likelihood(z, batch.context), batch.x, batch.mask)
    p = model.prior(batch.context)
    return log_px + per_row(p.log_prob(z), p) - per_row(q.log_prob(z), q)


def _refuse(run: Run, samples: int) -> None:
    if samples < 1:
        raise BadOption("not a number of samples", where="samples", found=str(samples), expected="1 or more")
    if run.config.data.binarize == "grey":
        raise Incompatible(
            "the run was trained on grey levels: its cross-entropy is not a log-likelihood",
            mend="Fit with data.binarize = sample, or the likelihood 'continuous_bernoulli'.",
        )
