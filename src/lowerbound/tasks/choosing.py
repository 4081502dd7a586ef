"""What a sweep comes to: points by held-out log-likelihood with error bars, what cannot be told apart, a table."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.errors import MissingExtra
from lowerbound.files import make_folder, write_whole
from lowerbound.markup import finite

FILES = {"json": "sweep.json", "csv": "sweep.csv", "markdown": "sweep.md", "picture": "sweep.png"}
APART = 2.0  # standard errors of the difference from which on two points are told apart
DRAWN = 40  # points in the picture

Array = npt.NDArray[Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """What ``sweep`` found.

    Args:
        facts: ``rows`` (one a trial), ``points`` (one a setting, the best first), ``best``, ``notes``, ``data``.
    """

    facts: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return dict(self.facts)

    @property
    def best(self) -> Row | None:
        """The point with the highest log p(x), its ``run`` and the points that are ``tied`` with it; None for none."""
        found: Row | None = self.facts["best"]
        return found

    def __str__(self) -> str:
        return "\n".join(lines(self.facts))

    @property
    def table(self) -> str:
        """One line a trial, comma-separated."""
        text, keys = io.StringIO(), list(self.facts["over"])
        writer = csv.writer(text, lineterminator="\n")
        measured = ("mean", "se", "ess_median", "reliable")
        plain = ("epochs", "seconds", "stopped", "state", "reason", "run")
        writer.writerow([*keys, "seed", "log_likelihood", *measured[1:], *plain])
        for row in self.facts["rows"]:
            found = row["log_likelihood"] or {}
            values = [*(found.get(name) for name in measured), *(row.get(name) for name in plain)]
            writer.writerow([*(shown(row["point"][key]) for key in keys), row["seed"], *values])
        return text.getvalue()

    def picture(self) -> bytes:
        """The points with their error bars and seeds, as PNG."""
        some = self.facts["points"][:DRAWN]
        tied = {name_of(point) for point in (self.best or {"tied": []})["tied"]}
        kept = [(name_of(each["point"]), each["mean"], each["se"], each["values"]) for each in some]
        left_out = len(self.facts["points"]) - len(some)
        note = f"validation rows, nats; bars: two standard errors{f'; {left_out} more points below' * bool(left_out)}"
        return figures.png(figures.ranking(kept, tied, title=self.facts["title"], note=note, unit="log p(x) (nats)"))

    def save(self, folder: str | Path) -> list[str]:
        """Write the table (json, csv, md) and the picture; gives one line for what could not be drawn."""
        folder = Path(folder)
        make_folder(folder)
        write_whole(folder / FILES["json"], json.dumps(finite(self.facts), indent=1, default=str) + "\n")
        write_whole(folder / FILES["csv"], self.table)
        write_whole(folder / FILES["markdown"], f"{self}\n")
        if not self.facts["points"]:
            return []
        try:
            write_whole(folder / FILES["picture"], self.picture())
        except MissingExtra as error:
            return [f"no picture: {error}"]
        return []


def ranked(rows: Sequence[Row], scores: Mapping[str, Array]) -> list[Row]:
    """The points of which something came, the best first.

    The error of a point is that over rows and that over seeds; ``behind`` is its distance from the best and
    ``behind_se`` the error of that, for which the same rows are compared, so that what makes a row hard for both
    drops out.

    Args:
        rows: trials.
        scores: log p(x) per validation row, by ``run``.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["log_likelihood"] is not None:
            groups.setdefault(name_of(row["point"]), []).append(row)
    found = []
    for some in groups.values():
        values = [row["log_likelihood"]["mean"] for row in some]
        each = np.mean([scores[row["run"]] for row in some], axis=0)
        seeds = float(np.var(values, ddof=1) / len(values)) if len(values) > 1 else 0.0
        found.append({"point": some[0]["point"], "seeds": len(some), "mean": float(np.mean(values)), "values": values,
                      "se": math.sqrt(_squared_error(each) + seeds), "of_seeds": seeds, "each": each,
                      "ess_median": min(row["log_likelihood"]["ess_median"] for row in some),
                      "run": max(some, key=lambda row: float(row["log_likelihood"]["mean"]))["run"]})  # fmt: skip
    found.sort(key=lambda point: -float(point["mean"]))
    for point in found:
        apart = _squared_error(found[0]["each"] - point["each"])
        both = found[0]["of_seeds"] + point["of_seeds"] if point is not found[0] else 0.0
        point["behind"], point["behind_se"] = found[0]["mean"] - point["mean"], math.sqrt(apart + both)
    return [{key: value for key, value in point.items() if key not in ("each", "of_seeds")} for point in found]


