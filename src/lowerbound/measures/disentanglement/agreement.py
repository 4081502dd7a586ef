"""UDR: which of several runs to trust, without factors: the one that others agree with."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lowerbound.errors import BadOption, DataShape
from lowerbound.measures.disentanglement.base import GROUPS, Array, Score, standardised

PENALTY = 0.1  # of the lasso, on standardised codes
INFORMATIVE = 0.01  # nats of KL above which a code takes part


def similarity(a: Array, b: Array, how: str = "spearman") -> Array:
    """How alike the codes of two runs are, (codes of a, codes of b), 0 to 1.

    Args:
        a: (rows, codes).
        b: (rows, codes), of the same rows.
        how: ``spearman``, the rank correlation without its sign, or ``lasso``, the weights without their signs of the
            codes of a in a sparse linear prediction of each of b.

    Raises:
        BadOption: another way.

    >>> grid = np.indices((4, 5)).reshape(2, -1).T.astype(float)
    >>> similarity(grid, -grid[:, ::-1]).round(6).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if how == "spearman":
        from scipy.stats import rankdata

        x, y = (standardised(rankdata(codes, axis=0)) for codes in (a, b))
        return np.asarray(np.abs(x.T @ y) / len(x))
    if how != "lasso":
        raise BadOption("unknown similarity", where="how", found=repr(how), expected="spearman or lasso")
    from sklearn.linear_model import Lasso

    x, y = standardised(a), standardised(b)
    return np.stack([np.abs(Lasso(alpha=PENALTY, random_state=0).fit(x, column).coef_) for column in y.T], 1)


def agreement_of(matrix: Array, weights: Sequence[Array] | None = None) -> float:
    """UDR of a pair of runs: does each code of one go with a single code of the other?

    (sum_b max_a R^2 / sum_a R + sum_a max_b R^2 / sum_b R) / (codes of both), over codes with weight 1.

    Args:
        matrix: R, (codes of one, codes of the other), 0 to 1.
        weights: which codes of the one and of the other are informative, 1 or 0.

    >>> agreement_of(np.eye(3)), agreement_of(np.full((2, 2), 0.5))
    (1.0, 0.25)
    """
    rows, columns = weights or (np.ones(len(matrix)), np.ones(matrix.shape[1]))
    kept = matrix[rows > 0][:, columns > 0]
    if not kept.size:
        return 0.0
    found = 0.0
    for sums, tops in ((kept.sum(0), kept.max(0)), (kept.sum(1), kept.max(1))):
        found += float((tops**2 / np.where(sums > 0, sums, 1.0)).sum())
    return found / sum(kept.shape)


def udr(codes: Sequence[Any], kl: Sequence[Any] | None = None, *, how: str = "spearman") -> list[Score]:
    """Unsupervised disentanglement ranking: of each run the median agreement with the others; the highest is chosen.

    ``perfect`` is 1, that of runs with the same independent codes in another order and with other signs; ``chance``
    that of noise in place of the other runs; ``rotation`` that of the run's own codes, rotated at random. The standard
    error is that of a median of normal values.

    Args:
        codes: of two or more runs that differ in their seed, each (rows, codes), of the same rows.
        kl: mean KL of each code in nats, for each run: those at 0.01 nats and below do not take part. None: all do.
        how: ``spearman`` or ``lasso``, of ``similarity``.

    Raises:
        DataShape: fewer than two runs, other rows, or KLs that do not fit.
        BadOption: another similarity.

    Source: Duan et al. 2020, "Unsupervised model selection for variational disentangled representation learning", ICLR,
    arXiv:1905.12614.

    >>> grid = np.indices((9, 9)).reshape(2, -1).T.astype(float)
    >>> [round(score.value, 6) for score in udr([grid, -grid, grid[:, ::-1]])]
    [1.0, 1.0, 1.0]
    """
    runs = [np.asarray(some, dtype=np.float64) for some in codes]
    shapes = [some.shape for some in runs]
    if len(runs) < 2 or {len(shape) for shape in shapes} != {2} or len({shape[0] for shape in shapes}) > 1:
        raise DataShape("runs that cannot agree", found=f"{shapes}", expected="two or more, each (rows, codes)")
    weights = [np.ones(shape[1]) for shape in shapes] if kl is None else [np.asarray(one) > INFORMATIVE for one in kl]
    if [len(one) for one in weights] != [shape[1] for shape in shapes]:
        raise DataShape("KLs do not fit the codes", found=str([len(one) for one in weights]), expected=str(shapes))
    found = np.full((len(runs), len(runs)), math.nan)
    for i, k in combinations(range(len(runs)), 2):
        value = agreement_of(similarity(runs[i], runs[k], how), (weights[i], weights[k]))
        found[i, k] = found[k, i] = value
    return [_ranked(runs[i], weights[i], found[i][~np.isnan(found[i])], how) for i in range(len(runs))]


def _ranked(codes: Array, weights: Array, values: Array, how: str) -> Score:
    rng = np.random.default_rng(0)
    size = codes.shape[1]
    turned = standardised(codes) @ np.linalg.qr(rng.normal(size=(size, size)))[0]
    noise = [rng.normal(size=codes.shape) for _ in range(GROUPS)]
    against = [agreement_of(similarity(codes, other, how), (weights, weights)) for other in (turned, *noise)]
    se = math.sqrt(math.pi / 2 / len(values)) * float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Score(float(np.median(values)), se, 1.0, float(np.median(against[1:])), rotation=against[0])
