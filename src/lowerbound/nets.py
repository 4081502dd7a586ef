"""Nets: all weights between shapes. An encoder and a decoder are the same parts, turned around."""

import math
from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from lowerbound.errors import Incompatible
from lowerbound.parts import Count, Part

Activation = Literal["relu", "tanh", "softplus", "gelu", "silu", "leaky_relu", "elu"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "softplus": nn.Softplus, "gelu": nn.GELU, "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
}  # fmt: skip


class Net(Part, kind="net"):
    """A map from (rows, *inputs) to (rows, *outputs).

    ``flat`` says that it knows no places: a context comes as so many more numbers of a row, not as planes of an image.
    """

    flat: ClassVar[bool] = False

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(rows, *inputs) to (rows, *outputs)."""


def shaped(y: Tensor, outputs: tuple[int, ...]) -> Tensor:
    """(rows, numbers) as (rows, *outputs)."""
    return y.reshape(y.shape[0], *outputs)


class Linear(Net, name="linear"):
    """One affine map: with Gaussian noise, probabilistic PCA.

    y = W x + b. Source: Baldi & Hornik 1989, "Neural networks and principal component analysis", Neural Networks 2.

    Args:
        inputs: shape of a row going in.
        outputs: shape of a row coming out.

    >>> import torch
    >>> Linear((1, 8, 8), (3,))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3])
    """

    flat = True

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__(inputs, outputs)
        self.map = nn.Linear(math.prod(inputs), math.prod(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return shaped(self.map(x.flatten(1)), self.outputs)


class MLP(Net, name="mlp"):
    """Fully connected layers.

    y = W_n a(... a(W_1 x + b_1) ...) + b_n. Source: Kingma & Welling 2014, arXiv:1312.6114, appendix C.

    Args:
        inputs: shape of a row going in.
        outputs: shape of a row coming out.
        widths: units of each hidden layer.
        activation: between them.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> import torch
    >>> MLP((1, 8, 8), (4,), widths=[16])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4])
    """

    flat = True

    def __init__(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], *,
        widths: list[Count] = [256, 256], activation: Activation = "relu",  # noqa: B006  # never written to
    ) -> None:  # fmt: skip
        super().__init__(inputs, outputs)
        self.widths, self.activation = widths, activation
        sizes = [math.prod(inputs), *widths]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), ACTIVATIONS[activation]())]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], math.prod(outputs)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.flatten(1))
        return shaped(y, self.outputs)


class Residual(Net, name="residual"):
    """Fully connected blocks that each add to what they are given.

    x <- x + W2 a(W1 a(x)), between an affine map in and an affine map out. Source: He, Zhang, Ren & Sun 2016,
    "Identity Mappings in Deep Residual Networks", arXiv:1603.05027.

    Args:
        inputs: shape of a row going in.
        outputs: shape of a row coming out.
        width: units of every layer.
        blocks: how many.
        activation: before each of the two maps of a block.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> import torch
    >>> Residual((1, 8, 8), (4,), width=16)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4])
    """

    flat = True

    def __init__(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], *,
        width: Count = 256, blocks: Count = 2, activation: Activation = "relu",
    ) -> None:  # fmt: skip
        super().__init__(inputs, outputs)
        self.width, self.activation = width, activation
        act = ACTIVATIONS[activation]
        self.first = nn.Linear(math.prod(inputs), width)
        self.layers = nn.ModuleList(
            nn.Sequential(act(), nn.Linear(width, width), act(), nn.Linear(width, width)) for _ in range(blocks)
        )
        self.blocks = blocks
        self.last = nn.Linear(width, math.prod(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x.flatten(1))
        for block in self.layers:
            y = y + block(y)
        return shaped(self.last(y), self.outputs)


class Conv(Net, name="conv"):
    """Convolutions that halve an image again and again, then a dense layer; or the same turned around.

    From (channels, height, width) to numbers: 4x4 convolutions of stride 2, each making ceil(n / 2) of a side of n,
    then ``hidden`` units. From numbers to an image: the mirror image, with transposed convolutions, whatever its size.
    ``channels=[32, 32, 64, 64], hidden=256`` on 64x64 is the network of Locatello et al. 2019, "Challenging Common
    Assumptions in the Unsupervised Learning of Disentangled Representations", arXiv:1811.12359.
    Source: Radford, Metz & Chintala 2016, "Unsupervised representation learning with deep convolutional generative
    adversarial networks", arXiv:1511.06434.

    Args:
        inputs: shape of a row going in.
        outputs: shape of a row coming out.
        channels: of each convolution, in the order of an encoder; none given: 32, then 64 until no side is above 4.
        hidden: units of the dense layer.
        activation: after every layer but the last.

    Raises:
        Incompatible: neither or both of the shapes are those of an image.

    >>> import torch
    >>> Conv((3, 28, 20), (4,))(torch.zeros(2, 3, 28, 20)).shape, Conv((4,), (3, 28, 20))(torch.zeros(2, 4)).shape
    (torch.Size([2, 4]), torch.Size([2, 3, 28, 20]))
    """

    def __init__(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], *,
        channels: list[Count] = [],  # noqa: B006  # never written to
        hidden: Count = 256, activation: Activation = "relu",
    ) -> None:  # fmt: skip
        super().__init__(inputs, outputs)
        if (len(inputs), len(outputs)) not in ((3, 1), (1, 3)):
            raise Incompatible(
                f"{self.title} maps images to numbers or numbers to images", found=f"{self.inputs} to {self.outputs}",
                expected="one shape (channels, height, width), one (numbers,)", mend="Use 'mlp' or 'residual'.",
            )  # fmt: skip
        self.channels, self.hidden, self.activation = channels, hidden, activation
        act = ACTIVATIONS[activation]
        image, (numbers,) = (inputs, outputs) if len(inputs) == 3 else (outputs, inputs)
        sizes = _pyramid(image, channels)
        flat = math.prod(sizes[-1])
        if image is inputs:
            down = [layer for a, b in pairwise(sizes) for layer in (_convolution(a, b), act())]
            body = [*down, nn.Flatten(), nn.Linear(flat, hidden), act(), nn.Linear(hidden, numbers)]
        else:
            up = [layer for a, b in pairwise(sizes) for layer in (_transposed(a, b), act())]
            dense = [nn.Linear(numbers, hidden), act(), nn.Linear(hidden, flat), act(), nn.Unflatten(1, sizes[-1])]
            body = [*dense, *up[-2::-1]]
        self.layers = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


def _pyramid(image: tuple[int, ...], channels: list[int]) -> list[tuple[int, ...]]:
    """The shape of the image and of what each convolution leaves of it."""
    steps = max(1, math.ceil(math.log2(max(image[1:]) / 4)))
    sizes = [tuple(image)]
    for count in channels or [32, *[64] * (steps - 1)]:
        sizes.append((count, *(-(-side // 2) for side in sizes[-1][1:])))
    return sizes


def _convolution(large: tuple[int, ...], small: tuple[int, ...]) -> nn.Module:
    return nn.Conv2d(large[0], small[0], 4, stride=2, padding=_padding(large))


def _transposed(large: tuple[int, ...], small: tuple[int, ...]) -> nn.Module:
    odd = large[1] % 2, large[2] % 2
    return nn.ConvTranspose2d(small[0], large[0], 4, stride=2, padding=_padding(large), output_padding=odd)


def _padding(large: tuple[int, ...]) -> tuple[int, int]:
    """Of a 4x4 kernel at stride 2 that leaves ceil(n / 2): one more on odd sides."""
    return 1 + large[1] % 2, 1 + large[2] % 2
