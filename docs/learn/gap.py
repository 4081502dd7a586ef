"""The gap: log p(x) - ELBO is KL(q(z|x) || p(z|x)), nat for nat."""

import math
from pathlib import Path

import numpy as np
import torch
from common import curves, digits, exactly

import lowerbound as lb
from lowerbound import figures

LATENT = 10
run = lb.fit(lb.load("digits"), recipe="pca", latent=LATENT, validation=0, test=0, progress=False)
model, x = run.model.double(), digits().reshape(-1, 1, 8, 8)
evidence = float(lb.score(run, lb.load("digits"), samples=2).log_likelihood.mean())  # q is p(z|x): two draws are enough
exact = model.encoder.map.bias.detach().clone()


def bound(times: float) -> float:
    """The mean ELBO of the digits when every variance of q is taken so many times as large."""
    with torch.no_grad():
        model.encoder.map.bias.copy_(exact)
        model.encoder.map.bias[LATENT:] += math.log(times)
        return float(exactly(lb.objectives.elbo(samples=2 * LATENT), model, x).value.mean())


def divergence(times: float) -> float:
    """KL(q(z|x) || p(z|x)) of two normals whose variances are so many times apart."""
    return LATENT * 0.5 * (times - 1 - math.log(times))


print(f"log p(x), mean of the digits: {evidence:.4f}")
for times in (1.0, 4.0, 0.25):
    gap = evidence - bound(times)
    print(f"variance of q times {times:g}: ELBO {bound(times):.4f}, gap {abs(gap):.4f}, KL {divergence(times):.4f}")
    assert abs(gap - divergence(times)) < 1e-3
assert abs(evidence - 17.451947) < 1e-3  # from the eigenvalues of the covariance

across = np.linspace(-2.0, 2.2, 50)
lines = {"ELBO": [bound(2**power) for power in across]}
figure = curves(across, lines, "Digits: too broad and too narrow a q cost alike the KL to p(z|x)",
                ("variance of q, powers of 2 of the right one", "nats"), marks={"log p(x)": evidence})  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
