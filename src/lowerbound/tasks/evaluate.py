"""Held-out numbers with error bars, baselines on the same rows beside them, and a verdict in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Normal

from lowerbound.audit import TABLE
from lowerbound.batches import Batch, Rows
from lowerbound.data import Data
from lowerbound.distributions import PointMass
from lowerbound.errors import BadOption, unknown
from lowerbound.evaluation import evaluating
from lowerbound.measures import active_units, mutual_information
from lowerbound.model import VAE
from lowerbound.objectives import StepContext, elbo, reconstruction
from lowerbound.randomness import Draw, row_noise
from lowerbound.run import Run
from lowerbound.tasks.anomaly import contributions
from lowerbound.tasks.baselines import Reference, Which, baselines, mean_of, mean_squared_error, spread, told
from lowerbound.tasks.doctor import INFORMATION_ROWS, aggregated, examine
from lowerbound.tasks.probes import probes
from lowerbound.tasks.score import DECODED, RELIABLE_ESS, Scores, score
from lowerbound.tasks.verdict import lines, verdict

BOUND_SAMPLES = 16  # draws of z per row for the ELBO: its noise is then far below the spread over rows
CODES = ("kl", "active_units", "mutual_information", "aggregated_posterior")
KEYS = (
    "unit", "quantity", "rows", "elbo", "cross_entropy_bound", "log_likelihood", "bits_per_dimension", *CODES,
    "reconstruction", "columns", "loss", "baselines", "probes", "doctor", "verdict",
)  # fmt: skip
COLUMN_ROWS = 2000  # that contributions of columns are measured on
WHICH = ("all", "fast")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` found; ``facts`` has the keys of the command's JSON."""

    facts: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return dict(self.facts)

    def __str__(self) -> str:
        return "\n".join(lines(self.facts))


def evaluate(
    run: Run, data: Any = None, *, samples: int = 1000, seed: int = 0, against: Which = "fast"
) -> Evaluation:  # fmt: skip
    """Evaluate a run on rows it was not trained on.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: K of the importance-sampled log p(x).
        seed: of the draws, which are keyed by the rows' contents.
        against: baselines, ``fast``, or ``all`` to train an autoencoder and a denoising one as well.

    Returns:
        ELBO and log p(x) (nats per row, with standard errors over rows; bits per dimension too where the likelihood
        gives probabilities, not densities), KL per dimension, active units, mutual information, the aggregated
        posterior against the prior (these two NaN unless q(z|x) is a normal of independent dimensions), reconstruction
        error, what the loss is, baselines, what labels can be told from the codes, a diagnosis of the latent space and
        a verdict. ELBO and log p(x) are null where they do not exist: a point posterior, or cross-entropy on grey
        levels.

    Raises:
        DataError: the run has no test rows and none were given.
        BadOption: fewer than one sample. UnknownName: ``against`` is neither.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519.

    >>> from lowerbound.train import fit
    >>> found = evaluate(fit("digits", latent=2, epochs=1, progress=False), samples=4).as_dict()
    >>> found["unit"], found["quantity"], found["rows"], found["elbo"]["mean"] <= found["log_likelihood"]["mean"] + 1
    ('nats', 'density', 180, True)
    """
    if samples < 1:
        raise BadOption("not a number of samples", where="samples", found=str(samples), expected="1 or more")
    if against not in WHICH:
        raise unknown("baselines", against, WHICH, where="against")
    rows = run.rows(data)
    resident = run.resident(rows)
    terms, reference = bound_terms(run, resident, seed), Reference(run)
    scored = "kl" in terms and run.config.data.binarize != "grey"
    scores = score(run, rows, samples=samples, seed=seed) if scored else None
    facts = _about_bound(run, rows, terms, scores) | {"rows": rows.rows, "loss": run.loss}
    facts |= _about_codes(terms) if "kl" in terms else dict.fromkeys(CODES)
    typed = run.model.likelihood_family.support == TABLE
    mse = None if typed else mean_squared_error(run, rows)
    facts["reconstruction"] = {"log_likelihood": mean_of(terms["log_likelihood"]), "mse": mse}
    facts["columns"] = by_column(run, rows, seed) if typed and scored else None
    bars = baselines(reference, rows, against, seed)
    facts |= {"baselines": told(bars), "probes": probes(reference, rows, seed)}
    facts["doctor"] = examine(facts, reference, resident)
    facts["verdict"] = verdict(facts, None if scores is None else scores.log_likelihood, bars)
    return Evaluation({key: facts[key] for key in KEYS})


