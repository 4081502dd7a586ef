"""Whether the latent space works: a diagnosis in words, with the figures behind it and what to change.

Sources: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519 (active units); Hoffman & Johnson 2016, "ELBO surgery"
(mutual information, aggregated posterior); Lucas et al. 2019, "Don't blame the ELBO!", arXiv:1911.02469 (a linear
model keeps the dimensions whose variance exceeds beta * sigma^2).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.batches import Rows
from lowerbound.evaluation import evaluating
from lowerbound.measures import mutual_information, total_correlation
from lowerbound.run import Run
from lowerbound.tasks.baselines import Reference

INFORMATIVE = 0.01  # nats of KL above which a dimension says something
INFORMATION_ROWS = 4096  # rows that mutual information is taken over
FEW = 1024  # rows that the aggregated posterior is made of, and that the noise is measured on
FULL = 0.9  # of ln(rows): the information is then bounded by the rows, not by the model
LOOSE, TIGHT = 0.5, 2.0  # mean squared residual over sigma^2 outside of which sigma does not fit
FAR = 1.0  # nats between the aggregated posterior and the prior that show in samples
SPLIT = 5.0  # nats by which the bound of training rows may exceed that of validation rows

Array = npt.NDArray[Any]
Finding = tuple[str, str]
"""What was found, with its figures; what to change, if anything."""


def aggregated(terms: Mapping[str, Array]) -> dict[str, Any]:
    """How KL(q(z|x) || p(z)) is spent, in nats: KL = information + total correlation + KL of the single dimensions.

    Args:
        terms: of ``bound_terms``, with a gaussian posterior.

    Returns:
        ``information``, ``kl_to_prior`` of the aggregated posterior q(z), the mean of q(z|x) over the rows;
        ``total_correlation`` of q(z) and ``dimension_kl``, which add up to the latter; ``rows``; ``saturated``: whether
        the information is at the most that so many rows allow, so that it is too low and the rest too high.
    """
    mean, variance, draw = (terms[name][:FEW] for name in ("mean", "variance", "draw"))
    told, shared = mutual_information(mean, variance, draw), total_correlation(mean, variance, draw)
    gap = float(terms["kl"][:FEW].mean()) - told
    return {"information": told, "kl_to_prior": gap, "total_correlation": shared, "dimension_kl": gap - shared,
            "rows": len(mean), "saturated": told > FULL * math.log(len(mean))}  # fmt: skip


def noise(run: Run, rows: Rows) -> dict[str, float] | None:
    """The scale of p(x|z) against what it has to explain; None for likelihoods that have none.

    Returns:
        ``sigma``: root mean square, in units of the scaled data; ``calibration``: mean squared residual of the
        reconstruction over sigma^2, 1 where the noise is as large as the model says; ``single``: whether all cells of
        all rows have the same.
    """
    if run.model.likelihood_family.discrete or run.model.likelihood_family.support != "real":
        return None
    batch = next(rows.blocks(FEW))
    with evaluating(run.model):
        q = run.model.posterior(batch.x, batch.context, batch.mask)
        p = run.model.likelihood(q.mean, batch.context)
    if not torch.isfinite(p.stddev).all():  # a family with tails too heavy to have one
        return None
    sigma = (p.stddev / run.model.embedding.scale).double().expand_as(batch.x)
    ratio = ((batch.x - p.mean) / p.stddev).double().square()
    seen = torch.ones_like(ratio, dtype=torch.bool) if batch.mask is None else batch.mask
    return {
        "sigma": float(sigma[seen].square().mean().sqrt()),
        "calibration": float(ratio[seen].mean()),
        "single": bool(sigma.max() < 1.0001 * sigma.min()),
    }


def expected_dimensions(reference: Reference, beta: float | None, found: Mapping[str, Any] | None) -> int | None:
    """How many dimensions the best linear model of the same latent size uses at this beta * sigma^2."""
    fit = reference.principal
    if beta is None or found is None or not found["single"] or fit is None:
        return None
    kept = fit.eigenvalues[: reference.run.model.latent] > beta * found["sigma"] ** 2
    return int(kept.sum())


def examine(facts: Mapping[str, Any], reference: Reference, rows: Rows) -> dict[str, Any]:
    """The diagnosis of an evaluated run.

    Args:
        facts: what ``evaluate`` found so far.
        reference: the run and its training rows.
        rows: that it was evaluated on.

    Returns:
        ``state``: ``autoencoder`` (no prior, so nothing to collapse), ``collapsed``, ``partly collapsed`` or
        ``healthy``; ``informative_dimensions`` (KL above 0.01 nats), ``expected_dimensions`` of the best linear model,
        ``most_information`` (ln of the rows it is taken over, nats), ``noise``, and ``findings``: ``what``, ``change``.
    """
    run = reference.run
    found = noise(run, rows)
    kl = facts["kl"]
    figures = {
        "informative_dimensions": int((np.array(kl["per_dimension"]) > INFORMATIVE).sum())
        if kl and kl["per_dimension"]
        else None,
        "expected_dimensions": expected_dimensions(reference, facts["loss"]["beta"], found),
        "most_information": math.log(min(facts["rows"], INFORMATION_ROWS)),
        "noise": found,
    }
    state = _state(facts, figures)
    findings = [
        *_collapse(state, facts, figures, run),
        *_noise(facts, found, run),
        *_prior(facts, figures, run),
        *_overfit(run),
    ]
    found_out = [{"what": what, "change": change} for what, change in findings]
    return {"state": state, **figures, "findings": found_out}


def _state(facts: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    if facts["kl"] is None:
        return "autoencoder"
    if figures["informative_dimensions"] == 0 or facts["active_units"] == 0:
        return "collapsed"
    return "partly collapsed" if facts["active_units"] < 0.5 * (figures["expected_dimensions"] or 0) else "healthy"


def _collapse(state: str, facts: Mapping[str, Any], figures: Mapping[str, Any], run: Run) -> Iterator[Finding]:
    if state == "autoencoder":
        return
    latent, active = facts["kl"]["latent"], facts["active_units"]
    most, told = figures["most_information"], facts["mutual_information"]
    held = f"KL {facts['kl']['total']:.3g} nats, mutual information {told:.2f} of at most {most:.2f}"
    idle = f"{latent - active} of {latent} latent dimensions are idle (variance of the posterior mean below 0.01)"
    if state == "collapsed":
        yield f"collapsed: the code says next to nothing of the row ({held}, {idle})", _cure(facts, figures, run)
    elif state == "partly collapsed":
        yield f"partly collapsed: {idle}, {held}", _cure(facts, figures, run)
    elif active < latent:
        yield f"{idle}, which does no harm", f"latent = {active} would do; lower beta or the noise to use more"


def _cure(facts: Mapping[str, Any], figures: Mapping[str, Any], run: Run) -> str:
    """What to change: the noise or beta where even the best linear model would collapse, else the way of training."""
    expected, beta = figures["expected_dimensions"], facts["loss"]["beta"] or 1.0
    if expected is None or expected > 2 * facts["active_units"]:
        why = "" if expected is None else f"at this beta and sigma the best linear model uses {expected}; "
        warm = f"warm beta up, objective.beta = {{ start = 0.0, end = {beta:g}, over = 0.3 }}"
        return f"{why}{warm}, or set objective.free_bits = 0.1, or take a smaller decoder"
    theta = beta * figures["noise"]["sigma"] ** 2
    learn = "let sigma be learned, likelihood = gaussian:scale=learned, or " if _fixed(run) else ""
    return f"beta * sigma^2 = {theta:.3g} leaves even the best linear model {expected}; {learn}lower beta"


def _fixed(run: Run) -> bool:
    return run.config.model.likelihood.get("scale") == "fixed"


def _noise(facts: Mapping[str, Any], found: Mapping[str, Any] | None, run: Run) -> Iterator[Finding]:
    if found is None:
        return
    if not LOOSE <= found["calibration"] <= TIGHT:
        size = "large" if found["calibration"] < 1 else "small"
        times = f"{found['calibration'] ** 0.5:.2g} times"
        yield (f"sigma is too {size} for these rows: residuals are {times} what it says",
               "let it be learned, likelihood = gaussian:scale=learned" if _fixed(run) else
               "train longer, or see whether these rows are like the training rows")  # fmt: skip
    full, ours = (some.get("log_likelihood") for some in (facts["baselines"].get("gaussian", {}), facts))
    if found["single"] and full and ours and full["mean"] > ours["mean"] + 2 * (full["se"] + ours["se"]):
        yield (f"one sigma ({found['sigma']:.3g}) for all cells: a Gaussian that knows which cells hardly vary is "
               f"{full['mean'] - ours['mean']:.1f} nats ahead",
               "likelihood = gaussian:scale=per_dimension or gaussian:scale=predicted")  # fmt: skip


def _prior(facts: Mapping[str, Any], figures: Mapping[str, Any], run: Run) -> Iterator[Finding]:
    if facts["kl"] is None:
        return
    most, told, far = figures["most_information"], facts["mutual_information"], facts["aggregated_posterior"]
    if facts["kl"]["total"] > most and told > FULL * most:
        rows = run.facts["split"]["train"]
        yield (f"the code tells nearly every row apart: mutual information {told:.2f} of at most {most:.2f} nats, KL "
               f"{facts['kl']['total']:.2f} (ln of {rows} training rows: {math.log(rows):.2f})", "")  # fmt: skip
    if far["kl_to_prior"] > FAR and not far["saturated"]:
        yield (f"the codes of the data do not fill the prior: {far['kl_to_prior']:.2f} nats between them, "
               f"{far['total_correlation']:.2f} of it correlation of dimensions, so samples from the prior decode from "
               "places without data", "raise beta, or give the prior the shape of the codes")  # fmt: skip


def _overfit(run: Run) -> Iterator[Finding]:
    best = (run.summary.get("best") or {}).get("epoch")
    line = next((line for line in run.history if line["epoch"] == best), {})
    gap = line.get("train_elbo", math.nan) - line.get("validation_elbo", math.nan)
    if gap > SPLIT:
        yield (f"the bound of the training rows is {gap:.1f} nats above that of the validation rows at the best epoch",
               "it learns the rows by heart: more rows, smaller nets, or a larger beta")  # fmt: skip
