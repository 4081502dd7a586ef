"""Corruptions do what they say, as often as they say."""

import pytest
import torch

from lowerbound.corruptions import Block, Dropout, Gaussian, SaltPepper
from lowerbound.errors import BadOption, Incompatible
from lowerbound.randomness import fill, generator

ROWS = 4000


def noise_of(corruption: Dropout | Gaussian | SaltPepper | Block) -> torch.Tensor:
    return fill(corruption.request(), ROWS, generator(0, "test"))


def test_salt_and_pepper_are_as_frequent_as_asked() -> None:
    corruption = SaltPepper((5,), rate=0.3, low=-2.0, high=7.0)
    made = corruption(torch.full((ROWS, 5), 0.5), noise_of(corruption))
    shares = [float((made == value).double().mean()) for value in (-2.0, 7.0, 0.5)]
    error = 4 * (0.15 * 0.85 / made.numel()) ** 0.5  # four standard errors
    assert shares[:2] == pytest.approx([0.15, 0.15], abs=error)
    assert sum(shares) == 1.0


def test_dropout_is_as_frequent_as_asked() -> None:
    corruption = Dropout((5,), rate=0.3)
    made = corruption(torch.ones(ROWS, 5), noise_of(corruption))
    assert float(made.mean()) == pytest.approx(0.7, abs=4 * (0.21 / made.numel()) ** 0.5)


@pytest.mark.parametrize(("shape", "size"), [((3, 5, 4), 2), ((1, 4, 4), 4), ((1, 1, 9), 1)])
def test_a_block_is_a_square_in_every_place_alike(shape: tuple[int, int, int], size: int) -> None:
    corruption = Block(shape, size=size)
    gone = corruption(torch.ones(ROWS, *shape), noise_of(corruption)) == 0
    assert (gone.sum((2, 3)) == size * size).all()
    assert (gone.any(3).sum(2) == size).all()
    assert (gone == gone[:, :1]).all()
    corner = gone[:, 0].flatten(1).double().argmax(1)
    places = (shape[1] - size + 1) * (shape[2] - size + 1)
    counts = corner.bincount()[corner.bincount() > 0].double()
    assert len(counts) == places
    assert float((counts - ROWS / places).abs().max()) <= 4 * (ROWS / places) ** 0.5


def test_the_last_place_is_not_passed() -> None:
    last = torch.full((1, 2), 1 - 2**-24)
    assert (Block((1, 1000, 7), size=3)(torch.ones(1, 1, 1000, 7), last) == 0).sum() == 9


def test_a_block_needs_images_that_hold_it() -> None:
    with pytest.raises(Incompatible, match=r"corruption 'block' needs images: found rows of shape \(64,\)"):
        Block((64,))
    with pytest.raises(BadOption, match=r"option 'size'.*found 6, expected at most 5"):
        Block((1, 7, 5), size=6)
