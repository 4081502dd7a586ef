"""Ways from one code to another, and what a prior says of codes: its centre, its quantiles, its density."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from lowerbound.distributions import per_row
from lowerbound.errors import DataError
from lowerbound.evaluation import evaluating
from lowerbound.randomness import generator, scope
from lowerbound.run import Run

DRAWS = 4096  # of a prior whose quantiles are in no table
PIECES = 32  # straight pieces of a path along the density, at least
ROUNDS = 8  # of its search a piece, at most
FLOOR = 1e-3  # of the largest density on the straight line: far out, all ways are equally bad

Array = npt.NDArray[Any]


def prior(run: Run, context: Tensor | None = None) -> Distribution:
    """p(z), or p(z|c) of contexts (rows, context), without gradients."""
    with evaluating(run.model):
        return run.model.prior(context)


@torch.no_grad()
def prior_draws(run: Run, rows: int, *path: int | str, context: Tensor | None = None) -> Tensor:
    """Codes from the prior, (rows, latent), seeded by the path; of the rows' contexts, (rows, context), if given."""
    p = prior(run, context)
    if type(p) is Normal:
        eps = torch.randn(rows, run.model.latent, generator=generator(*path)).to(p.loc)
        return p.loc + p.scale * eps
    with scope(*path):
        z: Tensor = p.sample(torch.Size((rows,)))
    return z


@torch.no_grad()
def centre(run: Run) -> Tensor:
    """The prior's mean, (latent,); of many draws where the prior does not know it."""
    p = prior(run)
    try:
        mean = p.mean
    except NotImplementedError:
        mean = prior_draws(run, DRAWS, 0, "quantiles").mean(0)
    return mean.reshape(-1, run.model.latent).mean(0)


@torch.no_grad()
def quantiles(run: Run, shares: npt.ArrayLike) -> Array:
    """Values below which a share of the prior lies in each dimension, (shares, latent) float64.

    Exact where the prior is normal or has a table of its own; else of 4096 draws.
    """
    p, levels = prior(run), torch.as_tensor(np.asarray(shares), dtype=torch.float64)
    if type(p) is Normal:
        found = Normal(p.loc.double().cpu(), p.scale.double().cpu(), validate_args=False).icdf(levels[:, None])
    else:
        found = torch.quantile(prior_draws(run, DRAWS, 0, "quantiles").double().cpu(), levels, dim=0)
    return np.asarray(found.numpy())


def linear(start: Array, end: Array, steps: int, run: Run) -> Array:
    """The straight line: (steps, latent), both ends included."""
    share = np.linspace(0, 1, steps)[:, None]
    line: Array = (1 - share) * start + share * end
    return line


def spherical(start: Array, end: Array, steps: int, run: Run) -> Array:
    """The arc about the prior's mean: the angle moves evenly, and lengths as they do on a great circle.

    Raises:
        DataError: the codes lie on opposite sides of the mean, so that no arc is the shortest.

    Source: White 2016, "Sampling generative networks", arXiv:1609.04468.
    """
    middle = centre(run).double().cpu().numpy()
    a, b = start - middle, end - middle
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = float(np.clip(a @ b / lengths, -1, 1)) if lengths > 0 else 1.0
    angle, share = np.arccos(cosine), np.linspace(0, 1, steps)[:, None]
    if np.pi - angle < 1e-6:
        raise DataError("the codes lie on opposite sides of the prior's mean: no arc is the shortest",
                        mend="Choose another path, or other rows.")  # fmt: skip
    if angle < 1e-6:
        return linear(start, end, steps, run)
    arc: Array = middle + (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    return arc


def dense(start: Array, end: Array, steps: int, run: Run) -> Array:
    """The way of least length where steps cost the more the less dense the prior is.

    A step dz costs p(z)^(-1/latent) |dz|; points are evenly spaced by cost. Below a thousandth of the largest
    density on the straight line all places cost about the same.

    Source: Arvanitidis, Georgiev & Schölkopf 2022, "A prior-based approximate latent Riemannian metric",
    arXiv:2103.05290.
    """
    pieces = (steps - 1) * -(-PIECES // (steps - 1)) if steps > 1 else 1
    line = torch.from_numpy(linear(start, end, pieces + 1, run))
    density = _log_density(run)
    with torch.no_grad():
        top = density(line).max()
    path = _shortest(line, lambda z: cost(density(z) - top, run.model.latent))
    return path[:: max(1, pieces // max(1, steps - 1))][:steps].numpy()


def cost(log_density: Tensor, latent: int) -> Tensor:
    """Of a step of length one where the density is so much of the largest, squared: (p + floor)^(-2/latent)."""
    return (log_density.exp() + FLOOR).pow(-2 / latent)


def _log_density(run: Run) -> Callable[[Tensor], Tensor]:
    model = deepcopy(run.model).cpu().double()  # a search needs the digits
    with evaluating(model):
        p = model.prior()
    return lambda z: per_row(p.log_prob(z), p)


def _shortest(line: Tensor, squared_cost: Callable[[Tensor], Tensor]) -> Tensor:
    """Moves the inner points of a path to where its energy is least: there it is shortest and evenly spaced."""
    inner = line[1:-1].clone().requires_grad_()
    search = torch.optim.LBFGS(
        [inner], max_iter=ROUNDS * len(line), history_size=50, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def whole() -> Tensor:
        return torch.cat([line[:1], inner, line[-1:]])

    def energy() -> Tensor:
        z = whole()
        total = ((z[1:] - z[:-1]).square().sum(1) * squared_cost((z[1:] + z[:-1]) / 2)).sum() * len(z)
        (inner.grad,) = torch.autograd.grad(total, inner)  # not backward(): a prior with weights keeps no gradient
        return total

    if len(inner):
        search.step(energy)
    return whole().detach()


PATHS: dict[str, Callable[[Array, Array, int, Run], Array]] = {
    "linear": linear, "spherical": spherical, "density": dense,
}  # fmt: skip
