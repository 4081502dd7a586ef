"""How strange rows are: several scores side by side, and p-values against rows that the run was not trained on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.audit import TABLE
from lowerbound.batches import Batch
from lowerbound.data import Data
from lowerbound.distributions import per_row
from lowerbound.errors import LowerboundError
from lowerbound.evaluation import evaluating
from lowerbound.linear import principal
from lowerbound.measures import conformal, two_sided, typicality
from lowerbound.measures.generation import nearest_distance
from lowerbound.model import VAE
from lowerbound.randomness import Draw, row_noise
from lowerbound.run import Run
from lowerbound.tasks.baselines import View
from lowerbound.tasks.score import refuse, score

HELD_OUT = 2000  # rows that p-values are made of: they then come in steps of 1/2001
TRAINING = 10_000  # rows that the rivals are fitted on
DRAWS = 256  # of z, for the contributions of cells
NUMBERS = 1 << 22  # cells times draws that are in memory at once
EXPLAINED, MOST_COMPONENTS, FLOOR = 0.9, 20, 1e-6  # of probabilistic PCA: share of variance, components, noise variance
NEIGHBOURS = 5
LEVEL = 0.05

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Anomalies:
    """Scores of rows, (rows,) each; higher is stranger, and p-values are lower.

    Args:
        score: -log p(x) in nats; infinite where a row is so far from the data that the arithmetic ends.
        p_value: of the score: the share of held-out rows that are as strange; NaN without held-out rows.
        typicality: |log p(x) - its mean over held-out rows|, in nats; NaN without held-out rows.
        typicality_p_value: of a log p(x) too low or too high, by its rank among those of the held-out rows.
        likelihood_ratio: log p(x) of a background model minus that of the run, in nats; NaN where there is none.
        contributions: (rows, *shape), nats that each cell adds to the score: -log p(x_j|z) expected under p(z|x);
            0 where a cell is missing.
        code: nats that the code adds, KL(p(z|x) || p(z)): with the contributions it makes up the score, but for the
            error of sampling.
        rivals: scores that need no model: ``norm``, ``ppca``, ``knn``; empty where the training rows are not at hand.
        held_out: how many rows the p-values are made of.
        columns: names, for tables.
    """

    score: Array
    p_value: Array
    typicality: Array
    typicality_p_value: Array
    likelihood_ratio: Array
    contributions: Array
    code: Array
    rivals: Mapping[str, Array] = field(default_factory=dict)
    held_out: int = 0
    columns: tuple[str, ...] = ()

    def table(self) -> tuple[tuple[str, ...], Array]:
        """Names of the columns, and the scores and contributions as (rows, columns)."""
        names = ("score", "p_value", "typicality", "typicality_p_value", "likelihood_ratio", "code")
        cells = self.contributions.reshape(len(self.score), -1)
        named = self.columns if len(self.columns) == cells.shape[1] else [f"x{j}" for j in range(cells.shape[1])]
        parts = [getattr(self, name) for name in names] + list(self.rivals.values())
        columns = (*names, *self.rivals, *(f"cell {name}" for name in named))
        return columns, np.column_stack([*parts, cells])

    def as_dict(self) -> dict[str, Any]:
        """Rows that are strange at the level 0.05, as plain values that JSON can hold; null without held-out rows."""
        tests = {"score": self.p_value, "typicality": self.typicality_p_value}
        few = {name: int((p <= LEVEL).sum()) if self.held_out else None for name, p in tests.items()}
        return {"strange": {"level": LEVEL, **few}, "held_out": self.held_out}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def anomaly(
    run: Run, data: Any = None, *, samples: int = 1000, background: Run | None = None, seed: int = 0
) -> Anomalies:  # fmt: skip
    """Say how strange rows are, by log p(x), by typicality, against a background, and by rivals without a model.

    log p(x) alone can fail: simpler rows than those of the training may be likelier than they are. Typicality finds
    rows that are too likely as well; the ratio to a background leaves out what any row of the kind has in common.

    Args:
        run: trained, on ordinary rows.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: K of the importance-sampled log p(x).
        background: a run on the same cells that knows only what is common; when left out, independent cells with the
            mean and variance, or the frequency of ones, of the training rows.
        seed: of the draws, which are keyed by the rows' contents.

    Returns:
        Scores a row, with p-values against held-out rows of the run: its test rows if others are given, else its
        validation rows, at most 2000. Rivals, fitted on at most 10,000 training rows with standardised cells: ``norm``,
        the squared length; ``ppca``, -log p of probabilistic PCA with the fewest components that explain 90 % of the
        variance (at most 20; covariance divided by N; noise variance at least 1e-6); ``knn``, the distance to the fifth
        nearest training row.

    Raises:
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood.
        BadOption: fewer than one sample.
        DataError: the run has no test rows and none were given.

    Sources: Nalisnick et al. 2019, "Do deep generative models know what they don't know?", arXiv:1810.09136, and
    arXiv:1906.02994 (typicality); Ren et al. 2019, "Likelihood ratios for out-of-distribution detection",
    arXiv:1906.02845; Bates et al. 2023, Annals of Statistics 51 (p-values).

    >>> from lowerbound.train import fit
    >>> found = anomaly(fit("digits", latent=2, epochs=1, progress=False), samples=8)
    >>> found.contributions.shape, found.held_out, sorted(found.rivals)
    ((180, 1, 8, 8), 180, ['knn', 'norm', 'ppca'])
    """
    refuse(run, samples)
    rows = run.rows(data)
    log_p = log_density(run, rows, samples=samples, seed=seed)
    known = held_out_density(run, data is not None, samples=samples, seed=seed)
    none = np.full(rows.rows, math.nan)
    away, either = (typicality(known, log_p), two_sided(known, log_p)) if len(known) else (none, none)
    cells, code = contributions(run, rows, min(samples, DRAWS), seed)
    train = _training(run)
    beside = {} if train is None or rows.mask is not None else rivals(train, View(run, rows).x.numpy())
    other = _background(run, rows, train, background, samples=samples, seed=seed)
    return Anomalies(
        -log_p, _against(known, log_p), away, either, other - log_p, cells, code, beside, len(known),
        tuple(run.facts["columns"]),
    )  # fmt: skip


def log_density(run: Run, data: Any, **options: Any) -> Array:
    """log p(x) of rows, (rows,), as ``score`` estimates it; minus infinity where arithmetic ends.

    Args:
        run: trained.
        data: rows as ``load`` takes them.
        options: of ``score``.
    """
    log_p = score(run, data, **options).log_likelihood
    return np.where(np.isnan(log_p), -math.inf, log_p)


def held_out_density(run: Run, given: bool, **options: Any) -> Array:
    """log p(x) of rows that the run was not trained on; of none where they are not at hand.

    Args:
        run: trained.
        given: whether the rows to be judged are others than the run's test rows.
        options: of ``score``; those that the rows to be judged are scored with.
    """
    for part in ("test", "validation") if given else ("validation",):
        try:
            rows = run.rows(part=part)
        except LowerboundError:
            continue
        return log_density(run, _spread(rows, HELD_OUT), **options)
    return np.empty(0)


def p_values(run: Run, log_p: Array, given: bool, **options: Any) -> Array:
    """Conformal p-values of -log p(x), (rows,): the share of held-out rows that are as unlikely.

    Args:
        run: trained.
        log_p: log p(x) of the rows to be judged, (rows,), in nats; NaN counts as minus infinity.
        given: whether they are others than the run's test rows.
        options: of ``score``, that they were scored with.

    Returns:
        NaN where the run has no held-out rows at hand.

    Source: Bates et al. 2023, Annals of Statistics 51.
    """
    return _against(held_out_density(run, given, **options), log_p)


def _against(known: Array, log_p: Array) -> Array:
    if not len(known):
        return np.full(len(log_p), math.nan)
    return conformal(-known, np.where(np.isnan(log_p), math.inf, -log_p))


def contributions(run: Run, data: Any = None, samples: int = DRAWS, seed: int = 0) -> tuple[Array, Array]:
    """What the cells and the code add to -log p(x), in nats.

    -log p(x) = sum_j E[-log p(x_j|z)] + KL(p(z|x) || p(z)), expectations under p(z|x): draws from q(z|x), weighted by
    p(x, z) / q(z|x).

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: draws a row.
        seed: of the draws, which are those of ``score``.

    Returns:
        Contributions of the cells, (rows, *shape), and of the code, (rows,).

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519 (the weights).
    """
    rows, model, found = run.resident(run.rows(data)), run.model, []
    step = max(1, NUMBERS // (samples * math.prod(model.shape)))
    with evaluating(model):
        for batch in rows.blocks(step):
            found.append([part.double().cpu().numpy() for part in _contributions(model, batch, samples, seed)])
    cells, code = (np.concatenate(part) for part in zip(*found, strict=True))
    return cells, code


def _contributions(model: VAE, batch: Batch, samples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    q, p = model.posterior(batch.x, batch.context, batch.mask), model.prior(batch.context)
    digests, draw = model.embedding.digests(batch.x, batch.mask), Draw(model.posterior_family.noise_shape or ())
    z = model.draw(q, row_noise(seed, "importance", digests, draw, 0, samples).to(batch.x))
    cells = model.cells(model.likelihood(z, batch.context), batch.x, batch.mask)
    log_px = cells.flatten(2).sum(-1)
    log_w = (log_px + per_row(p.log_prob(z), p) - per_row(q.log_prob(z), q)).double()
    w = log_w.softmax(0).to(cells)
    log_p = log_w.logsumexp(0) - math.log(samples)
    return -torch.einsum("sr,sr...->r...", w, cells), (w * log_px).sum(0).double() - log_p


def rivals(train: Array, rows: Array) -> dict[str, Array]:
    """Scores that need no model of the latent kind, on cells standardised by the training rows (divided by N).

    Args:
        train: (n, cells).
        rows: (rows, cells).

    Returns:
        ``norm``, ``ppca`` and ``knn`` as of ``anomaly``, (rows,) each; ``ppca`` and ``knn`` where there are cells and
        rows enough.

    Source: Tipping & Bishop 1999, "Probabilistic principal component analysis", JRSS B 61; the protocol is that of
    Han et al. 2022, "ADBench: anomaly detection benchmark", arXiv:2206.09426, as re-run by Livernoche et al. 2024, "On
    diffusion modeling for anomaly detection", arXiv:2305.18593.

    >>> found = rivals(np.random.default_rng(0).normal(size=(50, 3)), np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]))
    >>> [bool(scores[1] > scores[0]) for scores in found.values()]
    [True, True, True]
    """
    shift, scale = _moments(train)
    x, y = (train - shift) / scale, (rows - shift) / scale
    found = {"norm": (y**2).sum(1)}
    if x.shape[1] > 1:
        fit = principal(torch.from_numpy(x), _components(x), floor=FLOOR)
        found["ppca"] = -fit.log_prob(torch.from_numpy(y)).numpy()
    return found | ({"knn": nearest_distance(x, y, NEIGHBOURS)} if len(x) >= NEIGHBOURS else {})


def _moments(train: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each cell; a constant cell, rounding aside, has the scale 1."""
    shift, scale = train.mean(0), train.std(0)
    return shift, np.where(scale > 1e-9 * np.abs(shift), scale, 1.0)


