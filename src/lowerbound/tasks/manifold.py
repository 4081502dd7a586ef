"""A plane through the latent space: what its points decode to, and where data lie on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, ndtri

from lowerbound import figures
from lowerbound.data import Data
from lowerbound.data.columns import Schema
from lowerbound.errors import BadOption, DataError, unknown
from lowerbound.outputs import writable, write_array
from lowerbound.run import Run
from lowerbound.tasks.baselines import spread
from lowerbound.tasks.columns import all_rows, row_number
from lowerbound.tasks.latent import decode, encode
from lowerbound.tasks.paths import centre, quantiles
from lowerbound.tasks.traverse import use

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 2000  # whose codes stand for the data
TALLEST = 7.0  # inches of a map
POINTS = 72  # of the density along each side of the map
MARGIN = 1.08  # of the map beyond the grid and the codes
HELD = 0.95  # of the codes lie where there are said to be data
PLANES = ("dimensions", "principal")
SHOWN = ("both", "images", "map")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Manifold:
    """A grid over a plane of the latent space, and the codes of rows on that plane.

    Args:
        values: (side, side, *shape): ``[j, i]`` is the mean of p(x|z) at ``across[i]``, ``up[j]``, in the units of
            the data.
        codes: (side, side, latent), what they were decoded from.
        across: (side,), ascending.
        up: (side,), ascending.
        inside: (side, side) whether data lie there: whether the place is one of the densest that hold 95 % of the
            codes.
        points: (rows, 2) posterior means on the plane.
        labels: (rows,) or None.
        label_names: of the labels.
        ground: density of the data on the plane (log, nats), with its level that holds 95 % of the codes.
        names: of the two axes.
        title: of the picture.
        over: what the grid's places hold equal shares of: the ``prior``, or a normal fitted to the ``codes``.
        columns: names, for tables.
        schema: what the columns are, for tables.
    """

    values: Array
    codes: Array
    across: Array
    up: Array
    inside: Array
    points: Array
    labels: Array | None
    label_names: tuple[str, ...]
    ground: figures.Ground
    names: tuple[str, str]
    title: str
    over: str
    columns: tuple[str, ...]
    schema: Schema | None

    @property
    def empty(self) -> float:
        """Share of the grid, and so of what it is laid over, where no data lie."""
        return float(1 - self.inside.mean())

    def figure(self, show: Literal["both", "images", "map"] = "both") -> "Figure":
        """The decoded grid, those without data pale, and the codes over their density; or one of the two.

        Raises:
            UnknownName: ``show`` is none of these. DataShape: the grid is asked for, of rows that are not images.
        """
        if show not in SHOWN:
            raise unknown("picture", show, SHOWN, where="show")
        if show == "map" or (show == "both" and self.values.ndim != 5):
            return self._map(5.0)
        images = figures.manifold(
            self.values.reshape(-1, *self.values.shape[2:]).clip(0, 1), extent=(self.across, self.up), names=self.names,
            empty=~self.inside.ravel(), title=f"{self.title}: decoded; pale where no data lie",
        )  # fmt: skip
        height = min(float(images.get_size_inches()[1]), TALLEST)
        return images if show == "images" else figures.beside(images, self._map(height))

    def _map(self, height: float) -> "Figure":
        note = f"shaded: outside of the densest places that hold {HELD:.0%} of the codes; {self.empty:.0%} of the "
        note += "prior" if self.over == "prior" else "normal fitted to the codes"
        return figures.latent_map(
            self.points, self.labels, self.label_names, title=f"{self.title}: posterior means", ground=self.ground,
            axis_labels=self.names, note=note, height=height,
        )  # fmt: skip

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the picture (png), the decoded grid (npy), or it as a table (csv).

        Raises:
            OutputExists: the file is there, and ``force`` was not given. BadOption: another ending.
        """
        if writable(path, force=force).suffix.lower() == ".png":
            return figures.save(self.figure(), path, force=force)
        return write_array(
            self.values.reshape(-1, *self.values.shape[2:]), path, columns=self.columns, schema=self.schema, force=force
        )


