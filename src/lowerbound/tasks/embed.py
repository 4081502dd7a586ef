"""Rows on a map: their codes, how sure these are, and two coordinates to draw them at."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.errors import BadOption, DataShape, unknown
from lowerbound.outputs import writable, write_array
from lowerbound.run import Run
from lowerbound.tasks.columns import LEVELS, Column, column, given_column
from lowerbound.tasks.latent import encode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXES = {"pca": ("1st principal direction", "2nd principal direction"), "tsne": ("t-SNE 1", "t-SNE 2")}

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Embedding:
    """Codes of rows and their places on a map.

    Args:
        mean: of q(z|x), (rows, latent).
        variance: of q(z|x), (rows, latent).
        points: (rows, 2).
        explained: share of the codes' variance along each axis of the map, for ``pca``.
        colour: the column that points are coloured by, or None.
        method: of the map.
        title: of the picture.
    """

    mean: Array
    variance: Array
    points: Array
    explained: tuple[float, float] | None
    colour: Column | None
    method: str
    title: str

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of ``table``: the map's axes, the means and the variances of each latent dimension."""
        latent = range(1, self.mean.shape[1] + 1)
        return ("map1", "map2", *(f"z{i}" for i in latent), *(f"variance{i}" for i in latent))

    def table(self) -> Array:
        """(rows, 2 + 2 * latent), as ``names`` says."""
        return np.concatenate([self.points, self.mean, self.variance], axis=1)

    def figure(self) -> "Figure":
        """The map."""
        axes = AXES[self.method]
        labels, names = (None, ()) if self.colour is None else _labels(self.colour)
        return figures.latent_map(
            self.points, labels, names, title=self.title, axis_labels=axes, explained=self.explained, height=6.0
        )

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the map (png), or codes, variances and places as an array (npy) or a table (csv).

        Raises:
            OutputExists: the file is there, and ``force`` was not given. BadOption: another ending.
        """
        if writable(path, force=force).suffix.lower() == ".png":
            return figures.save(self.figure(), path, force=force)
        return write_array(self.table(), path, columns=self.names, force=force)


def embed(
    run: Run, data: Any = None, *, method: Literal["pca", "tsne"] = "pca", by: Any = None, perplexity: float = 30.0,
    seed: int = 0,
) -> Embedding:  # fmt: skip
    """Encode rows, and lay their codes out in two dimensions.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        method: ``pca``: the two directions in which the codes vary most. ``tsne``: neighbours stay neighbours, and
            distances mean nothing; its result depends on which rows are there.
        by: column to colour by, or numbers, one a row; labels, where there are any, when left out.
        perplexity: about how many neighbours t-SNE keeps.
        seed: of t-SNE.

    Returns:
        Mean and variance of q(z|x) of each row, and its place.

    Raises:
        UnknownName: another method or no such column. BadOption: a perplexity that is not below the number of rows.
        DataShape: fewer than 3 rows, or numbers of the wrong length.

    Sources: Hotelling 1933 (principal components); van der Maaten & Hinton 2008, "Visualizing data using t-SNE",
    Journal of Machine Learning Research 9.

    >>> from lowerbound.train import fit
    >>> found = embed(fit("digits", latent=3, epochs=1, progress=False))
    >>> found.points.shape, found.variance.shape
    ((180, 2), (180, 3))
    """
    if method not in AXES:
        raise unknown("method", method, AXES)
    rows = run.rows(data)
    if rows.rows < 3:
        raise DataShape("too few rows for a map", found=str(rows.rows), expected="3 or more")
    by = "label" if by is None and rows.labels is not None else by
    colour = None if by is None else column(rows, by) if isinstance(by, str) else given_column(by, rows.rows)
    mean, variance = (encode(run, rows, variance=wanted).astype(np.float64) for wanted in (False, True))
    points, explained = _pca(mean) if method == "pca" else (_tsne(mean, perplexity, seed), None)
    title = f"{run.summary['recipe']} on {run.facts['name']}: posterior means"
    return Embedding(mean, variance, points, explained, colour, method, title)


def _pca(codes: Array) -> tuple[Array, tuple[float, float]]:
    """Places along the two main directions, each with its largest entry positive, and their shares of the variance."""
    centred = codes - codes.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(codes))
    wide = vectors[:, ::-1][:, :2]
    wide = wide * np.sign(wide[np.abs(wide).argmax(0), np.arange(wide.shape[1])])
    points = np.zeros((len(codes), 2))
    points[:, : wide.shape[1]] = centred @ wide
    shares = np.append(values[::-1], 0.0)[:2].clip(0) / max(float(values.clip(0).sum()), 1e-30)
    return points, (float(shares[0]), float(shares[1]))


def _tsne(codes: Array, perplexity: float, seed: int) -> Array:
    from sklearn.manifold import TSNE  # takes a second to load

    if not 1 <= perplexity < len(codes):
        expected = f"1 or more, below the {len(codes)} rows"
        raise BadOption("not a perplexity", where="perplexity", found=str(perplexity), expected=expected)
    start = _pca(codes)[0]
    start = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    points: Array = TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1).fit_transform(codes)
    return points.astype(np.float64)


def _labels(colour: Column) -> tuple[Array, tuple[str, ...]]:
    """What the map takes: numbers of kinds with their names, or a quantity with its name."""
    levels = colour.levels
    if levels is None or len(levels) > LEVELS or not colour.known.all():
        return np.where(colour.known, colour.values, np.nanmean(colour.values)), (colour.name,)
    names = [colour.text(value) for value in levels]
    return np.searchsorted(levels, colour.values), tuple(names)
