"""Deriving the ELBO: a bound on log p(x) that needs no integral, and by how much it falls short."""

import math
from pathlib import Path

import numpy as np
import torch
from common import curves, exactly, toy
from torch.distributions import kl_divergence

import lowerbound as lb
from lowerbound import figures

x = torch.tensor([[2.0]]).double()
log_px = -0.5 * (math.log(2 * math.pi * 1.5) + 2.0**2 / 1.5)  # x ~ N(0, 1 + 1/2), the integral that mostly is not known


def bound(mean: float, variance: float) -> float:
    """E_q log p(x|z) - KL(q(z|x) || p(z)), written with the three verbs of a model."""
    model = toy(mean, variance)
    q, p = model.posterior(x), model.prior()
    z = q.mean + q.stddev * torch.tensor([[[1.0]], [[-1.0]]])  # their squares average as those of all z do
    log_likelihood = model.log_likelihood(model.likelihood(z), x).mean(0)
    elbo = log_likelihood - kl_divergence(q, p).sum(1)
    assert torch.allclose(elbo, exactly(lb.objectives.elbo(samples=2), model, x).value)
    return float(elbo.detach())


CHOICES = {
    "the prior, N(0, 1)": (0.0, 1.0),
    "a better guess, N(1, 1/2)": (1.0, 0.5),
    "p(z|x), N(4/3, 1/3)": (4 / 3, 1 / 3),
}
found = {name: bound(*q) for name, q in CHOICES.items()}

print(f"log p(x) = {log_px:.6f}")
for name, value in found.items():
    print(f"ELBO with q = {name}: {value:.6f}")

assert abs(found["the prior, N(0, 1)"] - -5.572365) < 1e-6
assert abs(found["p(z|x), N(4/3, 1/3)"] - log_px) < 1e-9  # the bound is tight
assert all(value <= log_px + 1e-9 for value in found.values())

means = np.linspace(-0.5, 3.2, 60)
lines = {f"q = N(m, {text})": [bound(m, v) for m in means] for text, v in (("1/3", 1 / 3), ("1", 1.0), ("1/20", 0.05))}
figure = curves(
    means, lines, "The ELBO of every q lies below log p(x)", ("mean m of q", "nats"), marks={"log p(x)": log_px}
)

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
