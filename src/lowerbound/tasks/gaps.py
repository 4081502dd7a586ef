"""How far the ELBO is below log p(x), and whose fault that is: the posterior's family or the encoder.

Source: Cremer, Li & Duvenaud 2018, "Inference suboptimality in variational autoencoders", arXiv:1801.03558.
"""

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.distributions import per_row
from lowerbound.errors import BadOption
from lowerbound.evaluation import evaluating
from lowerbound.model import VAE
from lowerbound.objectives.importance import stopped_density
from lowerbound.optimisers import ADAM_EPS, BETAS
from lowerbound.randomness import row_noise
from lowerbound.run import Run
from lowerbound.tasks.baselines import mean_of
from lowerbound.tasks.score import (
    Progress,
    from_distribution,
    log_weight,
    log_weights,
    noise_of,
    refuse,
    reliable,
    shifted,
    standard_error,
)
from lowerbound.tasks.tally import Tally

RATE, DRAWS = 1e-3, 100  # Cremer et al. 2018: of Adam, and of each of its steps
EVERY, PATIENCE = 100, 10  # steps from one check to the next, and checks without a better value before it ends
CHECK_DRAWS = 256
LONGEST = 20_000
DRAWN = 20  # steps whose noise is drawn at once
GROUP = 50  # rows

