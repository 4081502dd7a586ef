"""The style of rows held while their label changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.data.conditions import Condition
from lowerbound.errors import BadOption
from lowerbound.run import Run
from lowerbound.tasks.columns import row_number
from lowerbound.tasks.latent import decode, encode
from lowerbound.tasks.strips import Strips

Array = npt.NDArray[Any]
STEPS = 9  # values of a number, from its mean less two standard deviations to its mean and two


@dataclass(frozen=True)
class Analogies(Strips):
    """A row of the picture for each style, a column for each value of the condition ``over``."""

    over: str


def analogies(
    run: Run, rows: int | Sequence[int] = 8, *, over: str | None = None, data: Any = None
) -> Analogies:  # fmt: skip
    """Encode rows as what they are, and decode their codes at every value of a condition.

    Args:
        run: trained with a context.
        rows: how many, from the first on, or their numbers.
        over: which condition changes; the first when left out. The others stay those of the row.
        data: rows as ``load`` takes them; the run's test rows when left out.

    Returns:
        Means of p(x|z, c): (rows, values, *shape).

    Raises:
        BadOption: a run that is conditioned on nothing. UnknownName: no such condition. DataError: no such row.

    Source: of the picture, Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298, figure 1.

    >>> from lowerbound.train import fit
    >>> found = analogies(fit("digits", latent=2, epochs=1, context="label", progress=False), 3)
    >>> found.values.shape, found.steps[:3]
    ((3, 10, 1, 8, 8), ('0', '1', '2'))
    """
    conditions = run.conditions
    if conditions is None:
        raise BadOption("the run is conditioned on nothing", where="analogies",
                        mend="Train with data.context = label, as the recipe 'cvae' does.")  # fmt: skip
    over = over or conditions.names[0]
    conditions.raw({over: conditions.members[0].values[0]} if over not in conditions.names else {})
    chosen = _chosen(run.rows(data), rows)
    one = conditions.members[conditions.names.index(over)]
    codes, raws = encode(run, chosen).astype(np.float64), _values(one)
    known: Any = chosen.context
    columns = [_decoded(run, codes, known, {over: one.text(raw)}) for raw in raws]
    texts = tuple(", ".join(m.text(raw) for m, raw in zip(conditions.members, each, strict=True)) for each in known)
    title = f"{run.summary['recipe']} on {run.facts['name']}: style held, {over} changed"
    steps = tuple(one.text(raw) for raw in raws)
    repeated = np.repeat(codes[:, None], len(raws), axis=1)
    return Analogies(np.stack(columns, 1), repeated, texts, steps, title, tuple(run.facts["columns"]), run.schema, over)


def _chosen(data: Data, rows: int | Sequence[int]) -> Data:
    if isinstance(rows, int) and not 1 <= rows <= data.rows:
        raise BadOption("not a number of rows", where="analogies", found=str(rows), expected=f"1 to {data.rows}")
    return data.take(list(range(rows)) if isinstance(rows, int) else [row_number(data, row) for row in rows])


def _values(one: Condition) -> Array:
    """Raw values of a condition to go through."""
    values: Array = np.arange(len(one.values), dtype=np.float64)
    return values if one.values else one.shift + one.scale * np.linspace(-2, 2, STEPS)


def _decoded(run: Run, codes: Array, known: Array, changed: Mapping[str, object]) -> Array:
    """Codes at what is known of their rows but for what is changed."""
    conditions: Any = run.conditions
    kinds, which = np.unique(known, axis=0, return_inverse=True)
    made = np.empty((len(codes), *run.model.shape), np.float32)
    for kind, raw in enumerate(kinds):
        given = {m.name: m.text(value) if m.values else value for m, value in zip(conditions.members, raw, strict=True)}
        at = np.flatnonzero(which.ravel() == kind)
        made[at] = decode(run.at({**given, **changed}), codes[at])
    return made
