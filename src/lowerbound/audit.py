"""What a run is about to do with its data and its loss: the choices left to ``auto``, and one line that says it all."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lowerbound import catalogue
from lowerbound.config import Config, override
from lowerbound.data import Data
from lowerbound.data.check import check_values, known_to_fit
from lowerbound.data.columns import check_columns, plain
from lowerbound.data.context import label_prior, labelled
from lowerbound.data.mapped import Summary
from lowerbound.data.source import chunks
from lowerbound.errors import Incompatible
from lowerbound.likelihoods import Likelihood
from lowerbound.model import VAE
from lowerbound.objectives import Objective
from lowerbound.parts import REGISTRY, Part, find

COUNT_ZEROS = 0.05  # share of zeros from which on whole numbers are taken for counts
TABLE = "columns"  # support of likelihoods that know what each column is
BOUNDS = ("elbo", "iwae_bound")  # what an objective reports that bounds log p(x) from below


def supports() -> dict[str, str]:
    """Likelihood name -> the support of its values, where values alone decide."""
    found = {name: getattr(cls, "support", "real") for name, cls in REGISTRY["likelihood"].items()}
    return {name: support for name, support in found.items() if support != TABLE}


def resolve(config: Config, data: Data) -> Config:
    """The configuration with every ``auto`` of data and likelihood decided by the data.

    Tables get ``columns``. Of arrays, zeros and ones, and 8-bit images, get ``bernoulli`` (grey levels with
    ``binarize = sample``); counts, that is rows of whole numbers from 0 with a share of zeros, ``negative_binomial``;
    real values ``gaussian``. Columns are scaled one by one, counts by their logarithm; images are left as they are.
    """
    grey = data.is_image and data.unit == 1 / 255
    binary = not grey and _is_binary(data)
    changes: dict[str, Any] = {}
    if config.model.likelihood["name"] == "auto":
        usual = "bernoulli" if grey or binary else _of_numbers(data)
        changes["model.likelihood"] = usual if data.schema is None else "columns"
    name = changes.get("model.likelihood", config.model.likelihood["name"])
    family = REGISTRY["likelihood"].get(name)
    if config.data.binarize == "auto":
        changes["data.binarize"] = "sample" if grey and getattr(family, "support", "") == "binary" else "none"
    if config.data.scaling == "auto":
        changes["data.scaling"] = "none" if data.is_image else _scaling(family)
    if config.data.missing == "auto":
        changes["data.missing"] = "error" if data.schema is None and data.mask is None else "nan"
    if config.data.split == "auto":
        changes["data.split"] = data.split.how if data.split is not None else "random"
    return override(config, changes)


def check(config: Config, data: Data) -> None:
    """Check the values of the data against the likelihood, once.

    Raises:
        UnknownName: a likelihood that is not there.
        DataRange: a value the likelihood gives no probability to.
        DataMissing: NaN that is not a missing value.
        Incompatible: ``binarize`` with a likelihood that is not of zeros and ones, or p(mask|x) with no cell missing.
    """
    name, binarize = config.model.likelihood["name"], config.data.binarize
    support = _support(config)
    if config.model.missingness is not None and data.mask is None:
        raise Incompatible("no cell is missing, so nothing is to be learnt of p(mask|x)", where="model.missingness",
                           mend="Leave it out, or say what marks a missing cell: data.missing = nan.")  # fmt: skip
    if binarize != "none" and support != "binary":
        raise Incompatible(
            f"binarize '{binarize}' needs a likelihood of zeros and ones; '{name}' has support '{support}'",
            mend="Set data.binarize = none, or the likelihood 'bernoulli'.",
        )  # fmt: skip
    check_rows(data, name, support, binarize)


def check_rows(data: Data, likelihood: str, support: str, binarize: str = "none") -> None:
    """Check the values of rows against a likelihood's support.

    Raises:
        DataRange, DataMissing: naming row and column. Incompatible: a likelihood of tables without one, or categories
        without such a likelihood.
    """
    if support == TABLE:
        if data.schema is None:
            mend = "Give a file or a frame, or choose another likelihood."
            raise Incompatible(f"likelihood '{likelihood}' needs a table", found=data.name, mend=mend)
        checked = getattr(getattr(data.x, "summary", None), "schema", None) or ()  # when it was written
        if any(column not in tuple(checked) for column in data.schema):
            check_columns(data.x, data.mask, data.schema, data.name)
        return
    texts = [column.name for column in data.schema or () if column.named]
    if texts:
        raise Incompatible(
            f"likelihood '{likelihood}' knows numbers only", where=data.name, found=f"categories in {', '.join(texts)}",
            mend="Choose the likelihood 'columns', or leave them out: data.columns = \"" + texts[0] + "=drop\".",
        )  # fmt: skip
    check_values(data, likelihood, support, binarize=binarize, supports=supports())


def specification(config: Config, data: Data, foreign: bool = False) -> dict[str, Any]:
    """The table that ``assemble`` makes the model from: the config's parts, and the sizes of the data."""
    model = config.model
    tables: dict[str, Any] = {
        "encoder": model.encoder, "posterior": model.posterior, "prior": model.prior, "decoder": model.decoder,
        "likelihood": model.likelihood,
    }  # fmt: skip
    if model.corruption is not None:
        tables["corruption"] = model.corruption
    if model.missingness is not None:
        tables["missingness"] = model.missingness
    embedding = {"mode": config.data.scaling, "masked": data.mask is not None}
    conditions = data.conditions
    context = 0 if conditions is None else conditions.width
    sizes: dict[str, Any] = {
        "shape": list(data.shape), "latent": model.latent, "embedding": embedding, "context": context
    }  # fmt: skip
    if model.classifier is not None:
        tables["classifier"] = model.classifier
        sizes["classes"] = conditions.members[0].width if conditions is not None and labelled(conditions) else 0
    if model.label_prior != "uniform":
        sizes["label_prior"] = label_prior(data, model.label_prior)
    typed = data.schema is not None and _support(config) == TABLE
    return {**sizes, **tables, **({"columns": [plain(column) for column in data.schema or ()]} if typed else {})}


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
        "besides": objective.says,
        "given": config.data.context,
        "unit": "nats",
        "value": "cross-entropy, not a log-likelihood" if grey else _value(config, objective) + _weighted(model),
        "scaling": config.data.scaling,
        "binarize": config.data.binarize,
    }


