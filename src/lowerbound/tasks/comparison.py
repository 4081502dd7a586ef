"""What a comparison comes to: rows, medians and quartiles, what must not be compared, a table and a picture."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound import figures
from lowerbound.errors import MissingExtra
from lowerbound.files import make_folder, write_whole
from lowerbound.markup import finite
from lowerbound.measures.disentanglement import LABELS, UNSUPERVISED

FILES = {"json": "comparison.json", "csv": "comparison.csv", "picture": "comparison.png"}

Row = dict[str, Any]

# Name in tables, label in pictures, where it stands in a row, and whether more of it is better (None: neither).
MEASURES: tuple[tuple[str, str, tuple[str, ...], bool | None], ...] = (
    ("log_likelihood", "log p(x) (nats)", ("log_likelihood", "mean"), True),
    ("elbo", "ELBO (nats)", ("elbo", "mean"), True),
    ("mse", "squared error", ("reconstruction", "mse"), False),
    ("kl", "KL (nats)", ("kl", "total"), None),
    ("active_units", "active units", ("active_units",), None),
    ("linear_probe", "labels, linear probe", ("probes", "in_distribution", "codes", "linear", "mean"), True),
    ("outside_prior", "prior draws off the data", ("geometry", "outside", "prior"), False),
    ("outside_fitted", "draws like the codes, off the data", ("geometry", "outside", "fitted"), False),
    ("inside_paths", "paths on the data", ("geometry", "interpolation", "inside"), True),
    ("lipschitz_median", "decoder's slope, median", ("geometry", "lipschitz", "q50"), None),
    ("lipschitz_q95", "decoder's slope, 95 %", ("geometry", "lipschitz", "q95"), None),
    *(
        (name, label, ("disentanglement", name, "value"), None if name in UNSUPERVISED else True)
        for name, label in {**LABELS, "udr": "UDR, agreement of seeds"}.items()
    ),
    ("seconds", "seconds", ("seconds",), False),
)


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found.

    Args:
        facts: ``rows`` (one a recipe and seed, with the keys of ``evaluate``), ``summary``, ``notes``, ``data``.
        maps: a plane through the latent space of the first seed of each recipe, as ``figures.comparison`` takes it.
    """

    facts: Mapping[str, Any]
    maps: tuple[figures.Map, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return dict(self.facts)

    def __str__(self) -> str:
        return "\n".join(lines(self.facts))

    @property
    def table(self) -> str:
        """One line a recipe and seed, comma-separated, with every measure; empty where there is none."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["recipe", "seed", "epochs", "quantity", *(measure[0] for measure in MEASURES)])
        for row in self.facts["rows"]:
            values = ["" if value is None else value for value in (at(row, measure[2]) for measure in MEASURES)]
            writer.writerow([row["recipe"], row["seed"], row["epochs"], row["quantity"], *values])
        return text.getvalue()

    def picture(self) -> bytes:
        """The one picture, as PNG."""
        panels = dict(panels_of(self.facts["rows"]))
        return figures.png(figures.comparison(panels, self.maps, title=self.facts["title"]))

    def save(self, folder: str | Path) -> list[str]:
        """Write the table (json, csv) and the picture; gives one line for what could not be drawn."""
        folder = Path(folder)
        make_folder(folder)
        write_whole(folder / FILES["json"], json.dumps(finite(self.facts), indent=1, default=str) + "\n")
        write_whole(folder / FILES["csv"], self.table)
        try:
            write_whole(folder / FILES["picture"], self.picture())
        except MissingExtra as error:
            return [f"no picture: {error}"]
        return []


def at(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    """A value deep in a row, or None where something on the way is not there."""
    found: Any = row
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Median and quartiles over the seeds of every measure, by recipe."""
    found = []
    for name in dict.fromkeys(row["recipe"] for row in rows):
        some = [row for row in rows if row["recipe"] == name]
        measured = {key: _quartiles([at(row, path) for row in some]) for key, _, path, _ in MEASURES}
        found.append({"recipe": name, "seeds": len(some), "quantity": some[0]["quantity"], **measured})
    return found


def _quartiles(values: Sequence[float | None]) -> dict[str, float] | None:
    seen = [value for value in values if value is not None]
    if not seen:
        return None
    low, middle, high = np.quantile(seen, (0.25, 0.5, 0.75))
    return {"median": float(middle), "q25": float(low), "q75": float(high)}


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """What must not be compared."""
    kinds = {row["quantity"]: row["recipe"] for row in rows if row["log_likelihood"] is not None}
    if len(kinds) > 1:
        both = ", ".join(f"that of {name} is of a {kind}" for kind, name in kinds.items())
        yield f"log p(x) is not comparable: {both}; give one likelihood for all, likelihood=gaussian"
    seen = {row["loss"]["binarize"] != "none": row["recipe"] for row in rows}
    if len(seen) > 1:
        yield (f"squared errors are not comparable: {seen[True]} sees zeros and ones drawn from the grey levels that "
               f"{seen[False]} sees; give one likelihood for all, likelihood=gaussian")  # fmt: skip
    for row in rows:
        found = row["log_likelihood"]
        if found is not None and not found["reliable"]:
            yield (f"{row['recipe']}, seed {row['seed']}: log p(x) is not reliable, median effective sample size "
                   f"{found['ess_median']:.1f} of {found['samples']}")  # fmt: skip


def panels_of(rows: Sequence[Row]) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Label and values by recipe of each measure that anything can be drawn of; kinds that differ apart."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    for key, label, path, _ in MEASURES:
        kinds = dict.fromkeys(_kind(key, row) for row in rows if at(row, path) is not None)
        for kind in kinds:
            some = [(row["recipe"], at(row, path)) for row in rows if _kind(key, row) == kind]
            values = {name: [value for own, value in some if own == name and value is not None] for name in recipes}
            yield (f"{label}, {kind}" if len(kinds) > 1 else label), values


def _kind(key: str, row: Row) -> str:
    if key in ("log_likelihood", "elbo"):
        return str(row["quantity"])
    return ("grey levels" if row["loss"]["binarize"] == "none" else "zeros and ones") if key == "mse" else ""


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """A table for people."""
    several = any(row["seeds"] > 1 for row in facts["summary"])
    yield facts["title"] + ("; medians ± half the distance of the quartiles" if several else "")
    names = [row["recipe"] for row in facts["summary"]]
    wide = max(20, *(len(name) + 2 for name in names))
    yield " " * 34 + "".join(f"{name:>{wide}}" for name in names)
    for key, label, _, _ in MEASURES:
        cells = [_cell(row[key], several=several) for row in facts["summary"]]
        if any(cells):
            yield f"{label:<34}" + "".join(f"{cell:>{wide}}" for cell in cells)
    yield from (f"- {note}" for note in facts["notes"])


def _cell(found: Mapping[str, float] | None, *, several: bool) -> str:
    if found is None:
        return ""
    middle = f"{found['median']:.4g}"
    return f"{middle} ± {(found['q75'] - found['q25']) / 2:.2g}" if several else middle
