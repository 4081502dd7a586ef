"""Made data whose exact answers are known."""

from dataclasses import dataclass

import numpy as np

from lowerbound.data.source import Array, Data
from lowerbound.errors import BadOption


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """x = W z + mean + noise with z ~ N(0, I), noise ~ N(0, sigma2 I): probabilistic PCA (Tipping, Bishop 1999).

    Args:
        weights: W, (D, latent).
        mean: (D,).
        sigma2: variance of the noise.
    """

    weights: Array
    mean: Array
    sigma2: float

    @property
    def covariance(self) -> Array:
        """W Wᵀ + sigma2 I, (D, D)."""
        return np.asarray(self.weights @ self.weights.T + self.sigma2 * np.eye(len(self.mean)))

    def log_density(self, x: Array) -> Array:
        """log p(x) of every row of x (N, D), in nats."""
        return _gaussian(x, self.mean, self.covariance)

    def posterior(self, x: Array) -> tuple[Array, Array]:
        """Mean (N, latent) and covariance (latent, latent) of p(z | x)."""
        precision = np.eye(self.weights.shape[1]) + self.weights.T @ self.weights / self.sigma2
        spread = np.linalg.inv(precision)
        return (x - self.mean) @ self.weights @ spread / self.sigma2, spread


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians: weights (K,), means (K, D), covariances (K, D, D)."""

    weights: Array
    means: Array
    covariances: Array

    def log_density(self, x: Array) -> Array:
        """log p(x) of every row of x (N, D), in nats."""
        logs = [_gaussian(x, mean, spread) for mean, spread in zip(self.means, self.covariances, strict=True)]
        return np.asarray(np.logaddexp.reduce(np.stack(logs) + np.log(self.weights)[:, None], axis=0))


def linear_gaussian(
    rows: int, features: int = 5, latent: int = 2, noise: float = 0.5, seed: int = 0
) -> tuple[Data, LinearGaussian]:
    """Rows (rows, features) in float64 from a random `LinearGaussian` with ``noise`` its standard deviation.

    >>> data, truth = linear_gaussian(100, features=4, latent=1)
    >>> truth.log_density(data.x).shape
    (100,)
    """
    random = _random(rows, seed)
    truth = LinearGaussian(random.normal(size=(features, latent)), random.normal(size=features), noise**2)
    z = random.normal(size=(rows, latent))
    x = z @ truth.weights.T + truth.mean + noise * random.normal(size=(rows, features))
    return Data(x, name="linear-gaussian"), truth


def mixture(
    rows: int, features: int = 2, components: int = 3, spread: float = 4.0, seed: int = 0
) -> tuple[Data, Mixture]:
    """Rows (rows, features) in float64 from a random `Mixture`; labels are the components.

    ``spread`` is the standard deviation of the means; the components have about unit variance.
    """
    random = _random(rows, seed)
    roots = np.eye(features) + 0.3 * random.normal(size=(components, features, features))
    means = spread * random.normal(size=(components, features))
    truth = Mixture(random.dirichlet(np.full(components, 5.0)), means, roots @ roots.transpose(0, 2, 1))
    which = random.choice(components, size=rows, p=truth.weights)
    x = means[which] + np.einsum("nij,nj->ni", roots[which], random.normal(size=(rows, features)))
    names = tuple(map(str, range(components)))
    return Data(x, name="mixture", labels=which.astype(np.int64), label_names=names), truth


def factors(size: int = 16, positions: int = 6, sizes: int = 3) -> Data:
    """Bright rectangles on black, one for every combination of x, y, width and height: a full grid of factors.

    Returns pictures (positions² · sizes², 1, size, size) of 0 and 1 in uint8, the factors in C order.

    >>> data = factors(size=12, positions=4, sizes=2)
    >>> data.rows, data.factor_names
    (64, ('x', 'y', 'width', 'height'))
    """
    step = (size - sizes - 1) // max(1, positions - 1)
    if min(positions, sizes) < 1 or step < 1:
        raise BadOption(
            "the picture is too small for so many positions",
            found=f"size = {size}",
            expected=f"at least {positions + sizes}",
        )
    grid = np.indices((positions, positions, sizes, sizes)).reshape(4, -1).T
    column, row, width, height = (grid[:, i, None] for i in range(4))
    pixel = np.arange(size)
    across = (pixel >= column * step) & (pixel < column * step + width + 2)
    down = (pixel >= row * step) & (pixel < row * step + height + 2)
    x = (down[:, :, None] & across[:, None, :]).astype(np.uint8)[:, None]
    return Data(x, name="factors", factors=grid, factor_names=("x", "y", "width", "height"))


def _random(rows: int, seed: int) -> np.random.Generator:
    if rows < 1 or seed < 0:
        raise BadOption(
            "rows and seed cannot be used",
            found=f"rows = {rows}, seed = {seed}",
            expected="at least one row and a seed from 0",
        )
    return np.random.Generator(np.random.PCG64(seed))


def _gaussian(x: Array, mean: Array, covariance: Array) -> Array:
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, (x - mean).T)
    norm = len(mean) * np.log(2 * np.pi) + 2 * np.log(np.diag(root)).sum()
    return np.asarray(-0.5 * (norm + (white**2).sum(axis=0)))
