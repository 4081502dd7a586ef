"""Draws of what is missing in a row given what is observed: importance weighting and two chains, in double precision.

All noise is keyed by the observed part of a row, so a row's draws depend on nothing else.
Sources: Rezende, Mohamed & Wierstra 2014, arXiv:1401.4082, appendix F (pseudo-Gibbs); Mattei & Frellsen 2018,
"Leveraging the exact likelihood of deep latent variable models", arXiv:1802.04826 (Metropolis-within-Gibbs); the same
2019, "MIWAE: deep generative modelling and imputation of incomplete data sets", arXiv:1812.02633 (importance).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.batches import Batch
from lowerbound.distributions import outcome, per_row
from lowerbound.model import VAE
from lowerbound.objectives.importance import completed, log_missingness
from lowerbound.randomness import DRAWS_PER_BLOCK, Draw, row_noise, scope
from lowerbound.tasks.annealing import Annealing, Path
from lowerbound.tasks.score import noise_of
from lowerbound.tasks.tally import Tally

FAR = 20.0  # beyond what an encoder has to say of a row that it knows
ROUNDING = 1e-12  # a variance that is no more of the second moment is none


@dataclass(frozen=True)
class Filling:
    """What some rows may hold where cells are missing.

    Args:
        mean: (rows, *shape), the conditional mean; of observed cells too it is the model's.
        draws: (draws, rows, *shape), of p(missing|observed); observed cells as they are.
        ess: (rows,), how many independent draws they are worth.
        acceptance: (rows,), share of proposals that a chain accepted; NaN without one.
        pareto_k: (rows,), shape of the tail of the weights; NaN without them.
    """

    mean: Tensor
    draws: Tensor
    ess: Tensor
    acceptance: Tensor
    pareto_k: Tensor


class Holes:
    """Rows with missing cells, and a model that has a say in what they hold.

    Args:
        model: double precision, in evaluation mode.
        batch: rows, with a mask.
        seed: of all noise.
    """

    def __init__(self, model: VAE, batch: Batch, seed: int) -> None:
        self.model, self.batch, self.seed = model, batch, seed
        self.mask = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        self.digests = model.embedding.digests(batch.x, self.mask)
        self.latent_noise = noise_of(model)

    def noise(self, purpose: str, draw: Draw, start: int = 0, stop: int = 1) -> Tensor:
        """(stop - start, rows, *shape)."""
        return row_noise(self.seed, purpose, self.digests, draw, start, stop).to(self.batch.x)

    def outcomes(self, z: Tensor, purpose: str, p: Distribution | None = None) -> Tensor:
        """Rows with draws of p(x|z) in their missing cells, (draws, rows, *shape), of codes (draws, rows, latent)."""
        p = self.model.likelihood(z, self.batch.context) if p is None else p
        draws = len(z)
        eps = self.noise(purpose, Draw((draws, *self.model.shape)))[0].transpose(0, 1)
        x = outcome(p, eps)
        return torch.where(self.mask, self.batch.x, self._one_by_one(z, purpose) if x is None else x)

    def chosen(self, z: Tensor, log_w: Tensor, draws: int) -> Tensor:
        """Codes or rows (draws, rows, numbers), drawn by their log weights (n, rows) from z (n, rows, numbers)."""
        levels = self.noise("choice", Draw((draws,), "uniform"))[0]
        share = log_w.softmax(0).cumsum(0).T.contiguous()
        index = torch.searchsorted(share, levels * share[:, -1:]).clamp(max=len(z) - 1)
        return z.gather(0, index.T.unsqueeze(-1).expand(-1, -1, z.shape[-1]))

    def _one_by_one(self, z: Tensor, purpose: str) -> Tensor:
        """Draws by torch's own sampler, which takes no noise: each row alone, so that the others do not matter."""
        found = []
        for row, digest in enumerate(self.digests):
            context = None if self.batch.context is None else self.batch.context[row : row + 1]
            with scope(self.seed, purpose, digest):
                found.append(self.model.likelihood(z[:, row : row + 1], context).sample())
        return torch.cat(found, dim=1).to(z)


