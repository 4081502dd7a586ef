"""New rows from the model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.errors import BadOption
from lowerbound.evaluation import evaluating
from lowerbound.outputs import write_array
from lowerbound.randomness import generator, scope
from lowerbound.run import Run

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
    """

    values: Array
    codes: Array
    columns: tuple[str, ...]
    kind: str

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.values, dtype=dtype, copy=copy)

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write as a picture (png), an array (npy) or a table (csv), by the path's ending."""
        return write_array(self.values, path, columns=self.columns, force=force)


def sample(
    run: Run, rows: int = 64, *, kind: Literal["mean", "draw"] = "mean", temperature: float = 1.0, seed: int = 0
) -> Generated:
    """Draw z from the prior and decode it.

    Args:
        run: trained.
        rows: how many.
        kind: ``mean`` of p(x|z), which looks clean, or ``draw`` from p(x|z), which is a sample of the model.
        temperature: factor on the prior draw's distance from the prior's mean.
        seed: of the draws.

    Returns:
        The rows, in the units of the data.

    Raises:
        BadOption: rows < 1, temperature <= 0, or another kind.

    Source: Kingma & Welling 2014, arXiv:1312.6114.

    >>> from lowerbound.train import fit
    >>> sample(fit("digits", latent=2, epochs=1, progress=False), 4).values.shape
    (4, 1, 8, 8)
    """
    if rows < 1 or not 0 < temperature < np.inf or kind not in ("mean", "draw"):
        found = f"rows {rows}, temperature {temperature}, kind '{kind}'"
        expected = "rows >= 1, temperature > 0, kind 'mean' or 'draw'"
        raise BadOption("cannot be used", where="sample", found=found, expected=expected)
    blocks = list(_blocks(run, rows, kind, temperature, seed))
    values, codes = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return Generated(values, codes, tuple(run.facts["columns"]), kind)


def _blocks(run: Run, rows: int, kind: str, temperature: float, seed: int) -> Iterator[tuple[Array, Array]]:
    weight = next(run.model.parameters())
    with evaluating(run.model):
        for block, first in enumerate(range(0, rows, BLOCK)):
            size = min(BLOCK, rows - first)
            z = draw_prior(run, size, seed, block, temperature).to(weight)
            p = run.model.likelihood(z)
            with scope(seed, "sample", block):  # torch's samplers take no generator
                x = p.mean if kind == "mean" else p.sample()
            yield x.cpu().numpy(), z.cpu().numpy()


def draw_prior(run: Run, rows: int, seed: int, block: int, temperature: float) -> torch.Tensor:
    """Codes from the prior, (rows, latent), moved towards its mean by the temperature."""
    p = run.model.prior()
    if type(p) is torch.distributions.Normal:
        eps = torch.randn(rows, run.model.latent, generator=generator(seed, "prior", block)).to(p.loc)
        return p.loc + temperature * p.scale * eps
    with scope(seed, "prior", block):
        z: torch.Tensor = p.sample(torch.Size((rows,)))
    return p.mean + temperature * (z - p.mean) if temperature != 1.0 else z
