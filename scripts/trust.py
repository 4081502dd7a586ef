"""Compute the tables of docs/trust.md anew: exact values, ours, and what mistakes give that are easy to make.

Each mistake is made on purpose in a few lines here. The tables stand between comments that name a function of this
file; the words around them are written by hand. Takes less than a minute.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.distributions import Normal
from trust_codes import Array, Cell, Rows, log_mean, reshaped, stratification, weights_per_dimension

from lowerbound.batches import Batch
from lowerbound.distributions import kl
from lowerbound.linear import exact_elbo, fill_closed_form
from lowerbound.model import VAE
from lowerbound.objectives import StepContext, elbo
from lowerbound.selftests.base import affine, linear_model, rows_of
from lowerbound.tasks.score import log_likelihood, log_weights

FILE = Path(__file__).parents[1] / "docs/trust.md"
DRAWS = 600_000
HEAD = ("", "exact", "lowerbound", "the mistake")


# A model with known answers: z ~ N(0, 1), x | z ~ N(z, 1/2), x = 2, and the prior as q(z | x).
X, NOISE = 2.0, 0.5


@cache
def toy() -> tuple[VAE, Batch]:
    """The toy as a model of the package, and its one row."""
    model = linear_model(1, 1, scale="fixed", value=NOISE**0.5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        affine(model.decoder).weight.fill_(1.0)
    return model, Batch(torch.full((1, 1), X).double())


@cache
def toy_weights() -> Array:
    """Log importance weights of the toy as the package draws them, (draws,)."""
    model, batch = toy()
    return log_weights(model, batch, DRAWS).flatten().numpy()


def toy_evidence() -> float:
    """log p(x), for x ~ N(0, 1 + 1/2)."""
    return -0.5 * (math.log(2 * math.pi * (1 + NOISE)) + X**2 / (1 + NOISE))


@cache
def toy_laplace() -> tuple[Array, Array]:
    """E e^-tw of a weight w of the toy, on a grid of log t."""
    z = np.linspace(-12, 12, 6001)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    w = np.exp(-0.5 * (math.log(2 * math.pi * NOISE) + (X - z) ** 2 / NOISE))
    log_t = np.linspace(-40, 60, 10001)
    found = [np.exp(-np.outer(part, w)) @ density for part in np.array_split(np.exp(log_t), 40)]
    return log_t, np.concatenate(found)


def toy_bound(samples: int) -> float:
    """The importance-weighted bound of the toy: E log S = int (e^-t - E e^-tS) / t dt for the sum S of K weights."""
    log_t, laplace = toy_laplace()
    return float((np.exp(-np.exp(log_t)) - laplace**samples).sum() * (log_t[1] - log_t[0])) - math.log(samples)


def shares(log_w: Array) -> Array:
    """Weights that sum to one over the last axis."""
    w = np.exp(log_w - log_w.max(-1, keepdims=True))
    found: Array = w / w.sum(-1, keepdims=True)
    return found


def sign() -> Rows:
    """Called negative log-likelihood, returned with a plus."""
    model, batch = toy()
    ours = float(log_likelihood(model, batch, DRAWS)[0][0])
    wrong = float(log_mean(toy_weights()))
    return [("negative log-likelihood of one row (nats)", -toy_evidence(), -ours, wrong)]


def chunks() -> Rows:
    """The samples asked for are not the samples taken."""
    model, batch = toy()

    def taken(asked: int, chunk: int = 100) -> int:
        return chunk * max(1, asked // chunk)

    log_w = toy_weights()[: 100 * (DRAWS // 100)]
    rows: list[tuple[str, Cell, Cell, Cell]] = [
        (f"samples taken when {asked} are asked for", asked, len(log_weights(model, batch, asked)), taken(asked))
        for asked in (1, 150)
    ]
    wrong = float(log_mean(log_w.reshape(-1, taken(1))).mean())
    rows.append(("mean estimate with one sample: the ELBO (nats)", toy_bound(1), float(log_w.mean()), wrong))
    return rows


def weighted_sum() -> Rows:
    """Sum of w log w in place of log mean w."""
    log_w = toy_weights().reshape(-1, 50)
    wrong = (shares(log_w) * log_w).sum(-1)
    return [
            ("bound with K = 50, mean (nats)", toy_bound(50), float(log_mean(log_w).mean()), float(wrong.mean())),
            ("log p(x) minus that, which cannot be negative", toy_evidence() - toy_bound(50),
             toy_evidence() - float(log_mean(log_w).mean()), toy_evidence() - float(wrong.mean())),
        ]  # fmt: skip


def worst_first() -> Rows:
    """Softmax of plus the loss."""
    log_w = toy_weights().reshape(-1, 5)
    upside_down = shares(-log_w)
    best = log_w.argmax(-1)[:, None]
    ours = float(np.take_along_axis(shares(log_w), best, -1).mean())
    wrong = float(np.take_along_axis(upside_down, best, -1).mean())
    return [
            ("bound with K = 5, mean (nats)", toy_bound(5), float(log_mean(log_w).mean()),
             float((upside_down * log_w).sum(-1).mean())),
            ("bound with K = 1, mean (nats)", toy_bound(1), float(log_w.mean()), float(log_w.mean())),
            ("share of the best of 5 samples, mean", "more than 0.2", ours, wrong),
        ]  # fmt: skip


@cache
def oracle() -> tuple[VAE, torch.Tensor]:
    """Probabilistic PCA of the digits with ten dimensions, whose bound equals log p(x), and the rows."""
    x = rows_of("digits")
    model = linear_model(64, 10)
    fill_closed_form(model, x)
    return model, x


@cache
def eigenvalues() -> Array:
    """Of the covariance of the digits, descending."""
    x = rows_of("digits").numpy()
    return np.linalg.eigvalsh(np.cov(x, rowvar=False, ddof=0))[::-1]


def oracle_evidence(latent: int = 10) -> float:
    """Mean log p(x) of probabilistic PCA, from the eigenvalues alone."""
    values = eigenvalues()
    cells = len(values)
    noise = values[latent:].mean()
    return -0.5 * float(cells * math.log(2 * math.pi) + np.log(values[:latent]).sum()
                        + (cells - latent) * math.log(noise) + cells)  # fmt: skip


def first_batch() -> Rows:
    """A return statement inside the loop."""
    model, x = oracle()
    per_row = exact_elbo(model, x)[0]
    batches = per_row.split(100)
    wrong = float(batches[0].mean()) / len(batches)
    return [("test ELBO, mean over rows (nats)", oracle_evidence(), float(per_row.mean()), wrong)]


def clamped() -> Rows:
    """KL limited to a capacity of 0."""
    mean = torch.tensor([[1.5, -0.5]], dtype=torch.float64, requires_grad=True)
    q, p = Normal(mean, torch.tensor(0.5).double()), Normal(torch.zeros(2).double(), 1.0)
    ours = kl(q, p, mean.detach()[None]).sum()
    wrong = ours.clamp(min=0, max=0.0)
    slopes = [torch.autograd.grad(value, mean, retain_graph=True)[0][0, 0].item() for value in (ours, wrong)]
    exact = sum(0.5 * (0.25 + m**2 - 1 - math.log(0.25)) for m in (1.5, -0.5))
    return [("KL of one row (nats)", exact, ours.item(), wrong.item()),
         ("its gradient in the first mean", 1.5, slopes[0], slopes[1])]  # fmt: skip


def passes() -> Rows:
    """More samples drawn than divided by; and a mean of means."""
    model, x = oracle()
    rows = x[:200]
    exact = float(log_likelihood(model, Batch(rows), 1)[0].mean())  # every weight is p(x): one sample is exact
    ours = float(log_likelihood(model, Batch(rows), 1000)[0].mean())
    drawn = math.ceil(1000 / 300) * 300
    wrong = float((torch.logsumexp(log_weights(model, Batch(rows), drawn), 0) - math.log(1000)).mean())
    per_row = exact_elbo(model, x)[0]
    mean_of_means = float(torch.stack([batch.mean() for batch in per_row.split(1000)]).mean())
    return [
        ("log p(x) of 200 rows, K = 1000 in passes of 300 (nats)", exact, ours, wrong),
        ("mean over 1797 rows (nats)", oracle_evidence(), float(per_row.mean()), mean_of_means),
    ]


def minus_kl() -> Rows:
    """C |x - x'|^2 - KL, minimised."""
    _, x = oracle()
    rows: list[tuple[str, Cell, Cell, Cell]] = []
    for times in (1.0, 10.0, 100.0, 1000.0):
        model = linear_model(64, 10)
        fill_closed_form(model, x)
        with torch.no_grad():  # the codes grow and the decoder takes it back: reconstructions stay as they are
            affine(model.encoder).weight[:10] *= times
            affine(model.encoder).bias[:10] *= times
            affine(model.decoder).weight /= times
        bound, divergence = (part.mean(0).sum().item() for part in exact_elbo(model, x))
        rows.append((f"codes times {times:g}", scaled_loss(times), -bound, -(bound + divergence) - divergence))
    return rows


