"""A plane through the latent space: where its points decode to, and whether that is on the data."""

from collections.abc import Mapping
from typing import Any

import torch

from lowerbound.figures import Map
from lowerbound.tasks.baselines import Reference, spread
from lowerbound.tasks.generate import sample
from lowerbound.tasks.geometry import DRAWS, ROWS, balls, fitted, made
from lowerbound.tasks.latent import decode, encode

SIDE = 56  # points of the plane along each axis
SAMPLES = 16
MARGIN = 1.15  # of the plane beyond the codes


def plane(reference: Reference, name: str, facts: Mapping[str, Any] | None) -> list[Map]:
    """The plane of the two directions in which the codes vary most, with the codes of held-out rows on it.

    Args:
        reference: a run whose training and test rows are at hand.
        name: to stand above it.
        facts: of ``geometry``, or None.

    Returns:
        One map; none where there is one latent dimension only, or ``geometry`` found nothing.
    """
    run, train = reference.run, reference.train
    if run.model.latent < 2 or facts is None or train is None:
        return []
    rows, codes = spread(run.rows(part="test"), DRAWS), fitted(encode(run, spread(train, ROWS)))
    axes = torch.nn.functional.normalize(codes.root[:, -2:].flip(1), dim=0)
    shown = (torch.from_numpy(encode(run, rows)).double() - codes.mean) @ axes
    extent = MARGIN * max(float(shown.abs().max()), 1e-6)
    line = torch.linspace(-extent, extent, SIDE, dtype=torch.float64)
    up, across = torch.meshgrid(line, line, indexing="ij")
    points = codes.mean + torch.stack([across, up], dim=-1).flatten(0, 1) @ axes.T
    reach = balls(reference).reach(made(run, points)).reshape(SIDE, SIDE)
    dense = run.model.posterior_family.has_density
    draws = sample(run, SAMPLES).values if dense else decode(run, codes.draw(SAMPLES, 0).numpy())
    off = facts["outside"]["prior" if dense else "fitted"]
    note = f"{100 * off:.0f} % of draws {'from the prior' if dense else 'like the codes'} off the data"
    images = draws.clip(0, 1) if rows.is_image else None
    return [Map(name, note, shown.numpy(), rows.labels, reach.numpy(), extent, images)]