def by_column(run: Run, rows: Data, seed: int) -> dict[str, float]:
    """What each column of a table adds to log p(x), nats per row: E[log p(x_j|z)] under p(z|x)."""
    cells = contributions(run, spread(rows, COLUMN_ROWS), seed=seed)[0]
    return dict(zip(rows.columns, (-cells.mean(0)).tolist(), strict=True))


def _about_bound(run: Run, rows: Data, terms: Mapping[str, Array], scores: Scores | None) -> dict[str, Any]:
    """The bound and log p(x), and whether they are of a probability or of a density."""
    discrete, grey = run.model.likelihood_family.discrete, run.config.data.binarize == "grey"
    bound = mean_of(-terms["value"] if grey else terms["value"]) if "kl" in terms else None
    return {
        "unit": "nats",
        "quantity": "cross-entropy" if grey else "probability" if discrete else "density",
        "elbo": None if grey else bound,
        "cross_entropy_bound": bound if grey else None,
        "log_likelihood": None if scores is None else _likelihood(scores),
        "bits_per_dimension": _bits(rows, scores) if scores is not None and discrete else None,
    }


def _about_codes(terms: Mapping[str, Array]) -> dict[str, Any]:
    found = (_kl(terms), active_units(terms["mean"]), _information(terms), aggregated(terms))
    return dict(zip(CODES, found, strict=True))


def bound_terms(run: Run, rows: Rows, seed: int, samples: int = BOUND_SAMPLES) -> dict[str, Array]:
    """The bound and its parts per row, with the posterior's mean, variance and one draw: name -> (rows, ...)."""
    model = run.model
    density = model.posterior_family.has_density
    objective = elbo(samples=samples) if density else reconstruction()
    shape, found = model.posterior_family.noise_shape, []
    with evaluating(model):
        for batch in rows.blocks(DECODED // samples):
            noise = {} if shape is None else {"posterior": _noise(model, batch, shape, seed, samples)}
            terms = objective(model, batch, StepContext(noise, torch.ones(()), len(rows), len(batch.x)))
            q = model.posterior(batch.x, batch.context, batch.mask)
            drawn = model.draw(q, None if shape is None else noise["posterior"][:, :1].transpose(0, 1))[0]
            normal = type(q) in (Normal, PointMass)  # information is measured for these, else it is NaN: not known
            spread = q.variance if normal else torch.full_like(drawn, torch.nan)
            found.append({"value": terms.value, **terms.parts, "mean": q.mean, "variance": spread, "draw": drawn})
    return {name: np.concatenate([block[name].double().cpu().numpy() for block in found]) for name in found[0]}


def _noise(model: VAE, batch: Batch, shape: tuple[int, ...], seed: int, samples: int) -> torch.Tensor:
    digests = model.embedding.digests(batch.x, batch.mask)
    return row_noise(seed, "bound", digests, Draw(shape), 0, samples).transpose(0, 1).to(batch.x)


def _likelihood(scores: Scores) -> dict[str, Any]:
    ess = float(np.median(scores.ess))
    return {"mean": scores.mean, "se": scores.mean_se, "samples": scores.samples, "ess_median": ess,
            "reliable": ess >= min(RELIABLE_ESS, scores.samples)}  # fmt: skip


def _kl(terms: Mapping[str, Array]) -> dict[str, Any]:
    """In all, and per dimension where prior and posterior both factorise over the dimensions; else there is none."""
    found = terms["kl_per_dimension"]
    each = found.mean(0).tolist() if found.ndim > 1 else []
    return {"total": float(terms["kl"].mean()), "per_dimension": each, "latent": terms["mean"].shape[1]}


def _information(terms: Mapping[str, Array]) -> float:
    some = slice(0, INFORMATION_ROWS)
    return mutual_information(terms["mean"][some], terms["variance"][some], terms["draw"][some])


def _bits(rows: Data, scores: Scores) -> dict[str, float]:
    """Minus log2 p(x) over the observed cells of a row; of zeros and ones, not of grey levels, if it is binarised."""
    cells = math.prod(rows.shape) if rows.mask is None else rows.mask.reshape(rows.rows, -1).sum(1)
    return mean_of(-scores.log_likelihood / (math.log(2) * cells))
