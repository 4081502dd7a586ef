"""What stands in missing cells has no effect on anything."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lowerbound.batches import Batch
from lowerbound.embedding import Embedding
from lowerbound.model import VAE
from lowerbound.objectives import StepContext, elbo

GAUSSIANS = [{"name": "gaussian", "scale": scale} for scale in ("learned", "per_dimension", "predicted", "optimal")]
COUNTS = [{"name": name, "exposure": "library"} for name in ("poisson", "negative_binomial", "zero_inflated")]
OTHERS = [
    {"name": "laplace"}, {"name": "student_t"}, {"name": "discretised_logistic", "components": 2},
    {"name": "categorical", "categories": 2},
]  # fmt: skip
LIKELIHOODS = [{"name": "bernoulli"}, {"name": "continuous_bernoulli"}, *GAUSSIANS, *COUNTS, *OTHERS]
EMBEDDINGS = [
    {"mode": "none"}, {"mode": "none", "masked": True}, {"mode": "columns", "masked": True},
    {"mode": "log", "masked": True},
]  # fmt: skip
FITTING = {"none": LIKELIHOODS, "columns": GAUSSIANS, "log": COUNTS}
CASES = [(x, e) for e in EMBEDDINGS for x in FITTING[str(e["mode"])]]
ROWS, SHAPE = 8, (3, 2, 2)


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    x = torch.rand(ROWS, *SHAPE, generator=source).round()
    mask = torch.rand(ROWS, *SHAPE, generator=source) < 0.6
    mask[0] = False
    return x, mask


def step(model: VAE, x: torch.Tensor, mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Loss, values and gradients."""
    objective, batch = elbo(samples=2), Batch(x, mask)
    terms = objective(model, batch, StepContext.fresh(objective, model, batch))
    weights = dict(model.named_parameters())
    gradients = torch.autograd.grad(terms.loss, list(weights.values()))
    return {"loss": terms.loss.detach(), "value": terms.value, **dict(zip(weights, gradients, strict=True))}


@pytest.mark.parametrize(("likelihood", "embedding"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_no_poison_gets_through(
    compose: Callable[..., VAE], likelihood: dict[str, Any], embedding: dict[str, Any], training: bool
) -> None:
    x, mask = rows()
    model = compose(SHAPE, likelihood=likelihood, embedding=embedding).train(training)
    model.embedding.start_from(x, mask)
    clean = step(model, x, mask)
    assert all(found.isfinite().all() for found in clean.values())
    for poison in (math.nan, math.inf, -math.inf, 1e30):
        spoiled = x.masked_fill(~mask, poison)
        model.embedding.start_from(spoiled, mask)
        found = step(model, spoiled, mask)
        assert all(found[name].equal(clean[name]) for name in clean)


def test_an_observed_cell_does_count(compose: Callable[..., VAE]) -> None:
    x, mask = rows()
    model = compose(SHAPE)
    clean = step(model, x, mask)
    assert all(not step(model, x + mask, mask)[name].equal(clean[name]) for name in clean)


def test_a_full_mask_is_no_mask(compose: Callable[..., VAE]) -> None:
    x, _ = rows()
    model = compose(SHAPE)
    with_mask, without = step(model, x, torch.ones_like(x, dtype=torch.bool)), step(model, x, None)
    assert all(with_mask[name].equal(without[name]) for name in without)


def test_the_log_likelihood_is_the_sum_over_what_is_seen(compose: Callable[..., VAE]) -> None:
    x, mask = rows()
    model = compose(SHAPE)
    with torch.no_grad():
        p = model.likelihood(torch.zeros(2, ROWS, 2))
    by_hand = [[p.log_prob(x)[s, r][mask[r]].sum() for r in range(ROWS)] for s in range(2)]
    found = model.log_likelihood(p, x, mask)
    assert found.shape == (2, ROWS)
    assert torch.allclose(found, torch.tensor(by_hand), atol=1e-5)
    assert found[:, 0].tolist() == [0.0, 0.0]


def test_a_corruption_leaves_the_mask_channels_alone() -> None:
    embedding = Embedding((2,), mode="none", masked=True)
    seen = embedding(torch.ones(1, 2), torch.tensor([[True, False]]), lambda values: values + 5)
    assert seen.tolist() == [[6.0, 5.0, 1.0, 0.0]]
