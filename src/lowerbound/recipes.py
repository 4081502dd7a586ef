"""Methods from the literature as rows of data: name, the configuration they change, citation, figure to reproduce."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lowerbound.config import PARTS, SETTINGS, Config, merge, override
from lowerbound.errors import unknown


@dataclass(frozen=True)
class Citation:
    """Where a method was published."""

    authors: str
    year: int
    where: str
    link: str


@dataclass(frozen=True)
class Target:
    """The figure that a recipe must reproduce: ``value`` within ``tolerance``, with ``settings`` laid over it.

    A target ``at_least`` is a bar to pass, not a value to hit.
    """

    quantity: str
    value: float
    unit: str
    data: str
    tolerance: float = 0.0
    at_least: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        size = f"at least {self.value:g}" if self.at_least else f"{self.value:.8g} ± {self.tolerance:g}"
        given = ", ".join(f"{path} = {value}" for path, value in self.settings.items())
        return f"{self.quantity}: {size} {self.unit} on {self.data}" + (f" with {given}" if given else "")


@dataclass(frozen=True)
class Recipe:
    """A method: what it changes in the configuration, where it comes from, what it must reproduce, what to know."""

    name: str
    title: str
    fragment: Mapping[str, Any]
    citation: Citation
    target: Target | None  # None where no figure means anything; the note says why
    note: str


AEVB = Citation("Kingma & Welling", 2014, "Auto-Encoding Variational Bayes, ICLR", "https://arxiv.org/abs/1312.6114")
STACKED = Citation(
    "Vincent, Larochelle, Lajoie, Bengio & Manzagol", 2010,
    "Stacked Denoising Autoencoders, Journal of Machine Learning Research 11, 3371-3408",
    "https://www.jmlr.org/papers/v11/vincent10a.html",
)  # fmt: skip

DIGITS = "all 1797 digits of scikit-learn, divided by 16"
FREY = "all 1965 Frey faces, grey levels divided by 255"
ALL_ROWS = {"data.validation": 0.0, "data.test": 0.0, "data.scaling": "none"}
LINEAR = {"model.encoder": "linear", "model.decoder": "linear", "model.latent": 10, **ALL_ROWS}
REAL = LINEAR | {"model.likelihood": "gaussian"}
WIDE = LINEAR | {"model.latent": 80}

NOISE = {"name": "gaussian", "scale": 0.3}
AUTOENCODER = {
    "model": {"posterior": {"name": "point"}, "likelihood": {"name": "gaussian", "scale": "fixed", "value": 1.0}},
    "objective": {"name": "reconstruction"},
}
NO_STOP = {"data": {"validation": 0.0}, "train": {"patience": 0}}


def _nets(activation: str, *widths: int) -> dict[str, Any]:
    net = {"name": "mlp", "widths": list(widths), "activation": activation}
    return {"encoder": net, "decoder": net}


def _aevb(epochs: int) -> dict[str, Any]:
    """Adagrad, batches of 100, small normal first weights and a standard normal prior on the weights."""
    step = {"optimizer": "adagrad", "rate": 0.02, "batch": 100}
    return {"epochs": epochs, "init_scale": 0.01, "weight_prior": 1.0, **step}


_ROWS = (
    Recipe(
        "pca", "Probabilistic principal component analysis, in closed form",
        {
            "data": {"scaling": "none"},
            "model": {
                "encoder": {"name": "linear"}, "decoder": {"name": "linear"}, "start": "closed_form",
                "likelihood": {"name": "gaussian", "scale": "learned"},
            },
            "train": {"epochs": 0},
        },
        Citation(
            "Tipping & Bishop", 1999, "Probabilistic principal component analysis, "
            "Journal of the Royal Statistical Society B 61, 611-622", "https://doi.org/10.1111/1467-9868.00196",
        ),
        Target("log p(x), exact", 17.451947, "nats a row", DIGITS, 1e-5, settings={"model.latent": 10, **ALL_ROWS}),
        "No training: weights and noise come from the eigenvalues of the covariance, the bound equals log p(x). "
        "Columns are not scaled, for scaling them changes the components.",
    ),
    Recipe(
        "ae", "Autoencoder: squared error, no noise and no prior on the codes",
        AUTOENCODER,
        Citation(
            "Hinton & Salakhutdinov", 2006, "Reducing the dimensionality of data with neural networks, "
            "Science 313, 504-507", "https://doi.org/10.1126/science.1127647",
        ),
        Target("squared error of the reconstruction", 0.01919647, "a cell", DIGITS, 2e-4, settings=LINEAR),
        "No density: it has no log p(x) and cannot be sampled until a prior is fitted to its codes. With linear nets "
        "it finds the subspace of principal component analysis, which is its figure to reproduce.",
    ),
    Recipe(
        "overcomplete-ae", "Overcomplete denoising autoencoder: more codes than cells",
        merge(AUTOENCODER, {"model": {"latent": 1024, "corruption": NOISE}}),
        STACKED,
        Target("squared error from noisy input", 0.02290797, "a cell", DIGITS, 5e-4, settings=WIDE),
        "Without the noise it could copy its input. 1024 codes are more than the 784 cells of MNIST: set latent above "
        "the number of cells of your data. With linear nets the least error is the mean over cells of l s / (l + s), "
        "for the eigenvalues l of the covariance and the variance s = 0.09 of the noise.",
    ),
    Recipe(
        "dae", "Denoising autoencoder: the clean input from a noisy one",
        merge(AUTOENCODER, {"model": {"corruption": NOISE}}),
        Citation(
            "Vincent, Larochelle, Bengio & Manzagol", 2008, "Extracting and Composing Robust Features with Denoising "
            "Autoencoders, ICML", "https://doi.org/10.1145/1390156.1390294",
        ),
        Target("squared error from noisy input", 0.02975510, "a cell", DIGITS, 5e-4, settings=LINEAR),
        "With linear nets the least error is that of reduced-rank regression: l s / (l + s) in the kept directions "
        "and l in the others, over the number of cells, for the eigenvalues l of the covariance and the variance s = "
        "0.09 of the noise.",
    ),
    Recipe(
        "vae", "Variational autoencoder",
        {
            "model": {"posterior": {"name": "gaussian"}, "prior": {"name": "standard"}, "likelihood": {"name": "auto"}},
            "objective": {"name": "elbo"},
        },
        AEVB,
        Target(
            "log p(x) of 500 test rows, importance-weighted", 16.15, "nats a row",
            "the digits of scikit-learn, divided by 16", at_least=True,
            settings={"model.latent": 10, "model.likelihood": "gaussian", "data.scaling": "none"},
        ),
        "The bar is probabilistic principal component analysis with as many latent dimensions. The likelihood follows "
        "from the data: bernoulli for 0 and 1 and 8-bit images, gaussian for real values.",
    ),
    Recipe(
        "gaussian-vae", "VAE with a mean and a standard deviation per cell, both from z",
        {"model": {"likelihood": {"name": "gaussian", "scale": "predicted"}}},
        AEVB,
        None,
        "The likelihood of appendix C.2. It is unbounded where a cell can be reproduced exactly (Mattei & Frellsen "
        "2018, arXiv:1802.04826), so sigma has a floor, and the bound depends on it: no figure without the floor is "
        "meaningful.",
    ),
    Recipe(
        "sigma-vae", "VAE with the noise that maximises the bound, computed instead of learned",
        {"model": {"likelihood": {"name": "gaussian", "scale": "optimal"}}},
        Citation(
            "Rybkin, Daniilidis & Levine", 2021, "Simple and Effective VAE Training with Calibrated Decoders, ICML",
            "https://arxiv.org/abs/2006.13202",
        ),
        Target("variance of the noise", 0.02275137, "squared units", DIGITS, 4.6e-4, settings=LINEAR),
        "One variance for all cells: the mean squared error of the batch, and at evaluation that of the training rows. "
        "With linear nets it equals the noise of probabilistic principal component analysis.",
    ),
    Recipe(
        "beta-vae", "beta-VAE: the KL term counts four times",
        {"objective": {"name": "elbo", "beta": 4.0}},
        Citation(
            "Higgins, Matthey, Pal, Burgess, Glorot, Botvinick, Mohamed & Lerchner", 2017,
            "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, ICLR",
            "https://openreview.net/forum?id=Sy2fzU9gl",
        ),
        Target("KL of q(z|x)", 2.481279, "nats a row", DIGITS, 0.05, settings=REAL),
        "With beta above 1 its loss bounds log p(x) less tightly than the elbo. With linear nets and learned noise "
        "seven of ten dimensions stay active and the noise is 0.04728574.",
    ),
    Recipe(
        "classic-mnist", "784-400-20 with ReLU on the grey levels of MNIST",
        merge(NO_STOP, {
            "data": {"binarize": "grey"},
            "model": {"latent": 20, "likelihood": {"name": "bernoulli"}, **_nets("relu", 400)},
            "train": {"epochs": 10, "batch": 128, "rate": 1e-3, "optimizer": "adam"},
        }),
        AEVB,
        Target("cross-entropy + KL, test", 106.66, "nats an image", "MNIST", 0.6, settings={"train.epochs": 7}),
        "Cross-entropy on grey levels is not a log-likelihood: it does not integrate to one. The figure is that of "
        "epoch 7 as printed by the example of PyTorch (pull request 1416 of pytorch/examples).",
    ),
    Recipe(
        "aevb-mnist", "The first VAE, on MNIST",
        merge(NO_STOP, {
            "data": {"binarize": "sample"},
            "model": {"latent": 20, "likelihood": {"name": "bernoulli"}, **_nets("tanh", 500)},
            "train": _aevb(200),
        }),
        AEVB,
        Target("bound, test", -100.0, "nats an image", "MNIST", 5.0),
        "The paper plots its bounds and prints none: the figure is read off. It also runs 3, 5, 10 and 200 latent "
        "dimensions, picks the rate among 0.01, 0.02 and 0.1, and does not say how pixels become 0 and 1: here they "
        "are drawn anew at each use. Its N(0, 0.01) for the first weights is read as standard deviation 0.01.",
    ),
    Recipe(
        "aevb-frey", "The first VAE, on the Frey faces",
        merge(NO_STOP, {
            "data": {"scaling": "none", "split": "time"},
            "model": {
                "latent": 2, **_nets("tanh", 200),
                "likelihood": {"name": "gaussian", "scale": "predicted", "mean": "sigmoid"},
            },
            "train": _aevb(1000),
        }),
        AEVB,
        Target("bound on the training images", 555.83, "nats an image", FREY, at_least=True, settings=ALL_ROWS),
        "The paper plots its bounds and prints none; the bar is probabilistic principal component analysis with two "
        "latent dimensions (667.69 with 5, 754.55 with 10, 861.57 with 20, the other sizes of the paper). The faces "
        "are a film: rows are split by time, for a random split puts near-copies into the test set. Its N(0, 0.01) "
        "for the first weights is read as standard deviation 0.01.",
    ),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {row.name: row for row in _ROWS}
"""Every recipe by name."""


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownName: there is none.

    >>> recipe("beta-vae").citation.year
    2017
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]


def resolve(
    recipe_name: str = "vae",
    overrides: Mapping[str, Any] | None = None,
    fragment: Mapping[str, Any] | None = None,
    where: str = "config",
) -> Config:
    """The configuration of a recipe, with a fragment (what was read from ``where``) and then overrides laid over it.

    Raises:
        ConfigError: an unknown recipe or key, or values that do not fit.

    >>> resolve("beta-vae", {"latent": 8}).objective["beta"]
    4.0
    """
    tree = merge(Config().as_dict(), recipe(recipe_name).fragment)
    return override(Config.from_tree(merge(tree, fragment or {}), where), overrides or {})


def differences(name: str) -> dict[str, Any]:
    """What a recipe changes against ``vae``, by dotted path; laid over ``vae`` it gives the recipe.

    >>> differences("beta-vae")
    {'objective.beta': 4.0}

    Raises:
        UnknownName: no such recipe.
    """
    ours, plain = resolve(name).as_dict(), resolve("vae").as_dict()
    found: dict[str, Any] = {}
    for path in SETTINGS:
        new, old = _at(ours, path), _at(plain, path)
        if path in PARTS and new and old and new["name"] == old["name"]:
            found |= {f"{path}.{key}": value for key, value in new.items() if value != old.get(key)}
        elif new != old:
            found[path] = new
    return found


def _at(tree: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key, {})
    return tree
