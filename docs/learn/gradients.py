"""Reparameterisation against the score function: two gradients that agree in the mean and not in the noise."""

import math
from pathlib import Path

import numpy as np
import torch
from common import linear, put

import lowerbound as lb
from lowerbound import figures
from lowerbound.batches import Batch
from lowerbound.objectives import elbo

DRAWS = 200_000


def model(size: int) -> lb.VAE:
    """q(z|x) = N(1, 1) in each dimension, and at x = 0 log p(x|z) = -pi |z|^2 with no constant."""
    made = linear(size, size, (2 * math.pi) ** -0.5)
    put(made.decoder, np.eye(size), np.zeros(size))
    put(made.encoder, np.zeros((2 * size, size)), np.repeat([1.0, 0.0], size))
    return made


def exact(size: int) -> tuple[float, float, float]:
    """Variances of the gradient of E |z|² in one mean, from the moments of a normal."""
    rest, spread = 2 * (size - 1), 6 * (size - 1)  # mean and variance of what the other dimensions add
    square = 34 + 2 * 4 * rest + rest**2 + spread  # E (f e)²
    return square - 4, square - 4 - (4 + rest) ** 2, 4


ways = ("score function", "score function, best baseline", "reparameterised")
spreads = {}
for size in (1, 10):
    baseline = -math.pi * (4 + 2 * (size - 1))  # E f e² / E e²
    choices = (elbo(gradient="score"), elbo(gradient="score", baseline=baseline), elbo())
    noise = lb.gradient_noise(
        model(size), Batch(torch.zeros(1, size).double()), dict(zip(ways, choices, strict=True)), draws=DRAWS
    )
    for way, variance in zip(ways, exact(size), strict=True):
        measured = float(noise[way].variance[0, 0]) / math.pi**2
        print(f"{size} dimensions, {way}: variance {variance:g}, measured about {measured:.1f}")
        assert abs(measured / variance - 1) < 0.06
        assert abs(noise[way].mean[0, 0] / math.pi + 2 + 1 / math.pi) < 0.15  # -2, and that of the KL
        spreads[f"{way}, {size} of z"] = math.sqrt(variance)

figure = figures.comparison_bars(
    list(spreads), list(spreads.values()), unit="standard deviation of a gradient that is 2",
    title="Two ways to the same gradient",
)  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
