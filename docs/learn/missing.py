"""Missing values: leave their terms out of the sum, and draw them from p(missing | seen)."""

from pathlib import Path

import numpy as np
import torch
from common import curves
from sklearn.datasets import load_iris
from torch.distributions import MultivariateNormal

import lowerbound as lb
from lowerbound import figures
from lowerbound.linear import principal

x = load_iris().data  # four lengths of 150 flowers, in cm
run = lb.fit(x, recipe="pca", latent=2, missing="nan", validation=0, test=0, progress=False)
run.model.double()
ppca = principal(torch.from_numpy(x), 2)  # the model says x ~ N(mean, W W' + sigma² 1): every conditional is known
mean, covariance = ppca.mean.numpy(), (ppca.weights @ ppca.weights.T + ppca.noise * torch.eye(4)).numpy()
SEEN, GONE, AXIS = [0, 1], [2, 3], np.linspace(-2, 11, 60)  # sepals are seen, petals are not


def block(rows: list[int], columns: list[int]) -> np.ndarray:
    """A part of the covariance."""
    return covariance[np.ix_(rows, columns)]


mask = torch.tensor([True, True, False, False]).expand(150, 4)
marginal = MultivariateNormal(ppca.mean[SEEN], torch.from_numpy(block(SEEN, SEEN)))
exact = float(marginal.log_prob(torch.from_numpy(x[:, SEEN])).mean())
weights = ppca.weights[SEEN]
precision = torch.eye(2) + weights.T @ weights / ppca.noise
centre = (torch.from_numpy(x[:, SEEN]) - ppca.mean[SEEN]) @ weights @ precision.inverse() / ppca.noise
q = MultivariateNormal(centre, precision_matrix=precision)  # p(z | seen), so every weight below is p(seen)
z = q.mean.unsqueeze(0) + 0.3
log_px = run.model.log_likelihood(run.model.likelihood(z), torch.from_numpy(x), mask)  # hidden cells left out
found = float((log_px + run.model.prior().log_prob(z).sum(-1) - q.log_prob(z)).detach().mean())
print(f"log p(seen), mean of the flowers: {exact:.6f} by the formula, {found:.6f} by the model")
assert abs(found - exact) < 1e-5

slope = block(GONE, SEEN) @ np.linalg.inv(block(SEEN, SEEN))
middle = mean[GONE] + slope @ (x[100, SEEN] - mean[SEEN])
spread = np.sqrt(np.diag(block(GONE, GONE) - slope @ block(SEEN, GONE)))
filled = lb.impute(run, x[[100]], mask=mask[[100]].numpy(), draws=4000, sweeps=400, method="metropolis")
draws = filled.draws[:, 0, GONE]
for cell, name in enumerate(("length", "width")):
    print(f"petal {name} of flower 100: {middle[cell]:.4f} ± {spread[cell]:.4f} by the formula, "
          f"filled in about {filled.mean[0, GONE[cell]]:.2f} ± {draws[:, cell].std():.2f}; "
          f"the mean of all flowers {mean[GONE[cell]]:.4f}")  # fmt: skip
assert np.abs(filled.mean[0, GONE] - middle).max() < 0.15 and np.abs(draws.std(0) / spread - 1).max() < 0.15
assert (filled.values[0, SEEN] == x[100, SEEN]).all()  # what is seen comes back as it was

height = np.exp(-0.5 * ((AXIS - middle[0]) / spread[0]) ** 2) / spread[0] / np.sqrt(2 * np.pi)
counts, edges = np.histogram(draws[:, 0], bins=40, range=(-2, 11), density=True)
drawn = np.interp(AXIS, (edges[1:] + edges[:-1]) / 2, counts)
figure = curves(AXIS, {"p(missing | seen)": height, "draws of impute": drawn},
                "A petal that was not measured", ("its length (cm)", "density"))  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