def scaled_loss(times: float) -> float:
    """Minus the bound of the linear model when its codes are blown up, from the eigenvalues (constants included)."""
    values = eigenvalues()
    noise = values[10:].mean()
    kept = values[:10]
    variance, power = noise / kept, times**2 * (kept - noise) / kept  # of q, and of its means over the rows
    divergence = 0.5 * (power + variance - 1 - np.log(variance)).sum()
    error = values[10:].sum() + ((noise / kept) ** 2 * kept).sum() + ((kept - noise) * variance / times**2).sum()
    return float(0.5 * (error / noise + len(values) * math.log(2 * math.pi * noise)) + divergence)


THETA = 0.18657


def products() -> Rows:
    """For pairs of beta and sigma^2: C, product, KL, squared error, and the slope at the best weights of THETA."""
    _, x = oracle()
    values = eigenvalues()
    told, error = 0.5 * np.log(np.maximum(values[:10] / THETA, 1)).sum(), np.minimum(values, THETA)[:10].sum()
    rows: list[Sequence[Cell]] = [("exact", "1/(2σ²)", THETA, float(told), float(error + values[10:].sum()), 0.0)]
    for beta, noise in ((1.0, THETA), (4.0, THETA / 4), (0.5, THETA * 2), (4.0, THETA)):
        model = water_filled(noise)
        axes = torch.eye(10).double() * 10**0.5  # these twenty draws average squares exactly
        eps = torch.cat([axes, -axes]).expand(len(x), -1, -1)
        context = StepContext({"posterior": eps}, rows_total=len(x), batch_rows=len(x))
        terms = elbo(beta=beta, samples=20)(model, Batch(x), context)
        slopes = torch.autograd.grad(terms.loss, list(model.encoder.parameters()) + list(model.decoder.parameters()))
        missed = -2 * noise * (terms.parts["log_likelihood"].mean() + 32 * math.log(2 * math.pi * noise))
        steepest = max(slope.abs().max().item() for slope in slopes)
        rows.append((f"beta = {beta:g}, σ² = {noise:.6g}", 1 / (2 * noise), beta * noise,
                     terms.parts["kl"].mean().item(), missed.item(), steepest if steepest > 1e-9 else 0.0))  # fmt: skip
    return rows


