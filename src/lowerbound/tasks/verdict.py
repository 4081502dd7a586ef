"""What an evaluation comes to, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt

from lowerbound.tasks.score import standard_error

SAME = 1e-4  # relative difference that float32 arithmetic alone may make
WORSE = 0.01  # a posterior mean shrinks towards the prior's, so that even exact probabilistic PCA loses a little to PCA
CHANGE = "; to change it: "
NAMES = {
    "ppca": "probabilistic PCA of the same latent size",
    "gaussian": "a Gaussian with a full covariance",
    "independent": "independent cells",
}  # fmt: skip

SHORT = {"ppca": "probabilistic PCA", "gaussian": "full Gaussian", "independent": "independent cells"}

Array = npt.NDArray[Any]


def verdict(facts: Mapping[str, Any], log_p: Array | None, against: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Whether the model beats its baselines on these rows, whether it collapsed, whether to trust its log p(x).

    Args:
        facts: what ``evaluate`` found.
        log_p: log p(x) per row in nats, or None.
        against: baselines; those that can be compared have ``per_row``.
    """
    return [*_against(facts, log_p, against), *_reconstruction(facts, against), *_diagnosis(facts), *_trust(facts)]


def _against(facts: Mapping[str, Any], log_p: Array | None, against: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, found in against.items():
        if log_p is None or "per_row" not in found:
            continue
        gain = log_p - found["per_row"]
        mean, se = float(gain.mean()), standard_error(gain)
        least = max(2 * se, SAME * abs(float(log_p.mean())))
        word = "beats" if mean > least else "does not beat" if mean < -least else "is not told apart from"
        told = f" that is told {_given(facts)}" if _given(facts) else ""
        yield f"{_log_p(facts)} {word} {NAMES[name]}{told}: {mean:+.2f} ± {se:.2f} nats per row"


def _given(facts: Mapping[str, Any]) -> str:
    """What the model is conditioned on."""
    return str(facts["loss"].get("given", ""))


def _log_p(facts: Mapping[str, Any]) -> str:
    return f"log p(x|{_given(facts)})" if _given(facts) else "log p(x)"


def _reconstruction(facts: Mapping[str, Any], against: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    mse = facts["reconstruction"]["mse"]
    if "ppca" in against and mse is not None and mse > (1 + WORSE) * against["ppca"]["mse"]:
        theirs = against["ppca"]["mse"]
        yield f"reconstructs worse than PCA of the same latent size: mean squared error {mse:.4g} against {theirs:.4g}"


def _diagnosis(facts: Mapping[str, Any]) -> Iterator[str]:
    for found in facts["doctor"]["findings"]:
        yield found["what"] + (f"{CHANGE}{found['change']}" if found["change"] else "")


def _trust(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts["log_likelihood"]
    if found is not None and not found["reliable"]:
        ess = f"{found['ess_median']:.1f} of {found['samples']}"
        about = f"median effective sample size {ess}; it is likely too low, raise the samples"
        yield f"{_log_p(facts)} is not reliable: {about}"


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The lines that people read."""
    yield f"{facts['rows']} rows, nats per row, ± standard error over rows"
    for name, label in (("elbo", "ELBO"), ("cross_entropy_bound", "cross-entropy + KL (not a log-likelihood)")):
        if facts[name] is not None:
            yield _line(label, facts[name])
    found = facts["log_likelihood"]
    if found is not None:
        about = f"   K = {found['samples']}, ESS {found['ess_median']:.0f}, of a {facts['quantity']}"
        yield _line(_log_p(facts), found) + about
    if facts["bits_per_dimension"] is not None:
        bits = facts["bits_per_dimension"]
        yield f"{'bits per dimension':<42}{bits['mean']:10.4f} ± {bits['se']:.4f}"
    for name, baseline in facts["baselines"].items():
        if "log_likelihood" in baseline:
            told = f" given {_given(facts)}" if _given(facts) else ""
            yield _line(f"{SHORT[name]}{told}, exact", baseline["log_likelihood"])
    yield from _codes(facts)
    if facts.get("columns"):
        yield from _columns(facts["columns"], facts["baselines"].get("independent", {}).get("columns", {}))
    if facts["reconstruction"]["mse"] is not None:
        others = "".join(f", {name} {row['mse']:.4g}" for name, row in facts["baselines"].items() if "mse" in row)
        yield f"{'mean squared error of reconstruction':<42}{facts['reconstruction']['mse']:10.4g}{others}"
    yield from _probes(facts["probes"] or {})
    yield from (f"- {sentence}" for sentence in facts["verdict"])


def _columns(found: Mapping[str, float], alone: Mapping[str, float]) -> Iterator[str]:
    """The columns given z, beside what each would add on its own; what the code takes is not in them."""
    yield "what columns add to log p(x), given z" + ("; in brackets each on its own:" if alone else ":")
    for name, value in found.items():
        yield f"  {name:<40}{value:10.2f}" + (f" ({alone[name]:.2f})" if alone else "")


def _codes(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["kl"] is None:
        return
    active = f"{facts['active_units']} of {facts['kl']['latent']} units active"
    most = facts["doctor"]["most_information"]
    information = f"mutual information {facts['mutual_information']:.2f} of at most {most:.2f}"
    yield f"{'KL':<42}{facts['kl']['total']:10.2f}   {active}, {information}"


def _probes(found: Mapping[str, Any]) -> Iterator[str]:
    for setting, row in found.items():
        if row is not None:
            told = ", ".join(
                f"{name} {row[name]['linear']['mean']:.3f} / {row[name]['knn']['mean']:.3f}"
                for name in ("codes", "ppca", "raw") if name in row
            )  # fmt: skip
            name = f"labels, linear / 5 neighbours, {setting.replace('_', ' ')}"
            yield f"{name}: {told}, chance {row['chance']:.3f}"


def _line(label: str, found: Mapping[str, float]) -> str:
    return f"{label:<42}{found['mean']:10.2f} ± {found['se']:.2f}"
