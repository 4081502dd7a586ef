"""Claims about what touches x: nets, likelihoods and corruptions."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.checks.base import ROWS, Case, Claim, alone, apart, noise
from lowerbound.checks.latent import STANDARD_ERRORS, line
from lowerbound.model import VAE, assemble
from lowerbound.parts import spec
from lowerbound.randomness import scope

LEVELS = 256
POISONS = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf, "1e30": 1e30}


def mapped(case: Case) -> Tensor:
    """Fixed rows through a net."""
    y: Tensor = case.part(noise(ROWS, *case.given["inputs"]))
    return y


def misshapen(case: Case) -> list[str]:
    """The shape that comes out, if it is another than asked for."""
    found, wanted = tuple(mapped(case).shape), (ROWS, *case.given["outputs"])
    return [] if found == wanted else [f"{found} instead of {wanted}"]


def net_rows_apart(case: Case) -> float | None:
    """How far a row is from the same row alone."""
    return None if case.part.couples_rows else alone(case.part, noise(ROWS, *case.given["inputs"]))


def likelihood_of(case: Case) -> tuple[Distribution, Tensor]:
    """p(x|z) for fixed numbers, with what batch and rows decide, and rows in its support."""
    p = case.part(noise(ROWS, *case.part.numbers))
    with scope(1, "check"):
        x = p.sample()
    p = case.part.couple(p, x, None) if case.part.couples_rows else p
    return case.part.condition(p, x, None), x


def log_prob(case: Case) -> Tensor:
    """The log density of fixed rows, cell by cell."""
    p, x = likelihood_of(case)
    return p.log_prob(x)


def cells(case: Case) -> list[str]:
    """Shapes that ``log_prob`` and ``mean`` must have."""
    p, x = likelihood_of(case)
    found = {"log_prob": p.log_prob(x), "log_prob of samples": p.log_prob(x.expand(2, *x.shape)), "mean": p.mean}
    one = (ROWS, *case.part.mask_shape)
    wanted = {"log_prob": one, "log_prob of samples": (2, *one), "mean": (ROWS, *case.part.shape)}
    return [
        f"{what} {tuple(v.shape)} instead of {wanted[what]}" for what, v in found.items() if v.shape != wanted[what]
    ]


def support_grid(support: str) -> tuple[Tensor, Tensor] | None:
    """Points of a support and the length, or count, that each stands for."""
    unit = (torch.arange(4000).double() + 0.5) / 4000
    grids = {
        "binary": lambda: (torch.arange(2.0).double(), torch.ones(2).double()),
        "count": lambda: (torch.arange(4000.0).double(), torch.ones(4000).double()),
        "unit": lambda: (unit, torch.full_like(unit, 1 / 4000)),
        "real": lambda: line(unit.erfinv(), 4000),
        "positive": lambda: (unit / (1 - unit), (1 - unit) ** -2 / 4000),
    }
    kind, _, most = support.partition(":")
    whole = int(most or LEVELS)
    grids |= {"codes": lambda: (torch.arange(whole).double(), torch.ones(whole).double())}
    grids |= {"byte": lambda: (torch.arange(LEVELS).double() / (LEVELS - 1), torch.ones(LEVELS).double())}
    return grids[kind]() if kind in grids else None


def total(case: Case) -> float | None:
    """The probability of all values of a cell; of the cell where it is most wrong."""
    part = case.part
    grid = support_grid(part.support)
    if grid is None or part.mask_shape != part.shape:
        return None
    points, weights = (values.reshape(-1, *(1,) * (1 + len(part.shape))) for values in grid)
    p = likelihood_of(case)[0]
    sums = (p.log_prob(points.expand(-1, ROWS, *part.shape)).exp() * weights).sum(0).detach()
    return float(sums.flatten()[(sums - 1).abs().argmax()])


def mean_error(case: Case) -> float:
    """Distance of the mean of samples from the mean declared, over all cells of a row.

    In standard errors, or in what one draw can change where that is more: rare values are all or nothing.
    """
    p = likelihood_of(case)[0]
    with scope(2, "check"):
        x = p.sample((1000,))[:, 0].flatten(1)
    mean, spread = p.mean[0].detach().flatten(), torch.maximum(x.std(0), _spread(p))
    error = (x.mean(0) - mean).abs() / (spread / math.sqrt(len(x)) + (x - mean).abs().amax(0) / len(x) + 1e-12)
    return float(torch.where(mean.isfinite(), error, 0.0).max())


def _spread(p: Distribution) -> Tensor:
    """The standard deviation declared of the cells of the first row; 0 where it is not, or is infinite."""
    try:
        return p.stddev[0].detach().flatten().nan_to_num(nan=0.0, posinf=0.0)
    except NotImplementedError:
        return torch.zeros(())


def likelihood_rows_apart(case: Case) -> float | None:
    """How far a row's density is from that of the row alone."""
    if case.part.couples_rows:
        return None
    x = likelihood_of(case)[1]
    return alone(lambda numbers, rows: case.part(numbers).log_prob(rows), noise(ROWS, *case.part.numbers), x)


