"""What a conditional model is told, for a page: its controls, the contexts of rows, and draws from its prior."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound.data.conditions import Condition
from lowerbound.errors import Incompatible
from lowerbound.explorer.blob import Blob
from lowerbound.explorer.decoder import layers
from lowerbound.priors import Conditional
from lowerbound.randomness import Draw, fill, generator
from lowerbound.run import Run
from lowerbound.tasks.generate import draw_prior

Array = npt.NDArray[Any]


def describe(run: Run, told: Array | None) -> list[dict[str, Any]]:
    """Of each condition its name and classes, or scaling and range over the rows; nothing without conditions.

    Args:
        run: trained.
        told: raw values of the rows, (rows, conditions).
    """
    if run.conditions is None or told is None:
        return []
    return [_condition(one, told[:, i]) for i, one in enumerate(run.conditions.members)]


def _condition(one: Condition, raw: Array) -> dict[str, Any]:
    if one.values:
        return {"name": one.name, "values": list(one.values)}
    return {"name": one.name, "shift": one.shift, "scale": one.scale, "range": [float(raw.min()), float(raw.max())]}


def draws(run: Run, rows: int, seed: int) -> Tensor | None:
    """Codes from the prior, or, where it depends on what the model is told, the noise that it makes them of.

    Args:
        run: trained.
        rows: how many.
        seed: of the draws.
    """
    if not run.model.posterior_family.has_density:
        return None
    if isinstance(run.model.prior_family, Conditional):
        return fill(Draw((run.model.latent,)), rows, generator(seed, "prior"))
    return draw_prior(run, rows, seed, 0, 1.0)


def prior(run: Run, blob: Blob) -> list[dict[str, Any]] | None:
    """The net of a prior that depends on what the model is told: to its mean and the logarithm of its scale."""
    family = run.model.prior_family
    return layers(family.net, run.model.context, blob) if isinstance(family, Conditional) else None


def inputs(run: Run, codes: Tensor, made: Tensor | None, told: Array | None) -> Tensor:
    """What the decoder of the page may be given: codes of rows and of draws, with the contexts of rows.

    Args:
        run: trained.
        codes: of rows, (rows, latent).
        made: draws from the prior, or None.
        told: raw values of the rows, (rows, conditions), or None.
    """
    z = codes if made is None else torch.cat([codes, made.to(codes)])
    if run.conditions is None or told is None:
        return z
    numbers = torch.from_numpy(run.conditions.numbers(told)).to(z)
    return torch.cat([z, numbers[torch.arange(len(z)) % len(numbers)]], dim=1)


def known(run: Run, context: Array | None, rows: int) -> Array | None:
    """Raw values of rows, (rows, conditions): their own, else those that the run stands at."""
    if context is None and (fixed := run.told) is not None:
        return np.tile(fixed, (rows, 1))
    if context is None and run.model.context:
        raise Incompatible("the model is told what no data of it names, so the page has nothing to offer")
    return context