def line(facts: Mapping[str, Any]) -> str:
    """The one line that is printed before training."""
    beta = facts["beta"]
    weight = "" if beta is None else f"beta {beta:g} (normalised {facts['beta_normalised']:.3g})"
    terms = [term for term in (weight, facts.get("besides", "")) if term] or ["no KL"]
    about = [facts["likelihood"], f"{facts['reduction']}, in {facts['unit']}", *terms, facts["value"]]
    if facts["scaling"] != "none":
        about.append(f"scaling {facts['scaling']}, densities in the units given")
    if facts["binarize"] != "none":
        about.append(f"binarize {facts['binarize']}")
    return "loss: " + " · ".join(about)


def held_to(reached: Mapping[str, Any]) -> str:
    """What a constraint came to on the training rows, for people.

    >>> held_to({"kl": {"aim": 5.0, "reached": 4.991}, "multiplier": 1.08})
    'kl 4.991 where 5 was asked for, multiplier 1.08'
    """
    held = [
        f"{name.replace('_', ' ')} {found['reached']:.4g} where {found['aim']:g} was asked for"
        if isinstance(found, Mapping) else f"{name} {found:.4g}"
        for name, found in reached.items()
    ]  # fmt: skip
    return ", ".join(held)


def _value(config: Config, objective: Objective) -> str:
    if objective.labels:
        return "a lower bound on log p(x), on log p(x, label) where the label is known"
    of = "x" if config.model.missingness is None else "x, mask"
    quantity = f"log p({of}|{config.data.context})" if config.data.context else f"log p({of})"
    return f"a lower bound on {quantity}" if objective.reports in BOUNDS else f"log p(x|z), not a bound on {quantity}"


def _weighted(model: VAE) -> str:
    """What weights of columns do to the value."""
    if model.likelihood_family.weights is None:
        return ""
    return "; in training weighted by column and so not a bound, on held-out rows not weighted"


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


def _of_numbers(data: Data) -> str:
    """The likelihood of a table: of counts, if there are zeros among whole numbers, and else of real values."""
    counts = not data.is_image and data.unit == 1.0 and _are_counts(data)
    return "negative_binomial" if counts else "gaussian"


def _are_counts(data: Data) -> bool:
    summary: Summary | None = getattr(data.x, "summary", None)
    if summary is not None:
        return known_to_fit(data, "count") and summary.zeros > COUNT_ZEROS * summary.cells
    zeros = seen = 0
    for part in chunks(data.x):
        values = data.x[part] if data.mask is None else data.x[part][data.mask[part]]
        if not ((values >= 0) & (values == np.floor(values))).all():
            return False
        zeros, seen = zeros + int((values == 0).sum()), seen + values.size
    return zeros > COUNT_ZEROS * seen


def _scaling(family: type[Part] | None) -> str:
    if getattr(family, "support", "") == "count":
        return "log"
    return "columns" if getattr(family, "relocates", False) else "none"


def _support(config: Config) -> str:
    table = config.model.likelihood
    family = find("likelihood", table["name"])
    return family.support_of(table) if issubclass(family, Likelihood) else "real"


def _is_binary(data: Data) -> bool:
    if known_to_fit(data, "binary"):
        return True
    if data.x.dtype.kind not in "ubi" and not data.rows:
        return False
    first = np.isin(data.values(next(chunks(data.x))), (0.0, 1.0))
    return bool(first.all()) and all(np.isin(data.x[part], (0, 1)).all() for part in chunks(data.x))
