"""One latent dimension at a time: what it changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.errors import BadOption, unknown
from lowerbound.run import Run
from lowerbound.tasks.baselines import spread
from lowerbound.tasks.columns import all_rows, column, columns, row_number
from lowerbound.tasks.evaluate import bound_terms
from lowerbound.tasks.latent import encode
from lowerbound.tasks.paths import centre, quantiles
from lowerbound.tasks.strips import Strips, decoded

ROWS = 2000  # that the use of dimensions is measured on
NAMED = 0.3  # share of a dimension's variance that a column must explain to be named beside it
OVER = ("prior", "codes")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Traversal(Strips):
    """Paths along single dimensions.

    Args:
        dimensions: of each path, counted from 0.
        points: (paths, steps), the values that the dimension takes.
        kl: KL(q || p) of each dimension in nats, (paths,); NaN where it does not exist.
        names: column that explains most of the dimension's variance, and its share; empty where none explains much.
    """

    dimensions: tuple[int, ...]
    points: Array
    kl: Array
    names: tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """How much a model makes of each latent dimension on some rows.

    Args:
        mean: posterior means, (rows, latent).
        kl: KL(q || p) in nats, (latent,), or None where it does not fall into dimensions.
    """

    mean: Array
    kl: Array | None

    @property
    def order(self) -> Array:
        """Dimensions by KL, the largest first; by the variance of their means where there is no KL."""
        order: Array = np.argsort(-(self.mean.var(0) if self.kl is None else self.kl), kind="stable")
        return order


def use(run: Run, rows: Data) -> Use:
    """Measure it on rows."""
    terms = bound_terms(run, run.resident(rows), 0, samples=1)
    kl = terms.get("kl_per_dimension")
    return Use(terms["mean"], None if kl is None or kl.ndim == 1 else kl.mean(0))


def traverse(
    run: Run, dimensions: int | Sequence[int] = 10, *, steps: int = 9, over: Literal["prior", "codes"] | None = None,
    share: float = 0.98, row: int | None = None, data: Any = None,
) -> Traversal:  # fmt: skip
    """Move one latent dimension at a time, the others held, and decode.

    Args:
        run: trained.
        dimensions: how many, those of the largest KL(q || p) first; or which, counted from 0.
        steps: values that each dimension takes.
        over: their range holds ``share`` of the ``prior``, or of the posterior means (``codes``) of the data; codes
            for an autoencoder, else the prior, when left out.
        share: of the range, between 0 and 1.
        row: number of the row to start from; the prior's mean (of an autoencoder, the mean code) when left out.
        data: rows as ``load`` takes them; all rows of the run's data when left out, whatever part they are of.

    Returns:
        The decoded paths (means of p(x|z)), with KL and, where labels or factors explain much of a dimension's
        variance over the rows, the name of the one that explains most.

    Raises:
        BadOption: no steps, a share outside 0..1, or dimensions that are not there. UnknownName: another range.
        DataError: no such row.

    Source: of the picture, Higgins et al. 2017, "beta-VAE", ICLR, figure 1.

    >>> from lowerbound.train import fit
    >>> found = traverse(fit("digits", latent=3, epochs=1, progress=False), 2, steps=5)
    >>> found.values.shape, found.points.shape
    ((2, 5, 1, 8, 8), (2, 5))
    """
    over = over or ("prior" if run.model.posterior_family.has_density else "codes")
    _check(steps, share, over)
    rows = all_rows(run) if data is None else run.rows(data)
    some = spread(rows, ROWS)
    used = use(run, some)
    chosen = _dimensions(dimensions, run.model.latent, used)
    points = _points(run, used, steps, over, share)[:, chosen].T
    codes = np.tile(_origin(run, rows, row, used), (len(chosen), steps, 1))
    for path, dimension in enumerate(chosen):
        codes[path, :, dimension] = points[path]
    kl = np.full(run.model.latent, np.nan) if used.kl is None else used.kl
    names = tuple(_explained(used.mean[:, dimension], some) for dimension in chosen)
    texts = tuple(_text(dimension, kl[dimension], name) for dimension, name in zip(chosen, names, strict=True))
    title = f"{run.summary['recipe']} on {run.facts['name']}: one dimension at a time over {share:.0%} of the {over}"
    columns = tuple(run.facts["columns"])
    return Traversal(decoded(run, codes), codes, texts, _columns(points), title, columns, run.schema,
                     tuple(int(one) for one in chosen), points, kl[chosen], names)  # fmt: skip


def _check(steps: int, share: float, over: str) -> None:
    if steps < 1 or not 0 < share < 1:
        found = f"steps {steps}, share {share}"
        raise BadOption("cannot be traversed", found=found, expected="1 step or more, a share between 0 and 1")
    if over not in OVER:
        raise unknown("range", over, OVER, where="over")


def _dimensions(wanted: int | Sequence[int], latent: int, used: Use) -> Array:
    if isinstance(wanted, int | np.integer):
        if wanted < 1:
            raise BadOption("not a number of dimensions", found=str(wanted), expected="1 or more")
        return used.order[:wanted]
    bad = [one for one in wanted if not 0 <= one < latent]
    if bad or not len(wanted):
        found = f"dimension {bad[0]}" if bad else "none"
        raise BadOption("no such latent dimension", found=found, expected=f"0 to {latent - 1}")
    return np.asarray(wanted, dtype=np.int64)


def _points(run: Run, used: Use, steps: int, over: str, share: float) -> Array:
    """The values that each dimension takes, (steps, latent)."""
    tails = [(1 - share) / 2, (1 + share) / 2] if steps > 1 else [0.5, 0.5]
    low, high = quantiles(run, tails) if over == "prior" else np.quantile(used.mean, tails, axis=0)
    points: Array = low + np.linspace(0, 1, steps)[:, None] * (high - low)
    return points


def _origin(run: Run, rows: Data, row: int | None, used: Use) -> Array:
    if row is not None:
        found: Array = encode(run, rows.take([row_number(rows, row)]))[0].astype(np.float64)
    elif run.model.posterior_family.has_density:
        found = centre(run).double().cpu().numpy()
    else:
        found = used.mean.mean(0)
    return found


def _columns(points: Array) -> tuple[str, ...]:
    """A value for each step where all dimensions take the same; nothing where they differ."""
    same = np.ptp(points, axis=0).max() < 1e-6
    return tuple(f"{value:.2f}".replace("-", "−") if same else "" for value in points[0])


def _text(dimension: int, kl: float, name: str) -> str:
    nats = "" if np.isnan(kl) else f"  {kl:.2f} nats"
    return f"z{dimension + 1}{nats}" + (f"\n{name}" if name else "")


def _explained(mean: Array, rows: Data) -> str:
    """The column that explains most of a dimension's variance, if it is enough."""
    shares = {name: explained(mean, column(rows, name).values) for name in columns(rows) if name not in rows.columns}
    if not shares:
        return ""
    best = max(shares, key=lambda name: shares[name])
    return f"{best} {shares[best]:.0%}" if shares[best] >= NAMED else ""


def explained(values: Array, kinds: Array) -> float:
    """Share of the variance of values (n,) that lies between kinds (n,): 0 for none, 1 for all.

    What chance alone would explain is taken off. Rows whose kind is NaN are left out.

    Source: Kelley 1935, "An unbiased correlation ratio measure", Proceedings of the National Academy of Sciences 21.

    >>> explained(np.array([0.0, 0.0, 1.0, 1.0]), np.array([5, 5, 7, 7]))
    1.0
    """
    seen = np.isfinite(kinds)
    x, (_, group) = values[seen], np.unique(kinds[seen], return_inverse=True)
    count = np.bincount(group)
    if len(count) < 2 or len(count) == len(x) or x.var() == 0:
        return 0.0
    inside = ((x - (np.bincount(group, x) / count)[group]) ** 2).sum() / (len(x) - len(count))
    return max(0.0, 1 - float(inside / x.var(ddof=1)))