def _components(x: Array) -> int:
    """The fewest principal components that explain 90 % of the variance; at most 20, and one less than the cells."""
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False, ddof=0))[::-1].clip(min=0)
    needed = int(np.searchsorted(values.cumsum(), EXPLAINED * values.sum())) + 1
    return min(needed, MOST_COMPONENTS, len(values) - 1)


def _training(run: Run) -> Array | None:
    """Training rows as the run sees them, (rows, cells); None where they are not at hand or have missing cells."""
    try:
        train = run.rows(part="train")
    except LowerboundError:
        return None
    return None if train.mask is not None else View(run, _spread(train, TRAINING)).x.numpy()


def _spread(rows: Data, most: int) -> Data:
    """At most so many rows, evenly spread."""
    return rows if rows.rows <= most else rows.take(np.linspace(0, rows.rows - 1, most).astype(np.int64))


def _background(run: Run, rows: Data, train: Array | None, background: Run | None, **options: Any) -> Array:
    """log p(x) of the background model, (rows,)."""
    if background is not None:
        return log_density(background, rows, **options)
    if train is None or rows.mask is not None or run.model.likelihood_family.support == TABLE:
        return np.full(rows.rows, math.nan)
    x = View(run, rows).x.numpy()
    if run.model.likelihood_family.support == "binary":
        rate = (train.sum(0) + 1) / (len(train) + 2)
        return np.asarray(x @ np.log(rate) + (1 - x) @ np.log1p(-rate))
    shift, scale = _moments(train)
    return np.asarray(-0.5 * (((x - shift) / scale) ** 2 + np.log(2 * math.pi * scale**2)).sum(1))


def _lines(found: Anomalies) -> Iterator[str]:
    rows, middle, most = len(found.score), float(np.median(found.score)), float(found.score.max())
    yield f"-log p(x) of {rows} rows, in nats: median {middle:.2f}, most {most:.2f}"
    if not found.held_out:
        yield "no p-values: the run has no held-out rows at hand"
        return
    chance = f"{LEVEL * rows:.0f} expected by chance, p-values from {found.held_out} held-out rows"
    for name, p in (("-log p(x)", found.p_value), ("typicality", found.typicality_p_value)):
        yield f"strange at the level {LEVEL:g} by {name}: {int((p <= LEVEL).sum())} of {rows} rows; {chance}"
    yield "rows simpler than those of the training can be likelier than they are: typicality finds these, log p(x) not"
