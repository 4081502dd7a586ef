"""What a run is about to do with its data and its loss: the choices left to ``auto``, and one line that says it all."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lowerbound import catalogue
from lowerbound.config import Config, override
from lowerbound.data import Data
from lowerbound.data.check import check_values
from lowerbound.errors import Incompatible
from lowerbound.model import VAE
from lowerbound.objectives import Objective
from lowerbound.parts import REGISTRY, find

BOUNDS = ("elbo", "iwae_bound")  # what an objective reports that bounds log p(x) from below


def supports() -> dict[str, str]:
    """Likelihood name -> the support of its values."""
    return {name: getattr(cls, "support", "real") for name, cls in REGISTRY["likelihood"].items()}


def resolve(config: Config, data: Data) -> Config:
    """The configuration with every ``auto`` of data and likelihood decided by the data.

    Zeros and ones, and 8-bit images, get ``bernoulli`` (grey levels with ``binarize = sample``); real values
    ``gaussian``. Columns of a table are scaled one by one; images are left as they are.
    """
    grey = data.is_image and data.unit == 1 / 255
    binary = not grey and _is_binary(data)
    changes: dict[str, Any] = {}
    if config.model.likelihood["name"] == "auto":
        changes["model.likelihood"] = "bernoulli" if grey or binary else "gaussian"
    name = changes.get("model.likelihood", config.model.likelihood["name"])
    family = REGISTRY["likelihood"].get(name)
    if config.data.binarize == "auto":
        changes["data.binarize"] = "sample" if grey and getattr(family, "support", "") == "binary" else "none"
    if config.data.scaling == "auto":
        changes["data.scaling"] = "columns" if getattr(family, "relocates", False) and not data.is_image else "none"
    if config.data.split == "auto":
        changes["data.split"] = data.split.how if data.split is not None else "random"
    return override(config, changes)


def check(config: Config, data: Data) -> None:
    """Check the values of the data against the likelihood, once.

    Raises:
        UnknownName: a likelihood that is not there.
        DataRange: a value the likelihood gives no probability to.
        DataMissing: NaN that is not a missing value.
        Incompatible: ``binarize`` with a likelihood that is not of zeros and ones.
    """
    name, binarize = config.model.likelihood["name"], config.data.binarize
    support = getattr(find("likelihood", name), "support", "real")
    if binarize != "none" and support != "binary":
        raise Incompatible(
            f"binarize '{binarize}' needs a likelihood of zeros and ones; '{name}' has support '{support}'",
            mend="Set data.binarize = none, or the likelihood 'bernoulli'.",
        )  # fmt: skip
    check_values(data, name, support, binarize=binarize, supports=supports())


def specification(config: Config, data: Data, foreign: bool = False) -> dict[str, Any]:
    """The table that ``assemble`` makes the model from: the config's parts, and the sizes of the data."""
    model = config.model
    tables: dict[str, Any] = {
        "encoder": model.encoder, "posterior": model.posterior, "prior": model.prior, "decoder": model.decoder,
        "likelihood": model.likelihood,
    }  # fmt: skip
    if model.corruption is not None:
        tables["corruption"] = model.corruption
    embedding = {"mode": config.data.scaling, "masked": data.mask is not None}
    return {"shape": list(data.shape), "latent": model.latent, "embedding": embedding, **tables}


def loss(config: Config, model: VAE, objective: Objective) -> dict[str, Any]:
    """What the loss is: likelihood, reduction, weight of the KL, unit, and whether its value bounds log p(x)."""
    cells = int(np.prod(model.shape))
    beta = getattr(objective, "beta", None)
    last = beta["end"] if isinstance(beta, Mapping) else beta
    grey = config.data.binarize == "grey"
    return {
        "likelihood": _name(config.model.likelihood),
        "objective": _name(config.objective),
        "reduction": f"sum over {cells} cells, mean over rows",
        "beta": last,
        "beta_normalised": None if last is None else last * model.latent / cells,
        "unit": "nats",
        "value": "cross-entropy, not a log-likelihood" if grey else _value(objective),
        "scaling": config.data.scaling,
        "binarize": config.data.binarize,
    }


def line(facts: Mapping[str, Any]) -> str:
    """The one line that is printed before training."""
    beta = facts["beta"]
    weight = "no KL" if beta is None else f"beta {beta:g} (normalised {facts['beta_normalised']:.3g})"
    about = [facts["likelihood"], f"{facts['reduction']}, in {facts['unit']}", weight, facts["value"]]
    if facts["scaling"] != "none":
        about.append(f"scaling {facts['scaling']}, densities in the units given")
    if facts["binarize"] != "none":
        about.append(f"binarize {facts['binarize']}")
    return "loss: " + " · ".join(about)


def _value(objective: Objective) -> str:
    return "a lower bound on log p(x)" if objective.reports in BOUNDS else "log p(x|z), not a bound on log p(x)"


def _name(table: Mapping[str, Any]) -> str:
    """A part as a phrase: its name and the options that differ from their defaults."""
    kind = "likelihood" if table["name"] in REGISTRY["likelihood"] else "objective"
    known = catalogue.catalogue().get(kind, {}).get(table["name"], {}).get("options", {})
    changed = [
        f"{key} {value}" for key, value in table.items() if key != "name" and value != known.get(key, {}).get("default")
    ]
    scale = (
        [f"scale {table.get('scale', 'learned')}"]
        if table["name"] == "gaussian" and "scale" not in str(changed)
        else []
    )
    return f"{table['name']} ({', '.join(scale + changed)})" if scale + changed else str(table["name"])


def _is_binary(data: Data) -> bool:
    if data.x.dtype.kind not in "ubi" and not data.rows:
        return False
    values = data.values(slice(0, 4096))
    return bool(np.isin(values, (0.0, 1.0)).all()) and bool(np.isin(data.x, (0, 1)).all())
