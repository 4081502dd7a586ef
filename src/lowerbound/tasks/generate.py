"""New rows from the model."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.data.columns import Schema
from lowerbound.distributions import point
from lowerbound.errors import BadOption
from lowerbound.evaluation import evaluating
from lowerbound.outputs import write_array
from lowerbound.randomness import key, scope
from lowerbound.run import Run
from lowerbound.tasks.given import codes_given
from lowerbound.tasks.paths import centre, prior, prior_draws

Array = npt.NDArray[Any]
BLOCK = 1024


@dataclass(frozen=True)
class Generated:
    """Rows that a model made.

    Args:
        values: (rows, *shape), in the units of the data.
        codes: (rows, latent), what they were decoded from.
        columns: names, for tables.
        kind: ``mean`` of p(x|z), or ``draw`` from it.
        schema: of a table: what the numbers stand for.
        context: (rows, conditions) codes and numbers that the rows were made for, or None.
        ess: effective sample size of the draws from p(z | columns given); NaN where none were given.
    """

    values: Array
    codes: Array
    columns: tuple[str, ...]
    kind: str
    schema: Schema | None = None
    context: Array | None = None
    ess: float = math.nan

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.values, dtype=dtype, copy=copy)

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write as a picture (png), an array (npy) or a table (csv), by the path's ending."""
        return write_array(self.values, path, columns=self.columns, schema=self.schema, force=force)


def sample(
    run: Run, rows: int = 64, *, kind: Literal["auto", "mean", "draw"] = "auto", temperature: float = 1.0,
    seed: int = 0, given: Mapping[str, object] | None = None,
) -> Generated:  # fmt: skip
    """Draw z from the prior and decode it.

    Args:
        run: trained.
        rows: how many.
        kind: ``mean`` of p(x|z), which looks clean, or ``draw`` from p(x|z), which is a sample of the model; ``auto``:
            a draw for tables, else the mean.
        temperature: factor on the prior draw's distance from the prior's mean.
        seed: of the draws.
        given: values of what the run is conditioned on, ``{"label": 7}``; what is left out is drawn from the training
            rows, from those with these classes where there are any. Of a table that is conditioned on nothing, values
            or ranges of columns, ``{"education": "Masters", "age": (40, 50)}`` or ``"40..50"``: z is drawn from
            p(z | given) by importance, and the other columns from p(x|z).

    Returns:
        The rows, in the units of the data.

    Raises:
        BadOption: rows < 1, temperature <= 0, another kind, or ``given`` for pictures of a run that is conditioned on
            nothing; columns given with a temperature. UnknownName: no such condition, class or column.
        DataError: training rows are needed and not at hand, or no draw can have what is given.

    Source: Kingma & Welling 2014, arXiv:1312.6114.

    >>> from lowerbound.train import fit
    >>> sample(fit("digits", latent=2, epochs=1, progress=False), 4).values.shape
    (4, 1, 8, 8)
    """
    kind = kind if kind != "auto" else "mean" if run.schema is None else "draw"
    if rows < 1 or not 0 < temperature < np.inf or kind not in ("mean", "draw"):
        found = f"rows {rows}, temperature {temperature}, kind '{kind}'"
        expected = "rows >= 1, temperature > 0, kind 'mean' or 'draw'"
        raise BadOption("cannot be used", where="sample", found=found, expected=expected)
    if given and run.conditions is None and len(run.model.shape) == 1:
        return _at_columns(run, rows, kind, temperature, seed, given)
    known = contexts(run, rows, given, seed)
    blocks = list(_blocks(run, rows, kind, temperature, seed, known))
    values, codes = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return Generated(values, codes, tuple(run.facts["columns"]), kind, run.schema, known)


def _at_columns(
    run: Run, rows: int, kind: str, temperature: float, seed: int, given: Mapping[str, object]
) -> Generated:  # fmt: skip
    if temperature != 1.0:
        raise BadOption("of no use with given columns", where="temperature", found=str(temperature), expected="1")
    z, x, at, ess = codes_given(run, rows, given, seed)
    with evaluating(run.model), scope(seed, "sample"):
        parts = [run.model.likelihood(block) for block in z.split(BLOCK)]
        made = torch.cat([point(p) if kind == "mean" else p.sample() for p in parts])
    values = torch.where(at, x, made).cpu().numpy()
    values = values if run.schema is None else run.schema.legal(values)
    return Generated(values, z.cpu().numpy(), tuple(run.facts["columns"]), kind, run.schema, ess=ess)


def contexts(run: Run, rows: int, given: Mapping[str, object] | None, seed: int) -> Array | None:
    """Raw values (rows, conditions) to make rows for, as ``sample`` says; None where there is nothing to say."""
    conditions = run.conditions
    if conditions is None and given is not None:
        run.at(given)  # which says that it cannot be
    if conditions is None or (given is None and run.model.fixed is not None):
        return None
    fixed = conditions.raw(given or {})
    if len(fixed) == len(conditions.members):
        return np.tile([fixed[i] for i in range(len(fixed))], (rows, 1))
    known: Any = run.rows(part="train").context  # a run with conditions has it
    alike = [known[:, i] == value for i, value in fixed.items() if conditions.members[i].values]
    chosen = np.logical_and.reduce(alike) if alike else np.ones(len(known), bool)
    pool = known[chosen] if chosen.any() else known
    made: Array = pool[np.random.Generator(np.random.PCG64(key(seed, "context"))).integers(len(pool), size=rows)]
    made[:, list(fixed)] = list(fixed.values())
    return made


def _blocks(
    run: Run, rows: int, kind: str, temperature: float, seed: int, known: Array | None
) -> Iterator[tuple[Array, Array]]:
    weight, conditions = next(run.model.parameters()), run.conditions
    with evaluating(run.model):
        for block, first in enumerate(range(0, rows, BLOCK)):
            size, context = min(BLOCK, rows - first), None
            if known is not None and conditions is not None:
                context = torch.from_numpy(conditions.numbers(known[first : first + size])).to(weight)
            z = draw_prior(run, size, seed, block, temperature, context).to(weight)
            p = run.model.likelihood(z, context)
            with scope(seed, "sample", block):  # torch's samplers take no generator
                x = (point(p) if kind == "mean" else p.sample()).cpu().numpy()
            yield x if run.schema is None else run.schema.legal(x), z.cpu().numpy()


def draw_prior(
    run: Run, rows: int, seed: int, block: int, temperature: float, context: torch.Tensor | None = None
) -> torch.Tensor:
    """Codes from the prior, (rows, latent), moved towards its mean by the temperature."""
    z = prior_draws(run, rows, seed, "prior", block, context=context)
    if temperature == 1.0:
        return z
    middle = centre(run) if context is None else prior(run, context).mean
    return middle + temperature * (z - middle)
