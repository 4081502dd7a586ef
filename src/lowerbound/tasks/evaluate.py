"""Held-out numbers with error bars, baselines on the same rows beside them, and a verdict in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.batches import Batch, Rows
from lowerbound.data import Data
from lowerbound.errors import BadOption, LowerboundError
from lowerbound.evaluation import evaluating
from lowerbound.linear import principal
from lowerbound.measures import active_units, mutual_information
from lowerbound.objectives import StepContext, elbo, reconstruction
from lowerbound.randomness import Draw, row_digests, row_noise
from lowerbound.run import Run
from lowerbound.tasks.latent import reconstruct
from lowerbound.tasks.score import DECODED, RELIABLE_ESS, Scores, score, standard_error
from lowerbound.tasks.verdict import lines, verdict

BOUND_SAMPLES = 16  # draws of z per row for the ELBO: its noise is then far below the spread over rows
INFORMATION_ROWS = 4096

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


def evaluate(run: Run, data: Any = None, *, samples: int = 1000, seed: int = 0) -> Evaluation:
    """Evaluate a run on rows it was not trained on.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        samples: K of the importance-sampled log p(x).
        seed: of the draws, which are keyed by the rows' contents.

    Returns:
        ELBO and log p(x) (nats per row, with standard errors over rows), KL per dimension, active units, mutual
        information, reconstruction error, what the loss is, baselines and a verdict. ELBO and log p(x) are null where
        they do not exist: a point posterior, or cross-entropy on grey levels.

    Raises:
        DataError: the run has no test rows and none were given.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519.

    >>> from lowerbound.train import fit
    >>> found = evaluate(fit("digits", latent=2, epochs=1, progress=False), samples=4).as_dict()
    >>> found["unit"], found["rows"], found["elbo"]["mean"] <= found["log_likelihood"]["mean"] + 1
    ('nats', 180, True)
    """
    if samples < 1:
        raise BadOption("not a number of samples", where="samples", found=str(samples), expected="1 or more")
    rows = run.rows(data)
    terms = bound_terms(run, run.resident(rows), seed)
    grey = run.config.data.binarize == "grey"
    bounded = "kl" in terms
    scores = score(run, rows, samples=samples, seed=seed) if bounded and not grey else None
    against = baselines(run, rows)
    facts: dict[str, Any] = {
        "unit": "nats",
        "rows": rows.rows,
        "elbo": _mean(terms["value"]) if bounded and not grey else None,
        "cross_entropy_bound": _mean(-terms["value"]) if bounded and grey else None,
        "log_likelihood": None if scores is None else _likelihood(scores),
        "kl": _kl(terms) if bounded else None,
        "active_units": active_units(terms["mean"]) if bounded else None,
        "mutual_information": _information(terms) if bounded else None,
        "reconstruction": {
            "log_likelihood": _mean(terms["log_likelihood"]),
            "mse": _mse(run, rows, reconstruct(run, rows)),
        },
        "loss": run.loss,
        "baselines": {name: dict(found) for name, found in against.items()},
    }
    facts["verdict"] = verdict(facts, None if scores is None else scores.log_likelihood, against)
    for found in facts["baselines"].values():
        found.pop("per_row", None)
    return Evaluation(facts)


def bound_terms(run: Run, rows: Rows, seed: int) -> dict[str, Array]:
    """The bound and its parts per row, with the posterior's mean, variance and one draw: name -> (rows, ...)."""
    model = run.model
    density = model.posterior_family.has_density
    objective = elbo(samples=BOUND_SAMPLES) if density else reconstruction()
    shape, found = model.posterior_family.noise_shape, []
    with evaluating(model):
        for batch in rows.blocks(DECODED // BOUND_SAMPLES):
            noise = {} if shape is None else {"posterior": _noise(batch, shape, seed)}
            terms = objective(model, batch, StepContext(noise, torch.ones(()), len(rows), len(batch.x)))
            q = model.posterior(batch.x, batch.context, batch.mask)
            drawn = model.draw(q, None if shape is None else noise["posterior"][:, :1].transpose(0, 1))[0]
            found.append({"value": terms.value, **terms.parts, "mean": q.mean, "variance": q.variance, "draw": drawn})
    return {name: np.concatenate([block[name].double().cpu().numpy() for block in found]) for name in found[0]}


def _noise(batch: Batch, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    digests = row_digests(batch.x, batch.mask)
    return row_noise(seed, "bound", digests, Draw(shape), 0, BOUND_SAMPLES).transpose(0, 1).to(batch.x)


def baselines(run: Run, rows: Data) -> dict[str, dict[str, Any]]:
    """What simple models reach on the same rows: probabilistic PCA of the same latent size (exact), and the mean.

    ``log_likelihood`` is there where it is comparable with the run's: a density for a density, a probability for
    zeros and ones. Fitted on the run's training rows; empty where these are not at hand or have missing cells.
    """
    try:
        train = run.rows(part="train")
    except LowerboundError:
        return {}
    if train.mask is not None or rows.mask is not None:
        return {}
    x, y = (torch.from_numpy(some.values(dtype=np.float64)).flatten(1) for some in (train, rows))
    found = {"mean": {"mse": float((y - x.mean(0)).square().mean())}}
    found |= _principal(run, x, y)
    return found | (_independent(run, train, rows) if run.model.likelihood_family.discrete else {})


def _principal(run: Run, x: torch.Tensor, y: torch.Tensor) -> dict[str, dict[str, Any]]:
    try:
        fit = principal(x, run.model.latent)
    except LowerboundError:  # as many latent dimensions as features, or no noise left
        return {}
    facts: dict[str, Any] = {"mse": float((y - fit.reconstruct(y)).square().mean())}
    if not run.model.likelihood_family.discrete:
        per_row = fit.log_prob(y).numpy()
        facts |= {"log_likelihood": _mean(per_row), "per_row": per_row}
    return {"ppca": facts}


def _independent(run: Run, train: Data, rows: Data) -> dict[str, dict[str, Any]]:
    """Each cell on its own: Bernoulli with the training frequency, one row of each value added."""
    x, y = (run.resident(some, torch.float64).blocks(1 << 30) for some in (train, rows))
    seen, met = next(x).x.flatten(1), next(y).x.flatten(1)
    rate = (seen.sum(0) + 1) / (len(seen) + 2)
    per_row = (met * rate.log() + (1 - met) * (1 - rate).log()).sum(1).cpu().numpy()
    return {"independent": {"log_likelihood": _mean(per_row), "per_row": per_row}}


def _mean(values: Array) -> dict[str, float]:
    return {"mean": float(values.mean()), "se": standard_error(values)}


def _likelihood(scores: Scores) -> dict[str, Any]:
    ess = float(np.median(scores.ess))
    return {"mean": scores.mean, "se": scores.mean_se, "samples": scores.samples, "ess_median": ess,
            "reliable": ess >= min(RELIABLE_ESS, scores.samples)}  # fmt: skip


def _kl(terms: Mapping[str, Array]) -> dict[str, Any]:
    per_dimension = terms["kl_per_dimension"].mean(0)
    return {"total": float(terms["kl"].mean()), "per_dimension": np.atleast_1d(per_dimension).tolist()}


def _information(terms: Mapping[str, Array]) -> float:
    some = slice(0, INFORMATION_ROWS)
    return mutual_information(terms["mean"][some], terms["variance"][some], terms["draw"][some])


def _mse(run: Run, rows: Data, made: Array) -> float:
    x = torch.cat([batch.x.cpu() for batch in run.resident(rows).blocks(DECODED)]).double().numpy()
    error = (x - made) ** 2
    return float(error.mean() if rows.mask is None else error[rows.mask].mean())
