"""What every contender is given: the rows, the sizes of the nets, batch and rate. Weights and FLOPs are counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Work:
    """One epoch of one network on one data set."""

    name: str
    title: str
    data: str  # known to lowerbound.load
    rows: int
    shape: tuple[int, ...]
    latent: int
    batch: int
    rate: float
    net: Mapping[str, Any]  # encoder and decoder alike, as the configuration of lowerbound writes them

    def rows_of(self, limit: int = 0) -> Any:
        """The training rows as lowerbound's ``Data``, evenly spread where fewer are wanted than there are."""
        import lowerbound as lb

        data = lb.load(self.data)
        part = data if data.split is None else data.train
        return part.take(np.linspace(0, part.rows - 1, limit or self.rows).astype(np.int64))

    def values(self, limit: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The same rows as floats in [0, 1], (rows, *shape)."""
        return self.rows_of(limit).values()

    def nets(self) -> tuple[Any, Any]:
        """Encoder (to mean and log variance side by side) and decoder (to logits) in plain torch."""
        import torch
        from torch import nn

        torch.manual_seed(0)
        return _dense(nn, self.latent) if self.net["name"] == "mlp" else _conv(nn, self.latent)


def _dense(nn: Any, latent: int) -> tuple[Any, Any]:
    down = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * latent))
    up = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))
    return down, up


def _conv(nn: Any, latent: int) -> tuple[Any, Any]:
    def layers(kind: Any, *sizes: int) -> list[Any]:
        return [layer for a, b in pairwise(sizes) for layer in (kind(a, b, 4, stride=2, padding=1), nn.ReLU())]

    down = [*layers(nn.Conv2d, 1, 32, 32, 64, 64), nn.Flatten(), nn.Linear(1024, 256), nn.ReLU()]
    up = [nn.Linear(latent, 256), nn.ReLU(), nn.Linear(256, 1024), nn.ReLU(), nn.Unflatten(1, (64, 4, 4))]
    images = layers(nn.ConvTranspose2d, 64, 64, 32, 32, 1)[:-1]
    return nn.Sequential(*down, nn.Linear(256, 2 * latent)), nn.Sequential(*up, *images)


WORKS = {
    work.name: work
    for work in (
        Work(
            "mnist", "MLP 784-400-20-400-784, Bernoulli on grey levels, Adam 1e-3, batch 128", "mnist",
            60000, (1, 28, 28), 20, 128, 1e-3, {"name": "mlp", "widths": [400]},
        ),
        Work(
            "conv", "conv 1x64x64, 32-32-64-64 and 256, latent 10, Adam 1e-4, batch 64", "dsprites-grid",
            6400, (1, 64, 64), 10, 64, 1e-4, {"name": "conv", "channels": [32, 32, 64, 64], "hidden": 256},
        ),
    )
}  # fmt: skip


def loss_of(encoder: Any, decoder: Any, x: Any) -> Any:
    """The negative evidence lower bound of a batch, summed over its rows, by hand in torch."""
    import torch
    from torch.nn import functional as F

    mean, log_variance = encoder(x).float().chunk(2, dim=1)
    z = torch.addcmul(mean, (0.5 * log_variance).exp(), torch.randn_like(mean))
    kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
    return F.binary_cross_entropy_with_logits(decoder(z).float(), x, reduction="sum") + kl


def flops(work: Work) -> dict[str, float]:
    """Floating-point operations of the matrix products and convolutions: of a training row, and of a decoded code."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    encoder, decoder = work.nets()
    with FlopCounterMode(display=False) as trained:
        loss_of(encoder, decoder, torch.zeros(work.batch, *work.shape)).backward()
    with FlopCounterMode(display=False) as decoded, torch.no_grad():
        decoder(torch.zeros(work.batch, work.latent))
    return {"row": trained.get_total_flops() / work.batch, "code": decoded.get_total_flops() / work.batch}
