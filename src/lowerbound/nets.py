"""Nets: all weights between shapes. An encoder and a decoder are the same parts, turned around."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from lowerbound.parts import Count, Part

Activation = Literal["relu", "tanh", "softplus", "gelu", "silu", "leaky_relu", "elu"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "softplus": nn.Softplus, "gelu": nn.GELU, "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
}  # fmt: skip


class Net(Part, kind="net"):
    """A map from (rows, *inputs) to (rows, *outputs)."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(rows, *inputs) to (rows, *outputs)."""


def shaped(y: Tensor, outputs: tuple[int, ...]) -> Tensor:
    """(rows, numbers) as (rows, *outputs)."""
    return y.reshape(len(y), *outputs)


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

    >>> import torch
    >>> MLP((1, 8, 8), (4,), widths=[16])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], *,
        widths: list[Count] = [256, 256], activation: Activation = "relu",  # noqa: B006  # never written to
    ) -> None:  # fmt: skip
        super().__init__(inputs, outputs)
        self.widths, self.activation = widths, activation
        sizes = [math.prod(inputs), *widths]
        hidden = [layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), ACTIVATIONS[activation]())]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], math.prod(outputs)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.flatten(1))
        return shaped(y, self.outputs)
