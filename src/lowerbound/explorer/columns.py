"""The columns of a table as plain tables: what each is, and where its numbers stand among the decoder's."""

from collections.abc import Iterator
from typing import Any

import torch

from lowerbound.data.columns import Column, plain
from lowerbound.likelihoods import Columns
from lowerbound.likelihoods.mixed import Mixed
from lowerbound.model import VAE
from lowerbound.tabular import quadrature


def describe(model: VAE) -> dict[str, Any]:
    """Of each column its schema with the places and fixed numbers of its family, and nodes to integrate a mean by.

    Args:
        model: with the likelihood ``columns``.
    """
    family: Any = model.likelihood_family
    weight = next(model.parameters())
    with torch.no_grad():
        p: Any = model.embedding.restore(family(torch.zeros(1, family.layout.total).to(weight)))
    places = _places(family, p)
    return {"name": family.name, "columns": [_told(column, places[i]) for i, column in enumerate(family.columns)],
            "nodes": quadrature()}  # fmt: skip


def _told(column: Column, facts: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in plain(column).items() if key not in ("name", "note", "missing", "weight")}
    return {"low": column.low, "high": column.high, **kept, **facts}


def _places(family: Columns, p: Mixed) -> dict[int, dict[str, Any]]:
    """By the place of a column in the row, in the order in which the decoder's numbers stand."""
    layout, rest = family.layout, p.rest
    starts = torch.tensor([0, *layout.groups]).cumsum(0).tolist()
    found: dict[int, dict[str, Any]] = dict(_measured(family, p, starts))
    sizes = [] if rest["dispersion"] is None else rest["dispersion"].tolist()
    for n, i in enumerate([*layout.negative.tolist(), *layout.poisson.tolist()]):
        usual = float(p.shift[i])
        level = float(torch.tensor(usual if usual > 0 else 1.0).log())
        found[i] = {"at": starts[3] + n, "level": level, "log_size": sizes[n] if n < len(layout.negative) else None}
    at = starts[4]
    for i in layout.nominal.tolist():
        found[i] = {"at": at}
        at += len(family.columns[i].categories) - 1
    for i in layout.gates.tolist():
        found[i]["gate"] = at
        at += len(family.columns[i].spikes)
    for n, i in enumerate(layout.ordinal.tolist()):
        found[i] = {"at": starts[5] + n, "cuts": rest["cuts"][n, : len(family.columns[i].categories) - 1].tolist()}
    return found


def _measured(family: Columns, p: Mixed, starts: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    layout, learned = family.layout, p.rest["scales"]
    students = layout.students.tolist()
    for n, i in enumerate(layout.measured.tolist()):
        yield i, {
            "at": starts[0] + n, "spread": starts[1] + n if learned is None else None,
            "freedom": starts[2] + students.index(n) if n in students else None,
            "log_variance": None if learned is None else float(learned[n]), "floor": family.floor,
            "shift": float(p.shift[i]), "scale": float(p.scale[i]), "step": float(layout.step[n]),
            "edges": [float(layout.line.low[n]), float(layout.line.high[n])],
        }  # fmt: skip