def _squared_error(values: Array) -> float:
    return float(np.var(values, ddof=1) / len(values)) if len(values) > 1 else 0.0


def chosen(points: Sequence[Row]) -> Row | None:
    """The best point, and those that are not told apart from it."""
    if not points:
        return None
    best = points[0]
    tied = [point["point"] for point in points[1:] if point["behind"] <= APART * point["behind_se"]]
    return {"point": best["point"], "log_likelihood": {"mean": best["mean"], "se": best["se"]}, "seeds": best["seeds"],
            "run": best["run"], "tied": tied}  # fmt: skip


def notes(rows: Sequence[Row], points: Sequence[Row], best: Row | None) -> Iterator[str]:
    """What must be known before the best is believed."""
    if best is None and points:
        yield ("no best: log p(x) of a density, of a probability and of zeros and ones drawn from grey levels are not "
               "compared; sweep one likelihood at a time")  # fmt: skip
    if best is not None and best["tied"]:
        yield (f"not told apart from the best ({APART:g} standard errors of the difference on the same rows): "
               + "; ".join(map(name_of, best["tied"])))  # fmt: skip
    if best is not None and best["seeds"] == 1 and len(points) > 1:
        yield "one seed a point: how much the seed decides is not in the error bars; give more seeds"
    for row in rows:
        found, name = row["log_likelihood"], f"{name_of(row['point'])}, seed {row['seed']}"
        if found is not None and not found["reliable"]:
            yield (f"{name}: log p(x) is not reliable, median effective sample size {found['ess_median']:.1f} of "
                   f"{found['samples']}")  # fmt: skip
        if row["state"] != "done":
            yield f"{name}: {row['state']}: {row['reason']}"
    if best is not None:
        yield f"chosen on the validation rows; for a number to publish: lowerbound evaluate {best['run']}"


def comparable(rows: Sequence[Row]) -> bool:
    """Whether log p(x) is of one kind in all trials."""
    return len({(row["quantity"], row["binarize"]) for row in rows if row["log_likelihood"] is not None}) <= 1


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The table for people, which is also one in markdown."""
    yield from (facts["title"], "")
    head = [*map(short, facts["over"]), "seeds", "log p(x), nats", "behind the best", "ESS", ""]
    ranks = {name_of(point) for point in (facts["best"] or {"tied": ()})["tied"]}
    body = [
        [*(shown(point["point"][key]) for key in facts["over"]), str(point["seeds"]),
         f"{point['mean']:.2f} ± {point['se']:.2f}",
         f"{point['behind']:.2f} ± {point['behind_se']:.2f}" if i else "", f"{point['ess_median']:.0f}",
         ("best" if facts["best"] and not i else "tied" if name_of(point["point"]) in ranks else "")]
        for i, point in enumerate(facts["points"])
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    for cells in (head, ["-" * width for width in widths], *body):
        yield "| " + " | ".join(map(str.ljust, cells, widths)) + " |"
    yield from ("", *(f"- {note}" for note in facts["notes"]))


def name_of(point: Mapping[str, Any]) -> str:
    """A point for people.

    >>> name_of({"model.latent": 2, "model.encoder.widths": [64, 64]})
    'latent=2 encoder.widths=[64,64]'
    """
    return " ".join(f"{short(path)}={shown(value)}" for path, value in point.items()) or "as the recipe says"


def short(path: str) -> str:
    """A path without its section.

    >>> short("model.latent"), short("objective.beta"), short("train.rate")
    ('latent', 'beta', 'rate')
    """
    head, _, rest = path.partition(".")
    return rest if rest and head in ("model", "objective", "train", "data") else path


def shown(value: Any) -> str:
    """A value as it is written in a file's name or a table."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)
