"""PCA is the best that linear nets can do: a linear autoencoder that is trained finds it."""

from pathlib import Path

import torch
from common import LINEAR, curves, digits

import lowerbound as lb
from lowerbound import figures

x, ALL = digits(), {"scaling": "none", "validation": 0, "test": 0, "progress": False}
values, axes = (part.flip(-1) for part in torch.linalg.eigh(torch.cov(x.T, correction=0)))


def least(latent: int) -> float:
    """The sum of the eigenvalues that are left out, a cell."""
    return float(values[latent:].sum()) / 64


def error(run: lb.Run) -> float:
    """Mean squared error of the digits there and back."""
    data = lb.load("digits")
    return float(((lb.reconstruct(run, data) - data.values()) ** 2).mean())


trained = lb.fit(
    lb.load("digits"), recipe="ae", latent=2, **LINEAR, epochs=2000, batch=1797, rate=0.1, schedule="cosine", **ALL
)
print(f"two numbers: PCA {least(2):.6f}, autoencoder after training about {error(trained):.4f}")
assert least(2) <= error(trained) + 1e-7 and error(trained) < 1.002 * least(2)

found = torch.linalg.qr(trained.model.decoder.map.weight.detach().double())[0]
angle = float(torch.linalg.svdvals(axes[:, :2].T @ found).clamp(max=1).acos().max().rad2deg())
print(f"angle between their planes: {angle:.1f} degrees")
assert angle < 2

dots = []
for latent in (2, 5, 10, 20):
    run = lb.fit(lb.load("digits"), recipe="ae", latent=latent, **LINEAR, start="closed_form", epochs=0, **ALL)
    dots.append((latent, error(run)))
    print(f"{latent} numbers: eigenvalues left out {least(latent):.6f}, error of the autoencoder {error(run):.6f}")
    assert abs(error(run) - least(latent)) < 1e-6

figure = curves(range(1, 41), {"eigenvalues left out": [least(latent) for latent in range(1, 41)]},
                "Digits: error of PCA, and of linear autoencoders (dots)",
                ("numbers in the code", "mean squared error of a cell"), dots)  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
