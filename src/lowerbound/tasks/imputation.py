"""How well a run fills in cells that were hidden from it, beside ways that need no trained model."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.data.holes import hide
from lowerbound.errors import BadOption, DataShape
from lowerbound.measures.imputation import Fill, fill_chained, fill_gaussian, fill_mean, fill_neighbours, fill_principal
from lowerbound.run import Run
from lowerbound.tasks.impute import Method, impute

WIDEST = 256  # cells up to which rivals are fitted that need a regression or a covariance of all of them
LARGEST = 5000  # training rows that rivals are fitted on

Array = npt.NDArray[Any]

LABELS = {
    "run": "this run",
    "mean": "mean of the column",
    "neighbour": "nearest row",
    "neighbours": "ten nearest rows",
    "chained": "chained regressions",
    "ppca": "probabilistic PCA, EM",
    "gaussian": "Gaussian, full covariance, EM",
}


@dataclass(frozen=True)
class Imputation:
    """What ``imputation`` found.

    Args:
        mse: by name, mean squared error over the hidden cells: of a table in units of each column's standard deviation
            over the training rows, without columns of categories; NaN where no other is hidden.
        se: of each, over rows.
        wrong: by name, share of the hidden categories that are filled in wrongly; NaN where none is hidden.
        coverage: share of the hidden cells that lie in the run's intervals.
        about: ``rows``, ``cells`` hidden, ``hide``, ``interval``, and what ``impute`` says.
    """

    mse: Mapping[str, float]
    se: Mapping[str, float]
    wrong: Mapping[str, float]
    coverage: float
    about: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        kinds = {"mse": self.mse, "se": self.se, "wrong": self.wrong}
        errors = {name: {kind: found[name] for kind, found in kinds.items()} for name in self.mse}
        return {**self.about, "coverage": self.coverage, "errors": errors}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def imputation(
    run: Run, data: Any = None, *, hidden: str = "random", method: Method = "auto", interval: float = 0.9,
    samples: int = 1000, sweeps: int = 20, seed: int = 0,
) -> Imputation:  # fmt: skip
    """Hide observed cells, fill them in, and compare with what they held.

    Rivals are fitted on the run's training rows: the mean, nearest rows, chained regressions, probabilistic PCA with
    the run's latent size and a Gaussian by EM; the last three where rows have at most 256 cells.

    Args:
        run: trained, its training rows at hand.
        data: rows as ``load`` takes them; the run's test rows when left out.
        hidden: ``random``, ``half`` or ``box``, and how much or which: ``random:0.3``, ``half:top``, ``box:0.25``.
        method: as of ``impute``, and so the rest: ``interval``, ``samples``, ``sweeps``.
        seed: of the hidden cells and of the draws.

    Returns:
        Errors of the run and of its rivals on the same cells, and the coverage of its intervals.

    Raises:
        DataError: no test rows and none given, or the training rows are not at hand. DataShape: nothing to hide.
        UnknownName, BadOption: a way to hide cells that is none.

    Source: Mattei & Frellsen 2019, "MIWAE", arXiv:1812.02633 (of the protocol).

    >>> from lowerbound.train import fit
    >>> found = imputation(fit("digits", latent=2, epochs=1, progress=False), hidden="half", method="gibbs")
    >>> sorted(found.mse)
    ['chained', 'gaussian', 'mean', 'neighbour', 'neighbours', 'ppca', 'run']
    """
    if run.config.data.binarize != "none":
        raise BadOption("rows that are binarised cannot be compared with what they held", where="binarize",
                        found=run.config.data.binarize, expected="none")  # fmt: skip
    rows = run.rows(data)
    holed = hide(rows, hidden, seed)
    seen = np.ones(rows.x.shape, bool) if rows.mask is None else rows.mask
    judged = seen & ~np.asarray(holed.mask)
    if not judged.any():
        raise DataShape("no cell is hidden", where="hidden", found=hidden)
    made = impute(run, holed, method=method, interval=interval, samples=samples, sweeps=sweeps, seed=seed)
    truth, known = rows.values(dtype=np.float64), _known(run)
    scale = np.ones(1) if rows.is_image else _spread(known)
    coded = np.array([] if rows.schema is None else [column.coded for column in rows.schema], bool)
    categories = np.broadcast_to(coded, judged.shape) & judged if len(coded) else np.zeros_like(judged)
    found = {"run": made.mean, **dict(_rivals(run, holed, known, scale))}
    errors = {name: _error((filled - truth) / scale, judged & ~categories) for name, filled in found.items()}
    wrong = {name: _share(np.rint(filled) != truth, categories) for name, filled in found.items()}
    inside = _share((truth >= made.lower) & (truth <= made.upper), judged)
    about = {"rows": rows.rows, "cells": int(judged.sum()), "hidden": hidden, "interval": interval}
    told = {key: value for key, value in made.as_dict().items() if key not in about and key != "draws"}
    mse, se = ({name: each[i] for name, each in errors.items()} for i in (0, 1))
    return Imputation(mse, se, wrong, inside, about | told)


def rivals(latent: int, cells: int) -> dict[str, Fill]:
    """Ways to fill in rows of so many cells, by name.

    >>> sorted(rivals(latent=2, cells=1000))
    ['mean', 'neighbour', 'neighbours']
    """
    quick: dict[str, Fill] = {
        "mean": fill_mean,
        "neighbour": lambda train, rows: fill_neighbours(train, rows, 1),
        "neighbours": fill_neighbours,
    }
    if cells > WIDEST:
        return quick
    thorough: dict[str, Fill] = {"chained": fill_chained, "gaussian": fill_gaussian}
    if 0 < latent < cells:
        thorough["ppca"] = lambda train, rows: fill_principal(train, rows, latent)
    return quick | thorough


def _known(run: Run) -> Array:
    """The training rows, thinned if they are many: (rows, cells) float64, NaN = missing."""
    rows = run.rows(part="train")
    return _with_nan(rows.take(np.linspace(0, rows.rows - 1, min(rows.rows, LARGEST)).astype(np.int64)))


def _spread(known: Array) -> Array:
    """Standard deviation of each column; 1 of a constant one."""
    spread = np.nanstd(known, axis=0)
    return np.where(spread > 0, spread, 1.0)


def _rivals(run: Run, rows: Data, known: Array, scale: Array) -> Iterator[tuple[str, Array]]:
    x = _with_nan(rows) / scale
    for name, fill in rivals(run.model.latent, x.shape[1]).items():
        yield name, (fill(known / scale, x) * scale).reshape(rows.x.shape)


def _with_nan(rows: Data) -> Array:
    x = rows.values(dtype=np.float64)
    return np.where(True if rows.mask is None else rows.mask, x, np.nan).reshape(len(x), -1)


def _error(off: Array, judged: Array) -> tuple[float, float]:
    """Mean squared error over the judged cells, and its standard error over rows."""
    square = np.where(judged, off**2, 0.0).reshape(len(off), -1).sum(1)
    count = judged.reshape(len(off), -1).sum(1)
    if not count.any():
        return math.nan, math.nan
    mse = float(square.sum() / count.sum())
    residual = square - mse * count
    return mse, float(np.sqrt((residual**2).sum()) / count.sum())


def _share(hits: Array, judged: Array) -> float:
    return float(hits[judged].mean()) if judged.any() else math.nan


def _lines(found: Imputation) -> Iterator[str]:
    about = found.about
    yield f"{about['cells']} cells hidden ({about['hidden']}) in {about['rows']} rows"
    width = max(len(LABELS[name]) for name in found.mse)
    if any(map(math.isfinite, found.mse.values())):
        yield "mean squared error:"
        for name in sorted(found.mse, key=lambda name: found.mse[name]):
            yield f"  {LABELS[name]:<{width}}  {found.mse[name]:.4f} ± {found.se[name]:.4f}"
    if any(map(math.isfinite, found.wrong.values())):
        yield "categories filled in wrongly:"
        for name in sorted(found.wrong, key=lambda name: found.wrong[name]):
            yield f"  {LABELS[name]:<{width}}  {100 * found.wrong[name]:.1f}%"
    yield f"{100 * found.coverage:.1f}% of the hidden cells lie in the {100 * about['interval']:g}% intervals"
    yield from (f"- {line}" for line in about["warnings"])
