"""Likelihood families as plain tables, for the code that the page has for each."""

import math
from collections.abc import Callable
from typing import Any

import torch

from lowerbound import likelihoods
from lowerbound.errors import Incompatible
from lowerbound.explorer import columns
from lowerbound.explorer.blob import Blob
from lowerbound.likelihoods import Likelihood
from lowerbound.model import VAE

TAIL = 0.95  # quantile at the upper end of an interval
NORMAL, LAPLACE = 1.6448536269514722, math.log(10)  # where that is for a scale of 1


def describe(model: VAE, blob: Blob) -> dict[str, Any]:
    """Name and numbers of a model's likelihood; its arrays go into the blob.

    Raises:
        Incompatible: the page has no code for it.
    """
    family: Likelihood = model.likelihood_family
    if isinstance(family, likelihoods.Columns):
        return columns.describe(model)
    if type(family) not in FAMILIES:
        kinds: list[type[Likelihood]] = [*FAMILIES, likelihoods.Columns]
        known = ", ".join(f"'{kind.name}'" for kind in kinds)
        raise Incompatible(f"the page has no code for {family.title}", expected=f"one of {known}")
    with torch.no_grad():
        return {"name": family.name, **FAMILIES[type(family)](family, blob)}


def _nothing(family: Any, blob: Blob) -> dict[str, Any]:
    return {}


def _located(family: Any, blob: Blob) -> dict[str, Any]:
    """Mean and scale; the scale is one number, one per cell, or in the decoder's numbers."""
    facts = {"tail": _tail(family), "squash": getattr(family, "mean", "identity") == "sigmoid"}
    if family.scale == "predicted":
        return {**facts, "floor": family.floor, "log_variance": float(family.log_variance)}
    scale = family(torch.zeros(family.numbers, dtype=torch.float64)).scale
    return {**facts, "scale": blob.add(scale if family.scale == "per_dimension" else scale.flatten()[:1], "f4")}


def _tail(family: Any) -> float:
    if isinstance(family, likelihoods.StudentT):
        from scipy.special import stdtrit

        return float(stdtrit(family.freedom, TAIL))
    return LAPLACE if isinstance(family, likelihoods.Laplace) else NORMAL


def _counts(family: Any, blob: Blob) -> dict[str, Any]:
    """Log mean at a decoder's zero and, of a negative binomial, log r, per cell; and what the decoder says beside."""
    level = (family.level + family.usual).expand(family.shape)
    facts = {"level": blob.add(level.cpu(), "f4"), "zeros": isinstance(family, likelihoods.ZeroInflated)}
    if hasattr(family, "sizes") and hasattr(family.sizes, "slow"):
        return {**facts, "log_size": blob.add(family.sizes().expand(family.shape).cpu(), "f4")}
    return {**facts, "says_size": getattr(family, "dispersion", "") == "predicted"}


def _levels(family: Any, blob: Blob) -> dict[str, Any]:
    predicted = family.scale == "predicted"
    log_scale = likelihoods.base.HASTE * family.slow
    return {"components": family.components, "predicted": predicted, "log_scale": blob.add(log_scale.cpu(), "f4")}


FAMILIES: dict[type[Likelihood], Callable[[Any, Blob], dict[str, Any]]] = {
    likelihoods.Bernoulli: _nothing,
    likelihoods.Categorical: lambda family, blob: {"categories": family.categories},
    likelihoods.ContinuousBernoulli: _nothing,
    likelihoods.DiscretisedLogistic: _levels,
    likelihoods.Gaussian: _located,
    likelihoods.Laplace: _located,
    likelihoods.NegativeBinomial: _counts,
    likelihoods.Poisson: _counts,
    likelihoods.StudentT: _located,
    likelihoods.ZeroInflated: _counts,
}
