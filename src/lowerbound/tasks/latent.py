"""Into the latent space and back: encode, decode, reconstruct."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.distributions import point
from lowerbound.errors import DataMissing, DataShape
from lowerbound.evaluation import EVALUATION_ROWS, evaluating
from lowerbound.run import Run

Array = npt.NDArray[Any]


def encode(run: Run, data: Any = None, *, variance: bool = False) -> Array:
    """The posterior's mean of each row: its embedding. The same answer on every call and for every split in batches.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.
        variance: give the posterior's variance instead of its mean.

    Returns:
        (rows, latent).

    Raises:
        DataError: no rows were given and the run has none, or rows that do not fit the model.

    Source: Kingma & Welling 2014, arXiv:1312.6114.

    >>> from lowerbound.train import fit
    >>> encode(fit("digits", latent=2, epochs=1, progress=False)).shape
    (180, 2)
    """
    rows, found = run.resident(run.rows(data)), []
    with evaluating(run.model):
        for batch in rows.blocks(EVALUATION_ROWS):
            q = run.model.posterior(batch.x, batch.context, batch.mask)
            found.append((q.variance if variance else q.mean).cpu().numpy())
    return _joined(found, (run.model.latent,))


def decode(run: Run, codes: Any) -> Array:
    """The mean of p(x|z) for codes.

    Args:
        run: trained.
        codes: (rows, latent), finite.

    Returns:
        (rows, *shape), in the units of the data.

    Raises:
        DataShape: codes of another size.
        DataMissing: a code that is not finite.

    >>> from lowerbound.train import fit
    >>> decode(fit("digits", latent=2, epochs=1, progress=False), [[0.0, 0.0]]).shape
    (1, 1, 8, 8)
    """
    z = check_codes(codes, run.model.latent)
    weight = next(run.model.parameters())
    with evaluating(run.model):
        found = [
            point(run.model.likelihood(torch.as_tensor(block, dtype=weight.dtype, device=weight.device))).cpu().numpy()
            for block in np.array_split(z, max(1, -(-len(z) // EVALUATION_ROWS)))
        ]
    return _joined(found, run.model.shape)


def reconstruct(run: Run, data: Any = None) -> Array:
    """Each row encoded to its posterior mean and decoded to the mean of p(x|z), at its own exposure if it has one.

    Args:
        run: trained.
        data: rows as ``load`` takes them; the run's test rows when left out.

    Returns:
        (rows, *shape), in the units of the data.

    Raises:
        DataError: no rows were given and the run has none, or rows that do not fit the model.

    Source: Kingma & Welling 2014, arXiv:1312.6114.

    >>> from lowerbound.train import fit
    >>> reconstruct(fit("digits", latent=2, epochs=1, progress=False)).shape
    (180, 1, 8, 8)
    """
    rows, found = run.resident(run.rows(data)), []
    with evaluating(run.model):
        for batch in rows.blocks(EVALUATION_ROWS):
            z = run.model.posterior(batch.x, batch.context, batch.mask).mean
            p = run.model.likelihood(z, batch.context)
            found.append(point(run.model.conditioned(p, batch.x, batch.mask)).cpu().numpy())
    return _joined(found, run.model.shape)


def check_codes(codes: Any, latent: int) -> Array:
    """Codes as an array (rows, latent) of finite numbers, or an error that says what is wrong."""
    z = np.asarray(codes, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] != latent:
        raise DataShape("codes of another size", found=str(z.shape), expected=f"(rows, {latent})")
    if not np.isfinite(z).all():
        row, column = np.argwhere(~np.isfinite(z))[0]
        raise DataMissing("a code is not finite", where=f"row {row}, dimension {column}", found=str(z[row, column]))
    return z


def _joined(blocks: list[Array], shape: tuple[int, ...]) -> Array:
    return np.concatenate(blocks) if blocks else np.empty((0, *shape), np.float32)
