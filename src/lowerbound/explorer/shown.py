"""The rows that a page shows: their codes, what they may be coloured by, and their values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.data import Data
from lowerbound.explorer import told
from lowerbound.explorer.blob import Blob
from lowerbound.run import Run
from lowerbound.tasks.evaluate import bound_terms
from lowerbound.tasks.latent import reconstruct

Array = npt.NDArray[Any]

ROWS = 1500
CELLS = 1 << 22  # values of rows in a page; fewer rows are shown where each has many
CLASSES = 40  # distinct whole numbers that still count as classes
PARTS = ("train", "validation", "test")
SEEN = 0.99  # share of posterior draws that lie near enough to the codes to count as on the data


@dataclass(frozen=True)
class Shown:
    """Rows on the map.

    Args:
        data: the rows.
        numbers: of each in the data that they come from, (rows,).
        parts: place in ``PARTS`` of each, (rows,), or None for rows that were given.
        terms: of the bound, by row, as ``bound_terms`` gives them.
        told: raw values of what the model is told of each row, (rows, conditions), or None.
    """

    data: Data
    numbers: Array
    parts: Array | None
    terms: dict[str, Array]
    told: Array | None = None

    @property
    def codes(self) -> Array:
        """Posterior means, (rows, latent)."""
        codes: Array = self.terms["mean"]
        return codes

    @property
    def divergence(self) -> Array | None:
        """KL of each row and dimension, (rows, latent), where there is such a thing."""
        found = self.terms.get("kl_per_dimension")
        return found if found is not None and found.shape == self.codes.shape else None

    @property
    def spread(self) -> Array:
        """Standard deviation of q(z|x) averaged over the rows, (latent,)."""
        variance = self.codes.var(0) + self.terms["variance"].mean(0)
        found: Array = np.sqrt(np.maximum(variance, 1e-12))
        return found


def choose(run: Run, data: Any = None, most: int | None = None, seed: int = 0) -> Shown:
    """Rows evenly spread over the data given, or over all rows of the run's own.

    Args:
        run: trained.
        data: rows as ``load`` takes them, or None.
        most: how many; None: ``ROWS``, or fewer where a row has many cells.
        seed: of the posterior draws.

    Raises:
        DataError: the run's rows are not at hand and none were given.
    """
    parts = None
    rows = _own(run) if data is None else run.rows(data)
    if data is None and rows.split is not None:
        parts = np.zeros(rows.rows, np.int64)
        parts[rows.split.validation], parts[rows.split.test] = 1, 2
    most = most or max(1, min(ROWS, CELLS // int(np.prod(rows.shape))))
    known = np.arange(rows.rows)
    if data is None and rows.context is not None:  # of one's own rows those without a label are left out
        known = known[~np.isnan(rows.context).any(1)]
    numbers = known[np.linspace(0, len(known) - 1, min(most, len(known))).astype(np.int64)]
    taken = rows.take(numbers)
    terms = bound_terms(run, run.resident(taken), seed, samples=1)
    contexts = told.known(run, taken.context, taken.rows)
    return Shown(taken, numbers, None if parts is None else parts[numbers], terms, contexts)


def _own(run: Run) -> Data:
    run.rows(part="train")  # reads the data if they are not at hand
    data: Any = run.data
    rows: Data = data
    return rows


def describe(run: Run, shown: Shown, blob: Blob) -> dict[str, Any]:
    """The rows as a page holds them; their arrays go into the blob."""
    low, high = limits(shown.data)
    return {
        "count": len(shown.numbers),
        "numbers": blob.add(shown.numbers, "i4"),
        "codes": blob.add(shown.codes, "f4"),
        "held_out": None if shown.parts is None else blob.add(shown.parts > 0, "u1"),
        "cells": _cells(shown.data, low, high, blob),
        "range": [low, high],
        "given": None if shown.told is None else blob.add(shown.told, "f4"),
        "exposure": None if (found := _exposure(run, shown.data)) is None else blob.add(found, "f4"),
        "colours": list(_colours(run, shown, blob)),
        "reach": reach(shown),
    }


def latents(shown: Shown) -> list[dict[str, Any]]:
    """Name, mean, spread and KL of every dimension, in the order of the model."""
    mean, spread = shown.codes.mean(0).tolist(), shown.spread.tolist()
    divergence = [None] * len(mean) if shown.divergence is None else shown.divergence.mean(0).tolist()
    return [
        {"name": f"z{i + 1}", "mean": centre, "spread": width, "kl": nats}
        for i, (centre, width, nats) in enumerate(zip(mean, spread, divergence, strict=True))
    ]


def limits(data: Data) -> tuple[float, float]:
    """What is black and what is white in a picture: 0 and 1, unless values lie beyond."""
    values = data.values()
    return min(0.0, float(values.min())), max(1.0, float(values.max()))


def reach(shown: Shown) -> float:
    """Distance to the nearest code, in units of the spread, that almost no draw from q(z|x) has to that of another row.

    A point further away is where the decoder was hardly ever trained.
    """
    if len(shown.codes) < 2:
        return float("inf")
    codes, draws = (torch.from_numpy(shown.terms[name] / shown.spread) for name in ("mean", "draw"))
    distance = torch.cdist(draws, codes).fill_diagonal_(torch.inf).min(1).values
    return float(distance.quantile(SEEN))


def _cells(data: Data, low: float, high: float, blob: Blob) -> int:
    """Values of the rows: bytes between the limits for images, else single precision with NaN where one is missing."""
    values = data.values()
    if data.is_image:
        return blob.add(np.rint((values - low) / (high - low) * 255), "u1")
    return blob.add(values if data.mask is None else np.where(data.mask, values, np.nan), "f4")


def _exposure(run: Run, data: Data) -> Array | None:
    """What log means of each row are above those at the usual total; None where they are not told from it."""
    family: Any = run.model.likelihood_family
    if getattr(family, "exposure", "none") == "none":
        return None
    batch = next(run.resident(data).blocks(data.rows))
    p = family(batch.x.new_zeros(data.rows, *family.numbers))
    with torch.no_grad():
        ratio = run.model.conditioned(p, batch.x, batch.mask).mean / p.mean
    found: Array = ratio.flatten(1)[:, 0].log().cpu().numpy()
    return found


def _colours(run: Run, shown: Shown, blob: Blob) -> Iterator[dict[str, Any]]:
    """What the map may be coloured by, best known first."""
    data, terms = shown.data, shown.terms
    if data.labels is not None:
        yield _classes("label", data.labels, data.label_names, blob)
    for j, name in enumerate(data.factor_names):
        column = data.factors[:, j]  # type: ignore[index]  # there are names, so there are factors
        if data.labels is None or not np.array_equal(column, data.labels):
            yield _column(name, column, blob)
    if shown.parts is not None:
        yield _classes("part of the data", shown.parts, PARTS, blob) | {"made": True}
    if run.schema is None:
        yield _number("squared error", _error(run, data), blob, True)
    elif "log_likelihood" in terms:
        yield _number("log p(row|z), nats", terms["log_likelihood"], blob, True)
    if "kl" in terms:
        yield _number("KL of the row, nats", terms["kl"], blob, True)


def _error(run: Run, data: Data) -> Array:
    """Squared error of each row's reconstruction, over its observed cells."""
    error = np.square(data.values() - reconstruct(run, data)).astype(np.float64)
    seen = np.ones(error.shape, bool) if data.mask is None else data.mask
    cells = tuple(range(1, error.ndim))
    found: Array = np.where(seen, error, 0.0).sum(cells) / np.maximum(seen.sum(cells), 1)
    return found


def _column(name: str, values: Array, blob: Blob) -> dict[str, Any]:
    kinds = np.unique(values)
    whole = bool((kinds == np.rint(kinds)).all())
    if not whole or len(kinds) > CLASSES:
        return _number(name, values, blob)
    return _classes(name, np.searchsorted(kinds, values), tuple(f"{kind:g}" for kind in kinds), blob)


def _classes(name: str, codes: Array, names: tuple[str, ...], blob: Blob) -> dict[str, Any]:
    count = max(int(codes.max()) + 1, len(names))
    if count > CLASSES:
        return _number(name, codes, blob)
    texts = [names[i] if i < len(names) else str(i) for i in range(count)]
    return {"name": name, "kind": "classes", "names": texts, "at": blob.add(codes, "i4")}


def _number(name: str, values: Array, blob: Blob, made: bool = False) -> dict[str, Any]:
    return {"name": name, "kind": "number", "at": blob.add(values, "f4"), "made": made}
