"""Corruptions: what is done to the encoder's input, and not to the target, in training."""

from abc import abstractmethod

import torch
from torch import Tensor

from lowerbound.errors import BadOption, Incompatible
from lowerbound.parts import Count, Fraction, NonNegative, Part, Real
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

    Raises:
        BadOption: an option of the wrong type or range.

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

    Raises:
        BadOption: an option of the wrong type or range.

    >>> Dropout((2,), rate=0.5)(torch.ones(1, 2), torch.tensor([[0.4, 0.6]]))
    tensor([[0., 1.]])
    """

    def __init__(self, shape: tuple[int, ...], *, rate: Fraction = 0.25) -> None:
        super().__init__(shape)
        self.rate = rate

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.where(noise < self.rate, 0.0, x)


class SaltPepper(Corruption, name="salt_pepper"):
    """Sets cells to one of two extremes.

    Each cell becomes ``low`` with probability ``rate`` / 2 and ``high`` with the same. Source: Vincent et al. 2010,
    "Stacked denoising autoencoders", JMLR 11.

    Args:
        shape: of a row.
        rate: probability that a cell is changed.
        low: pepper, in units of the scaled data.
        high: salt, in units of the scaled data.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> SaltPepper((3,), rate=0.5)(torch.full((1, 3), 0.3), torch.tensor([[0.1, 0.6, 0.9]]))
    tensor([[0.0000, 0.3000, 1.0000]])
    """

    def __init__(self, shape: tuple[int, ...], *, rate: Fraction = 0.25, low: Real = 0.0, high: Real = 1.0) -> None:
        super().__init__(shape)
        self.rate, self.low, self.high = rate, low, high

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        salted = torch.where(noise >= 1 - self.rate / 2, self.high, x)
        return torch.where(noise < self.rate / 2, self.low, salted)


class Block(Corruption, name="block"):
    """Sets a square of an image to zero, at a random place, in all channels.

    Source: Pathak et al. 2016, "Context encoders: feature learning by inpainting", arXiv:1604.07379.

    Args:
        shape: of a row, (channels, height, width).
        size: side of the square, in pixels.

    Raises:
        Incompatible: the rows are no images.
        BadOption: a square larger than the image.

    >>> Block((1, 2, 3), size=2)(torch.ones(1, 1, 2, 3), torch.tensor([[0.0, 0.9]]))
    tensor([[[[1., 0., 0.],
              [1., 0., 0.]]]])
    """

    def __init__(self, shape: tuple[int, ...], *, size: Count = 4) -> None:
        super().__init__(shape)
        if len(shape) != 3:
            raise Incompatible(
                f"{self.title} needs images", found=f"rows of shape {self.shape}", expected="(channels, height, width)"
            )
        if size > min(shape[1:]):
            sides = f"at most {min(shape[1:])}, the shorter side of the image"
            raise BadOption(
                "larger than the image", where=f"{self.title}, option 'size'", found=str(size), expected=sides
            )
        self.size = size

    def request(self) -> Draw:
        return Draw((2,), "uniform")

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        rows, columns = (self._inside(u, side) for u, side in zip(noise.unbind(1), self.shape[1:], strict=True))
        return torch.where((rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0.0, x)

    def _inside(self, u: Tensor, side: int) -> Tensor:
        """Which of ``side`` places the square covers, (rows, side), from uniform noise (rows,)."""
        first = (u * (side - self.size + 1)).floor().unsqueeze(1)
        place = torch.arange(side, device=u.device)
        return (place >= first) & (place < first + self.size)