def poisoned(case: Case) -> list[str]:
    """What, written into masked cells, changes the loss or a gradient."""
    linear = {"name": "linear"}
    table = {
        "shape": case.part.shape, "latent": 2, "encoder": linear, "decoder": linear, "likelihood": spec(case.part),
        "posterior": {"name": "gaussian"}, "prior": {"name": "standard"}, "embedding": {"masked": True},
        "columns": case.given["columns"],
    }  # fmt: skip
    model = assemble(table).double()
    x = likelihood_of(case)[1]
    mask = noise(*x.shape, seed=7) > 0
    clean = _learned(model, x, mask)
    return [
        word for word, value in POISONS.items() if not _learned(model, x.masked_fill(~mask, value), mask).equal(clean)
    ]


def _learned(model: VAE, x: Tensor, mask: Tensor) -> Tensor:
    """Log-likelihoods and the gradients of their sum, in one vector."""
    q = model.posterior(x, mask=mask)
    z = model.draw(q, noise(2, len(x), model.latent, seed=8))
    log_px = model.log_likelihood(model.likelihood(z), x, mask)
    gradients = torch.autograd.grad(log_px.sum(), list(model.parameters()), allow_unused=True)
    return torch.cat([values.detach().flatten() for values in (log_px, *gradients) if values is not None])


def corruption_inputs(case: Case) -> tuple[Tensor, Tensor]:
    """Fixed rows, and the noise that the corruption asks for."""
    asked = case.part.request()
    return noise(ROWS, *case.part.shape), noise(ROWS, *asked.shape, seed=1, law=asked.law)


def corrupted(case: Case) -> Tensor:
    """Fixed rows, corrupted with fixed noise."""
    made: Tensor = case.part(*corruption_inputs(case))
    return made


def misbehaves(case: Case) -> list[str]:
    """What a corruption must not do."""
    x, eps = corruption_inputs(case)
    clean = x.clone()
    first, second = case.part(x, eps), case.part(x, eps)
    faults: dict[str, Any] = {
        "changes the shape": first.shape != clean.shape, "writes into its input": not x.equal(clean),
        "differs for the same noise": not first.equal(second), "does nothing": first.equal(clean),
    }  # fmt: skip
    return [fault for fault, found in faults.items() if found]


def corrupted_rows_apart(case: Case) -> float:
    """How far a row is from the same row alone."""
    return alone(case.part, *corruption_inputs(case))


def answered(case: Case) -> Tensor:
    """Log probabilities of fixed masks given fixed rows."""
    x = noise(ROWS, *case.part.shape)
    found: Tensor = case.part(x).log_prob((noise(*x.shape, seed=1) > 0).to(x))
    return found


def improbable(case: Case) -> list[str]:
    """What p(mask|x) must not do."""
    x = noise(ROWS, *case.part.shape)
    p = case.part(x)
    seen, gone = (p.log_prob(torch.full_like(x, value)).exp() for value in (1.0, 0.0))
    if seen.shape != x.shape:
        return ["another shape than the rows"]
    return ["sums to another number"] if apart(seen + gone, torch.ones_like(x)) > 1e-9 else []


def answered_apart(case: Case) -> float:
    """How far a row's probabilities are from those of the row alone."""
    return alone(lambda x: case.part(x).log_prob(torch.ones_like(x)), noise(ROWS, *case.part.shape))


APART = "a row does not depend on the batch"
NET = (
    Claim("outputs have the shape asked for", misshapen),
    Claim(APART, net_rows_apart, 0.0, 1e-9),
)  # fmt: skip
LIKELIHOOD = (
    Claim("log_prob has one entry per cell", cells),
    Claim("probability of all values of a cell is one", total, 1.0, 2e-3),
    Claim("samples have the mean declared, in standard errors", mean_error, 0.0, STANDARD_ERRORS),
    Claim(APART, likelihood_rows_apart, 0.0, 1e-9),
    Claim("what stands in masked cells changes neither loss nor gradient", poisoned),
)
MISSINGNESS = (
    Claim("each cell is observed or not with probabilities that sum to one", improbable),
    Claim(APART, answered_apart, 0.0, 1e-9),
)
CORRUPTION = (
    Claim("keeps the shape, repeats itself, does something", misbehaves),
    Claim(APART, corrupted_rows_apart, 0.0, 1e-9),
)  # fmt: skip
