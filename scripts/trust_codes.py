"""Mistakes about the aggregated posterior, for ``trust.py``: weights of minibatches, and axes that are mixed up."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from lowerbound.measures import mutual_information, total_correlation

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Cell = float | int | str
Rows = Sequence[Sequence[Cell]]


def log_mean(log_w: Array) -> Array:
    """log of the mean of exp, over the last axis."""
    top = log_w.max(-1)
    found: Array = top + np.log(np.exp(log_w - top[..., None]).mean(-1))
    return found


ROWS, LATENT, BATCH = 4096, 10, 64


@cache
def posteriors() -> tuple[Array, Array, Array]:
    """Means, variances and draws of 4096 narrow posteriors in ten dimensions, standard normal taken together."""
    rng = np.random.default_rng(0)
    mean = math.sqrt(0.99) * rng.standard_normal((ROWS, LATENT))
    variance = np.full_like(mean, 0.01)
    return mean, variance, mean + np.sqrt(variance) * rng.standard_normal(mean.shape)


def pair_densities(z: Array, mean: Array, variance: Array) -> Array:
    """log q(z_i,d | x_j), (rows of z, posteriors, dimensions)."""
    found: Array = -0.5 * ((z[:, None] - mean) ** 2 / variance + np.log(2 * math.pi * variance))
    return found


@cache
def exact_aggregate() -> tuple[float, float]:
    """Mean of log q(z) and total correlation, by summing over all posteriors."""
    mean, variance, draw = posteriors()
    whole, single = [], []
    for z in np.array_split(draw, ROWS // BATCH):
        each = [pair_densities(z[:, [d]], mean[:, [d]], variance[:, [d]])[..., 0] for d in range(LATENT)]
        whole.append(log_mean(np.sum(each, axis=0)))
        single.append(np.sum([log_mean(pairs) for pairs in each], axis=0))
    log_q = float(np.concatenate(whole).mean())
    return log_q, log_q - float(np.concatenate(single).mean())


def stratified(batch: int, rows: int, *, misplaced: bool) -> Array:
    """Weights of stratified sampling: a row's own posterior counts 1/N, one other what is missing, the rest 1/M."""
    others = batch - 1
    rest = (rows - others) / (rows * others)
    w = np.full((batch, batch), 1 / others)
    if misplaced:  # a stride of M + 1 runs down the first two columns: the matrix is M + 1 wide
        w.reshape(-1)[::batch] = 1 / rows
        w.reshape(-1)[1::batch] = rest
        w[others - 1, 0] = rest
    else:
        np.fill_diagonal(w, 1 / rows)
        w[np.arange(batch), (np.arange(batch) + 1) % batch] = rest
    return w


def minibatch_log_q(weights: Array, *, per_dimension: bool) -> tuple[float, float]:
    """Mean of log q(z) and total correlation, estimated batch by batch with a matrix of weights."""
    mean, variance, draw = posteriors()
    log_weight = np.log(weights)
    whole, single = [], []
    for first in range(0, ROWS, BATCH):
        rows = slice(first, first + BATCH)
        pairs = pair_densities(draw[rows], mean[rows], variance[rows])
        each = pairs + log_weight[..., None]
        sums = each.sum(-1) if per_dimension else pairs.sum(-1) + log_weight
        whole.append(log_mean(sums) + math.log(BATCH))
        single.append((log_mean(each.transpose(0, 2, 1)) + math.log(BATCH)).sum(-1))
    log_q = float(np.concatenate(whole).mean())
    return log_q, log_q - float(np.concatenate(single).mean())


def our_aggregate() -> tuple[float, float]:
    """Mean of log q(z) and total correlation from the package's measures."""
    mean, variance, draw = posteriors()
    own = -0.5 * ((draw - mean) ** 2 / variance + np.log(2 * math.pi * variance)).sum(1).mean()
    return float(own) - mutual_information(mean, variance, draw), total_correlation(mean, variance, draw)


def stratification() -> Rows:
    """Weights in the wrong columns."""
    wrong, right = (stratified(BATCH, ROWS, misplaced=misplaced) for misplaced in (True, False))
    exact = exact_aggregate()[0]
    by_batches = [minibatch_log_q(weights, per_dimension=False)[0] for weights in (right, wrong)]
    return [
            ("log q(z), mean, over all rows (nats)", exact, our_aggregate()[0], "none"),
            ("log q(z), mean, by minibatches (nats)", exact, *by_batches),
            ("largest sum of a row of weights", 1.0, float(right.sum(1).max()), float(wrong.sum(1).max())),
        ]  # fmt: skip


