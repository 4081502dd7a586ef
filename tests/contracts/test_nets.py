"""Nets fit any size, and the ones from papers can be written down."""

import math

import pytest
import torch
from torch import nn

from lowerbound.errors import Incompatible
from lowerbound.nets import Conv, Residual
from lowerbound.randomness import scope

SIZES = [(28, 20), (8, 8), (64, 64), (1, 1), (7, 5), (28, 28), (1, 9), (33, 2)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [[], [2], [2, 3, 4]])
def test_a_convolution_fits_any_image(size: tuple[int, int], channels: list[int]) -> None:
    image = (3, *size)
    with scope(0, "weights"):
        encoder, decoder = Conv(image, (4,), channels=channels), Conv((2,), image, channels=channels)
    assert encoder(torch.zeros(2, *image)).shape == (2, 4)
    assert decoder(torch.zeros(2, 2)).shape == (2, *image)


def shapes(net: nn.Module, kind: type[nn.Module]) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in net.modules() if isinstance(layer, kind)]  # type: ignore[arg-type]


def test_the_network_of_the_disentanglement_studies() -> None:
    with scope(0, "weights"):
        encoder = Conv((3, 64, 64), (20,), channels=[32, 32, 64, 64], hidden=256)
        decoder = Conv((10,), (3, 64, 64), channels=[32, 32, 64, 64], hidden=256)
    assert shapes(encoder, nn.Conv2d) == [(32, 3, 4, 4), (32, 32, 4, 4), (64, 32, 4, 4), (64, 64, 4, 4)]
    assert shapes(encoder, nn.Linear) == [(256, 1024), (20, 256)]
    assert shapes(decoder, nn.Linear) == [(256, 10), (1024, 256)]
    assert shapes(decoder, nn.ConvTranspose2d) == [(64, 64, 4, 4), (64, 32, 4, 4), (32, 32, 4, 4), (32, 3, 4, 4)]
    assert [type(layer).__name__ for layer in decoder.layers][-2:] == ["ReLU", "ConvTranspose2d"]


@pytest.mark.parametrize(("side", "layers"), [(1, 1), (4, 1), (8, 1), (9, 2), (28, 3), (32, 3), (64, 4)])
def test_layers_are_chosen_until_no_side_is_above_four(side: int, layers: int) -> None:
    with scope(0, "weights"):
        net = Conv((1, side, 2), (4,), hidden=3)
    assert [shape[0] for shape in shapes(net, nn.Conv2d)] == [32, *[64] * (layers - 1)]
    assert shapes(net, nn.Linear)[0][1] == (32 if layers == 1 else 64) * math.ceil(side / 2**layers)


@pytest.mark.parametrize(("inputs", "outputs"), [((3,), (4,)), ((1, 8, 8), (1, 8, 8)), ((8, 8), (3,))])
def test_a_convolution_of_anything_else_is_refused(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    with pytest.raises(Incompatible, match=r"net 'conv' maps images to numbers.*Use 'mlp' or 'residual'"):
        Conv(inputs, outputs)


def test_a_residual_block_adds_to_what_it_is_given() -> None:
    with scope(0, "weights"):
        net = Residual((3,), (2,), width=4, blocks=3, activation="tanh")
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    y = net.first(x)
    for block in net.layers:
        _, inner, _, outer = block
        y = y + outer(inner(y.tanh()).tanh())
    assert torch.equal(net(x), net.last(y))
    assert len(net.layers) == 3
