"""Claims about distributions over z: posteriors and priors."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from lowerbound.checks.base import ROWS, Case, Claim, alone, apart, noise
from lowerbound.distributions import kl, per_row
from lowerbound.errors import LowerboundError
from lowerbound.randomness import scope

DRAWS = 4000
STANDARD_ERRORS = 4.0  # wrongly missed by one sound part in 16 000
REACH = 25.0  # integrals go to +-sinh(25), far enough for tails as heavy as those of |z|^-1.5
KOLMOGOROV = 1.95  # sqrt(n) D exceeds it for one sound part in 1000


def prior_of(case: Case, rows: int = 1) -> Distribution:
    """p(z), with a posterior at hand for priors made of one, and contexts of so many rows if there are any."""
    latent, context = case.given["latent"], case.given["context"]

    def infer(x: Tensor) -> Distribution:
        centre = x.flatten(1)[:, :1].tanh().expand(-1, latent)
        return Normal(centre, torch.ones_like(centre), validate_args=False)

    p: Distribution = case.part(noise(rows, context, seed=9) if context else None, infer)
    return p


def posterior_of(case: Case, rows: int = 1) -> Distribution:
    """q(z|x) for fixed numbers."""
    q: Distribution = case.part(noise(rows, case.part.numbers))
    return q


def epsilon(case: Case, draws: int, rows: int) -> Tensor:
    """Noise of that many draws of each row."""
    return noise(draws, rows, *(case.part.noise_shape or (0,)), seed=1)


def samples_of(case: Case) -> Tensor:
    """Draws of the distribution under test, (DRAWS, latent)."""
    if case.part.kind == "posterior":
        drawn: Tensor = case.part.draw(posterior_of(case), epsilon(case, DRAWS, 1))[:, 0]
        return drawn.detach()
    with scope(1, "check"):
        return prior_of(case).sample((DRAWS,)).reshape(DRAWS, -1)


def log_density(case: Case, z: Tensor) -> Tensor:
    """Of points (n, latent), in nats, (n,)."""
    p = posterior_of(case) if case.part.kind == "posterior" else prior_of(case)
    return per_row(p.log_prob(z.unsqueeze(1)), p).reshape(len(z)).detach()


def line(sample: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Points on the whole real line, dense where the sample (n,) is, and the length each stands for."""
    low, centre, high = sample.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=sample.dtype))
    scale = (high - low).clamp(min=1e-6)
    t = REACH * (2 * (torch.arange(points, dtype=sample.dtype) + 0.5) / points - 1)
    return centre + scale * t.sinh(), scale * t.cosh() * 2 * REACH / points


def mass(case: Case) -> float | None:
    """The integral of the density."""
    if not case.part.has_density:
        return None
    sample = samples_of(case)
    lines = [line(values, 4000 if sample.shape[1] == 1 else 600) for values in sample.unbind(1)]
    points = torch.cartesian_prod(*(at for at, _ in lines)).reshape(-1, sample.shape[1])
    weights = torch.cartesian_prod(*(length for _, length in lines)).reshape(points.shape).prod(1)
    return float((log_density(case, points).exp() * weights).sum())


def kolmogorov(case: Case) -> float | None:
    """sqrt(n) times the largest distance of the samples' distribution from the integrated density; in one dimension."""
    if not case.part.has_density or case.given["latent"] != 1:
        return None
    sample = samples_of(case)[:, 0].sort().values
    points, weights = line(sample, 4000)
    share = log_density(case, points.unsqueeze(1)).exp() * weights
    below = (share.cumsum(0) - 0.5 * share) / share.sum()
    place = torch.searchsorted(points, sample).clamp(1, len(points) - 1)
    part = (sample - points[place - 1]) / (points[place] - points[place - 1])
    model = below[place - 1] + part.clamp(0, 1) * (below[place] - below[place - 1])
    steps = torch.arange(len(sample) + 1, dtype=sample.dtype) / len(sample)
    return math.sqrt(len(sample)) * max(apart(model, steps[1:]), apart(model, steps[:-1]))


HEAVY = 0.01  # share of one draw in the sample variance from which on the tails leave that no standard error


def moments(case: Case) -> float | None:
    """Distance of the samples' mean and variance from those declared, in standard errors."""
    z, p = samples_of(case), posterior_of(case) if case.part.kind == "posterior" else prior_of(case)
    if not case.part.has_density:
        return apart(z, p.mean.detach().expand_as(z))
    try:
        mean, variance = p.mean.detach().reshape(-1), p.variance.detach().reshape(-1)
    except NotImplementedError:
        return None
    square = (z - mean).square()
    heavy = square.amax(0) > HEAVY * square.sum(0)
    return max(standard_errors(z, mean), standard_errors(square, torch.where(heavy, torch.inf, variance)))