@dataclass(frozen=True)
class _Plane:
    """Points base + a * axes[:, 0] + b * axes[:, 1]; ``grid`` are the values of a and b, (side, 2)."""

    base: Array
    axes: Array
    names: tuple[str, str]
    grid: Array

    def on(self, codes: Array) -> Array:
        coordinates: Array = (codes - self.base) @ self.axes
        return coordinates

    def at(self, points: Array) -> Array:
        codes: Array = self.base + points @ self.axes.T
        return codes


def manifold(
    run: Run, *, side: int = 20, plane: Literal["dimensions", "principal"] = "dimensions",
    dimensions: tuple[int, int] | None = None, row: int | None = None, data: Any = None,
) -> Manifold:  # fmt: skip
    """Decode a grid over a plane of the latent space, and show where the data lie on it.

    The grid is taken through the inverse distribution function, so that each of its places holds the same share of the
    prior; of an autoencoder, which has no prior, of a normal fitted to the codes, dimension by dimension.

    Args:
        run: trained.
        side: places of the grid along each axis.
        plane: of two latent ``dimensions``, or of the two ``principal`` directions of the codes; the grid then holds
            equal shares of a normal fitted to the codes.
        dimensions: which two, counted from 0; those of the largest KL(q || p) when left out.
        row: number of a row whose code the plane goes through; the prior's mean (of an autoencoder and of principal
            directions, the mean code) when left out.
        data: rows whose codes are shown, as ``load`` takes them; all rows of the run's data when left out.

    Returns:
        The decoded grid (means of p(x|z)), the codes on the plane, and their density: q(z|x) averaged over at most
        2000 rows, each widened by half of Scott's bandwidth.

    Raises:
        BadOption: fewer than 2 places, or dimensions that are not there. UnknownName: another plane.
        DataError: no such row, or a latent space of one dimension.

    Sources: Kingma & Welling 2014, arXiv:1312.6114, figure 4; Hyndman 1996, "Computing and graphing highest density
    regions", The American Statistician 50.

    >>> from lowerbound.train import fit
    >>> found = manifold(fit("digits", latent=2, epochs=1, progress=False), side=5)
    >>> found.values.shape, found.across.shape
    ((5, 5, 1, 8, 8), (5,))
    """
    _check(run, side, plane)
    rows = all_rows(run) if data is None else run.rows(data)
    some = spread(rows, ROWS)
    mean, variance = (encode(run, some, variance=wanted).astype(np.float64) for wanted in (False, True))
    base = None if row is None else encode(run, rows.take([row_number(rows, row)]))[0].astype(np.float64)
    if plane == "principal":
        cut = _principal(mean, base, side)
    else:
        cut = _of_dimensions(run, some, mean, dimensions, base, side)
    i, j = np.meshgrid(np.arange(side), np.arange(side))
    points = np.stack([cut.grid[i, 0], cut.grid[j, 1]], axis=-1)
    shown = cut.on(mean)
    density = Density.of(shown, np.einsum("ka,nk,kb->nab", cut.axes, variance, cut.axes))
    level = float(np.quantile(density.others(), 1 - HELD))
    codes = cut.at(points.reshape(-1, 2))
    return Manifold(
        decode(run, codes).reshape(side, side, *run.model.shape), codes.reshape(side, side, -1), cut.grid[:, 0],
        cut.grid[:, 1], density(points.reshape(-1, 2)).reshape(side, side) >= level, shown, some.labels,
        some.label_names, _ground(density, np.concatenate([shown, cut.grid]), level), cut.names,
        f"{run.summary['recipe']} on {run.facts['name']}", _over(run, plane), tuple(run.facts["columns"]), run.schema,
    )  # fmt: skip


def _check(run: Run, side: int, plane: str) -> None:
    if plane not in PLANES:
        raise unknown("plane", plane, PLANES)
    if side < 2:
        raise BadOption("not a grid", where="side", found=str(side), expected="2 or more")
    if run.model.latent < 2:
        raise DataError("a latent space of one dimension has no planes", where=repr(run), expected="latent >= 2")


