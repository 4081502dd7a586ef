"""IRS: how little a code moves while one factor is held and the others change."""

import math
from collections.abc import Mapping

import numpy as np

from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings, jackknife

QUANTILE = 0.99


def robustness(data: Labelled) -> Array:
    """1 - (deviation while a factor is held) / (largest deviation), (codes, factors); 0 for codes that do not vary.

    For each value of a factor the 99th percentile of |z - mean| among the rows with it; the mean over values.

    Args:
        data: from `labelled`.
    """
    largest = np.abs(data.codes - data.codes.mean(0)).max(0)
    moved = np.stack([_moved(data.codes, classes) for classes in data.classes.T], 1)
    scale = np.where(largest > 0, largest, 1.0)[:, None]
    return np.asarray(np.where(largest[:, None] > 0, 1 - moved / scale, 0.0))


def _moved(codes: Array, classes: Array) -> Array:
    groups = (codes[classes == kind] for kind in np.unique(classes))
    return np.asarray(np.mean([np.quantile(np.abs(some - some.mean(0)), QUANTILE, axis=0) for some in groups], axis=0))


def irs(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``irs``: of each code the robustness for the factor that suits it best, weighted by the code's largest deviation.

    Source: Suter, Miladinović, Schölkopf & Bauer 2019, "Robustly disentangled causal mechanisms: Validating deep
    representations for interventional robustness", ICML, arXiv:1811.00007.
    """

    def value(rows: Array) -> float:
        some = data.take(rows)
        weights = np.abs(some.codes - some.codes.mean(0)).max(0)
        return float(np.average(robustness(some).max(1), weights=weights))

    rows = len(data.codes)
    return {"irs": (value(np.arange(rows)), float(jackknife(value, rows, seed)) if errors else math.nan)}
