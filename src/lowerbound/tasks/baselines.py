"""What simple models reach on the rows that a run is judged on: the bar it has to pass."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lowerbound.audit import TABLE
from lowerbound.data import Data
from lowerbound.errors import LowerboundError
from lowerbound.linear import Principal, principal
from lowerbound.run import Run
from lowerbound.tasks.latent import reconstruct
from lowerbound.tasks.marginals import alone
from lowerbound.tasks.score import standard_error
from lowerbound.train import fit

WIDEST = 4096  # cells up to which a covariance is worth its time: eigenvalues of more take minutes
CELLS = 1 << 26  # of the training rows that baselines are fitted on: half a gigabyte
COLUMN_ROWS = 1 << 15  # training rows that independent columns are fitted on
LEAST_RIDGE = 1e-6  # variance in units of the scaled data: the square of the least sigma that a model may have
EPOCHS = 30  # of an autoencoder that is trained to compare with

Array = npt.NDArray[Any]
Found = dict[str, dict[str, Any]]
Which = Literal["fast", "all"]


class View:
    """Rows as a run sees them: binarised and scaled as in its evaluation, without missing cells.

    Args:
        run: trained.
        rows: of its shape.
    """

    def __init__(self, run: Run, rows: Data) -> None:
        self.run = run
        drawn = run.config.data.binarize in ("sample", "fixed")  # keyed by the values in the type that the run saw
        seen = run.resident(rows, None if drawn else torch.float64)
        blocks = list(seen.blocks(1 << 14))
        self.x = torch.cat([batch.x.cpu().double().flatten(1) for batch in blocks])
        known = [batch.context.cpu().double() for batch in blocks if batch.context is not None]
        self.context = torch.cat(known) if known else None
        self.told: Tensor | float = 0.0
        self.scale, self.shift = (
            moved.detach().cpu().double().expand(run.model.shape).flatten()
            for moved in (run.model.embedding.scale, run.model.embedding.shift)
        )

    @property
    def scaled(self) -> Tensor:
        """(rows, cells) float64, in the units of the encoder's input, less what the context tells."""
        x = self.x if self.run.model.embedding.mode == "none" else (self.x - self.shift) / self.scale
        return x - self.told

    @property
    def jacobian(self) -> float:
        """What a log-density of scaled rows loses in the units of the data, in nats."""
        return float(self.scale.log().sum())

    def error(self, scaled: Tensor) -> float:
        """Mean squared error of rows made in scaled units, in the units of the data."""
        return float(((scaled + self.told) * self.scale + self.shift - self.x).square().mean())


class Reference:
    """The rows a run was trained on, and what is fitted on them once for all that compares with it.

    Args:
        run: trained.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def train(self) -> Data | None:
        """The training rows, if they are at hand."""
        try:
            return self.run.rows(part="train")
        except LowerboundError:
            return None

    @cached_property
    def view(self) -> View | None:
        """They as the run sees them, evenly thinned if they are very many; None where cells are missing."""
        if self.train is None or self.train.mask is not None:
            return None
        return View(self.run, spread(self.train, CELLS // int(np.prod(self.train.shape))))

    @cached_property
    def principal(self) -> Principal | None:
        """Probabilistic PCA of the run's latent size, where there is one."""
        return None if self.view is None else _components(self.view)


def spread(rows: Data, most: int) -> Data:
    """At most so many rows, evenly spread."""
    return rows if rows.rows <= most else rows.take(np.linspace(0, rows.rows - 1, most).astype(np.int64))


def baselines(reference: Reference, rows: Data, which: Which = "fast", seed: int = 0) -> Found:
    """What simple models reach on the same rows, fitted on the run's training rows, scaled as the run scales them.

    Of a run that is conditioned on something they are told it too: their mean is a linear function of it, by least
    squares, which for classes is a mean for each; independent zeros and ones have a rate for each class.

    Args:
        reference: the run and its training rows.
        rows: to be judged on.
        which: ``fast``: the mean, probabilistic PCA of the same latent size (exact), and a Gaussian with a full
            covariance, or independent cells for zeros and ones; for a table with kinds of columns, independent columns
            of the run's families, with ``columns``, the mean log p of each. ``all``: also an autoencoder and a
            denoising one with the run's nets and latent size, trained for the run's epochs, at most 30.
        seed: of those two.

    Returns:
        ``log_likelihood`` where it can be compared with the run's (a density with a density, a probability with a
        probability), with ``per_row``; ``mse`` of the reconstruction; ``rows`` it was fitted on. Empty where the
        training rows are not at hand, cells are missing, or the rows are too many cells to be held, 67 million.

    Sources: Tipping & Bishop 1999, JRSS B 61; Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional
    covariance matrices", Journal of Multivariate Analysis 88.
    """
    run = reference.run
    if run.model.likelihood_family.support == TABLE:
        return {} if reference.train is None else _columns(run, reference.train, rows)
    fitted = reference.view
    if fitted is None or rows.mask is not None or rows.x.size > CELLS:
        return {}
    judged, family = View(run, rows), run.model.likelihood_family
    fitted, components = copy(fitted), reference.principal
    if fitted.context is not None:
        _tell(fitted, judged)
        components = _components(fitted)
    found: Found = {"mean": {"mse": judged.error(fitted.scaled.mean(0).expand_as(judged.x))}}
    if components is not None:
        found |= _principal(components, judged, dense=not family.discrete)
    if not family.discrete and fitted.x.shape[1] <= WIDEST:
        found |= _gaussian(fitted, judged)
    if family.support == "binary" and run.config.data.binarize != "grey":
        found |= _independent(fitted, judged)
    for row in found.values():
        row["rows"] = len(fitted.x)
    return found | (_autoencoders(run, rows, seed) if which == "all" else {})