def _over(run: Run, plane: str) -> str:
    return "prior" if run.model.posterior_family.has_density and plane == "dimensions" else "codes"


def _shares(side: int) -> Array:
    """The middles of so many equal shares."""
    return (np.arange(side) + 0.5) / side


def _of_dimensions(
    run: Run, rows: Data, mean: Array, dimensions: tuple[int, int] | None, base: Array | None, side: int
) -> _Plane:
    latent, dense = run.model.latent, run.model.posterior_family.has_density
    chosen = tuple(np.sort(use(run, rows).order[:2]).tolist()) if dimensions is None else tuple(dimensions)
    if len(set(chosen)) != 2 or not all(0 <= one < latent for one in chosen):
        raise BadOption("not a plane", where="dimensions", found=str(chosen), expected=f"two of 0 to {latent - 1}")
    if base is None:
        base = centre(run).double().cpu().numpy() if dense else mean.mean(0)
    held = base.copy()
    held[list(chosen)] = 0.0
    fitted = mean.mean(0) + mean.std(0) * ndtri(_shares(side))[:, None]
    grid = (quantiles(run, _shares(side)) if dense else fitted)[:, chosen]
    return _Plane(held, np.eye(latent)[:, chosen], (f"z{chosen[0] + 1}", f"z{chosen[1] + 1}"), grid)


def _principal(mean: Array, base: Array | None, side: int) -> _Plane:
    values, vectors = np.linalg.eigh(np.cov(mean.T, ddof=0))
    axes = vectors[:, [-1, -2]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    shares = values[[-1, -2]] / values.sum()
    names = (f"1st principal direction ({shares[0]:.0%})", f"2nd principal direction ({shares[1]:.0%})")
    grid = np.sqrt(np.maximum(values[[-1, -2]], 1e-24)) * ndtri(_shares(side))[:, None]
    return _Plane(mean.mean(0) if base is None else base, axes, names, grid)


def _ground(density: "Density", shown: Array, level: float) -> figures.Ground:
    low, high = shown.min(0), shown.max(0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * MARGIN, 1e-6)
    across, up = (np.linspace(middle[k] - half[k], middle[k] + half[k], POINTS) for k in (0, 1))
    points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    extent = (float(across[0]), float(across[-1]), float(up[0]), float(up[-1]))
    return figures.Ground(np.maximum(density(points), level - 50).reshape(POINTS, POINTS), extent, level)


@dataclass(frozen=True)
class Density:
    """The mean of normals on a plane.

    Args:
        means: (rows, 2).
        precision: (rows, 2, 2).
        log_height: log-density of each normal at its mean, (rows,).
    """

    means: Array
    precision: Array
    log_height: Array

    @classmethod
    def of(cls, means: Array, covariance: Array) -> "Density":
        """Of posteriors with means (rows, 2) and covariances (rows, 2, 2), widened by half of Scott's bandwidth."""
        widening = (0.5 * len(means) ** (-1 / 6)) ** 2 * np.maximum(means.var(0), 1e-12)
        wide = covariance + np.diag(widening)
        return cls(means, np.linalg.inv(wide), -np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(wide)[1])

    def __call__(self, points: Array) -> Array:
        """log-density at points (n, 2), in nats."""
        found = np.concatenate([logsumexp(part, axis=1) for part in self._logs(points)])
        return np.asarray(found - np.log(len(self.means)))

    def others(self) -> Array:
        """log-density at each mean without its own normal, (rows,)."""
        logs = np.concatenate(self._logs(self.means))
        np.fill_diagonal(logs, -np.inf)
        found: Array = logsumexp(logs, axis=1) - np.log(max(len(self.means) - 1, 1))
        return found

    def _logs(self, points: Array) -> list[Array]:
        found = []
        for block in np.array_split(points, -(-len(points) // 512)):
            x, y = (block[:, None, axis] - self.means[:, axis] for axis in (0, 1))
            (a, b), (_, c) = self.precision.transpose(1, 2, 0)
            found.append(self.log_height - 0.5 * (a * x * x + 2 * b * x * y + c * y * y))
        return found
