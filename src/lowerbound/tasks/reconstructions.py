"""Rows beside what a model makes of them: the worst, the best, or from corrupted input."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.config import parse_part
from lowerbound.corruptions import Corruption
from lowerbound.data import Data
from lowerbound.data.columns import Schema
from lowerbound.errors import BadOption, unknown
from lowerbound.evaluation import EVALUATION_ROWS, evaluating
from lowerbound.outputs import writable, write_array
from lowerbound.parts import build
from lowerbound.randomness import row_noise
from lowerbound.run import Run
from lowerbound.tasks.latent import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHICH = ("first", "worst", "best")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Reconstructions:
    """Rows and what became of them.

    Args:
        originals: (rows, *shape), in the units of the data, as the run sees them.
        corrupted: (rows, *shape), what the encoder saw, or None: the same.
        values: (rows, *shape), the decoded means.
        error: mean squared error of each row over its observed cells, in squared units of the data, (rows,).
        numbers: of the rows among those given, (rows,).
        title: of the picture.
        columns: names, for tables.
        schema: what the columns are, for tables.
    """

    originals: Array
    corrupted: Array | None
    values: Array
    error: Array
    numbers: Array
    title: str
    columns: tuple[str, ...]
    schema: Schema | None

    def __len__(self) -> int:
        return len(self.values)

    def figure(self) -> "Figure":
        """Originals over reconstructions, under what the encoder saw if it saw something else."""
        seen = None if self.corrupted is None else self.corrupted.clip(0, 1)
        return figures.reconstructions(
            self.originals.clip(0, 1), self.values.clip(0, 1), corrupted=seen, title=self.title
        )

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the picture (png), or the reconstructions as an array (npy) or a table (csv).

        Raises:
            OutputExists: the file is there, and ``force`` was not given. BadOption: another ending.
            DataShape: a picture of rows that are not images.
        """
        if writable(path, force=force).suffix.lower() == ".png" and self.values.ndim == 4:
            return figures.save(self.figure(), path, force=force)
        return write_array(self.values, path, columns=self.columns, schema=self.schema, force=force)


def reconstructions(
    run: Run, data: Any = None, *, show: Literal["first", "worst", "best"] = "first", rows: int | None = 16,
    corruption: str | Mapping[str, Any] | None = None, seed: int = 0,
) -> Reconstructions:  # fmt: skip
    """Take rows through the latent space and back, if asked from corrupted input, and keep some of them.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        show: the first rows, or those of the largest or smallest squared error, in that order.
        rows: how many; None for all.
        corruption: what is done to the encoder's input, as ``"gaussian:scale=0.3"`` or a table with ``name``.
        seed: of the corruption, which is keyed by the rows' contents.

    Returns:
        Originals, what the encoder saw, decoded means, and errors against the clean originals.

    Raises:
        UnknownName: another choice, or no such corruption. BadOption: fewer than one row.
        DataError: no rows were given and the run has none, or rows that do not fit the model.

    Source: of the denoising, Vincent et al. 2008, "Extracting and composing robust features with denoising
    autoencoders", ICML.

    >>> from lowerbound.train import fit
    >>> found = reconstructions(fit("digits", latent=2, epochs=1, progress=False), show="worst", rows=3)
    >>> bool(found.error[0] >= found.error[2])
    True
    """
    if show not in WHICH:
        raise unknown("choice of rows", show, WHICH, where="show")
    if rows is not None and rows < 1:
        raise BadOption("not a number of rows", where="rows", found=str(rows), expected="1 or more")
    given = run.rows(data)
    part = None if corruption is None else _corruption(run, corruption)
    clean, seen, made = _passed(run, given, part, seed)
    apart = ((clean - made).astype(np.float64) ** 2).reshape(len(clean), -1)
    observed = np.ones_like(apart) if given.mask is None else given.mask.reshape(len(clean), -1)
    error = (apart * observed).sum(1) / np.maximum(observed.sum(1), 1)
    order = {"first": np.arange(len(error)), "worst": np.argsort(-error, kind="stable")}
    chosen = order.get(show, np.argsort(error, kind="stable"))[:rows]
    after = "" if part is None else f" from {part.name} input"
    title = f"{run.summary['recipe']} on {run.facts['name']}: {show} of {len(error)} rows{after}"
    return Reconstructions(clean[chosen], None if part is None else seen[chosen], made[chosen], error[chosen], chosen,
                           title, tuple(run.facts["columns"]), run.schema)  # fmt: skip


def _corruption(run: Run, what: str | Mapping[str, Any]) -> Corruption:
    table = parse_part(what) if isinstance(what, str) else dict(what)
    part: Any = build("corruption", table, {"shape": run.model.shape})
    made: Corruption = part
    return made


def _passed(run: Run, rows: Data, part: Corruption | None, seed: int) -> tuple[Array, Array, Array]:
    """Rows as the run sees them, as the encoder sees them, and as they come out."""
    model, found = run.model, []
    if part is not None:
        model = deepcopy(run.model)
        model.corruption = part.to(next(model.parameters()))
    with evaluating(model):
        for batch in run.resident(rows).blocks(EVALUATION_ROWS):
            noise, seen = None, batch.x
            if part is not None:
                digests = model.embedding.digests(batch.x, batch.mask)
                noise = row_noise(seed, "corruption", digests, part.request(), 0, 1)[0].to(batch.x)
                shift, scale = model.embedding.shift, model.embedding.scale
                seen = part((batch.x - shift) / scale, noise) * scale + shift
            q = model.posterior(batch.x, batch.context, batch.mask, corruption=noise)
            found.append([x.cpu().numpy() for x in (batch.x, seen, q.mean)])
    clean, spoilt, codes = (np.concatenate(blocks) for blocks in zip(*found, strict=True))
    return clean, spoilt, decode(run, codes)
