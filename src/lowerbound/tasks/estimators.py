"""Ways to log p(x) side by side on the same rows, and how far each is to be trusted."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound.batches import Batch, Rows
from lowerbound.errors import BadOption, Incompatible, unknown
from lowerbound.linear import evidence
from lowerbound.model import VAE
from lowerbound.randomness import DRAWS_PER_BLOCK, row_digests
from lowerbound.run import Run
from lowerbound.tasks.annealing import Annealing, annealed, prior_draws, sandwich
from lowerbound.tasks.score import DECODED, RELIABLE_ESS, Weigh, log_weights, refuse, reliable, standard_error, weigh

METHODS = ("exact", "iwae", "importance", "prior", "ais", "bdmc")
SIZES = (1, 5, 50, 500, 5000, 50_000)  # K of the bound
WEIGHED = 64  # rows whose weights are held at once
FEW_CHAINS = 4  # annealing runs too few chains for the least effective sample size: a quarter of them then

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]
"""Called with the method, what is done of it and what there is to do."""


@dataclass(frozen=True)
class Estimate:
    """One way to log p(x).

    Args:
        method: one of ``METHODS``.
        label: for people.
        values: (rows,), nats.
        se: (rows,), standard error of each value, or None where it has none.
        ess: (rows,), effective sample size, or None.
        pareto_k: (rows,), or None.
        least: effective sample size below which a row is doubtful.
    """

    method: str
    label: str
    values: Array
    se: Array | None = None
    ess: Array | None = None
    pareto_k: Array | None = None
    least: float = RELIABLE_ESS

    @property
    def mean(self) -> float:
        """Mean over rows."""
        return float(self.values.mean())

    @property
    def doubtful(self) -> int:
        """Rows whose weights do not let the value be believed."""
        if self.ess is None:
            return 0
        k = np.full_like(self.ess, math.nan) if self.pareto_k is None else self.pareto_k
        return int((~reliable(self.ess, k, self.least)).sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        ess = None if self.ess is None else float(np.median(self.ess))
        return {
            "method": self.method, "label": self.label, "mean": self.mean, "se": standard_error(self.values),
            "se_per_row": None if self.se is None else float(np.sqrt(np.mean(self.se**2))), "ess_median": ess,
            "doubtful_rows": self.doubtful,
        }  # fmt: skip


@dataclass(frozen=True)
class Sandwich:
    """Bounds on log p(x) from both sides, of rows that the model made (bidirectional Monte Carlo).

    Args:
        lower: (rows,), nats; on average at most log p(x).
        upper: (rows,), nats; on average at least log p(x).
        exact: (rows,), where a formula knows it.
    """

    lower: Array
    upper: Array
    exact: Array | None = None

    @property
    def gap(self) -> float:
        """Mean of upper - lower: what annealing may be wrong by, in nats."""
        return float((self.upper - self.lower).mean())

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        exact = None if self.exact is None else float(self.exact.mean())
        return {"rows": len(self.lower), "lower": float(self.lower.mean()), "upper": float(self.upper.mean()),
                "gap": self.gap, "gap_se": standard_error(self.upper - self.lower), "exact": exact}  # fmt: skip


@dataclass(frozen=True)
class Estimates:
    """What ``estimate`` found: the same rows by every method, in nats."""

    rows: int
    found: tuple[Estimate, ...]
    sandwich: Sandwich | None

    def __getitem__(self, label: str) -> Estimate:
        """By label, or by method where that has one line."""
        return next(one for one in self.found if label in (one.label, one.method))

    @property
    def warnings(self) -> list[str]:
        """Which lines not to believe, and why."""
        return list(_warnings(self))

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        bdmc = None if self.sandwich is None else self.sandwich.as_dict()
        lines = [one.as_dict() for one in self.found]
        return {"unit": "nats", "rows": self.rows, "estimates": lines, "bdmc": bdmc, "warnings": self.warnings}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def estimate(
    run: Run, data: Any = None, *, methods: Iterable[str] = METHODS, samples: int = 1000, rows: int = 50,
    annealing: Annealing | None = None, seed: int = 0, progress: Progress | None = None,
) -> Estimates:  # fmt: skip
    """Estimate log p(x) of the same rows in several ways.

    ``exact`` is there for linear Gaussian models; ``iwae`` is the bound for growing K, from the ELBO on; ``importance``
    samples from q(z|x); ``prior`` from p(z), which fails in all but a few latent dimensions and is here to show it;
    ``ais`` anneals from the prior with Hamiltonian transitions; ``bdmc`` bounds log p(x) of as many rows made by the
    model from both sides, which shows how far ``ais`` is to be trusted.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        methods: which of them.
        samples: K, draws per row of ``iwae``, ``importance`` and ``prior``.
        rows: how many, from the first; annealing takes a second or so a row.
        annealing: temperatures, chains and steps of ``ais`` and ``bdmc``.
        seed: of all draws, which are keyed by the rows' contents.
        progress: called with the method, what is done and what there is to do.

    Returns:
        Estimates, in nats, densities in the units of the data.

    Raises:
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood.
        UnknownName: a method that does not exist.
        BadOption: numbers below one.

    Sources: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519; Wu et al. 2017, arXiv:1611.04273; Grosse, Ghahramani
    & Adams 2015, arXiv:1511.02543.

    >>> from lowerbound.train import fit
    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> found = estimate(run, samples=50, rows=4, methods=["iwae", "importance"])
    >>> [one.label for one in found.found]
    ['ELBO', 'IWAE bound, K = 5', 'importance sampling, K = 50']
    """
    refuse(run, samples)
    chosen = set(methods)
    for name in chosen - set(METHODS):
        raise unknown("method", name, METHODS)
    if rows < 1:
        raise BadOption("not a number of rows", where="rows", found=str(rows), expected="1 or more")
    some = run.rows(data).take(slice(0, rows))
    work = _Work(run, some.rows, run.resident(some), samples, annealing or Annealing(), seed, progress)
    double = run.resident(some, torch.float64)
    found = [line for name, make in LINES.items() if name in chosen for line in make(work, double)]
    return Estimates(some.rows, tuple(found), work.sandwich() if "bdmc" in chosen else None)


@dataclass
class _Work:
    """What the methods share."""

    run: Run
    rows: int
    resident: Rows
    samples: int
    annealing: Annealing
    seed: int
    progress: Progress | None

    def tell(self, method: str, total: int) -> Callable[[], None]:
        """A count of steps towards the total."""
        done = iter(range(1, total + 1))
        return lambda: None if self.progress is None else self.progress(method, next(done), total)

    def sandwich(self) -> Sandwich:
        model = self.run.model
        tell = self.tell("bdmc", 3 * (self.annealing.temperatures - 1))
        batch, lower, upper = sandwich(model, self.rows, self.annealing, self.seed, tell)
        return Sandwich(lower.log_mean, -upper.log_mean, _evidence(model, [batch]))


def _exact(work: _Work, double: Rows) -> Iterator[Estimate]:
    values = _evidence(work.run.model, double.blocks(DECODED))
    if values is not None:
        yield Estimate("exact", "exact", values)


def _iwae(work: _Work, double: Rows) -> Iterator[Estimate]:
    sizes = [size for size in SIZES if 2 * size <= work.samples]  # two groups, so that there is an error
    found: dict[int, list[Tensor]] = {size: [] for size in sizes}
    tell = work.tell("iwae", -(-work.rows // WEIGHED))
    for batch in work.resident.blocks(WEIGHED):
        log_w = log_weights(work.run.model, batch, work.samples, work.seed)
        for size in sizes:
            found[size].append(bounds(log_w, size))
        tell()
    for size in sizes:
        groups = torch.cat(found[size], dim=1)
        label = "ELBO" if size == 1 else f"IWAE bound, K = {size}"
        error = groups.std(0) / math.sqrt(len(groups))
        yield Estimate("iwae", label, groups.mean(0).numpy(), error.numpy())


def bounds(log_w: Tensor, size: int) -> Tensor:
    """The importance-weighted bound from each group of ``size`` log weights (samples, rows): (groups, rows), nats."""
    groups = len(log_w) // size
    found: Tensor = log_w[: groups * size].reshape(groups, size, -1).logsumexp(1) - math.log(size)
    return found


def _importance(work: _Work, double: Rows) -> Iterator[Estimate]:
    yield from _weighed(work, "importance", "importance sampling")


def _prior(work: _Work, double: Rows) -> Iterator[Estimate]:
    yield from _weighed(work, "prior", "prior sampling", proposal=from_prior)


def _weighed(work: _Work, method: str, label: str, **proposal: Any) -> Iterator[Estimate]:
    progress = work.progress
    told = None if progress is None else lambda done, rows: progress(method, done, rows)
    batch = next(work.resident.blocks(work.rows))
    tally = weigh(work.run.model, batch, work.samples, work.seed, progress=told, **proposal)
    yield Estimate(method, f"{label}, K = {work.samples}", tally.log_mean, tally.se, tally.ess, tally.pareto_k)


def _ais(work: _Work, double: Rows) -> Iterator[Estimate]:
    settings = work.annealing
    size = max(1, DECODED // settings.chains)
    tell = work.tell("ais", 2 * (settings.temperatures - 1) * -(-work.rows // size))
    tallies = [annealed(work.run.model, batch, settings, work.seed, tell) for batch in double.blocks(size)]
    label = f"annealing, {settings.temperatures} temperatures, {settings.chains} chains"
    columns = zip(*((tally.log_mean, tally.se, tally.ess) for tally in tallies), strict=True)
    values, se, ess = (np.concatenate(column) for column in columns)
    yield Estimate("ais", label, values, se, ess, least=min(RELIABLE_ESS, settings.chains / FEW_CHAINS))


LINES: Mapping[str, Callable[[_Work, Rows], Iterator[Estimate]]] = {
    "exact": _exact, "iwae": _iwae, "importance": _importance, "prior": _prior, "ais": _ais,
}  # fmt: skip


def from_prior(model: VAE, batch: Batch, seed: int) -> Weigh:
    """Draws from p(z), the same for every model with that prior: the weight is p(x|z)."""
    digests = row_digests(batch.x, batch.mask)

    def weigh(start: int, stop: int) -> Tensor:
        first = start - start % DRAWS_PER_BLOCK
        blocks = range(first // DRAWS_PER_BLOCK, -(-stop // DRAWS_PER_BLOCK))
        drawn = [prior_draws(model, batch, digests, DRAWS_PER_BLOCK, seed, f"naive-{block}") for block in blocks]
        z = torch.cat(drawn)[start - first : stop - first].to(batch.x)
        return model.log_likelihood(model.likelihood(z, batch.context), batch.x, batch.mask)

    return weigh


def _evidence(model: VAE, batches: Iterable[Batch]) -> Array | None:
    """Exact log p(x), where a formula knows it."""
    try:
        found = [evidence(model, batch.x) for batch in batches if batch.mask is None]
    except Incompatible:
        return None
    return torch.cat(found).cpu().numpy() if found else None


def _warnings(estimates: Estimates) -> Iterator[str]:
    for one in estimates.found:
        if one.doubtful:
            yield f"{one.label}: not reliable in {one.doubtful} of {estimates.rows} rows; it is likely too low there"


def _lines(estimates: Estimates) -> Iterator[str]:
    yield f"{estimates.rows} rows, nats per row, ± standard error over rows"
    for one in estimates.found:
        ess = "" if one.ess is None else f"   ESS {np.median(one.ess):.1f}"
        yield f"{one.label:<46}{one.mean:10.2f} ± {standard_error(one.values):.2f}{ess}"
    if estimates.sandwich is not None:
        found = estimates.sandwich.as_dict()
        exact = "" if found["exact"] is None else f", exact {found['exact']:.2f}"
        yield (f"annealing, {found['rows']} rows that the model made: from below {found['lower']:.2f}, from above "
               f"{found['upper']:.2f}, apart {found['gap']:.2f} ± {found['gap_se']:.2f}{exact}")  # fmt: skip
    yield from (f"- {sentence}" for sentence in estimates.warnings)
