"""What lies between the codes: where a decoder leaves the data, how steep it is, and whether paths stay on the data.

Sources: the ball around each training row, Kynkäänniemi et al. 2019, "Improved precision and recall metric for
assessing generative models", arXiv:1904.06991; the decoder's Jacobian, Arvanitidis, Hansen & Hauberg 2018, "Latent
space oddity", arXiv:1710.11379.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound.errors import DataError
from lowerbound.evaluation import evaluating
from lowerbound.randomness import generator
from lowerbound.run import Run
from lowerbound.tasks.baselines import Reference, View, spread
from lowerbound.tasks.generate import draw_prior
from lowerbound.tasks.latent import decode, encode

NEIGHBOURS = 5  # the ball around a training row reaches to its fifth neighbour
ROWS = 2000  # training rows that stand for the data
DRAWS = 1000
STEEP = 200  # codes that the Jacobian is taken at
STEPS = 7  # points between the ends of a path
CELLS = 1 << 23  # of Jacobians held at a time
STEP = 1e-5  # of a standard deviation to either side, for central differences
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Balls:
    """The data as a union of balls: one around each training row, reaching to its fifth neighbour.

    Args:
        centres: (rows, cells), float64, as the run sees them.
        radii: (rows,).
    """

    centres: Tensor
    radii: Tensor

    @classmethod
    def around(cls, centres: Tensor) -> "Balls":
        """Balls around rows (rows, cells).

        Raises:
            DataError: fewer rows than neighbours.
        """
        if len(centres) <= NEIGHBOURS:
            raise DataError("too few rows for balls around them", found=str(len(centres)), expected="6 or more")
        return cls(centres, torch.cdist(centres, centres).kthvalue(NEIGHBOURS + 1, dim=1).values)

    def reach(self, x: Tensor) -> Tensor:
        """How far rows (n, cells) lie from the data: the least distance to a centre over its radius, (n,).

        Above 1 a row lies outside of every ball.
        """
        radii = self.radii.clamp(min=1e-12)
        found = [(torch.cdist(block, self.centres) / radii).min(1).values for block in x.split(512)]
        return torch.cat(found)

    def outside(self, x: Tensor) -> float:
        """The share of rows (n, cells) that lie outside of every ball."""
        return float((self.reach(x) > 1).double().mean())


def balls(reference: Reference) -> Balls:
    """Those around at most 2000 training rows of a run, evenly spread.

    Raises:
        DataError: the training rows are not at hand, or cells are missing.
    """
    if reference.train is None or reference.view is None:
        raise DataError("no training rows without missing cells at hand", where=repr(reference.run))
    return Balls.around(View(reference.run, spread(reference.train, ROWS)).scaled)


def geometry(reference: Reference, seed: int = 0) -> dict[str, Any]:
    """Measure the latent space between the codes.

    Args:
        reference: a run whose training and test rows are at hand.
        seed: of the draws.

    Returns:
        ``outside``: the share of rows outside of the data's balls, for decoded draws from the ``prior``, decoded draws
        from a normal with mean and covariance of the training codes (``fitted``: the kindest guess for an
        autoencoder), test rows decoded from their codes (``reconstructed``) and the ``test`` rows themselves, which is
        what perfect looks like. ``lipschitz``: quantiles, over fitted draws, of the largest singular value of the
        decoder's Jacobian, the codes measured in their standard deviations: how far the decoded mean moves, in units
        of the scaled data, for one such step. ``interpolation``: the share of the points between the codes of pairs of
        test rows that decode ``inside`` the balls, and of pairs whose whole path does (``whole``).

    Raises:
        DataError: the rows are not at hand.

    >>> from lowerbound.train import fit
    >>> found = geometry(Reference(fit("digits", latent=2, epochs=1, progress=False)))
    >>> sorted(found), 0 <= found["outside"]["prior"] <= 1
    (['interpolation', 'lipschitz', 'outside', 'rows'], True)
    """
    run, data = reference.run, balls(reference)
    test = spread(run.rows(part="test"), ROWS)
    codes, there = fitted(encode(run, spread(reference.train, ROWS))), torch.from_numpy(encode(run, test)).double()  # type: ignore[arg-type]  # balls has seen them
    draws = codes.draw(DRAWS, seed)
    return {
        "outside": {
            "prior": data.outside(made(run, draw_prior(run, DRAWS, seed, 0, 1.0))),
            "fitted": data.outside(made(run, draws)),
            "reconstructed": data.outside(made(run, there)),
            "test": data.outside(View(run, test).scaled),
        },
        "lipschitz": _quantiles(steepness(run, draws[:STEEP], codes.spread)),
        "interpolation": _paths(run, data, there, seed),
        "rows": len(data.centres),
    }


@dataclass(frozen=True)
class Codes:
    """A normal with the mean and the covariance of codes."""

    mean: Tensor
    root: Tensor

    @property
    def spread(self) -> Tensor:
        """Standard deviation of each dimension, (latent,)."""
        return self.root.square().sum(1).sqrt()

    def draw(self, rows: int, seed: int) -> Tensor:
        """(rows, latent)."""
        eps = torch.randn(rows, len(self.mean), generator=generator(seed, "fitted"), dtype=torch.float64)
        return self.mean + eps @ self.root.T


def fitted(codes: Array) -> Codes:
    """The normal that codes (rows, latent) are drawn from, if it is one."""
    z = torch.from_numpy(codes).double()
    centred = z - z.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(z))
    return Codes(z.mean(0), vectors * values.clamp(min=0).sqrt())


def made(run: Run, codes: Tensor) -> Tensor:
    """Codes decoded to means of p(x|z), (rows, cells), in units of the scaled data."""
    x = torch.from_numpy(decode(run, codes.numpy())).double()
    shift, scale = run.model.embedding.shift.cpu().double(), run.model.embedding.scale.cpu().double()
    return ((x - shift) / scale).flatten(1)


def steepness(run: Run, codes: Tensor, spread: Tensor) -> Tensor:
    """The largest singular value of the Jacobian of the decoded mean at codes, (rows,).

    Args:
        run: trained.
        codes: (rows, latent).
        spread: what one step in each dimension is, (latent,).
    """
    model = deepcopy(run.model).cpu().double()  # differences of neighbouring values need the digits
    scale = model.embedding.scale
    rows = max(1, CELLS // (int(np.prod(model.shape)) * model.latent))

    def mean(z: Tensor) -> Tensor:
        return (model.likelihood(z).mean / scale).flatten(1)

    def gram(z: Tensor) -> Tensor:
        steps = torch.diag(STEP * spread)
        jacobian = torch.stack([(mean(z + step) - mean(z - step)) / (2 * STEP) for step in steps], dim=1)
        return jacobian @ jacobian.transpose(1, 2)

    with evaluating(model):
        found = torch.cat([gram(z) for z in codes.split(rows)])
    largest: Tensor = torch.linalg.eigvalsh(found)[:, -1].clamp(min=0).sqrt()
    return largest


def _quantiles(values: Tensor) -> dict[str, float]:
    found = torch.quantile(values, torch.tensor(QUANTILES, dtype=values.dtype)).tolist()
    return {f"q{round(100 * share):02d}": value for share, value in zip(QUANTILES, found, strict=True)}


def _paths(run: Run, data: Balls, codes: Tensor, seed: int) -> dict[str, Any]:
    """Straight lines between the codes of pairs of rows."""
    order = torch.randperm(len(codes), generator=generator(seed, "pairs"))
    half = len(codes) // 2
    start, end = codes[order[:half]], codes[order[half : 2 * half]]
    share = torch.linspace(0, 1, STEPS + 2, dtype=torch.float64)[1:-1, None, None]
    points = torch.lerp(start, end, share)
    inside = (data.reach(made(run, points.flatten(0, 1))) <= 1).reshape(STEPS, half).double()
    return {"inside": float(inside.mean()), "whole": float(inside.min(0).values.mean()), "pairs": half}
