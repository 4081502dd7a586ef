"""The bound's options against their formulas, by hand from the parts it reports."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lowerbound.batches import Batch, Rows
from lowerbound.objectives import StepContext, elbo
from lowerbound.randomness import fill, generator
from lowerbound.selftests.base import closed_form, rows_of

ROWS = 50


def terms(progress: float = 1.0, **options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Loss, value and target of a batch, its log-likelihood per row, and its KL per row and dimension."""
    context = StepContext.fresh(elbo(), closed_form("digits", 10), Batch(rows_of("digits")[:ROWS]))
    context = StepContext(context.noise, torch.tensor(progress), ROWS, ROWS)
    found = elbo(**options)(closed_form("digits", 10), Batch(rows_of("digits")[:ROWS]), context)
    parts = found.parts["log_likelihood"], found.parts["kl_per_dimension"]
    return found.loss.detach(), found.value, found.target, *parts


@pytest.mark.parametrize(
    ("beta", "progress", "weight"),
    [(1.0, 1.0, 1.0), (0.0, 1.0, 0.0), (4.0, 0.1, 4.0), ({"start": 0.0, "end": 4.0, "over": 0.5}, 0.25, 2.0)],
)
def test_beta_weighs_the_divergence_in_the_loss_and_not_in_the_value(beta: Any, progress: float, weight: float) -> None:
    loss, value, target, likelihood, divergence = terms(progress, beta=beta)
    assert torch.allclose(value, likelihood - divergence.sum(1))
    assert torch.allclose(target, likelihood - weight * divergence.sum(1))
    assert torch.allclose(loss, -target.mean())


@pytest.mark.parametrize("free", [0.5, 1.5, 100.0])
def test_free_bits_are_free_for_each_dimension_of_the_batch_mean(free: float) -> None:
    loss, value, _, likelihood, divergence = terms(free_bits=free)
    cost = sum(max(free, float(mean)) for mean in divergence.mean(0))
    assert float(loss) == pytest.approx(cost - float(likelihood.mean()))
    assert torch.allclose(value, likelihood - divergence.sum(1))


def test_below_the_free_bits_the_divergence_has_no_gradient() -> None:
    spread = torch.zeros(3, requires_grad=True)
    means = torch.tensor([0.1, 1.0, 3.0])
    cost = elbo(free_bits=0.6)._free(0.5 * (means**2 + spread).expand(ROWS, 3), StepContext({}, batch_rows=ROWS))
    assert torch.autograd.grad(cost, spread)[0].tolist() == pytest.approx([0.0, 0.0, 0.5])


@pytest.mark.parametrize("how", ["sample", "fixed"])
def test_a_grey_level_is_the_probability_of_a_one(how: str) -> None:
    levels = torch.linspace(0.0, 1.0, 6)
    last = torch.arange(20_000.0)[:, None]  # equal rows would be fixed alike: this column makes them differ
    rows = Rows(torch.cat([levels.expand(20_000, 6), last], dim=1).numpy(), binarize=how)
    noise = {name: fill(draw, 20_000, generator(0, "test")) for name, draw in rows.requests().items()}
    x = rows.take(torch.arange(20_000), noise).x[:, :6]
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(x.mean(0), levels, atol=0.02)


def test_a_threshold_is_one_half() -> None:
    rows = Rows(torch.tensor([[0.0, 0.49, 0.51, 1.0]]).numpy(), binarize="threshold")
    assert rows.take(torch.tensor([0]), {}).x.tolist() == [[0.0, 0.0, 1.0, 1.0]]
