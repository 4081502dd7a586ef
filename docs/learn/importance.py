"""Importance sampling: with K draws the bound rises to log p(x), and the weights say how far to trust it."""

import math
from pathlib import Path

import numpy as np
import torch
from common import curves, toy

from lowerbound import figures

x = torch.tensor([[2.0]]).double()
log_px = -0.5 * (math.log(2 * math.pi * 1.5) + 2.0**2 / 1.5)
DRAWS = 500_000


def exact(samples: int) -> float:
    """E log (w_1 + ... + w_K) / K = int (e^-t - E[e^-tw]^K) / t dt - log K, on a grid of log t."""
    z = np.linspace(-10, 10, 2001)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    w = np.exp(-((2.0 - z) ** 2)) / math.sqrt(math.pi)
    log_t = np.linspace(-40, 60, 4001)
    laplace = np.concatenate([np.exp(-np.outer(t, w)) @ density for t in np.split(np.exp(log_t)[:-1], 20)])
    values = np.exp(-np.exp(log_t[:-1])) - laplace**samples
    return float(values.sum() * (log_t[1] - log_t[0])) - math.log(samples)


model = toy()  # q is the prior, a bad proposal
z = torch.randn(DRAWS, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
q, p = model.posterior(x), model.prior()
log_w = model.log_likelihood(model.likelihood(z), x) + (p.log_prob(z) - q.log_prob(z)).sum(-1)
log_w = log_w.detach().flatten()

print(f"log p(x) = {log_px:.4f}")
for samples in (1, 5, 50):
    groups = log_w.reshape(-1, samples)
    bound = float((groups.logsumexp(1) - math.log(samples)).mean())
    weights = groups.softmax(1)
    ess = float((1 / weights.square().sum(1)).mean())
    told = f"by draws about {bound:.2f}; effective sample size about {ess:.1f}"
    print(f"K = {samples}: bound {exact(samples):.4f}, {told}")
    assert abs(bound - exact(samples)) < 0.02
slope = float(0.5 * ((2 * log_w).exp().mean() / math.exp(2 * log_px) - 1))
print(f"K (log p(x) - bound) tends to (E w² / p(x)² - 1) / 2 = 1.449, from draws about {slope:.2f}")
assert abs(slope - 1.449) < 0.02 and abs(exact(1) - -5.572365) < 1e-4

sizes = [1, 2, 3, 5, 8, 12, 20, 35, 50, 80]
figure = curves(np.log10(sizes), {"bound with K draws": [exact(k) for k in sizes]}, "The bound rises with K",
                ("log10 K", "nats"), marks={"log p(x)": log_px})  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