def _tell(fitted: View, judged: View) -> None:
    """Take off the rows what a linear function of their context says of them, as the first are best told by it."""
    known = [torch.cat([view.context, torch.ones(len(view.x), 1).double()], 1) for view in (fitted, judged)
             if view.context is not None]  # fmt: skip
    line = torch.linalg.lstsq(known[0], fitted.scaled, driver="gelsd").solution
    fitted.told, judged.told = known[0] @ line, known[1] @ line


def _components(view: View) -> Principal | None:
    """Probabilistic PCA of the run's latent size, where there is one."""
    if view.x.shape[1] > WIDEST:
        return None
    try:
        return principal(view.scaled, view.run.model.latent)
    except LowerboundError:  # as many latent dimensions as cells, or no noise left
        return None


def _principal(fit: Principal, judged: View, *, dense: bool) -> Found:
    facts = {"mse": judged.error(fit.reconstruct(judged.scaled))}
    return {"ppca": facts | (_density(fit.log_prob(judged.scaled), judged) if dense else {})}


def _gaussian(fitted: View, judged: View) -> Found:
    """Full covariance, shrunk towards the mean variance so far as Ledoit and Wolf find best."""
    from sklearn.covariance import ledoit_wolf_shrinkage  # takes a second to load

    x = fitted.scaled
    centred = x - x.mean(0)
    covariance = centred.T @ centred / len(x)
    share = float(ledoit_wolf_shrinkage(x.numpy()))
    ridge = max(share * float(covariance.diagonal().mean()), LEAST_RIDGE)
    covariance = (1 - share) * covariance + ridge * torch.eye(len(covariance), dtype=x.dtype)
    log_px = MultivariateNormal(x.mean(0), covariance, validate_args=False).log_prob(judged.scaled)
    return {"gaussian": {**_density(log_px, judged), "ridge": ridge}}


def _density(scaled: Tensor, judged: View) -> dict[str, Any]:
    per_row = (scaled - judged.jacobian).numpy()
    return {"log_likelihood": mean_of(per_row), "per_row": per_row}


def _independent(fitted: View, judged: View) -> Found:
    """Each cell on its own: Bernoulli with the training frequency, in its class, one row of each value added."""
    alone = [torch.ones(len(view.x), 1).double() if view.context is None else view.context for view in (fitted, judged)]
    if not all(bool(((kinds == 0) | (kinds == 1)).all() and (kinds.sum(1) == 1).all()) for kinds in alone):
        return {}  # conditioned on numbers or on more than one kind of class: no rate for each
    y, rate = judged.x, alone[1] @ ((alone[0].T @ fitted.x + 1) / (alone[0].sum(0)[:, None] + 2))
    per_row = (y * rate.log() + (1 - y) * (1 - rate).log()).sum(1).numpy()
    return {"independent": {"log_likelihood": mean_of(per_row), "per_row": per_row}}


def _columns(run: Run, train: Data, rows: Data) -> Found:
    train = spread(train, COLUMN_ROWS)
    cells = alone(run, train, rows)
    per_row, each = cells.sum(1), dict(zip(rows.columns, cells.mean(0).tolist(), strict=True))
    found = {"log_likelihood": mean_of(per_row), "per_row": per_row, "columns": each, "rows": train.rows}
    return {"independent": found}


def _autoencoders(run: Run, rows: Data, seed: int) -> Found:
    return {name: _autoencoder(run, rows, name, seed) for name in ("ae", "dae")}


def _autoencoder(run: Run, rows: Data, recipe: str, seed: int) -> dict[str, Any]:
    model, train = run.config.model, run.config.train
    binary = run.model.likelihood_family.support == "binary"
    changes: dict[str, Any] = {
        "latent": model.latent, "encoder": dict(model.encoder), "decoder": dict(model.decoder),
        "scaling": run.config.data.scaling, "binarize": run.config.data.binarize, "split": "given", "validation": 0.0,
        "test": 0.0, "epochs": max(1, min(train.epochs, EPOCHS)), "batch": train.batch, "device": train.device,
        **({"likelihood": dict(model.likelihood)} if binary else {}),
    }  # fmt: skip
    made = fit(split_as_given(run), recipe=recipe, seed=seed, progress=False, **changes)
    return {"mse": mean_squared_error(made, rows), "epochs": made.summary["epochs"]}


def split_as_given(run: Run) -> Data:
    """The run's rows with its split, which ``data.split = given`` then keeps."""
    run.rows(part="train")  # puts them there
    data: Any = run.data
    made: Data = replace(data, split=replace(data.split, how="given"))
    return made


def mean_squared_error(run: Run, rows: Data) -> float:
    """Of the reconstruction, over the observed cells, in squared units of the data."""
    total, cells, step = 0.0, 0, max(1, CELLS // int(np.prod(rows.shape)))
    for first in range(0, rows.rows, step):
        some = rows.take(slice(first, first + step))
        x = torch.cat([batch.x.cpu() for batch in run.resident(some).blocks(1 << 14)]).double().numpy()
        error = (x - reconstruct(run, some)) ** 2
        error = error if some.mask is None else error[some.mask]
        total, cells = total + float(error.sum()), cells + error.size
    return total / cells


def mean_of(values: Array) -> dict[str, float]:
    """The mean over rows with its standard error."""
    return {"mean": float(values.mean()), "se": standard_error(values)}


def told(found: Mapping[str, Mapping[str, Any]]) -> Found:
    """Baselines as they are printed: without the values of single rows."""
    return {name: {key: value for key, value in row.items() if key != "per_row"} for name, row in found.items()}