def weights_per_dimension() -> Rows:
    """The logarithm of a weight added once for each dimension."""
    wrong = minibatch_log_q(stratified(BATCH, ROWS, misplaced=True), per_dimension=True)
    exact, ours = exact_aggregate(), our_aggregate()
    return [
        ("log q(z), mean (nats)", exact[0], ours[0], wrong[0]),
        ("total correlation (nats)", exact[1], ours[1], wrong[1]),
    ]


@cache
def factored() -> tuple[Array, Array, Array, Index]:
    """Posteriors of two factors with ten levels in two dimensions of three, and the factors: 2000 rows."""
    rng = np.random.default_rng(1)
    levels = np.stack(np.meshgrid(np.arange(10), np.arange(10), np.arange(20), indexing="ij"), -1).reshape(-1, 3)[:, :2]
    mean = np.concatenate([levels * [0.9, 0.25] - [4.05, 1.125], np.zeros((len(levels), 1))], axis=1)
    variance = np.broadcast_to([0.02, 0.02, 1.0], mean.shape).copy()
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / len(mean)) for i in range(len(mean))])
    eps = np.stack([rng.permutation(quantiles) for _ in range(3)], axis=1)  # spread evenly: less noise
    return mean, variance, mean + np.sqrt(variance) * eps, levels


def quadrature_entropies(mean: Array, variance: Array) -> Array:
    """H(z_j) of the mixture of posteriors, by summing over a fine grid."""
    grid = np.linspace(-12, 12, 8001)
    found = []
    for j in range(mean.shape[1]):
        pairs, counts = np.unique(np.stack([mean[:, j], variance[:, j]], 1), axis=0, return_counts=True)
        gap = (grid[:, None] - pairs[:, 0]) ** 2 / pairs[:, 1]
        q = (np.exp(-0.5 * gap) / np.sqrt(2 * math.pi * pairs[:, 1])) @ (counts / counts.sum())
        found.append(-float((q[q > 0] * np.log(q[q > 0])).sum() * (grid[1] - grid[0])))
    return np.array(found)


def our_entropies(mean: Array, variance: Array, draw: Array) -> Array:
    """H(z_j) = I(x; z_j) + H(z_j | x), with the package's mutual information."""
    own = 0.5 * np.log(2 * math.pi * math.e * variance).mean(0)
    told = [mutual_information(mean[:, [j]], variance[:, [j]], draw[:, [j]]) for j in range(mean.shape[1])]
    return np.array(told) + own


def mixed_entropies(mean: Array, variance: Array, draw: Array) -> Array:
    """The same after a reshape where a transpose was meant: numbers of all dimensions stand in each row."""
    mixed = draw.reshape(draw.shape[1], len(draw))
    pairs = [pair_densities(mixed[j][:, None], mean[:, [j]], variance[:, [j]])[..., 0] for j in range(len(mixed))]
    return np.array([-float(log_mean(pair).mean()) for pair in pairs])


def information_gap(entropies: Callable[[Index], Array]) -> float:
    """MIG: for each factor the two dimensions that say most of it, their difference over the factor's entropy."""
    levels = factored()[3]
    whole = entropies(np.arange(len(levels)))
    gaps = []
    for factor in levels.T:
        given = np.mean([entropies(np.flatnonzero(factor == level)) for level in range(10)], axis=0)
        told = np.sort(np.clip(whole - given, 0, None))
        gaps.append((told[-1] - told[-2]) / math.log(10))
    return float(np.mean(gaps))


def reshaped() -> Rows:
    """A view in place of a transpose."""
    mean, variance, draw, _ = factored()
    ways: list[Callable[[Index], Array]] = [
        lambda rows: quadrature_entropies(mean[rows], variance[rows]),
        lambda rows: our_entropies(mean[rows], variance[rows], draw[rows]),
        lambda rows: mixed_entropies(mean[rows], variance[rows], draw[rows]),
    ]
    exact, ours, wrong = (way(np.arange(len(mean))) for way in ways)
    rows: list[tuple[str, Cell, Cell, Cell]] = [
        (f"entropy of dimension {j + 1} (nats)", float(exact[j]), float(ours[j]), float(wrong[j])) for j in range(3)
    ]
    rows.append(("mutual information gap (MIG)", *(information_gap(way) for way in ways)))  # type: ignore[arg-type]
    return rows
