"""Corruptions: what is done to the encoder's input, and not to the target, in training."""

from abc import abstractmethod

import torch
from torch import Tensor

from lowerbound.parts import Fraction, NonNegative, Part
from lowerbound.randomness import Draw


class Corruption(Part, kind="corruption"):
    """A map from the encoder's input and noise to a corrupted input of the same shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def request(self) -> Draw:
        """The noise it needs per row."""
        return Draw(self.shape, "uniform")

    @abstractmethod
    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """x (rows, *shape) and noise (rows, *request().shape) to the corrupted x."""


class Gaussian(Corruption, name="gaussian"):
    """Adds normal noise.

    x~ = x + scale * eps. Source: Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11.

    Args:
        shape: of a row.
        scale: standard deviation of the noise, in units of the scaled data.

    >>> Gaussian((2,), scale=0.5)(torch.zeros(1, 2), torch.ones(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, shape: tuple[int, ...], *, scale: NonNegative = 0.3) -> None:
        super().__init__(shape)
        self.scale = scale

    def request(self) -> Draw:
        return Draw(self.shape, "normal")

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.scale * noise


class Dropout(Corruption, name="dropout"):
    """Sets cells to zero.

    Each cell becomes 0 with probability ``rate`` ("masking noise"). Source: Vincent et al. 2010, "Stacked denoising
    autoencoders", JMLR 11.

    Args:
        shape: of a row.
        rate: probability of each cell.

    >>> Dropout((2,), rate=0.5)(torch.ones(1, 2), torch.tensor([[0.4, 0.6]]))
    tensor([[0., 1.]])
    """

    def __init__(self, shape: tuple[int, ...], *, rate: Fraction = 0.25) -> None:
        super().__init__(shape)
        self.rate = rate

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.where(noise < self.rate, 0.0, x)
