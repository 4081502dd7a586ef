"""How like the data a run's samples are, beside what perfect and ignorant samples would score."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.data import Data
from lowerbound.errors import BadOption, DataMissing
from lowerbound.measures import Measure
from lowerbound.measures.generation import (
    CLASSIFIERS,
    COMPONENTS,
    copies,
    frechet,
    memorisation,
    mmd,
    prdc,
    principal_features,
    snap,
    two_sample,
)
from lowerbound.run import Run
from lowerbound.tasks.generate import sample

ROWS = 1000
LEAST = 20
COPYING = ("memorisation", "copies")

Array = npt.NDArray[Any]

LABELS = {
    "two_sample_forest": "accuracy of a random forest at telling them",
    "two_sample_mlp": "accuracy of a network at telling them",
    "mmd": "maximum mean discrepancy, squared",
    "precision": "precision: samples near real rows",
    "recall": "recall: real rows near samples",
    "density": "density of real rows around samples",
    "coverage": "coverage of real rows by samples",
    "frechet": "Fréchet distance",
    "memorisation": "nearer to a training row than held-out rows",
    "copies": "copies of training rows",
}


@dataclass(frozen=True)
class Generation:
    """What ``generation`` found.

    Args:
        measures: by name; ``perfect`` is what training rows score in place of the samples (for ``memorisation`` and
            ``copies``, what held-out rows score), ``chance`` what rows do whose cells are drawn on their own.
        about: ``rows`` of each kind; ``kind`` of the samples, ``mean`` of p(x|z) or ``draw`` from it; the ``features``
            of the Fréchet distance; ``copies``: samples equal to a training row.
    """

    measures: Mapping[str, Measure]
    about: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {**self.about, "measures": {name: one.as_dict() for name, one in self.measures.items()}}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def generation(
    run: Run, data: Any = None, *, rows: int = ROWS, kind: Literal["draw", "mean"] = "draw",
    made: npt.ArrayLike | None = None, seed: int = 0,
) -> Generation:  # fmt: skip
    """Compare samples of a run with rows it was not trained on.

    Two-sample classifiers, maximum mean discrepancy, precision, recall, density and coverage, Fréchet distance, and
    whether training rows are copied. Samples are rounded to the grid of the data (``measures.generation.snap``). Rows
    of a table with kinds of columns are compared as the encoder sees them: numbers scaled, a channel for each category;
    cells are missing from the samples as they are from training rows drawn at random.

    Args:
        run: trained, its training rows at hand.
        data: rows as ``load`` takes them; the run's test rows when left out.
        rows: of each kind, at most; fewer where there are fewer.
        kind: ``draw`` from p(x|z), which is a sample of the model, or ``mean`` of it, which has no noise.
        made: other rows to judge in place of the run's samples, (rows, *shape); ``kind`` then has no effect.
        seed: of the samples, of the choice of rows and of the measures.

    Returns:
        Each measure with its standard error, and with what perfect and ignorant samples score on the same rows.

    Raises:
        DataError: no test rows and none given, or the training rows are not at hand.
        DataMissing: missing cells in rows of plain numbers. DataShape: fewer than twenty rows.
        BadOption: fewer than twenty asked for.

    Sources: Lopez-Paz & Oquab 2017, arXiv:1610.06545; Gretton et al. 2012, JMLR 13; Kynkäänniemi et al. 2019,
    arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797; Heusel et al. 2017, arXiv:1706.08500; Meehan et al. 2020,
    arXiv:2004.05675.

    >>> from lowerbound.train import fit
    >>> found = generation(fit("digits", latent=2, epochs=1, progress=False), rows=40).measures["coverage"]
    >>> found.value < found.perfect
    True
    """
    if rows < LEAST:
        raise BadOption("too few rows to compare", where="rows", found=str(rows), expected=f"{LEAST} or more")
    train, real = _values(run, run.rows(part="train")), _values(run, run.rows(data))
    rng = np.random.default_rng(seed)
    count = min(rows, len(real), len(train))
    given = sample(run, count, kind=kind, seed=seed).values if made is None else np.asarray(made)[:count]
    known = _some(train, 10 * count, rng)
    real, like = _some(real, count, rng), _some(train, count, rng)
    judged = _on_grid(run, given.reshape(len(given), -1), known, rng)
    blind = rng.permuted(_some(train, count, rng), axis=0)
    train, real, like, judged, blind = (comparable(run, some) for some in (train, real, like, judged, blind))
    found, best, worst = (measure(train, real, some, seed) for some in (judged, like, blind))
    perfect = {name: best[name].perfect if name in COPYING else best[name].value for name in best}
    measures = {name: replace(one, perfect=perfect[name], chance=worst[name].value) for name, one in found.items()}
    about = {
        "rows": count, "kind": kind if made is None else "given", "features": f"PCA-{COMPONENTS} of the training rows",
        "copies": round(found["copies"].value * len(judged)),
    }  # fmt: skip
    return Generation(measures, about)


def measure(train: Array, real: Array, made: Array, seed: int = 0) -> dict[str, Measure]:
    """All measures of made rows, each (rows, cells), against real rows that are not those of the training.

    Args:
        train: what the generator was fitted on.
        real: held out.
        made: on the grid of the data.
        seed: of classifiers, folds and permutations.
    """
    features = principal_features(train)
    classified = {f"two_sample_{name}": two_sample(real, made, classifier=name, seed=seed) for name in CLASSIFIERS}
    return classified | {
        "mmd": mmd(real, made, seed=seed), **prdc(real, made), "frechet": frechet(features(real), features(made)),
        "memorisation": memorisation(train, real, made), "copies": copies(train, real, made),
    }  # fmt: skip


def _values(run: Run, rows: Data) -> Array:
    """Rows as the run has them, (rows, cells); of a table with a schema, NaN where a cell is missing."""
    if rows.mask is not None and run.schema is None:
        raise DataMissing("missing cells cannot be compared with samples", where=rows.name, mend="Fill them in first.")
    blocks = list(run.resident(rows, torch.float64).blocks(1 << 14))
    x = torch.cat([batch.x if batch.mask is None else batch.x.where(batch.mask, torch.nan) for batch in blocks])
    return x.cpu().flatten(1).numpy()


def _on_grid(run: Run, made: Array, known: Array, rng: np.random.Generator) -> Array:
    """Made rows on the grid of the data; in a table, with the holes of training rows."""
    if run.schema is None:
        return snap(made, known, pooled=len(run.model.shape) == 3)
    return np.where(np.isnan(known[rng.choice(len(known), len(made))]), np.nan, run.schema.legal(made))


def comparable(run: Run, rows: Array) -> Array:
    """Rows as they are compared: those of a table as the encoder sees them, without channels for holes."""
    if run.schema is None:
        return rows
    embedding, x = run.model.embedding, torch.from_numpy(rows)
    with torch.no_grad():
        seen = embedding(x.nan_to_num(1.0).to(embedding.shift), ~x.isnan())
    shown: Array = seen[:, : embedding.outputs[0] - rows.shape[1] * embedding.masked].double().cpu().numpy()
    return shown


def _some(rows: Array, most: int, rng: np.random.Generator) -> Array:
    return rows if len(rows) <= most else rows[rng.choice(len(rows), most, replace=False)]


def _lines(found: Generation) -> Iterator[str]:
    kinds = {"draw": "draws from p(x|z)", "mean": "means of p(x|z)", "given": "rows given"}
    about = found.about
    yield f"{about['rows']} {kinds[about['kind']]} against {about['rows']} held-out rows; Fréchet: {about['features']}"
    yield f"{'':<46}{'found':>9} {'s.e.':>9} {'perfect':>9} {'chance':>9}"
    for name, one in found.measures.items():
        numbers = (f"{value:>9.3g}" for value in (one.value, one.se, one.perfect, one.chance))
        test = f"   p = {one.p_value:.3g}" if math.isfinite(one.p_value) else ""
        yield f"{LABELS[name]:<46}{' '.join(numbers)}{test}"
    yield "perfect: training rows in place of samples; chance: every cell drawn on its own"
    if about["copies"]:
        yield f"{about['copies']} samples are equal to a training row"
