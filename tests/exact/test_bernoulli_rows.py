"""The Bernoulli log-likelihood of a whole row, which scoring takes in one go, against math's own logarithms."""

import math

import pytest
import torch

from lowerbound.distributions import BernoulliLogits, log_prob_row

BOUND = {torch.float32: 1e-6, torch.float64: 1e-14}


def exact(logit: float, x: float) -> float:
    """x log s + (1 - x) log(1 - s), s the sigmoid of the logit."""
    return x * logit - max(logit, 0.0) - math.log1p(math.exp(-abs(logit)))


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4), (1, 8, 8), (1, 28, 28)])
def test_a_row_is_the_sum_of_its_cells(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(0)
    logits = 12 * torch.randn(3, 2, *shape, generator=source, dtype=torch.float64).to(dtype)
    x = torch.rand(2, *shape, generator=source, dtype=torch.float64).round(decimals=1).to(dtype)
    with torch.no_grad():
        found = log_prob_row(BernoulliLogits(logits), x, len(shape))
    pairs = zip(logits.flatten(2).tolist(), x.flatten(1).expand(3, 2, -1).tolist(), strict=True)
    wanted = [[math.fsum(map(exact, *both)) for both in zip(*pair, strict=True)] for pair in pairs]
    assert torch.allclose(found.double(), torch.tensor(wanted, dtype=torch.float64), rtol=BOUND[dtype], atol=0)


def test_certain_cells_neither_underflow_nor_overflow() -> None:
    logits = torch.tensor([-1e4, -200.0, 0.0, 200.0, 1e4]).repeat(16)
    with torch.no_grad():
        right = log_prob_row(BernoulliLogits(logits), (logits > 0).float(), 1)
        wrong = log_prob_row(BernoulliLogits(logits), (logits < 0).float(), 1)
    assert right == pytest.approx(-16 * math.log(2))
    assert wrong == pytest.approx(-16 * (math.log(2) + 2 * 10200))