def standard_errors(values: Tensor, mean: Tensor) -> float:
    """How far the mean of values (n, latent) is from the one given, where that is finite; the worst dimension."""
    error = (values.mean(0) - mean) / (values.std(0) + 1e-12) * math.sqrt(len(values))
    return float(torch.where(mean.isfinite(), error, 0.0).abs().max())


def divergence(case: Case) -> float | None:
    """Distance of KL(q || p), for a normal q, from its estimate by fresh samples, in standard errors."""
    if not case.part.has_density:
        return None
    latent = case.given["latent"]
    q = Normal(0.5 * noise(1, latent, seed=2), (0.3 * noise(1, latent, seed=3)).exp(), validate_args=False)
    p = prior_of(case)
    first, second = (q.mean + q.stddev * noise(DRAWS, 1, latent, seed=seed) for seed in (4, 5))
    given, other = (per_row(kl(q, p, z), q, p) for z in (first, second))
    fresh = per_row(q.log_prob(second), q) - per_row(p.log_prob(second), p)
    spread = fresh.std() * math.sqrt((1 if torch.equal(given, other) else 2) / DRAWS)
    return float(((given - fresh.mean(0)) / spread).detach().abs().max())


def shapes(case: Case) -> list[str]:
    """Shapes that are not what tasks count on."""
    latent, part = case.given["latent"], case.part
    if part.kind == "prior":
        p = prior_of(case, ROWS)
        with scope(1, "check"):
            z = p.sample() if p.batch_shape[:1] == (ROWS,) else p.sample((ROWS,))
    else:
        p = posterior_of(case, ROWS)
        z = part.draw(p, epsilon(case, 2, ROWS))
        if not part.noise_shape and len(z) == 1:
            z = z.expand(2, -1, -1)
    wanted = {"prior": (ROWS, latent), "posterior": (2, ROWS, latent)}[part.kind]
    found = [] if tuple(z.shape) == wanted else [f"samples {tuple(z.shape)} instead of {wanted}"]
    if part.has_density and tuple(p.log_prob(z).shape) not in (wanted, wanted[:-1]):
        found.append(f"log_prob {tuple(p.log_prob(z).shape)} instead of {wanted} or {wanted[:-1]}")
    return found


def refuses_density(case: Case) -> list[str] | None:
    """A family without a density must say so when asked for one."""
    if case.part.has_density:
        return None
    try:
        posterior_of(case).log_prob(torch.zeros(1, case.given["latent"]).double())
    except LowerboundError:
        return []
    return ["log_prob answers although has_density is False"]


def draw_and_density(case: Case) -> Tensor:
    """Draws and their log density, by row."""
    return _rowwise(case, noise(ROWS, case.part.numbers), epsilon(case, ROWS, 2))


def _rowwise(case: Case, numbers: Tensor, eps: Tensor) -> Tensor:
    q = case.part(numbers)
    z: Tensor = case.part.draw(q, eps.transpose(0, 1)).transpose(0, 1)
    if not case.part.has_density:
        return z.flatten(1)
    return torch.cat([z.flatten(1), per_row(q.log_prob(z.transpose(0, 1)), q).transpose(0, 1)], dim=1)


def rows_apart(case: Case) -> float:
    """How far a row's draws and density are from those of the row alone."""
    return alone(partial(_rowwise, case), noise(ROWS, case.part.numbers), epsilon(case, ROWS, 2))


def prior_density(case: Case) -> Tensor:
    """The log density of fixed points."""
    log_pz: Tensor = prior_of(case).log_prob(noise(ROWS, case.given["latent"], seed=6))
    return log_pz


MASS = Claim("density integrates to one", mass, 1.0, 2e-3)
SAMPLES = Claim("samples have the distribution of the density (Kolmogorov-Smirnov)", kolmogorov, 0.0, KOLMOGOROV)
MOMENTS = Claim("samples have the mean and variance declared, in standard errors", moments, 0.0, STANDARD_ERRORS)
SHAPES = Claim("shapes are what tasks count on", shapes)

POSTERIOR = (
    SHAPES, MASS, SAMPLES, MOMENTS, Claim("a missing density is refused", refuses_density),
    Claim("a row does not depend on the batch", rows_apart, 0.0, 1e-9),
)  # fmt: skip
PRIOR = (
    SHAPES, MASS, SAMPLES, MOMENTS,
    Claim("KL agrees with sampling, in standard errors", divergence, 0.0, STANDARD_ERRORS),
)  # fmt: skip
