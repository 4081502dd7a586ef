"""beta is the price of a nat: every beta is a limit KL <= epsilon, and every limit has its beta."""

from pathlib import Path

import torch
from common import curves, digits, exactly, linear, put
from scipy.optimize import brentq

import lowerbound as lb
from lowerbound import figures

x, LATENT = digits(), 40
values, axes = (part.flip(-1) for part in torch.linalg.eigh(torch.cov(x.T, correction=0)))
kept, axes = values[:LATENT], axes[:, :LATENT]


def spent(theta: float) -> float:
    """KL in nats of the best linear code when beta sigma² = theta: dimensions below theta are not bought."""
    return float(0.5 * (kept / theta).clamp(min=1).log().sum())


def price(nats: float) -> float:
    """The theta at which so many nats are spent."""
    return float(brentq(lambda theta: spent(theta) - nats, 1e-3, float(values[0]), xtol=1e-14))


def lost(theta: float) -> float:
    """Squared error of a digit: what is not bought, and theta in each dimension that is."""
    return float(kept.clamp(max=theta).sum() + values[LATENT:].sum())


def model(theta: float, beta: float) -> lb.VAE:
    """The linear model that is best at this price."""
    made, spread = linear(64, LATENT, (theta / beta) ** 0.5), (kept - theta).clamp(min=0).sqrt()
    inward, flat = axes.T * (spread / kept)[:, None], torch.zeros(LATENT, 64)
    put(made.decoder, axes * spread, x.mean(0))
    put(made.encoder, torch.cat([inward, flat]), torch.cat([-inward @ x.mean(0), (theta / kept).clamp(max=1).log()]))
    return made


for limit, error in ((5.0, 2.310395), (25.0, 0.672705)):
    theta = price(limit)
    for beta in (1.0, 4.0):
        made = model(theta, beta)
        terms = exactly(lb.objectives.elbo(beta=beta, samples=2 * LATENT), made, x)
        slopes = torch.autograd.grad(terms.loss, list(made.parameters()))
        assert max(float(slope.abs().max()) for slope in slopes) < 1e-6  # no step makes it better
        assert abs(float(terms.parts["kl"].mean()) - limit) < 1e-6 and abs(lost(theta) - error) < 1e-5
    print(f"KL <= {limit:g}: beta sigma² = {theta:.6f}, {sum(kept > theta)} in use, squared error {lost(theta):.6f}")

slope = (lost(price(5.0001)) - lost(price(4.9999))) / 0.0002
print(f"one nat more at KL = 5 lowers the error by {-slope:.4f}, which is 2 beta sigma² = {2 * price(5.0):.4f}")
assert abs(slope + 2 * price(5.0)) < 1e-5

lines, names = {"least": [lost(price(n)) for n in range(1, 41)]}, ("limit on the KL (nats)", "squared error of a digit")
figure = curves(range(1, 41), lines, "What each limit buys", names, [(5, 2.310395), (25, 0.672705)])

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
