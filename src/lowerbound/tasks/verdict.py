"""What an evaluation comes to, in words."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt

from lowerbound.tasks.score import standard_error

SAME = 1e-4  # relative difference that float32 arithmetic alone may make
WORSE = 0.01  # a posterior mean shrinks towards the prior's, so that even exact probabilistic PCA loses a little to PCA

Array = npt.NDArray[Any]


def verdict(facts: Mapping[str, Any], log_p: Array | None, against: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Whether the model beats its baselines on these rows, whether it collapsed, whether to trust its log p(x).

    Args:
        facts: what ``evaluate`` found.
        log_p: log p(x) per row in nats, or None.
        against: baselines; those that can be compared have ``per_row``.
    """
    return [*_against(log_p, against), *_reconstruction(facts, against), *_collapse(facts), *_trust(facts)]


def _against(log_p: Array | None, against: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    names = {"ppca": "probabilistic PCA", "independent": "independent cells"}
    for name, found in against.items():
        if log_p is None or "per_row" not in found:
            continue
        gain = log_p - found["per_row"]
        mean, se = float(gain.mean()), standard_error(gain)
        least = max(2 * se, SAME * abs(float(log_p.mean())))
        word = "beats" if mean > least else "does not beat" if mean < -least else "is not told apart from"
        yield f"log p(x) {word} {names[name]} of the same latent size: {mean:+.2f} ± {se:.2f} nats per row"


def _reconstruction(facts: Mapping[str, Any], against: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    mse = facts["reconstruction"]["mse"]
    if "ppca" in against and mse > (1 + WORSE) * against["ppca"]["mse"]:
        theirs = against["ppca"]["mse"]
        yield f"reconstructs worse than PCA of the same latent size: mean squared error {mse:.4g} against {theirs:.4g}"


def _collapse(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["kl"] is None:
        return
    latent, active = len(facts["kl"]["per_dimension"]), facts["active_units"]
    if active == 0:
        yield f"collapsed: none of {latent} latent dimensions is used; lower beta, or warm it up from 0"
    elif active < latent:
        yield f"{latent - active} of {latent} latent dimensions are idle (variance of the posterior mean below 0.01)"
    most, found = math.log(facts["rows"]), facts["mutual_information"]
    if facts["kl"]["total"] > most and found > 0.95 * most:
        yield f"the code tells nearly every row apart: mutual information {found:.2f} of at most {most:.2f} nats"


def _trust(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts["log_likelihood"]
    if found is not None and not found["reliable"]:
        ess = f"{found['ess_median']:.1f} of {found['samples']}"
        yield f"log p(x) is not reliable: median effective sample size {ess}; it is likely too low, raise the samples"


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The lines that people read."""
    yield f"{facts['rows']} rows, nats per row, ± standard error over rows"
    for name, label in (("elbo", "ELBO"), ("cross_entropy_bound", "cross-entropy + KL (not a log-likelihood)")):
        if facts[name] is not None:
            yield _line(label, facts[name])
    found = facts["log_likelihood"]
    if found is not None:
        yield _line("log p(x)", found) + f"   K = {found['samples']}, ESS {found['ess_median']:.0f}"
    for name, baseline in facts["baselines"].items():
        if "log_likelihood" in baseline:
            yield _line(
                {"ppca": "probabilistic PCA, exact"}.get(name, f"{name} cells, exact"), baseline["log_likelihood"]
            )
    if facts["kl"] is not None:
        active = f"{facts['active_units']} of {len(facts['kl']['per_dimension'])} units active"
        yield f"{'KL':<42}{facts['kl']['total']:10.2f}   {active}"
    others = "".join(
        f", {name} {baseline['mse']:.4g}" for name, baseline in facts["baselines"].items() if "mse" in baseline
    )
    yield f"{'mean squared error of reconstruction':<42}{facts['reconstruction']['mse']:10.4g}{others}"
    yield from (f"- {sentence}" for sentence in facts["verdict"])


def _line(label: str, found: Mapping[str, float]) -> str:
    return f"{label:<42}{found['mean']:10.2f} ± {found['se']:.2f}"
