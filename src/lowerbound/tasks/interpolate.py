"""From one code to another, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.errors import BadOption, DataShape, unknown
from lowerbound.run import Run
from lowerbound.tasks.columns import all_rows, members, row_number
from lowerbound.tasks.latent import check_codes, encode
from lowerbound.tasks.paths import PATHS
from lowerbound.tasks.strips import Strips, between, decoded, share_texts

Array = npt.NDArray[Any]
End = int | str | Array


@dataclass(frozen=True)
class Interpolation(Strips):
    """Paths between codes; ``path`` says which way they take."""

    path: str


def interpolate(
    run: Run, start: End | Sequence[End], end: End | Sequence[End], *, steps: int = 9,
    path: Literal["linear", "spherical", "density"] = "linear", data: Any = None,
) -> Interpolation:  # fmt: skip
    """Decode the codes on a path from one row, group or code to another.

    Args:
        run: trained.
        start: number of a row, from 0; ``"COLUMN=VALUE"`` for the mean code of a group of rows; or a code, (latent,).
            Several, for as many paths: a list of these, or codes (paths, latent).
        end: the same, as many.
        steps: codes on a path, both ends included.
        path: ``linear``; ``spherical``, about the prior's mean; or ``density``, the way of least length where steps
            cost the more the less dense the prior is.
        data: rows as ``load`` takes them; all rows of the run's data when left out, whatever part they are of.

    Returns:
        The decoded paths (means of p(x|z)) and their codes; the first step is the start, the last the end.

    Raises:
        BadOption: fewer than 2 steps. UnknownName: another path, column or value.
        DataError: no such row, codes of another size or not finite, or another number of ends than of starts.

    Sources: White 2016, arXiv:1609.04468 (spherical); Arvanitidis, Georgiev & Schölkopf 2022, arXiv:2103.05290
    (density).

    >>> from lowerbound.train import fit
    >>> found = interpolate(fit("digits", latent=2, epochs=1, progress=False), 0, "label=7", steps=5)
    >>> found.values.shape, found.rows
    ((1, 5, 1, 8, 8), ('row 0 → label=7',))
    """
    if steps < 2:
        raise BadOption("not a number of steps", where="steps", found=str(steps), expected="2 or more")
    if path not in PATHS:
        raise unknown("path", path, PATHS)
    rows = _rows(run, data, (start, end))
    names, codes = zip(*(_ends(run, rows, what) for what in (start, end)), strict=True)
    if len(names[0]) != len(names[1]):
        found = f"{len(names[0])} starts, {len(names[1])} ends"
        raise DataShape("starts and ends do not pair up", found=found, expected="as many of both")
    made = between(run, list(zip(*codes, strict=True)), steps, PATHS[path])
    texts = tuple(f"{one} → {other}" for one, other in zip(*names, strict=True))
    title = f"{run.summary['recipe']} on {run.facts['name']}: {path} interpolation"
    return Interpolation(
        decoded(run, made), made, texts, share_texts(steps), title, tuple(run.facts["columns"]), run.schema, path
    )


def _rows(run: Run, data: Any, ends: Sequence[Any]) -> Data | None:
    """The rows that ends are told by; none are needed between codes."""
    if data is not None:
        return run.rows(data)
    return None if all(isinstance(what, np.ndarray) for what in ends) else all_rows(run)


def _ends(run: Run, data: Data | None, what: Any) -> tuple[list[str], list[Array]]:
    """Name and code of each end."""
    several = isinstance(what, list | tuple) or (isinstance(what, np.ndarray) and what.ndim == 2)
    found = [_end(run, data, one, place) for place, one in enumerate(what if several else [what])]
    if not found:
        raise DataShape("no ends", found="an empty list", expected="a row, a group or a code, or several")
    return [name for name, _ in found], [code for _, code in found]


def _end(run: Run, data: Data | None, what: Any, place: int) -> tuple[str, Array]:
    if isinstance(what, np.ndarray) and what.ndim:
        return f"code {place}", check_codes(what[None], run.model.latent)[0]
    rows = data if data is not None else all_rows(run)
    if isinstance(what, str):
        chosen, name = members(rows, what), what
    elif isinstance(what, int | np.integer) and not isinstance(what, bool):
        row = row_number(rows, int(what))
        chosen, name = np.array([row]), f"row {row}"
    else:
        expected = "a row number, COLUMN=VALUE, or an array of numbers (latent,)"
        raise BadOption("not an end of a path", found=f"{type(what).__name__} {what!r}", expected=expected)
    return name, encode(run, rows.take(chosen)).astype(np.float64).mean(0)
