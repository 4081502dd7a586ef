"""Into the latent space and back: encode, decode, reconstruct."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lowerbound.data import Data, Split
from lowerbound.distributions import point
from lowerbound.errors import BadOption, DataMissing, DataShape
from lowerbound.evaluation import EVALUATION_ROWS, evaluating
from lowerbound.randomness import Draw, row_noise
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


def codes(run: Run, data: Any = None, *, draws: int = 0, seed: int = 0) -> Data:
    """Codes of rows, with their labels and their split, as data for another run (M1+M2).

    Args:
        run: trained.
        data: rows as ``load`` takes them; all rows of the run when left out.
        draws: 0 for posterior means; else every training row is there so many times, each a draw from q(z|x) of its
            own, so that as many epochs cost one pass, and none sees a draw again. Other rows have their mean.
        seed: of the draws, which are keyed by the rows' contents.

    Raises:
        BadOption: fewer than no draws. As ``encode``.

    Source: codes drawn anew at each use: Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298, section 4.4.

    >>> from lowerbound.train import fit
    >>> run = fit("digits", latent=2, epochs=1, progress=False)
    >>> codes(run, draws=3).shape, codes(run, draws=3).train.rows == 3 * run.rows(part="train").rows
    ((2,), True)
    """
    if draws < 0:
        raise BadOption("not a number of draws", where="draws", found=str(draws), expected="0 or more")
    if data is None:
        run.rows(part="train", partial=True)  # puts them there
    source = run.rows(run.data if data is None else data)
    split = source.split or Split(np.arange(source.rows), np.arange(0), np.arange(0), "given", seed)
    means = encode(run, source).astype(np.float32)
    made = replace(_bare(source, means), name=f"codes of {source.name}", split=split)
    if not draws:
        return made
    drawn = drawn_codes(run, source.take(split.train), draws, seed)
    means[split.train] = drawn[0]
    more = np.tile(split.train, draws - 1)
    index, new = np.r_[np.arange(source.rows), more], source.rows + np.arange(len(more))
    whole = replace(made.take(index), x=np.concatenate([means, *drawn[1:]]))
    return replace(whole, split=replace(split, train=np.r_[split.train, new], how="given"))


def _bare(source: Data, x: Array) -> Data:
    """Other values with the labels of rows."""
    return Data(x, labels=source.labels, label_names=source.label_names)


def drawn_codes(run: Run, rows: Data, draws: int, seed: int) -> Array:
    """Samples of q(z|x), (draws, rows, latent), keyed by the rows' contents."""
    model, found = run.model, []
    shape = model.posterior_family.noise_shape
    with evaluating(model):
        for batch in run.resident(rows).blocks(EVALUATION_ROWS):
            digests = model.embedding.digests(batch.x, batch.mask)
            eps = torch.empty(0) if shape is None else row_noise(seed, "codes", digests, Draw(shape), 0, draws)
            z = model.draw(model.posterior(batch.x, batch.context, batch.mask), eps.to(batch.x))
            found.append(z.expand(draws, -1, -1).cpu().numpy())
    return np.concatenate(found, axis=1).astype(np.float32)


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
