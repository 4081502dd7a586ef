"""Columns of a table on their own: what a run's families reach where no column knows of another."""

from copy import deepcopy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound.batches import Rows
from lowerbound.data import Data
from lowerbound.model import VAE
from lowerbound.run import Run

BLOCK = 1 << 14  # rows
STEPS = 100  # of L-BFGS, at most

Array = npt.NDArray[np.float64]


def alone(run: Run, train: Data, rows: Data) -> Array:
    """log p of each cell under columns that are independent, each of the family that it has in the run.

    The numbers that the decoder would give are the same for all rows: those that make the training rows likeliest.

    Args:
        run: of a table with a schema.
        train: rows to fit the columns to.
        rows: to be judged.

    Returns:
        (rows, columns), in nats and the units of the data; 0 where a cell is missing.

    Source: Liu & Nocedal 1989, "On the limited memory BFGS method", Mathematical Programming 45 (the fit).
    """
    model = deepcopy(run.model).double().eval().requires_grad_(False)
    columns = model.likelihood_family.requires_grad_(True)
    known = run.resident(train, torch.float64)
    numbers = torch.zeros(1, *columns.numbers, dtype=torch.float64, device=known.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([numbers, *columns.parameters()], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = -torch.stack([cells.sum() for cells in _cells(model, numbers, known)]).sum() / len(known)
        found.backward()
        return found

    optimiser.step(loss)
    with torch.no_grad():
        return torch.cat(list(_cells(model, numbers, run.resident(rows, torch.float64)))).cpu().numpy()


def _cells(model: VAE, numbers: Tensor, rows: Rows) -> list[Tensor]:
    """log p of the cells of each block of rows, (rows, columns)."""
    p = model.embedding.restore(model.likelihood_family(numbers))
    return [model.cells(p, batch.x, batch.mask) for batch in rows.blocks(BLOCK)]
