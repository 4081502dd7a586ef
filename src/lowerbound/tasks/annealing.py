"""Annealed importance sampling with Hamiltonian transitions, forwards and backwards, in double precision.

Sources: Neal 2001, "Annealed importance sampling", Statistics and Computing 11; Neal 2011, "MCMC using Hamiltonian
dynamics", arXiv:1206.1901; Wu, Burda, Salakhutdinov & Grosse 2017, "On the quantitative analysis of decoder-based
generative models", arXiv:1611.04273; Grosse, Ghahramani & Adams 2015, "Sandwiching the marginal likelihood using
bidirectional Monte Carlo", arXiv:1511.02543.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.distributions import per_row
from lowerbound.errors import BadOption
from lowerbound.model import VAE
from lowerbound.randomness import Draw, fill, generator, row_noise, scope
from lowerbound.tasks.tally import Tally

ACCEPTED = 0.65  # share of proposals: Neal 2011, section 5.4.4
CHANGE, USUAL, HASTIEST = 1.02, 500, 1.2  # of a step from one temperature to the next: more where these are few
LEAST_STEP, FIRST_STEP, LARGEST_STEP = 1e-4, 0.5, 1.5
TUNING_CHAINS = 4
SHARPNESS = 4.0  # of the sigmoid: Wu et al. 2017
DRAWN = 32  # transitions whose noise is drawn at once

Tell = Callable[[], None]
"""Called after each temperature."""


@dataclass(frozen=True)
class Annealing:
    """How thoroughly to anneal.

    Args:
        temperatures: steps from the start to p(x, z).
        chains: of each row.
        leapfrog: steps of a Hamiltonian proposal.
        start: ``prior``, or ``posterior``: from q(z|x), which is nearer where q is good.
    """

    temperatures: int = 500
    chains: int = 16
    leapfrog: int = 10
    start: Literal["prior", "posterior"] = "prior"

    def __post_init__(self) -> None:
        least = min(self.temperatures, self.chains, self.leapfrog)
        if least < 1 or self.start not in ("prior", "posterior"):
            raise BadOption("cannot be used", where="annealing", found=str(self),
                            expected="numbers of 1 or more, start 'prior' or 'posterior'")  # fmt: skip

    @property
    def schedule(self) -> Tensor:
        """From 0 to 1, slow at both ends: (temperatures + 1,)."""
        raw = torch.sigmoid(torch.linspace(-SHARPNESS, SHARPNESS, self.temperatures + 1, dtype=torch.float64))
        return (raw - raw[0]) / (raw[-1] - raw[0])


class Path:
    """Distributions from a start b(z) to p(x, z) for each row of a batch, and chains along them in both directions.

    log f = log b + t (log p(x, z) - log b), t from 0 to 1; where the start is the prior, log p(z) + t log p(x|z).

    Args:
        model: of any precision; a copy of it computes in double.
        batch: rows in the units of the data, float64.
        annealing: settings.
        seed: of all noise, which is keyed by the rows' contents.
    """

    def __init__(self, model: VAE, batch: Batch, annealing: Annealing, seed: int) -> None:
        self.model, self.batch, self.annealing, self.seed = doubled(model), batch, annealing, seed
        self.digests = model.embedding.digests(batch.x, batch.mask)
        self.p = self.model.prior(batch.context)
        self.q = self.model.posterior(batch.x, batch.context, batch.mask)
        schedule = annealing.schedule
        self.increments, self.between = schedule.diff().tolist(), schedule[1:-1].tolist()

    def tuned(self, tell: Tell) -> Tensor:
        """Step sizes, (temperatures - 1, rows), found by chains of their own.

        Chains that adapted their steps to where they have been would weigh themselves with a bias.
        """
        z = self._start(TUNING_CHAINS, "tuning")
        noise = self._noise(TUNING_CHAINS, "tuning")
        step = torch.full_like(z[0, :, :1], FIRST_STEP)
        change = min(HASTIEST, CHANGE ** max(1.0, USUAL / self.annealing.temperatures))
        steps: list[Tensor] = []
        for t in self.between:
            z, chance = self._transition(z, t, step, next(noise))
            steps.append(step)
            step = (step * change ** ((chance - ACCEPTED) / (1 - ACCEPTED))).clamp(LEAST_STEP, LARGEST_STEP)
            tell()
        return torch.stack(steps) if steps else torch.zeros(0, *step.shape)

    def forward(self, steps: Tensor, tell: Tell) -> Tensor:
        """Log weights of chains from the start to p(x, z), (chains, rows); their mean is p(x) on average."""
        return self.arrivals(steps, tell)[1]

    def arrivals(self, steps: Tensor, tell: Tell) -> tuple[Tensor, Tensor]:
        """The same with where the chains end, (chains, rows, latent): drawn by weight, they are draws from p(z|x)."""
        z = self._start(self.annealing.chains, "forward")
        return self._follow(z, self.increments, self.between, steps, "forward", tell)

    def moves(self, steps: Tensor) -> Callable[[Tensor], Tensor]:
        """A function that moves chains with the last of the steps, new noise at a call, and leaves p(z|x) as it is."""
        noise = self._noise(self.annealing.chains, "moves")
        return lambda z: self._transition(z, 1.0, steps[-1], next(noise))[0]

    def reverse(self, z: Tensor, steps: Tensor, tell: Tell) -> Tensor:
        """The same from z ~ p(z|x), (chains, rows, latent), to the start: the mean of 1 / weight is 1 / p(x)."""
        return self._follow(z, self.increments[::-1], self.between[::-1], steps.flip(0), "reverse", tell)[1]

    def _follow(
        self, z: Tensor, increments: Sequence[float], between: Sequence[float], steps: Tensor, purpose: str, tell: Tell
    ) -> tuple[Tensor, Tensor]:
        noise = self._noise(len(z), purpose)
        log_w = increments[0] * self._parts(z)[1]
        for i, t in enumerate(between):
            z, _ = self._transition(z, t, steps[i], next(noise))
            log_w += increments[i + 1] * self._parts(z)[1]
            tell()
        return z, log_w.cpu()

    def _transition(self, z: Tensor, t: float, step: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A Hamiltonian proposal, taken or refused: z, and the mean chance of taking it, (rows, 1)."""
        v, log_u = noise[..., :-1], torch.special.log_ndtr(noise[..., -1])
        log_f, slope = self._density(z, t)
        before = log_f - 0.5 * v.square().sum(-1)
        v, y = v + 0.5 * step * slope, z
        for i in range(self.annealing.leapfrog):
            y = y + step * v
            log_f, slope = self._density(y, t)
            v = v + (step if i + 1 < self.annealing.leapfrog else 0.5 * step) * slope
        gain = (log_f - 0.5 * v.square().sum(-1) - before).nan_to_num(nan=-math.inf)
        return torch.where((log_u < gain).unsqueeze(-1), y, z), gain.clamp(max=0).exp().mean(0).unsqueeze(-1)

    @torch.enable_grad()
    def _density(self, z: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """log f, (chains, rows), and its gradient in z."""
        z = z.detach().requires_grad_()
        start, rest = self._parts(z)
        log_f = start + t * rest
        return log_f.detach(), torch.autograd.grad(log_f.sum(), z)[0]

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log b(z), and log p(x, z) - log b(z): (chains, rows)."""
        log_px = self.model.log_likelihood(
            self.model.likelihood(z, self.batch.context), self.batch.x, self.batch.mask
        )  # fmt: skip
        log_p = per_row(self.p.log_prob(z), self.p)
        if self.annealing.start == "prior":
            return log_p, log_px
        log_q = per_row(self.q.log_prob(z), self.q)
        return log_q, log_p + log_px - log_q

    def _start(self, chains: int, purpose: str) -> Tensor:
        """Draws from b, (chains, rows, latent)."""
        if self.annealing.start == "prior":
            return prior_draws(self.model, self.batch, self.digests, chains, self.seed, purpose)
        draw = Draw(self.model.posterior_family.noise_shape or ())
        eps = row_noise(self.seed, f"annealing-{purpose}", self.digests, draw, 0, chains)
        return self.model.draw(self.q, eps.to(self.batch.x))

    def _noise(self, chains: int, purpose: str) -> Iterator[Tensor]:
        """For one transition after another, (chains, rows, latent + 1): momenta, and what decides on the proposal."""
        sources = [generator(self.seed, "annealing", purpose, digest) for digest in self.digests]
        draw = Draw((chains, self.model.latent + 1))
        while True:
            yield from torch.stack([fill(draw, DRAWN, source) for source in sources], dim=2).to(self.batch.x)


@torch.no_grad()
def annealed(model: VAE, batch: Batch, annealing: Annealing, seed: int = 0, tell: Tell = lambda: None) -> Tally:
    """Annealed importance sampling of log p(x) for each row.

    Args:
        model: with a posterior that has a density.
        batch: rows in the units of the data, float64.
        annealing: settings.
        seed: of the chains.
        tell: called 2 (temperatures - 1) times.

    Returns:
        The weights of the chains; their log mean is a stochastic lower bound on log p(x).

    Source: Neal 2001, "Annealed importance sampling", Statistics and Computing 11.
    """
    path = Path(model, batch, annealing, seed)
    return _tally(path.forward(path.tuned(tell), tell))


@torch.no_grad()
def sandwich(
    model: VAE, rows: int, annealing: Annealing, seed: int = 0, tell: Tell = lambda: None
) -> tuple[Batch, Tally, Tally]:  # fmt: skip
    """Bounds on log p(x) from both sides, on rows that the model makes.

    A row made with its z is an exact draw from p(z|x), from which chains may run backwards.

    Args:
        model: with a posterior that has a density.
        rows: how many to make.
        annealing: settings.
        seed: of rows and chains.
        tell: called 3 (temperatures - 1) times.

    Returns:
        The rows; weights whose log mean is a stochastic lower bound; weights whose log mean is minus an upper one.

    Source: Grosse, Ghahramani & Adams 2015, arXiv:1511.02543.
    """
    batch, z = simulated(model, rows, seed)
    path = Path(model, batch, annealing, seed)
    steps = path.tuned(tell)
    return (
        batch,
        _tally(path.forward(steps, tell)),
        _tally(-path.reverse(z.expand(annealing.chains, -1, -1), steps, tell)),
    )


@torch.no_grad()
def simulated(model: VAE, rows: int, seed: int) -> tuple[Batch, Tensor]:
    """Rows that a model makes, float64, and the z of each, (rows, latent)."""
    model = doubled(model)
    with scope(seed, "simulated"):
        z = model.prior().sample(torch.Size((rows,)))
        x = model.likelihood(z.unsqueeze(0)).sample()[0]
    return Batch(x.double()), z


def prior_draws(
    model: VAE, batch: Batch, digests: Sequence[int], draws: int, seed: int, purpose: str
) -> Tensor:  # fmt: skip
    """Draws from p(z) for each row, keyed by its contents: (draws, rows, latent)."""
    found = []
    for row, digest in enumerate(digests):
        p = model.prior(None if batch.context is None else batch.context[row : row + 1])
        with scope(seed, "prior", purpose, digest):  # torch's samplers take no generator
            found.append(p.sample(torch.Size((draws,))).reshape(draws, -1))
    return torch.stack(found, dim=1)


def doubled(model: VAE) -> VAE:
    """A copy that computes in double precision, in evaluation mode, with fixed weights."""
    return deepcopy(model).double().eval().requires_grad_(False)


def _tally(log_w: Tensor) -> Tally:
    tally = Tally(log_w.shape[1], len(log_w))
    tally.add(torch.arange(log_w.shape[1]), log_w)
    return tally