def weighted(holes: Holes, samples: int, draws: int) -> Filling:
    """By importance: z from q(z|observed), weighted by p(observed, z) / q(z|observed); draws are chosen by weight."""
    tally = Tally(len(holes.digests), samples)
    mean = torch.zeros_like(holes.batch.x)
    states, weights = [], []
    everyone = torch.arange(len(mean))
    for start in range(0, samples, DRAWS_PER_BLOCK):
        state, value, log_w = _weighed(holes, start, min(start + DRAWS_PER_BLOCK, samples))
        before = tally.top + tally.first.log()
        tally.add(everyone, log_w.cpu())
        after = (tally.top + tally.first.log()).to(log_w)
        keep = (before.to(log_w) - after).exp()
        share = torch.einsum("kr,kr...->r...", (log_w - after).exp(), value)
        mean = mean * keep.reshape(-1, *(1,) * (mean.dim() - 1)) + share
        states.append(state.flatten(2))
        weights.append(log_w)
    found = holes.chosen(torch.cat(states), torch.cat(weights), draws)
    whole = holes.model.missingness_family is not None
    drawn = found.unflatten(-1, holes.model.shape) if whole else holes.outcomes(found, "outcome")
    nothing = torch.full((len(mean),), math.nan, dtype=torch.float64)
    ess, shape = (torch.from_numpy(each) for each in (tally.ess, tally.pareto_k))
    return Filling(mean, drawn, ess, nothing, shape)


