"""DCI: how much each code matters to trees that predict each factor."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lowerbound.measures.disentanglement.base import Array, Estimate, Labelled, Settings, parts

PARTS = 5  # of the rows, each learnt from alone, for standard errors
TREES, LEAF = 20, 20


def disentanglement_of(importances: Array) -> float:
    """How far each code matters to one factor alone: 1 - entropy of its row to base factors, weighted by its sum.

    Args:
        importances: (codes, factors), not negative.

    Source: Eastwood & Williams 2018, "A framework for the quantitative evaluation of disentangled representations",
    ICLR.

    >>> shared = disentanglement_of(np.pad(np.array([[1.0, 1.0]]), ((0, 0), (0, 8))))
    >>> round(shared, 3), disentanglement_of(np.zeros((2, 2)))  # 1 - ln 2 / ln 10
    (0.699, 0.0)
    """
    total = importances.sum()
    if not total > 0:
        return 0.0
    return float((importances.sum(1) / total * _purity(importances)).sum())


def completeness_of(importances: Array) -> float:
    """How far one code alone matters to each factor: the same of the columns.

    Args:
        importances: (codes, factors), not negative.

    Source: Eastwood & Williams 2018, ICLR.

    >>> completeness_of(np.eye(3))
    1.0
    """
    return disentanglement_of(importances.T)


def _purity(rows: Array) -> Array:
    sums = rows.sum(1, keepdims=True)
    share = rows / np.where(sums > 0, sums, 1.0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.asarray(1 + (share * logs).sum(1) / math.log(max(2, rows.shape[1])))


def importances(data: Labelled, trees: str, seed: int) -> tuple[Array, dict[int, Any]]:
    """Importances (codes, factors), each column adding to 1 (or 0), and the predictor of each factor.

    Args:
        data: rows to learn from.
        trees: ``forest``, 20 trees that look at all codes, at least 20 rows to a leaf; ``boosting``, scikit-learn's
            gradient boosting as it comes (Locatello et al. 2019), some hundred times slower for factors of many values.
        seed: of the trees.
    """
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier  # takes a second to load

    matrix, made = np.zeros((data.codes.shape[1], len(data.counts))), {}
    for k, classes in enumerate(data.classes.T):
        if len(np.unique(classes)) < 2:  # of few rows all may be alike
            continue
        if trees == "boosting":
            grown: Any = GradientBoostingClassifier(random_state=seed)
        else:  # a tree that sees some of the codes only must split on noise, which then seems to matter
            leaf = max(1, min(LEAF, len(data.codes) // 100))
            grown = RandomForestClassifier(TREES, min_samples_leaf=leaf, max_features=None, random_state=seed)
        made[k] = grown.fit(data.standard, classes)
        matrix[:, k] = made[k].feature_importances_
    return matrix, made


def dci(data: Labelled, settings: Settings, seed: int, errors: bool) -> Mapping[str, Estimate]:
    """``dci_disentanglement``, ``dci_completeness``, ``dci_informativeness`` (the share of rows told right, unseen).

    Standard errors from fifths of the rows, each learnt from alone; of the share, from its rows.
    """
    learn, judge = parts(data, settings, seed)
    matrix, made = importances(learn, settings.trees, seed)
    hits = np.stack([one.predict(judge.standard) == judge.classes[:, k] for k, one in made.items()], 1).mean(1)
    values = disentanglement_of(matrix), completeness_of(matrix)
    spread = np.full(2, math.nan)
    if errors:
        pieces = [learn.take(np.arange(i, len(learn.codes), PARTS)) for i in range(PARTS)]
        found = [importances(piece, settings.trees, seed)[0] for piece in pieces]
        each = np.array([(disentanglement_of(one), completeness_of(one)) for one in found])
        spread = each.std(0, ddof=1) / math.sqrt(PARTS)
    told = float(hits.mean()), float(hits.std() / math.sqrt(len(hits)))
    return {
        "dci_disentanglement": (values[0], float(spread[0])), "dci_completeness": (values[1], float(spread[1])),
        "dci_informativeness": told,
    }  # fmt: skip
