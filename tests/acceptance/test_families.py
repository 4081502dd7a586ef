"""What priors and likelihoods of the family gain on real data: minutes each, so they run under ``make acceptance``."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.data.counts import most_variable
from lowerbound.distributions import per_row
from lowerbound.evaluation import evaluating
from lowerbound.randomness import row_digests, row_noise
from lowerbound.tasks.score import noise_of, standard_error

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
Record = Callable[[str, str, str], None]
GENES, LATENT = 300, 10
COUNTS: dict[str, Any] = {"latent": LATENT, "epochs": 200, "batch": 32, "progress": False}
PRIORS = ("standard", "mixture:components=20,covariance=full", "vamp:components=100")


@pytest.fixture(scope="module", autouse=True)
def known_sets_are_found(data_folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWERBOUND_DATA", str(data_folder))
        yield


def fitted(prior: str, seed: int) -> lb.Run:
    return lb.fit(
        "digits", latent=LATENT, validation=200, test=500, epochs=300, prior=prior, seed=seed, progress=False
    )  # fmt: skip


def test_a_learned_prior_gains_on_digits(record: Record) -> None:
    """The same nets, budget and early stopping; log p(x) of 500 test rows by 1000 draws, the median of three seeds."""
    runs = {prior: [fitted(prior, seed) for seed in range(3)] for prior in PRIORS}
    found = {prior: [lb.score(run, samples=1000).mean for run in some] for prior, some in runs.items()}
    plain, *learned = (float(np.median(values)) for values in found.values())
    said = "; ".join(f"{prior}: {', '.join(f'{value:.2f}' for value in found[prior])}" for prior in PRIORS)
    record("digits, 10 latent: test log p(x) by prior, three seeds; the gain of the best median", "≥ 1 nat",
           f"{said}; gain {max(learned) - plain:.2f}")  # fmt: skip
    assert max(learned) >= plain + 1
    again = [lb.refit_prior(run, PRIORS[1]) for run in runs["standard"]]
    gains = [lb.score(run, samples=1000).mean - was for run, was in zip(again, found["standard"], strict=True)]
    record("digits, 10 latent: the mixture fitted afterwards to the same decoder, gain in test log p(x)", "≥ 1 nat",
           ", ".join(f"{gain:.2f}" for gain in gains))  # fmt: skip
    assert np.median(gains) >= 1


def interval(p: Any, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """log of what a normal has between two points, from the tail that is smaller."""
    a, b = (low - p.loc) / p.scale, (high - p.loc) / p.scale
    near, far = torch.where(a + b > 0, -b, a), torch.where(a + b > 0, -a, b)  # near < far, both towards the left tail
    log_near, log_far = torch.special.log_ndtr(near), torch.special.log_ndtr(far)
    return log_far + torch.log1p(-(log_near - log_far).exp().clamp(max=1 - 1e-12))


def of_integers(run: lb.Run, x: torch.Tensor, size: torch.Tensor, samples: int = 200) -> np.ndarray[Any, Any]:
    """log P(x) of counts under a model of y = log(1 + x / size): its density integrated over [x - 1/2, x + 1/2].

    What lies below 1/2 belongs to 0, so that the probabilities add up to one.
    """
    model = run.model.double()
    y, high = (x / size).log1p(), ((x + 0.5) / size).log1p()
    low = torch.where(x == 0, -math.inf, ((x - 0.5) / size).clamp(min=0).log1p())
    with evaluating(model):
        q, p = model.posterior(y), model.prior()
        z = model.draw(q, row_noise(0, "importance", row_digests(y), noise_of(model), 0, samples).to(y))
        log_px = interval(model.likelihood(z), low, high).sum(-1)
        log_w = log_px + per_row(p.log_prob(z), p) - per_row(q.log_prob(z), q)
    found: np.ndarray[Any, Any] = (log_w.logsumexp(0) - math.log(samples)).numpy()
    return found


def test_the_negative_binomial_wins_on_counts(record: Record) -> None:
    """Held-out log-probability of the counts of single cells given their totals, five cell lines."""
    data = lb.load("sc-mixology").with_split(0.1, 0.2)
    assert data.split is not None
    data = replace(most_variable(data, GENES, of=data.train), split=replace(data.split, how="given"))
    runs = {
        name: lb.fit(data, likelihood=f"{name}:exposure=library", **COUNTS) for name in ("negative_binomial", "poisson")
    }
    found = {name: lb.score(run, samples=200).log_likelihood for name, run in runs.items()}
    x = torch.from_numpy(data.values(dtype=np.float64))
    total = x.sum(1, keepdim=True)
    sizes = {"log1p": torch.ones_like(total), "log1p of shares": total / total.median()}
    for name, size in sizes.items():
        y = lb.Data((x / size).log1p().numpy(), split=data.split)
        run = lb.fit(y, likelihood="gaussian:scale=per_dimension", **COUNTS)
        test = torch.from_numpy(data.split.test)
        found[f"gaussian on {name}"] = of_integers(run, x[test], size[test])
    said = ", ".join(f"{name} {values.mean():.1f}" for name, values in found.items())
    best = found.pop("negative_binomial")
    gains = {name: best - values for name, values in found.items()}
    least = ", ".join(f"{gain.mean():.1f} ± {standard_error(gain):.1f}" for gain in gains.values())
    record(f"sc-mixology, {GENES} genes, exposure library: test log p of the counts, nats a row", "negative binomial",
           f"{said}; gains {least}")  # fmt: skip
    assert all(gain.mean() > 2 * standard_error(gain) for gain in gains.values())
