"""What scores are worth: p-values against held-out scores, typicality, and how well scores tell two kinds apart."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataShape
from lowerbound.measures.base import Measure

Array = npt.NDArray[Any]
BINS = 15  # of probabilities, as Guo et al. have it
REPEATS = 200  # of a bootstrap, and of answers that are right as often as they say


def conformal(held_out: Array, scores: Array) -> Array:
    """The share of held-out rows that are at least as strange: p-values in (0, 1].

    p = (1 + #{held-out score >= score}) / (n + 1). For a row drawn like the held-out ones P(p <= t) <= t, whatever the
    score; the least p-value is 1 / (n + 1).

    Args:
        held_out: (n,), scores of rows that the scores were not fitted on; higher is stranger.
        scores: (rows,), of the rows in question.

    Returns:
        (rows,); NaN where a score is.

    Raises:
        DataShape: no held-out scores.

    Sources: Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world"; Bates, Candès, Lei, Romano &
    Sesia 2023, "Testing for outliers with conformal p-values", Annals of Statistics 51.

    >>> conformal(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.5, 4.0]))
    array([1.  , 0.5 , 0.25])
    """
    known = np.sort(held_out[~np.isnan(held_out)])
    if not len(known):
        raise DataShape("p-values need held-out scores", found="none")
    above = len(known) - np.searchsorted(known, scores, side="left")
    return np.where(np.isnan(scores), math.nan, (1 + above) / (len(known) + 1))


def two_sided(held_out: Array, scores: Array) -> Array:
    """p-values of scores that are strange at either end: twice the smaller of the two one-sided ones, at most 1.

    Args:
        held_out: (n,), as of ``conformal``.
        scores: (rows,), of the rows in question.

    Returns:
        (rows,); NaN where a score is.

    Raises:
        DataShape: no held-out scores.

    Source: Bates, Candès, Lei, Romano & Sesia 2023, Annals of Statistics 51 (of one side).

    >>> two_sided(np.arange(9.0), np.array([-1.0, 4.0, 9.0]))
    array([0.2, 1. , 0.2])
    """
    ends = conformal(held_out, scores), conformal(-held_out, -scores)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(*ends)))


def typicality(held_out: Array, log_p: Array) -> Array:
    """|log p(x) - its mean over held-out rows|, in nats: strange are unlikely rows, and too likely ones as well.

    Args:
        held_out: (n,), log p(x) of rows that the model was not fitted on; what is not finite does not count.
        log_p: (rows,), of the rows in question.

    Returns:
        (rows,), higher is stranger.

    Raises:
        DataShape: no held-out rows.

    Source: Nalisnick, Matsukawa, Teh & Lakshminarayanan 2019, "Detecting out-of-distribution inputs to deep generative
    models using typicality", arXiv:1906.02994.

    >>> typicality(np.array([-90.0, -110.0]), np.array([-100.0, -150.0, -60.0]))
    array([ 0., 50., 40.])
    """
    known = held_out[np.isfinite(held_out)]
    if not len(known):
        raise DataShape("typicality needs held-out rows", found="none")
    away: Array = np.abs(log_p - known.mean())
    return away


def auroc(scores: Array, strange: Array) -> Measure:
    """Area under the ROC curve: the chance that a strange row scores above an ordinary one, ties counted half.

    The standard error is DeLong's: from the spread of each row's share of the other kind that it is on the right
    side of.

    Args:
        scores: (rows,), higher is stranger; infinite ones are ranked too.
        strange: (rows,), True or 1 for the rows to be found.

    Raises:
        DataShape: one of the two kinds is missing, or a score is NaN.

    Source: DeLong, DeLong & Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44.

    >>> auroc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 0, 1])).value
    0.75
    """
    found, rest = scores[strange.astype(bool)], scores[~strange.astype(bool)]
    if not (len(found) and len(rest)) or np.isnan(scores).any():
        have = f"{len(found)} and {len(rest)} rows, {int(np.isnan(scores).sum())} scores NaN"
        raise DataShape("an ROC curve needs ordinary and strange rows with scores", found=have)
    above, below = _right(rest, found), 1 - _right(found, rest)
    return Measure(float(above.mean()), math.hypot(_error(above), _error(below)), perfect=1.0, chance=0.5)


def calibration_error(probabilities: Array, labels: Array, *, bins: int = BINS, seed: int = 0) -> Measure:
    """Expected calibration error: how far what a classifier says of its guesses is from how often they are right.

    Rows are put into bins of the probability of their likeliest class; the error is the mean over rows of the distance
    between a bin's mean probability and its share of right guesses. It is above 0 of the best of classifiers too, for
    rows are few: ``perfect`` is its mean where each row is right with the probability that it says, ``p_value`` the
    share of such answers with as large an error. ``chance`` is that of certainty in every guess. The standard error
    is of 200 bootstrap samples of the rows.

    Args:
        probabilities: (rows, classes).
        labels: (rows,) codes.
        bins: of equal width between 0 and 1.
        seed: of both.

    Raises:
        DataShape: no rows, or as many labels as there are not.

    Sources: Naeini, Cooper & Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning", AAAI;
    Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599.

    >>> round(calibration_error(np.array([[0.9, 0.1]] * 10), np.array([0] * 8 + [1] * 2)).value, 6)
    0.1
    """
    if not len(labels) or len(probabilities) != len(labels):
        raise DataShape("calibration needs rows with labels", found=f"{len(probabilities)} rows, {len(labels)} labels")
    said, right = probabilities.max(1), probabilities.argmax(1) == labels
    rng, place = np.random.Generator(np.random.PCG64(seed)), np.minimum((said * bins).astype(int), bins - 1)
    value = _gap(said, right, place)
    drawn = [rng.integers(len(said), size=len(said)) for _ in range(REPEATS)]
    again = [_gap(said[some], right[some], place[some]) for some in drawn]
    true = np.array([_gap(said, rng.random(len(said)) < said, place) for _ in range(REPEATS)])
    p_value = (1 + int((true >= value).sum())) / (REPEATS + 1)
    return Measure(value, float(np.std(again, ddof=1)), float(true.mean()), float(1 - right.mean()), p_value)


def _gap(said: Array, right: Array, place: Array) -> float:
    """Sum over bins of |sum of what is said less the number of right ones|, over the rows."""
    return float(np.abs(np.bincount(place, said - right)).sum() / len(said))


def _right(others: Array, scores: Array) -> Array:
    """For each score the share of the others below it, ties counted half."""
    known = np.sort(others)
    places = np.searchsorted(known, scores, side="left") + np.searchsorted(known, scores, side="right")
    return np.asarray(places / (2 * len(known)))


def _error(shares: Array) -> float:
    return float(shares.std(ddof=1) / math.sqrt(len(shares))) if len(shares) > 1 else math.nan
