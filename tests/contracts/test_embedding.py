"""Scaling changes what the encoder sees and leaves every density in the units of the data."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lowerbound.embedding import Embedding
from lowerbound.model import VAE

SHAPE = (2, 3, 2)


def rows() -> torch.Tensor:
    x = torch.randn(50, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return 5.0 + x * torch.arange(1.0, 13.0, dtype=torch.float64).reshape(SHAPE)


@pytest.mark.parametrize("mode", ["global", "columns"])
@pytest.mark.parametrize("options", [{}, {"scale": "per_dimension"}, {"scale": "predicted"}, {"scale": "optimal"}])
def test_log_p_shifts_by_the_jacobian(compose: Callable[..., VAE], mode: str, options: dict[str, Any]) -> None:
    likelihood = {"name": "gaussian", **options}
    model = compose(SHAPE, likelihood=likelihood, embedding={"mode": mode}).double()
    plain = compose(SHAPE, likelihood=likelihood).double()
    x = rows()
    model.embedding.start_from(x)
    scaled = model.embedding(x)
    z = torch.zeros(1, len(x), 2, dtype=x.dtype)
    jacobian = model.embedding.scale.expand(SHAPE).log().sum()
    assert float(jacobian) > 1.0
    for training in (True, False):
        found = model.train(training).log_likelihood(model.likelihood(z), x)
        wanted = plain.train(training).log_likelihood(plain.likelihood(z), scaled) - jacobian
        assert torch.allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(("mode", "axes"), [("global", (0, 1, 2, 3)), ("columns", (0,))])
def test_the_scaled_rows_are_standard(mode: str, axes: tuple[int, ...]) -> None:
    embedding = Embedding(SHAPE, mode=mode).double()
    embedding.start_from(rows())
    scaled = embedding(rows())
    assert scaled.mean(axes).abs().max() < 1e-12
    assert (scaled.std(axes, correction=0) - 1).abs().max() < 1e-12


def test_none_changes_nothing() -> None:
    embedding = Embedding(SHAPE).double()
    embedding.start_from(rows())
    assert embedding(rows()).equal(rows())


def test_missing_cells_are_the_mean_and_do_not_count() -> None:
    x = torch.tensor([[1.0, 0.0], [3.0, math.nan], [math.inf, 4.0]])
    mask = torch.tensor([[True, True], [True, False], [False, True]])
    embedding = Embedding((2,), mode="columns", masked=True)
    embedding.start_from(x, mask)
    assert embedding.shift.tolist() == [2.0, 2.0]
    assert embedding.scale.tolist() == [1.0, 2.0]
    assert embedding(x, mask).tolist() == [[-1.0, -1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, 1e6 / 3])  # the mean of some is another number, by rounding
def test_a_constant_column_keeps_its_scale(value: float) -> None:
    embedding = Embedding((1,), mode="columns")
    embedding.start_from(torch.full((60000, 1), value))
    assert embedding.scale.tolist() == [1.0]
    assert embedding.shift.tolist() == pytest.approx([value], rel=1e-6)
