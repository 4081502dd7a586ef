"""How well factors are told from one code (SAP) and from all (explicitness)."""

import math
import warnings
from collections.abc import Mapping

import numpy as np

from lowerbound.measures.calibration import auroc
from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings, gap, jackknife, parts


def sap(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``sap``: accuracy of a linear rule on the best code less that on the second best, the mean over factors.

    The rule is a support vector machine (C = 0.01, classes balanced) on the standardised code. It cannot tell more than
    a few classes on a line, so even a perfect code is far below 1. The standard error is over the rows judged.

    Source: Kumar, Sattigeri & Balakrishnan 2018, "Variational inference of disentangled latent concepts from unlabeled
    observations", ICLR, arXiv:1711.00848.
    """
    learn, judge = parts(data, settings, seed)
    hits = np.stack([[_told(learn, judge, j, k) for k in range(len(data.counts))] for j in range(data.codes.shape[1])])

    def value(rows: Array) -> float:
        return float(gap(hits[:, :, rows].mean(2)).mean())

    rows = len(judge.codes)
    return {"sap": (value(np.arange(rows)), float(jackknife(value, rows, seed)) if errors else math.nan)}


def _told(learn: Labelled, judge: Labelled, code: int, factor: int) -> Array:
    """Which rows are told right from one code."""
    from sklearn.exceptions import ConvergenceWarning  # the library takes a second to load
    from sklearn.svm import LinearSVC

    if len(np.unique(learn.classes[:, factor])) < 2:  # of few rows all may be alike
        return np.asarray(judge.classes[:, factor] == learn.classes[0, factor])
    rule = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=0)
    x, y = learn.codes[:, [code]], judge.codes[:, [code]]
    middle, scale = x.mean(), float(x.std()) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rule.fit((x - middle) / scale, learn.classes[:, factor])
    return np.asarray(rule.predict((y - middle) / scale) == judge.classes[:, factor])


def sap_continuous(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``sap_continuous``: squared correlation of the best code less that of the second best, the mean over factors.

    With the values of factors, in the order of their numbers: for factors that are quantities.

    Source: Kumar, Sattigeri & Balakrishnan 2018, arXiv:1711.00848.
    """

    def value(rows: Array) -> float:
        some = data.take(rows)
        away = some.values - some.values.mean(0)
        correlation = some.standard.T @ (away / away.std(0)) / len(rows)
        return float(gap(correlation**2).mean())

    rows = len(data.codes)
    spread = float(jackknife(value, rows, seed)) if errors else math.nan
    return {"sap_continuous": (value(np.arange(rows)), spread)}


def explicitness(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``explicitness``: area under the ROC curve of a logistic regression on all codes, one class against the rest.

    The mean over classes and then factors; 0.5 is chance. The standard error is over the rows judged.

    Source: Ridgeway & Mozer 2018, arXiv:1802.05312.
    """
    learn, judge = parts(data, settings, seed)
    told = [k for k in range(len(data.counts)) if len(np.unique(learn.classes[:, k])) > 1]
    chances = {k: _chances(learn, judge, k) for k in told}

    def value(rows: Array) -> float:
        return float(np.mean([_area(found, judge.classes[rows, k], rows) for k, found in chances.items()]))

    rows = len(judge.codes)
    return {"explicitness": (value(np.arange(rows)), float(jackknife(value, rows, seed)) if errors else math.nan)}


def _chances(learn: Labelled, judge: Labelled, factor: int) -> tuple[Array, Array]:
    """The classes that were learnt and their probabilities, (rows, classes)."""
    from sklearn.linear_model import LogisticRegression

    rule = LogisticRegression(max_iter=1000).fit(learn.standard, learn.classes[:, factor])
    return rule.classes_, rule.predict_proba(judge.standard)


def _area(found: tuple[Array, Array], truth: Array, rows: Array) -> float:
    present = [(i, kind) for i, kind in enumerate(found[0]) if 0 < (truth == kind).sum() < len(truth)]
    return float(np.mean([auroc(found[1][rows, i], truth == kind).value for i, kind in present]))
