"""What the scripts of these pages share: data, linear models with known answers, exact expectations, curves."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lowerbound as lb
from lowerbound.batches import Batch
from lowerbound.figures.canvas import PALETTE, chart, finish, name_axes
from lowerbound.figures.charts import DASHED, GRID, LEGEND
from lowerbound.objectives import Objective, StepContext, Terms

LINEAR = {"encoder": {"name": "linear"}, "decoder": {"name": "linear"}}


def digits() -> Tensor:
    """The 1797 handwritten digits of scikit-learn, (1797, 64) float64, 0 to 1."""
    return torch.from_numpy(lb.load("digits").values(dtype=np.float64).reshape(1797, 64))


def linear(cells: int, latent: int, sigma: float, **more: Any) -> lb.VAE:
    """A model of linear nets and Gaussian noise of standard deviation sigma, its weights to be set."""
    spec = {"shape": [cells], "latent": latent, "posterior": {"name": "gaussian"}, "prior": {"name": "standard"}}
    likelihood = {"name": "gaussian", "scale": "fixed", "value": sigma}
    return lb.assemble({**spec, **LINEAR, "likelihood": likelihood, **more}).double()


@torch.no_grad()
def put(net: Any, weight: Any, bias: Any) -> None:
    """Set the weights of a linear net."""
    net.map.weight.copy_(torch.as_tensor(weight))
    net.map.bias.copy_(torch.as_tensor(bias))


def toy(mean: float = 0.0, variance: float = 1.0) -> lb.VAE:
    """z ~ N(0, 1), x given z ~ N(z, 1/2), and q(z|x) = N(mean, variance)."""
    model = linear(1, 1, 0.5**0.5)
    put(model.decoder, [[1.0]], [0.0])
    put(model.encoder, [[0.0], [0.0]], [mean, math.log(variance)])
    return model


def exactly(objective: Objective, model: lb.VAE, x: Tensor, label: Tensor | None = None) -> Terms:
    """The objective with its expectation over q taken exactly, which these few draws do for squares."""
    eps = torch.eye(model.latent).double() * model.latent**0.5
    eps = torch.cat([eps, -eps])
    assert objective.samples == len(eps)
    noise = StepContext({"posterior": eps.expand(len(x), -1, -1)}, batch_rows=len(x))
    return objective(model, Batch(x, context=label), noise)


def curves(
    across: Any,
    lines: Mapping[str, Any],
    title: str,
    names: tuple[str, str],
    dots: Any = (),
    marks: Mapping[str, float] = {},
) -> Any:
    """Lines over one axis, dashed lines across at the heights of ``marks``, and dots (x, y)."""
    figure, axes = chart(5.6, 3.4, title)
    for place, (name, values) in enumerate(lines.items()):
        axes.plot(across, values, color=PALETTE[place], linewidth=1.6, label=name)
    for name, height in dict(marks).items():
        axes.axhline(height, label=name, **DASHED)
    if len(dots):
        axes.plot(*np.transpose(dots), "o", color=PALETTE[1], markersize=5)
    axes.grid(axis="y", **GRID)
    axes.legend(loc="best", **LEGEND)
    name_axes(axes, *names)
    return finish(figure)
