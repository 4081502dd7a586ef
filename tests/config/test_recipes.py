"""Every recipe resolves, changes what it says, and cites."""

import re
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from lowerbound.config import Config, check_parts, override
from lowerbound.errors import BadOption, UnknownName
from lowerbound.recipes import RECIPES, differences, recipe, resolve

NAMES = ["pca", "ae", "overcomplete-ae", "dae", "vae", "gaussian-vae", "sigma-vae", "beta-vae", "classic-mnist",
         "aevb-mnist", "aevb-frey", "linear-vae", "vamp-vae", "flow-prior-vae", "burda-1layer", "count-vae",
         "table-vae", "capacity-vae", "constrained-vae", "geco", "iwae", "dreg", "stl", "beta-tcvae",
         "factor-vae", "dip-vae-i", "dip-vae-ii", "info-vae", "wae-mmd", "cvae", "m1", "m2", "m1-m2",
         "not-miwae"]  # fmt: skip
NO_FIGURE = [
    "gaussian-vae",
    "flow-prior-vae",
    "count-vae",
    "beta-tcvae",
    "factor-vae",
    "dip-vae-i",
    "info-vae",
    "wae-mmd",
    "cvae",
    "m1",
    "m1-m2",
    "not-miwae",
]


def test_the_table() -> None:
    assert list(RECIPES) == NAMES
    assert all(row.name == name and row.title and row.note for name, row in RECIPES.items())
    assert [name for name, row in RECIPES.items() if row.target is None] == NO_FIGURE


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_resolves_and_comes_back(name: str) -> None:
    config = resolve(name)
    assert Config.from_toml(config.to_toml()) == config
    assert override(resolve("vae"), differences(name)) == config
    assert bool(differences(name)) == (name != "vae")
    check_parts(config)


@pytest.mark.parametrize("name", NAMES)
def test_a_citation_can_be_followed(name: str) -> None:
    citation = recipe(name).citation
    assert citation.authors and citation.where and 1901 <= citation.year <= 2026
    assert re.match(
        r"https://(arxiv\.org/abs/\d{4}\.\d{4,5}|doi\.org/10\.|openreview\.net/|www\.jmlr\.org/|papers\.nips\.cc/)",
        citation.link,
    )


@pytest.mark.parametrize("name", [name for name in NAMES if RECIPES[name].target])
def test_a_target_has_a_unit_and_settings_that_resolve(name: str) -> None:
    target = RECIPES[name].target
    assert target is not None and target.quantity and target.unit and target.data
    assert target.at_least or target.tolerance > 0
    check_parts(resolve(name, target.settings))
    assert target.unit in str(target)


def test_vae_is_the_default() -> None:
    assert resolve() == resolve("vae") == Config()


@pytest.mark.parametrize(
    ("name", "changed"),
    {
        "beta-vae": {"objective.beta": 4.0},
        "iwae": {"objective": {"name": "iwae", "samples": 5}},
        "dip-vae-i": {"objective": {"name": "dip", "version": "i", "off_diagonal": 10.0, "diagonal": 100.0}},
        "sigma-vae": {"model.likelihood": {"name": "gaussian", "scale": "optimal"}},
        "dae": {
            "model.posterior": {"name": "point"},
            "model.likelihood": {"name": "gaussian", "scale": "fixed", "value": 1.0},
            "model.corruption": {"name": "gaussian", "scale": 0.3},
            "objective": {"name": "reconstruction"},
        },
    }.items(),
)
def test_differences(name: str, changed: dict[str, Any]) -> None:
    assert differences(name) == changed


def test_published_settings() -> None:
    classic, first = resolve("classic-mnist"), resolve("aevb-frey")
    assert classic.model.encoder == classic.model.decoder == {"name": "mlp", "widths": [400], "activation": "relu"}
    assert (classic.train.batch, classic.train.rate, classic.train.epochs, classic.data.binarize) == (
        128,
        1e-3,
        10,
        "grey",
    )
    assert (first.train.optimizer, first.train.batch, first.train.weight_prior, first.train.init_scale) == (
        "adagrad", 100, 1.0, 0.01,
    )  # fmt: skip
    assert first.data.split == "time"


def test_overrides_lie_over_the_file_and_the_file_over_the_recipe() -> None:
    fragment = {"objective": {"beta": 2.0}, "train": {"rate": 0.1, "batch": 8}}
    config = resolve("beta-vae", {"rate": 0.2}, fragment)
    assert (config.objective["beta"], config.train.rate, config.train.batch) == (2.0, 0.2, 8)
    with pytest.raises(BadOption, match=r"f\.toml: train\.rate"):
        resolve("vae", fragment={"train": {"rate": -1.0}}, where="f.toml")


def test_resolving_leaves_the_table_alone() -> None:
    resolve("classic-mnist").as_dict()["model"]["encoder"]["widths"].append(3)
    resolve("classic-mnist").model.encoder["widths"].append(3)
    assert resolve("classic-mnist").model.encoder["widths"] == [400]


def test_a_misspelt_recipe_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown recipe 'betavae'.*Did you mean 'beta-vae'"):
        recipe("betavae")


def test_linear_figures_follow_from_the_eigenvalues() -> None:
    x = load_digits().data / 16
    cells, kept, noise = x.shape[1], 10, 0.3**2
    lam = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1].clip(0)
    shrunk, rest = lam * noise / (lam + noise), lam[kept:].sum()
    beta = 4.0
    active = next(k for k in range(kept, 0, -1) if lam[k - 1] > beta * lam[k:].sum() / (cells - k * beta))
    sigma2 = lam[active:].sum() / (cells - active * beta)
    exact = {
        "pca": -0.5
        * (
            cells * np.log(2 * np.pi)
            + np.log(lam[:kept]).sum()
            + (cells - kept) * np.log(rest / (cells - kept))
            + cells
        ),
        "ae": rest / cells,
        "dae": (shrunk[:kept].sum() + rest) / cells,
        "overcomplete-ae": shrunk.sum() / cells,
        "sigma-vae": rest / (cells - kept),
        "beta-vae": 0.5 * np.log(lam[:active] / (beta * sigma2)).sum(),
    }
    quoted = {name: row.target.value for name, row in RECIPES.items() if row.target and name in exact}
    assert quoted == pytest.approx(exact, rel=1e-6)
    assert active == 7
