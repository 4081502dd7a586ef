"""How like the data generated rows are, without a pretrained network.

Every measure takes real rows that the generator was not fitted on and made rows, as many of each, in the same units.
Samples must stand on the grid of the data (``snap``): a classifier tells 0.4999 from 0.5 every time.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist
from scipy.stats import fisher_exact
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lowerbound.errors import BadOption, DataShape, unknown
from lowerbound.measures.base import Measure, both, share
from lowerbound.measures.calibration import auroc

Array = npt.NDArray[Any]

FOLDS = 5
COMPONENTS = 20
GROUPS = 10  # of rows that a jackknife leaves out in turn

CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "forest": lambda seed: RandomForestClassifier(100, random_state=seed),
    "mlp": lambda seed: make_pipeline(StandardScaler(), MLPClassifier((100,), max_iter=200, random_state=seed)),
}


def snap(made: Array, data: Array, *, pooled: bool) -> Array:
    """Move generated values to the nearest that the data have, where the data have few: their grid.

    Args:
        made: (rows, ...).
        data: (n, ...), to learn the grid from.
        pooled: all cells have one grid, as the pixels of an image have; else each has its own. A grid has at most half
            as many values as there are rows, so that on average each is met twice; other cells stay as they are.

    Returns:
        Of the shape of ``made``, float64.

    >>> snap(np.array([[0.3], [0.9]]), np.array([[0.0], [0.5], [0.5], [0.0]]), pooled=True)
    array([[0.5],
           [0.5]])
    """
    flat, seen = (np.asarray(some, dtype=np.float64).reshape(len(some), -1) for some in (made, data))
    if pooled:
        return _nearest(flat, np.unique(seen), len(seen)).reshape(made.shape)
    columns = [_nearest(flat[:, j], np.unique(seen[:, j]), len(seen)) for j in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(made.shape)


def _nearest(values: Array, grid: Array, rows: int) -> Array:
    if len(grid) > rows / 2:
        return values
    between = (grid[1:] + grid[:-1]) / 2
    return np.asarray(grid[np.searchsorted(between, values)])


def two_sample(real: Array, made: Array, *, classifier: str = "forest", seed: int = 0) -> Measure:
    """Accuracy of a classifier, on rows it has not seen, at telling made rows from real ones.

    5-fold cross-validation; of the larger set a part of the smaller one's size is drawn. 0.5 is perfect, 1 means that
    every made row gives itself away. The standard error is binomial; with p from the normal law, on the side of
    accuracies above 0.5.

    Args:
        real: (rows, ...), not those the generator was fitted on.
        made: (rows, ...), on the grid of the data.
        classifier: ``forest`` (100 trees) or ``mlp`` (100 units, standardised cells).
        seed: of the folds and the classifier.

    Raises:
        UnknownName: another classifier.
        DataShape: rows of different sizes, or fewer than five.

    Source: Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", ICLR, arXiv:1610.06545.

    >>> rng = np.random.default_rng(0)
    >>> two_sample(rng.normal(size=(50, 2)), rng.normal(9, 1, size=(50, 2))).value
    1.0
    """
    if classifier not in CLASSIFIERS:
        raise unknown("classifier", classifier, CLASSIFIERS)
    x, y = _alike(*both(real, made, FOLDS), seed)
    rows, truth = np.concatenate([x, y]), np.repeat([0, 1], len(x))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one that stops early is a classifier as well
        told = cross_val_predict(CLASSIFIERS[classifier](seed), rows, truth, cv=folds)
    value, se = share(told == truth)
    return Measure(value, se, 0.5, 1.0, _upper((value - 0.5) * 2 * math.sqrt(len(rows))))


def _alike(x: Array, y: Array, seed: int) -> tuple[Array, Array]:
    """As many rows of each, the larger set thinned at random."""
    rng, rows = np.random.default_rng(seed), min(len(x), len(y))
    some = [one if len(one) == rows else one[rng.choice(len(one), rows, replace=False)] for one in (x, y)]
    return some[0], some[1]


def _upper(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def mmd(real: Array, made: Array, *, permutations: int = 199, seed: int = 0) -> Measure:
    """Squared maximum mean discrepancy, unbiased, with a permutation test.

    Kernel exp(-||a - b||^2 / (2 h^2)), h the median distance of all rows. The p-value is the rank of the value among
    those of random splits of the rows in two; where both sets have one distribution P(p <= t) <= t. The standard error
    is the spread of those values: that of the value if nothing is to be found. ``chance`` is the value if no made row
    were near a real one.

    Args:
        real: (rows, ...), not those the generator was fitted on.
        made: (rows, ...).
        permutations: random splits; the least p-value is 1 / (permutations + 1).
        seed: of the splits.

    Raises:
        BadOption: no permutations.
        DataShape: rows of different sizes, or fewer than two.

    Source: Gretton, Borgwardt, Rasch, Schölkopf & Smola 2012, "A kernel two-sample test", JMLR 13.

    >>> rng = np.random.default_rng(0)
    >>> mmd(rng.normal(size=(50, 2)), rng.normal(9, 1, size=(50, 2))).p_value
    0.005
    """
    if permutations < 1:
        raise BadOption("not a number of permutations", where="permutations", found=str(permutations), expected="1 up")
    x, y = both(real, made)
    rows = len(x) + len(y)
    squared = pdist(np.concatenate([x, y]), "sqeuclidean")
    kernel = _square(np.exp(-squared / (2 * max(float(np.median(squared)), 1e-300))), rows)
    rng = np.random.default_rng(seed)
    first = np.zeros((permutations + 1, rows))
    first[0, : len(x)] = 1.0
    first[1:] = rng.permuted(np.tile(first[0], (permutations, 1)), axis=1)
    within_x, within_y, across = _means(kernel, first, len(x))
    values = within_x + within_y - 2 * across
    beyond = values[1:] >= values[0] - 1e-12  # ties from rounding count against the test
    p = (1 + int(beyond.sum())) / (permutations + 1)
    return Measure(float(values[0]), float(values[1:].std()), 0.0, float(within_x[0] + within_y[0]), p)


def _square(upper: Array, rows: int) -> Array:
    """A symmetric matrix with zeros on the diagonal from the numbers above it."""
    whole = np.zeros((rows, rows))
    whole[np.triu_indices(rows, 1)] = upper
    return whole + whole.T


def _means(kernel: Array, first: Array, n: int) -> tuple[Array, Array, Array]:
    """Mean kernel within the first n rows, within the others and across, for each choice of the first, (choices,)."""
    m = kernel.shape[0] - n
    inner = ((first @ kernel) * first).sum(1)
    cross = first @ kernel.sum(1) - inner
    outer = kernel.sum() - 2 * cross - inner
    return inner / (n * (n - 1)), outer / (m * (m - 1)), cross / (n * m)


def prdc(real: Array, made: Array, *, neighbours: int = 5) -> dict[str, Measure]:
    """Precision, recall, density and coverage: whether made rows lie where real ones do, and the other way round.

    A ball around each row reaches to its k-th neighbour of its own kind, itself excluded; inside is strictly inside.
    ``precision``: made rows in a real ball. ``recall``: real rows in a made ball. ``density``: real balls around a made
    row, over k. ``coverage``: real balls that hold a made row. For density and coverage ``perfect`` is exact: 1, and
    1 - prod_i (n - i) / (n + m - i), i = 1..k, which nears 1 - 2^-k. For precision and recall it depends on the data:
    it is the share of real rows that lie in the ball of another real row, each left out in turn. Standard errors are of
    a jackknife that leaves out a tenth of both sets in turn.

    Args:
        real: (rows, ...), not those the generator was fitted on.
        made: (rows, ...).
        neighbours: k.

    Raises:
        BadOption: no neighbours.
        DataShape: rows of different sizes, or fewer than twenty or k + 2.

    Sources: Kynkäänniemi, Karras, Laine, Lehtinen & Aila 2019, "Improved precision and recall metric for assessing
    generative models", arXiv:1904.06991; Naeem, Oh, Uh, Choi & Yoo 2020, "Reliable fidelity and diversity metrics for
    generative models", arXiv:2002.09797 (density, coverage, and the formula of its expectation).

    >>> rng = np.random.default_rng(0)
    >>> print(prdc(rng.normal(size=(50, 2)), rng.normal(9, 1, size=(50, 2)))["coverage"])
    0 ± 0 (perfect 0.9733, chance 0)
    """
    if neighbours < 1:
        raise BadOption("not a number of neighbours", where="neighbours", found=str(neighbours), expected="1 up")
    x, y = both(real, made, max(neighbours + 2, 2 * GROUPS))
    distances = cdist(x, x), cdist(y, y), cdist(x, y)
    values = _prdc(*distances, neighbours)
    errors = _jackknife(lambda i, j: _prdc(*_cut(distances, i, j), neighbours), len(x), len(y))
    met = _reached(distances[0], neighbours)
    covered = 1 - math.prod((len(x) - i) / (len(x) + len(y) - i) for i in range(1, neighbours + 1))
    perfect = {"precision": met, "recall": met, "density": 1.0, "coverage": covered}
    found = zip(perfect, values, errors, perfect.values(), strict=True)
    return {name: Measure(float(value), float(se), best, 0.0) for name, value, se, best in found}


def _prdc(own: Array, theirs: Array, across: Array, neighbours: int) -> Array:
    inside = across < _radius(own, neighbours)[:, None]
    within = across < _radius(theirs, neighbours)
    hits = inside.any(0), within.any(1), inside.sum(0) / neighbours, inside.any(1)
    return np.array([one.mean() for one in hits])


def _cut(distances: tuple[Array, Array, Array], i: Array, j: Array) -> tuple[Array, Array, Array]:
    """Distances among some of the real and some of the made rows."""
    own, theirs, across = distances
    return own[np.ix_(i, i)], theirs[np.ix_(j, j)], across[np.ix_(i, j)]


def _jackknife(statistic: Callable[[Array, Array], Array], n: int, m: int) -> Array:
    """Standard errors of a statistic of two sets of rows, a tenth of both left out in turn.

    Source: Shao & Wu 1989, "A general theory for jackknife variance estimation", Annals of Statistics 17.
    """
    kept = [[np.delete(np.arange(rows), np.s_[i::GROUPS]) for rows in (n, m)] for i in range(GROUPS)]
    parts = np.array([statistic(i, j) for i, j in kept])
    return np.asarray(np.sqrt((GROUPS - 1) * parts.var(axis=0)))


def _radius(distances: Array, neighbours: int) -> Array:
    """To the k-th other row: the row itself is at distance 0, first in order."""
    return np.asarray(np.partition(distances, neighbours, axis=1)[:, neighbours])


def _reached(distances: Array, neighbours: int) -> float:
    """The share of rows that are among the k nearest of another row.

    If row j were left out, the ball of i would reach to the neighbour after j: j is inside exactly if it is one of the
    k nearest.
    """
    others = distances + np.diag(np.full(len(distances), np.inf))
    nearest = np.argpartition(others, neighbours - 1, axis=1)[:, :neighbours]
    return len(np.unique(nearest)) / len(distances)


def principal_features(train: Array, components: int = COMPONENTS) -> Callable[[Array], Array]:
    """The feature space of the Fréchet distance: the first principal components of the training rows, not scaled.

    Args:
        train: (rows, ...).
        components: how many; fewer where there are fewer rows or cells.

    Returns:
        A function from (rows, ...) to (rows, components).

    >>> principal_features(np.eye(4), 2)(np.eye(4)).shape
    (4, 2)
    """
    flat = np.asarray(train, dtype=np.float64).reshape(len(train), -1)
    fitted = PCA(min(components, *flat.shape), svd_solver="full").fit(flat)
    return lambda rows: np.asarray(fitted.transform(np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)))


def frechet(real: Array, made: Array) -> Measure:
    """Squared Fréchet distance between the Gaussians with the means and covariances of two sets of features.

    ||m - n||^2 + tr(C + D - 2 (C D)^(1/2)), squared units of the features. It is biased: ``perfect`` is what two sets
    of these sizes from one Gaussian give, to first order, (1/n + 1/m) (tr C + sum_ij (1 + [i = j]) l_i l_j / (2 (l_i +
    l_j))), l the eigenvalues of C. ``chance`` is the distance of a generator that knows the mean alone, tr C. The
    standard error is that of a jackknife that leaves out a tenth of both sets in turn.

    Args:
        real: features, (rows, features), as ``principal_features`` gives.
        made: likewise.

    Raises:
        DataShape: rows of different sizes, or fewer than twenty.

    Source: Heusel, Ramsauer, Unterthiner, Nessler & Hochreiter 2017, "GANs trained by a two time-scale update rule
    converge to a local Nash equilibrium", arXiv:1706.08500; Dowson & Landau 1982, Journal of Multivariate Analysis 12.

    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> round(frechet(x, x + [3.0, 4.0]).value, 6)
    25.0
    """
    x, y = both(real, made, 2 * GROUPS)
    se = float(_jackknife(lambda i, j: np.array(_distance(x[i], y[j])), len(x), len(y)))
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False).reshape(x.shape[1], -1)).clip(min=1e-300)
    pairs = np.outer(values, values) / (2 * (values[:, None] + values))
    spread = values.sum() + pairs.sum() + np.trace(pairs)
    perfect = float(spread * (1 / len(x) + 1 / len(y)))
    return Measure(_distance(x, y), se, perfect, float(values.sum()))


def _distance(x: Array, y: Array) -> float:
    """tr (C D)^(1/2) is the sum of the singular values of C^(1/2) D^(1/2)."""
    roots, trace = [], 0.0
    for some in (x, y):
        values, vectors = np.linalg.eigh(np.cov(some, rowvar=False).reshape(some.shape[1], -1))
        values = values.clip(min=0)
        roots.append((vectors * np.sqrt(values)) @ vectors.T)
        trace += float(values.sum())
    shared = float(np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum())
    return max(0.0, float(((x.mean(0) - y.mean(0)) ** 2).sum()) + trace - 2 * shared)


def nearest_distance(train: Array, rows: Array, neighbours: int = 1) -> Array:
    """Euclidean distance of each row to its k-th nearest training row.

    Args:
        train: (n, ...).
        rows: (rows, ...).
        neighbours: k.

    Returns:
        (rows,).

    Raises:
        DataShape: fewer training rows than k, or rows of another size.

    >>> nearest_distance(np.array([[0.0], [3.0]]), np.array([[1.0]]), neighbours=2)
    array([2.])
    """
    known, x = both(train, rows, 1)
    if len(known) < neighbours:
        raise DataShape("fewer training rows than neighbours", found=str(len(known)), expected=f"{neighbours} or more")
    return np.asarray(NearestNeighbors(n_neighbors=neighbours).fit(known).kneighbors(x)[0][:, -1])


def copies(train: Array, real: Array, made: Array) -> Measure:
    """The share of made rows that are equal to a training row, cell by cell.

    ``perfect`` is the share of held-out rows that are: where cells have few values, rows repeat of themselves. p is
    that of Fisher's exact test, on the side of made rows that repeat more often; ``chance`` is that of a generator that
    returns training rows.

    Args:
        train: (n, ...), what the generator was fitted on.
        real: (rows, ...), held out.
        made: (rows, ...), on the grid of the data.

    Raises:
        DataShape: rows of different sizes.

    Source: Fisher 1935, "The logic of inductive inference", Journal of the Royal Statistical Society 98.

    >>> train = np.array([[0.0], [1.0], [1.0], [2.0]])
    >>> found = copies(train, np.array([[0.0], [3.0]]), np.array([[1.0], [2.0]]))
    >>> found.value, found.perfect, round(found.p_value, 3)
    (1.0, 0.5, 0.5)
    """
    known = {row.tobytes() for row in both(train, real, 1)[0] + 0.0}  # so that -0 is 0
    seen = [np.array([row.tobytes() in known for row in both(train, rows, 1)[1] + 0.0]) for rows in (made, real)]
    counts = np.array([[one.sum(), (~one).sum()] for one in seen])
    p = float(fisher_exact(counts, alternative="greater").pvalue)
    return Measure(*share(seen[0]), share(seen[1])[0], 1.0, p)


def memorisation(train: Array, real: Array, made: Array) -> Measure:
    """The chance that a made row is nearer to a training row than a held-out row is.

    0.5 is perfect; towards 1 training rows are copied; towards 0 made rows are far from all data. Standard error of
    DeLong; with p from the normal law, on the side of copying. ``chance`` is that of a generator that returns
    training rows.

    Args:
        train: (n, ...), what the generator was fitted on.
        real: (rows, ...), held out.
        made: (rows, ...).

    Raises:
        DataShape: rows of different sizes.

    Source: Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect data-copying in generative models",
    arXiv:2004.05675.

    >>> rng = np.random.default_rng(0)
    >>> train, real = rng.normal(size=(99, 2)), rng.normal(size=(99, 2))
    >>> memorisation(train, real, train[:50]).value
    1.0
    """
    near = [-nearest_distance(train, rows) for rows in (real, made)]
    found = auroc(np.concatenate(near), np.repeat([0, 1], [len(one) for one in near]))
    p = _upper((found.value - 0.5) / found.se) if found.se > 0 else float(found.value <= 0.5)
    return Measure(found.value, found.se, 0.5, 1.0, p)