def _weighed(holes: Holes, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws, what is averaged over them, and log p(observed, draw) - log q(draw|observed), (draws, rows).

    Draws are codes, and the mean of p(x|z) is averaged. Where p(mask|x) counts they are rows without holes.
    """
    model, batch = holes.model, holes.batch
    numbers = model.numbers(batch.x, batch.context, holes.mask)
    q = model.posterior_family(numbers.clamp(-FAR, FAR))  # weights make up for any q, but not for an infinite one
    z = model.draw(q, holes.noise("importance", holes.latent_noise, start, stop))
    p, prior = model.likelihood(z, batch.context), model.prior(batch.context)
    log_px = model.log_likelihood(p, batch.x, holes.mask)
    log_w = log_px + per_row(prior.log_prob(z), prior) - per_row(q.log_prob(z), q)
    if model.missingness_family is None:
        return z, p.mean, log_w
    x = completed(p, Batch(batch.x, holes.mask), holes.noise("missing", Draw(model.shape), start, stop))
    return x, x, log_w + log_missingness(model, x, holes.mask)


def chained(holes: Holes, chains: int, sweeps: int, warm: int, *, exact: bool, annealing: Annealing | None) -> Filling:
    """By chains that draw z given a completed row and the missing cells given z, in turn.

    Args:
        holes: the rows.
        chains: of each row, independent of each other.
        sweeps: that count.
        warm: before those.
        exact: accept or refuse a z as Metropolis and Hastings do, which leaves p(z, missing|observed) as it is
            whatever q; else take each, which does so only where q(z|x) is the exact posterior.
        annealing: how chains come to their start, and how they move between sweeps by Hamiltonian steps in z; without
            it they start from q(z|observed) and do not.
    """
    chain = Chain(holes, chains, exact, annealing)
    for sweep in range(warm):
        chain.sweep(sweep)
    sums = torch.zeros(2, chains, *holes.batch.x.shape, dtype=torch.float64, device=holes.batch.x.device)
    accepted = torch.zeros(len(holes.digests), dtype=torch.float64)
    kept = []
    for sweep in range(warm, warm + sweeps):
        accepted += chain.sweep(sweep).double().mean(0).cpu()
        sums += torch.stack([chain.mean, chain.mean.square()])
        kept.append(chain.x)
    nothing = torch.full_like(accepted, math.nan)
    by_cell = holes.model.embedding.mode == "columns"
    ess = independent(sums[0] / sweeps, sums[1] / sweeps, ~holes.mask, by_cell=by_cell)
    acceptance = accepted / sweeps if exact else nothing
    latest = torch.cat(kept[::-1])  # the last sweep first: its draws are of chains independent of each other
    return Filling(sums[0].mean(0) / sweeps, latest, ess.cpu(), acceptance, nothing)


def independent(mean: Tensor, second: Tensor, missing: Tensor, *, by_cell: bool = False) -> Tensor:
    """How many independent draws chains are worth, (rows,): chains x variance over all / variance of chains' means.

    Args:
        mean: of each chain, (chains, rows, *shape).
        second: moment of each.
        missing: (rows, *shape), the cells that count; variances are summed over them.
        by_cell: in units of each cell's own variance, for cells that have different units.
    """
    chains = len(mean)
    overall = second.mean(0) - mean.mean(0).square()
    between = mean.var(0, correction=1) if chains > 1 else overall
    if by_cell:
        varies = overall > ROUNDING * second.mean(0)
        missing = missing & varies
        between, overall = between / torch.where(varies, overall, 1.0), varies.to(overall)
    whole, part = (torch.where(missing, each, 0.0).flatten(1).sum(1) for each in (overall, between))
    return torch.where(part > 0, chains * whole / part, float(chains))


class Chain:
    """States of all chains of some rows.

    Args:
        holes: the rows.
        chains: of each.
        exact: whether to refuse proposals by the rule of Metropolis and Hastings.
        annealing: see ``chained``.
    """

    def __init__(self, holes: Holes, chains: int, exact: bool, annealing: Annealing | None) -> None:
        self.holes, self.model, self.exact = holes, holes.model, exact
        context = holes.batch.context
        self.context = None if context is None else context.repeat(chains, 1)
        self.move: Callable[[Tensor], Tensor] = lambda z: z
        if annealing is None:
            q = self.model.posterior(holes.batch.x, context, holes.mask)
            z = self.model.draw(q, holes.noise("start", holes.latent_noise, 0, chains))
        else:
            path = Path(self.model, Batch(holes.batch.x, holes.mask, context), annealing, holes.seed)
            steps = path.tuned(lambda: None)
            ends, log_w = path.arrivals(steps, lambda: None)
            z, self.move = holes.chosen(ends, log_w.to(ends), chains), path.moves(steps)
        self._fill(z, "first")

    def sweep(self, number: int) -> Tensor:
        """New z, then new missing cells; which proposals of z were accepted, (chains, rows)."""
        z, taken = self._proposed(number)
        self._fill(self.move(z), f"fill {number}")
        return taken

    def _fill(self, z: Tensor, purpose: str) -> None:
        """Draw the missing cells given z."""
        p = self.model.likelihood(z, self.holes.batch.context)
        self.z, self.mean = z, p.mean
        self.x = self.holes.outcomes(z, purpose, p)
        self.log_px = self.model.log_likelihood(p, self.x)

    def _proposed(self, number: int) -> tuple[Tensor, Tensor]:
        holes, grid = self.holes, self.z.shape[:2]
        q = self.model.posterior(self.x.flatten(0, 1), self.context)
        shape = (grid[0], *holes.latent_noise.shape)
        eps = holes.noise(f"proposal {number}", Draw(shape))[0].transpose(0, 1)
        z = self.model.draw(q, eps.flatten(0, 1).unsqueeze(0))[0].unflatten(0, grid)
        if not self.exact:
            return z, torch.ones(grid, dtype=torch.bool)
        log_px = self.model.log_likelihood(self.model.likelihood(z, holes.batch.context), self.x)
        gain = log_px - self.log_px + self._log_ratio(q, z) - self._log_ratio(q, self.z)
        level = holes.noise(f"level {number}", Draw((grid[0],), "uniform"))[0].T
        taken = level.log() < gain
        return torch.where(taken.unsqueeze(-1), z, self.z), taken

    def _log_ratio(self, q: Distribution, z: Tensor) -> Tensor:
        """log p(z) - log q(z|x), (chains, rows)."""
        p = self.model.prior(self.holes.batch.context)
        log_q = per_row(q.log_prob(z.flatten(0, 1)), q).unflatten(0, z.shape[:2])
        found: Tensor = per_row(p.log_prob(z), p) - log_q
        return found
