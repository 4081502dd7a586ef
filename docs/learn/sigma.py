"""A Gaussian likelihood is the squared error, and sigma says how many nats an error costs."""

import math
from pathlib import Path

import numpy as np
import torch
from common import curves, digits, exactly, linear

import lowerbound as lb
from lowerbound import figures
from lowerbound.linear import fill_closed_form

x, LATENT = digits(), 10
values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)


def nats(sigma: float) -> float:
    """Minus the mean of E_q log p(x|z) for the noise sigma: the weights stay those of PCA."""
    model = linear(64, LATENT, sigma)
    fill_closed_form(model, x)
    objective = lb.objectives.elbo(samples=2 * LATENT)
    return -float(exactly(objective, model, x).parts["log_likelihood"].mean())


kept, rest = values[:LATENT], values[LATENT:]
noise = float(rest.mean())  # sigma² of probabilistic PCA
error = float(noise * LATENT + rest.sum()) / 64  # of a cell, under q: noise in what is kept, all of the rest


def formula(sigma: float) -> float:
    """|x - x'|² / (2 sigma²) + 64/2 log(2 pi sigma²)."""
    return 64 * error / (2 * sigma**2) + 32 * math.log(2 * math.pi * sigma**2)


best = math.sqrt(error)
print(f"error of a cell: {error:.6f}; best sigma²: {best**2:.6f}; of probabilistic PCA: {noise:.6f}")
for sigma in (best, 0.5, 1.0):
    print(f"sigma = {sigma:.4f}: {nats(sigma):.4f} nats by the model, {formula(sigma):.4f} by the formula")
    assert abs(nats(sigma) - formula(sigma)) < 1e-4
assert abs(noise - 0.02275137) < 1e-7 and abs(error - noise) < 1e-9
assert abs(formula(best) - 32 * (math.log(2 * math.pi * error) + 1)) < 1e-9

for square, name in ((error, "the best"), (0.5, "the plain squared error"), (32, "its mean over cells")):
    told = 0.5 * float((kept / square).clamp(min=1).log().sum())
    print(f"sigma² of {name}, {square:.4f}: the best linear code of ten numbers keeps {told:.4f} nats")
assert values[0] < 32  # the largest variance is below that noise: nothing is worth a nat

across = np.linspace(0.06, 0.5, 50)
figure = curves(across, {"minus log-likelihood": [formula(s) for s in across]},
                "Digits: too small a sigma costs more than too large a one",
                ("sigma", "nats a digit"), [(best, formula(best))])  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
