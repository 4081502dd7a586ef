"""Style and label: a code that is told the label has only the style to keep."""

import math
from pathlib import Path

import torch
from common import digits, exactly, linear, put
from torch import Tensor

import lowerbound as lb
from lowerbound import figures
from lowerbound.linear import principal

x, LATENT = digits(), 10
y = torch.from_numpy(lb.load("digits").labels)
told = torch.eye(10).double()[y]  # the context: one of ten is 1
means = torch.stack([x[y == label].mean(0) for label in range(10)])
style = principal(x - means[y], LATENT)  # of what is left of a digit without the mean of its label
plain = principal(x, LATENT)
kept = style.eigenvalues[:LATENT]
inward = style.axes.T * ((kept - style.noise).clamp(min=0).sqrt() / kept)[:, None]

model = linear(64, LATENT, math.sqrt(style.noise), context=10)  # x = W z + the mean of the label + noise
put(model.decoder, torch.cat([style.weights, means.T], 1), torch.zeros(64))
to_mean, to_variance = torch.cat([inward, -inward @ means.T], 1), torch.zeros(LATENT, 74)
put(model.encoder, torch.cat([to_mean, to_variance]), torch.cat([torch.zeros(LATENT), (style.noise / kept).log()]))


def bound(label: Tensor) -> Tensor:
    """The ELBO of each digit when it is told that label, (1797,): here log p(x|label), for q is exact."""
    return exactly(lb.objectives.elbo(samples=2 * LATENT), model, x, label).value


with torch.no_grad():
    right = float(bound(told).mean())
    each = torch.stack([bound(torch.eye(10).double()[[label]].expand(len(x), -1)) for label in range(10)], 1)
print(f"log p(x): {float(plain.log_prob(x).mean()):.4f} nats; log p(x | label): {right:.4f} nats")
assert abs(right - float(style.log_prob(x - means[y]).mean())) < 1e-6
accuracy = float((each.argmax(1) == y).double().mean())
mixture = float((each.logsumexp(1) - math.log(10)).mean())
print(f"log p(x) with the ten labels summed over: {mixture:.4f} nats; labels told by the largest: {accuracy:.4f}")
assert right > mixture > float(plain.log_prob(x).mean())

z = model.posterior(x, told).mean.detach()
rows = torch.tensor([int((y == label).nonzero()[shift]) for label, shift in ((7, 0), (7, 4), (0, 2), (3, 5))])
pairs = torch.eye(10).double().repeat(len(rows), 1)
made = model.likelihood(z[rows].repeat_interleave(10, 0).unsqueeze(0), pairs).mean.detach()[0]
sheet = torch.cat([x[rows].reshape(-1, 1, 64), made.reshape(len(rows), 10, 64)], 1).reshape(len(rows), 11, 1, 8, 8)
assert torch.allclose(made.reshape(len(rows), 10, 64) - means, (z[rows] @ style.weights.T).unsqueeze(1))
figure = figures.traversal(
    sheet.clamp(0, 1).numpy(), row_labels=[f"style of a {int(label)}" for label in y[rows]],
    column_labels=["digit", *map(str, range(10))], title="Digits: one style a line, one label a column",
)  # fmt: skip

if __name__ == "__main__":
    figures.save(figure, Path(__file__).with_suffix(".png"), force=True)