QUANTITIES = ("log_likelihood", "best", "elbo", "total", "approximation", "amortisation")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Gaps:
    """log p(x) - ELBO of each row, in nats: KL(q(z|x) || p(z|x)), and its two parts.

    Args:
        family: name of the posterior.
        log_likelihood: (rows,), importance-sampled from the best q.
        best: (rows,), the ELBO of the best q of the posterior's family for that row alone.
        elbo: (rows,), the ELBO of the encoder's q.
        approximation_se: (rows,), standard error of log_likelihood - best.
        amortisation_se: (rows,), of best - elbo.
        total_se: (rows,), of log_likelihood - elbo.
        ess: (rows,), effective sample size of the log-likelihood.
        pareto_k: (rows,), shape of the tail of its weights.
    """

    family: str
    log_likelihood: Array
    best: Array
    elbo: Array
    approximation_se: Array
    amortisation_se: Array
    total_se: Array
    ess: Array
    pareto_k: Array

    @property
    def total(self) -> Array:
        """KL(q(z|x) || p(z|x)), (rows,)."""
        return self.log_likelihood - self.elbo

    @property
    def approximation(self) -> Array:
        """What the family cannot express, (rows,): left with the best q of the family."""
        return self.log_likelihood - self.best

    @property
    def amortisation(self) -> Array:
        """What the encoder loses by answering all rows with one net, (rows,)."""
        return self.best - self.elbo

    @property
    def doubtful(self) -> int:
        """Rows whose log p(x), and so their approximation gap, is likely too low."""
        return int((~reliable(self.ess, self.pareto_k)).sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        means = {name: mean_of(getattr(self, name)) for name in QUANTITIES}
        return {"unit": "nats", "rows": len(self.elbo), **means, "doubtful_rows": self.doubtful}

    def __str__(self) -> str:
        lines = {
            "log p(x)": self.log_likelihood, "ELBO": self.elbo, "gap, KL(q(z|x) || p(z|x))": self.total,
            f"  approximation: the family '{self.family}'": self.approximation,
            "  amortisation: the encoder": self.amortisation,
        }  # fmt: skip
        text = [f"{len(self.elbo)} rows, nats per row, ± standard error over rows"]
        text += [f"{name:<46}{values.mean():10.2f} ± {standard_error(values):.2f}" for name, values in lines.items()]
        if self.doubtful:
            text.append(f"- log p(x) is not reliable in {self.doubtful} rows; it, and the gap, is likely too low there")
        return "\n".join(text)


def gap(
    run: Run, data: Any = None, *, samples: int = 5000, rows: int = 50, seed: int = 0, progress: Progress | None = None
) -> Gaps:  # fmt: skip
    """Measure the gap between log p(x) and the ELBO, and split it.

    For each row alone the numbers that the encoder would give are improved by Adam until the bound no longer rises.
    What is then left is the family's part, what was won is the encoder's.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: draws from each q for its bound and for log p(x).
        rows: how many, from the first.
        seed: of all draws, which are keyed by the rows' contents.
        progress: called with rows done and rows in all.

    Returns:
        Gaps, in nats. The parts add up to the whole; errors are given for each.

    Raises:
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood.
        BadOption: fewer than two samples or one row.

    Source: Cremer, Li & Duvenaud 2018, arXiv:1801.03558.

    >>> from lowerbound.train import fit
    >>> found = gap(fit("digits", latent=1, epochs=1, progress=False), rows=2, samples=100)
    >>> bool(np.allclose(found.total, found.approximation + found.amortisation))
    True
    """
    refuse(run, samples)
    if min(samples - 1, rows) < 1:
        found, expected = f"{samples} samples, {rows} rows", "2 samples and 1 row, or more"
        raise BadOption("too few", where="gap", found=found, expected=expected)
    some = run.rows(data).take(slice(0, rows))
    columns: list[tuple[Array, ...]] = []
    for batch in run.resident(some).blocks(GROUP):
        told = None if progress is None else shifted(progress, GROUP * len(columns), some.rows)
        numbers = best_numbers(run.model, batch, seed, told)
        columns.append(_measured(run.model, batch, numbers, samples, seed))
    return Gaps(run.model.posterior_family.name, *(np.concatenate(column) for column in zip(*columns, strict=True)))


def _measured(model: VAE, batch: Batch, numbers: Tensor, samples: int, seed: int) -> tuple[Array, ...]:
    """The fields of ``Gaps``, by the same noise through both q."""
    numbered = replace(batch, index=torch.arange(len(batch.x)))

    def local(model: VAE, some: Batch, seed: int) -> Any:
        return from_distribution(model, some, seed, model.posterior_family(numbers[some.index]))

    own, best = log_weights(model, batch, samples, seed), log_weights(model, numbered, samples, seed, proposal=local)
    tally = Tally(len(batch.x), samples)
    tally.add(torch.arange(len(batch.x)), best)
    shares = (best - torch.from_numpy(tally.log_mean)).exp()  # what each draw adds to log p(x), to first order
    errors = [(one.std(0) / math.sqrt(samples)).numpy() for one in (shares - best, best - own, shares - own)]
    bounds = [one.mean(0).numpy() for one in (best, own)]
    return tally.log_mean, *bounds, *errors, tally.ess, tally.pareto_k


def best_numbers(model: VAE, batch: Batch, seed: int, progress: Progress | None = None) -> Tensor:
    """The numbers of the best q of the posterior's family for each row, (rows, numbers).

    Adam from what the encoder gives; of all checks the best, the encoder's own numbers among them. A row that has not
    improved for some checks is done.
    """
    ascent = _Ascent(model, batch, seed)
    rows = torch.arange(len(batch.x))
    best, value, idle = ascent.numbers.clone(), ascent.bound(rows), torch.zeros(len(rows))
    for first in range(0, LONGEST, EVERY):
        ascent.climb(rows, first)
        found = ascent.bound(rows)
        better = found > value[rows]
        value[rows] = torch.where(better, found, value[rows])
        best[rows] = torch.where(better.unsqueeze(1), ascent.numbers[rows], best[rows])
        idle[rows] = torch.where(better.cpu(), 0.0, idle[rows] + 1)
        rows = rows[idle[rows] < PATIENCE]
        if progress is not None:
            progress(len(best) - len(rows), len(best))
        if not len(rows):
            break
    return best


class _Ascent:
    """Numbers of a q for each row, and the way up its bound with fresh noise at each step.

    The gradient is the one without the density's own term: it vanishes where q is exact.
    """

    def __init__(self, model: VAE, batch: Batch, seed: int) -> None:
        self.model, self.batch, self.seed = deepcopy(model).eval().requires_grad_(False), batch, seed
        self.digests, self.noise = model.embedding.digests(batch.x, batch.mask), noise_of(model)
        self.held = row_noise(seed, "local-check", self.digests, self.noise, 0, CHECK_DRAWS).to(batch.x)
        with evaluating(self.model):
            self.numbers = self.model.numbers(batch.x, batch.context, batch.mask)
        self.first, self.second = torch.zeros_like(self.numbers), torch.zeros_like(self.numbers)

    def bound(self, rows: Tensor) -> Tensor:
        """The ELBO of some rows on noise that is always the same, (n,)."""
        with evaluating(self.model):
            q = self.model.posterior_family(self.numbers[rows])
            return log_weight(self.model, q, self.held[:, rows], self.batch.cut(rows)).mean(0)

    def climb(self, rows: Tensor, before: int) -> None:
        """Some steps of Adam on some rows, after as many as were ``before``."""
        batch, digests = self.batch.cut(rows), [self.digests[row] for row in rows.tolist()]
        now, first, second = self.numbers[rows], self.first[rows], self.second[rows]
        for step in range(before, before + EVERY):
            if step % DRAWN == 0:
                draws = row_noise(self.seed, "local", digests, self.noise, step * DRAWS, (step + DRAWN) * DRAWS)
            eps = draws[step % DRAWN * DRAWS :][:DRAWS].to(batch.x)
            with evaluating(self.model), torch.enable_grad():
                slope = self._slope(now, eps, batch)
            first, second = first.lerp(slope, 1 - BETAS[0]), second.lerp(slope.square(), 1 - BETAS[1])
            scale = (second / (1 - BETAS[1] ** (step + 1))).sqrt() + ADAM_EPS
            now = now + RATE * first / (1 - BETAS[0] ** (step + 1)) / scale
        self.numbers[rows], self.first[rows], self.second[rows] = now, first, second

    def _slope(self, numbers: Tensor, eps: Tensor, batch: Batch) -> Tensor:
        """Gradient of the ELBO of each row in the numbers of its q, (rows, numbers)."""
        numbers = numbers.detach().requires_grad_()
        z = self.model.draw(self.model.posterior_family(numbers), eps)
        p = self.model.prior(batch.context)
        log_px = self.model.log_likelihood(self.model.likelihood(z, batch.context), batch.x, batch.mask)
        log_w = log_px + per_row(p.log_prob(z), p) - stopped_density(self.model.posterior_family, numbers, z)
        return torch.autograd.grad(log_w.mean(0).sum(), numbers)[0]
