"""Methods from the literature as rows of data: name, the configuration they change, citation, figure to reproduce."""

from collections.abc import Mapping
from typing import Any

from lowerbound.config import PARTS, SETTINGS, Config, merge, override
from lowerbound.errors import unknown
from lowerbound.methods import (
    AEVB,
    ALL_ROWS,
    DIGITS,
    HIGGINS,
    HOLES,
    LABELS,
    LINEAR,
    OBJECTIVES,
    REAL,
    Citation,
    Recipe,
    Target,
)

STACKED = Citation(
    "Vincent, Larochelle, Lajoie, Bengio & Manzagol", 2010,
    "Stacked Denoising Autoencoders, Journal of Machine Learning Research 11, 3371-3408",
    "https://www.jmlr.org/papers/v11/vincent10a.html",
)  # fmt: skip

FREY = "all 1965 Frey faces, grey levels divided by 255"
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
        HIGGINS,
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
    Recipe(
        "linear-vae", "VAE of linear nets: probabilistic principal component analysis, trained",
        {
            "data": {"scaling": "none"},
            "model": {
                "encoder": {"name": "linear"}, "decoder": {"name": "linear"}, "likelihood": {"name": "gaussian"}
            },
            "objective": {"name": "elbo", "samples": 4},
            "train": {"epochs": 400, "batch": 100, "rate": 0.02, "schedule": "cosine", "patience": 0},
        },
        Citation(
            "Lucas, Tucker, Grosse & Norouzi", 2019, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior "
            "Collapse, NeurIPS", "https://arxiv.org/abs/1911.02469",
        ),
        Target("bound, exact", 17.451947, "nats a row", DIGITS, 0.05, settings={"model.latent": 10, **ALL_ROWS}),
        "Its best bound is log p(x) of probabilistic principal component analysis, recipe 'pca', and its latent axes "
        "turn to the principal ones. 17.424 nats were measured.",
    ),
    Recipe(
        "vamp-vae", "VAE whose prior is the mean of posteriors of learned pseudo-inputs",
        {"model": {"prior": {"name": "vamp", "components": 500}}},
        Citation("Tomczak & Welling", 2018, "VAE with a VampPrior, AISTATS", "https://arxiv.org/abs/1705.07120"),
        Target(
            "log p(x) of 500 test rows, importance-weighted", 33.8, "nats a row",
            "the digits of scikit-learn, divided by 16", at_least=True,
            settings={"model.latent": 10, "model.prior": "vamp:components=100", "train.epochs": 300},
        ),
        "The bar is the same model with the standard prior, median of three seeds, and one nat; 37.6 were measured. "
        "The paper's gain on MNIST binarised once is 3 nats (88.56 to 85.57), with gated nets and 500 pseudo-inputs.",
    ),
    Recipe(
        "flow-prior-vae", "VAE whose prior is a normal carried along an invertible map (extra flow)",
        {"model": {"prior": {"name": "flow"}}},
        Citation(
            "Chen, Kingma, Salimans, Duan, Dhariwal, Schulman, Sutskever & Abbeel", 2017,
            "Variational Lossy Autoencoder, ICLR", "https://arxiv.org/abs/1611.02731",
        ),
        None,
        "The paper's flows are autoregressive and its decoders too, so none of its figures is of this model. The prior "
        "can be fitted after training as well: lowerbound refit RUN --prior flow.",
    ),
    Recipe(
        "burda-1layer", "784-200-200-50 with tanh, zeros and ones drawn at each use, on MNIST",
        {
            "data": {"binarize": "sample", "validation": 400.0},
            "model": {"latent": 50, "likelihood": {"name": "bernoulli"}, **_nets("tanh", 200, 200)},
            "train": {"epochs": 3280, "batch": 20, "rate": 1e-3, "schedule": "cosine", "patience": 0},
        },
        Citation(
            "Burda, Grosse & Salakhutdinov", 2016, "Importance Weighted Autoencoders, ICLR",
            "https://arxiv.org/abs/1509.00519",
        ),
        Target("log p(x), test, 5000 samples", -86.76, "nats an image", "MNIST", 1.0),
        "With objective iwae:samples=50 the paper has -84.78. Its rate falls in eight steps from 1e-3 to 1e-4, here "
        "along a cosine; its Adam sums gradients over the batch with an epsilon of 1e-4, and its output bias starts at "
        "the logits of the mean image, which is not done here. 3280 epochs are hours on a GPU.",
    ),
    Recipe(
        "count-vae", "VAE of counts: negative binomial, the row's total as exposure",
        {
            "data": {"scaling": "log"},
            "model": {"latent": 10, "likelihood": {"name": "negative_binomial", "exposure": "library"}},
        },
        Citation(
            "Lopez, Regier, Cole, Jordan & Yosef", 2018, "Deep generative modeling for single-cell transcriptomics, "
            "Nature Methods 15, 1053-1058", "https://doi.org/10.1038/s41592-018-0229-2",
        ),
        None,
        "log p(x) is the probability of the counts given the total of their row. On 300 genes of sc-mixology it is "
        "ahead of Poisson and of normals on log(1 + x), all as probabilities of whole numbers; figures of other sets "
        "and genes do not compare.",
    ),
    Recipe(
        "table-vae", "VAE of a table of mixed columns: the KL term comes in over half of the training",
        {
            "model": _nets("silu", 256, 256),
            "objective": {"name": "elbo", "beta": {"start": 0.0, "end": 1.0, "over": 0.5}},
            "train": {"epochs": 30, "rate": 1e-2, "clip": 10.0, "schedule": "cosine"},
        },
        Citation(
            "Bowman, Vilnis, Vinyals, Dai, Jozefowicz & Bengio", 2016, "Generating sentences from a continuous space, "
            "CoNLL", "https://arxiv.org/abs/1511.06349",
        ),
        Target("log p(x) of the test rows, importance-weighted", -33.8, "nats a row", "Adult", at_least=True),
        "The bar is independent columns, each of the family that it has in the model. The paper's model is of "
        "sentences; what is used here is its annealing of the KL term, without which columns that depend on each other "
        "are slow to share a code. 30 epochs are for tens of thousands of rows: with a few hundred, give it 300.",
    ),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {row.name: row for row in (*_ROWS, *OBJECTIVES, *LABELS, *HOLES)}
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
