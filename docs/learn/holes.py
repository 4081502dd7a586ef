"""Holes in the latent space: nothing in an autoencoder's loss says where its codes lie."""

import math
from pathlib import Path

import torch
from common import LINEAR, digits
from PIL import Image

import lowerbound as lb
from lowerbound import figures

data, x = lb.load("digits"), digits().reshape(-1, 1, 8, 8)
WHOLE = {"latent": 2, "scaling": "none", "validation": 0, "test": 0, "progress": False}
linear = lb.fit(data, recipe="ae", **LINEAR, start="closed_form", epochs=0, **WHOLE).model.double()
values = torch.linalg.eigvalsh(torch.cov(x.flatten(1).T, correction=0)).flip(0)


@torch.no_grad()
def stretched(times: float) -> tuple[float, float]:
    """Error of the reconstruction, and KL of the codes' normal to N(0, 1), when codes are so many times as large."""
    linear.encoder.map.weight.mul_(times)
    linear.encoder.map.bias.mul_(times)
    linear.decoder.map.weight.div_(times)
    z = linear.posterior(x).mean
    error = float((linear.likelihood(z[None]).mean[0] - x).square().mean())
    linear.encoder.map.weight.div_(times)
    linear.encoder.map.bias.div_(times)
    linear.decoder.map.weight.mul_(times)
    spread = z.var(0, correction=0)
    return error, float(0.5 * (spread + z.mean(0).square() - 1 - spread.log()).sum())


print(f"eigenvalues left out, a cell: {float(values[2:].sum()) / 64:.6f}")
for times in (1.0, 10.0, 100.0):
    error, apart = stretched(times)
    spread = times**2 * values[:2]
    exact = 0.5 * float((spread - 1 - spread.log()).sum())
    print(f"codes times {times:g}: error {error:.6f}, KL of the codes to the prior {apart:.4f} nats")
    assert abs(error - float(values[2:].sum()) / 64) < 1e-6 and math.isclose(apart, exact, rel_tol=1e-5)

planes = {}
for name, recipe in (("autoencoder", "ae"), ("VAE", "sigma-vae")):
    run = lb.fit(data, recipe=recipe, epochs=60, **WHOLE)
    planes[name] = lb.manifold(run, data=data)
    over = "a normal fitted to its codes" if recipe == "ae" else "its prior"
    print(f"{name}: about {100 * planes[name].empty:.0f} % of {over} lies where no digits are")
assert planes["VAE"].empty < planes["autoencoder"].empty
maps = [
    figures.latent_map(plane.points[::5], plane.labels[::5], title=f"{name}: shaded where no digits are",
                       ground=plane.ground, height=2.9)
    for name, plane in planes.items()
]  # fmt: skip
figure = figures.beside(*maps)

if __name__ == "__main__":
    path = figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
    Image.open(path).convert("RGB").quantize(256).save(path)