def water_filled(noise: float) -> VAE:
    """The linear model of the digits that is best where beta times sigma^2 is THETA, with noise sigma^2."""
    _, x = oracle()
    values, vectors = (part.flip(-1) for part in torch.linalg.eigh(torch.cov(x.T, correction=0)))
    values, axes = values[:10], vectors[:, :10]
    spread = (values - THETA).clamp(min=0).sqrt()
    model = linear_model(64, 10, scale="fixed", value=noise**0.5)
    encoder, decoder = affine(model.encoder), affine(model.decoder)
    inward = axes.T * (spread / values)[:, None]
    with torch.no_grad():
        decoder.weight.copy_(axes * spread)
        decoder.bias.copy_(x.mean(0))
        encoder.weight.copy_(torch.cat([inward, torch.zeros_like(inward)]))
        encoder.bias.copy_(torch.cat([-inward @ x.mean(0), (THETA / values).clamp(max=1).log()]))
    return model


TABLES: dict[str, tuple[Sequence[str], Callable[[], Rows]]] = {
    **{table.__name__: (HEAD, table) for table in (
        sign, chunks, weighted_sum, worst_first, stratification, weights_per_dimension, first_batch, reshaped, clamped,
        passes,
    )},
    "minus_kl": (("", "C‖x − x̂‖² + KL", "lowerbound", "C‖x − x̂‖² − KL"), minus_kl),
    "products": (("", "C", "βσ²", "KL (nats)", "squared error", "steepest slope"), products),
}  # fmt: skip


def text(page: str) -> str:
    """The page with every table computed anew."""
    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", lambda found: block(found[1]), page, flags=re.DOTALL)


def block(name: str) -> str:
    """A table of Markdown between its comments."""
    head, rows = TABLES[name]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *([shown(cell) for cell in row] for row in rows())]
    return "\n".join([f"<!-- {name} -->", *(f"| {' | '.join(line)} |" for line in lines), "<!-- end -->"])


def shown(cell: Cell) -> str:
    """A cell: texts and whole numbers as they are, others with four places or five digits."""
    if not isinstance(cell, float):
        return str(cell)
    return (f"{cell + 0.0:.4f}" if abs(cell) < 1e5 else f"{cell:.5g}").replace("-", "−")


if __name__ == "__main__":
    FILE.write_text(text(FILE.read_text("utf-8")), encoding="utf-8")
