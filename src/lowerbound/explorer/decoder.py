"""p(x|z) as plain tables: what a page needs to compute of it what torch does."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound import nets
from lowerbound.errors import Incompatible
from lowerbound.explorer import families
from lowerbound.explorer.blob import Blob
from lowerbound.model import VAE
from lowerbound.parts import Part

TOLERANCE = 4e-4  # of the mean, in units of the scaled data: what rounding weights to 16 bits may cost
STEPS = 2**15 - 1  # from 0 to the largest weight of a row
KERNEL, STRIDE = (4, 4), (2, 2)  # of the transposed convolutions that the page has code for
ACTIVATIONS = {kind: name for name, kind in nets.ACTIVATIONS.items()}


def describe(model: VAE, inputs: Tensor, blob: Blob) -> dict[str, Any]:
    """The decoder, the likelihood and the way back to the units of the data; weights go into the blob.

    Args:
        model: to describe.
        inputs: of the decoder, (n, latent + context), where weights of 16 bits must do as well as the model's own, or
            are not used. They are whole numbers times a step for each row of the matrix, which is four times as exact
            as halves.
        blob: takes the weights.

    Raises:
        Incompatible: a part that the page has no code for, by its name.
    """
    short = short_will_do(model, inputs)
    shift, scale = _units(model)
    return {
        "layers": list(_Layers(blob, short, (model.latent + model.context,)).of(model.decoder)),
        "likelihood": families.describe(model, blob),
        "shift": blob.add(shift.cpu(), "f4"),
        "scale": blob.add(scale.cpu(), "f4"),
        "weights": 16 if short else 32,
    }


def layers(module: nn.Module, inputs: int, blob: Blob) -> list[dict[str, Any]]:
    """A net of one's own as plain tables, with its weights as they are.

    Args:
        module: from (n, inputs).
        inputs: how many numbers it is given.
        blob: takes the weights.
    """
    return list(_Layers(blob, False, (inputs,)).of(module))


def short_will_do(model: VAE, inputs: Tensor) -> bool:
    """Whether the means stay within the tolerance when every weight of the decoder is rounded to 16 bits.

    Of a table the decoder's numbers have to stay, which are locations, log variances and logits in units near 1.

    Args:
        model: whose decoder it is about.
        inputs: of the decoder, (n, latent + context), where to look.
    """
    rounded = copy.deepcopy(model.decoder)
    with torch.no_grad():
        for weight in (weight for weight in rounded.parameters() if weight.dim() > 1):
            whole, step = _in_steps(weight)
            weight.copy_((whole * step[:, None]).reshape(weight.shape))
        exact, near = model.decoder(inputs), rounded(inputs)
        if model.likelihood_family.support == "columns":
            return bool(((exact - near).abs() <= TOLERANCE * exact.abs().clamp(min=1)).all())
        p, q = (model.embedding.restore(model.likelihood_family(numbers)) for numbers in (exact, near))
        size = torch.maximum(_units(model)[1], p.mean.abs())
        return bool(((p.mean - q.mean).abs() <= TOLERANCE * size).all())


def _in_steps(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight as whole numbers (rows, columns) and the step of each row."""
    rows = weight.detach().flatten(1)
    step = rows.abs().amax(1).clamp(min=1e-30) / STEPS
    return (rows / step[:, None]).round(), step


def _units(model: VAE) -> tuple[Tensor, Tensor]:
    """Shift and scale from what the likelihood gives to the units of the data."""
    embedding = model.embedding
    if embedding.mode in ("none", "log") or model.likelihood_family.support == "columns":  # these are not undone
        return torch.zeros_like(embedding.shift), torch.ones_like(embedding.scale)
    return embedding.shift, embedding.scale


class _Layers:
    """Walks a net and keeps count of the shape between its layers."""

    def __init__(self, blob: Blob, short: bool, shape: tuple[int, ...]) -> None:
        self.blob, self.short, self.shape = blob, short, shape

    def of(self, module: nn.Module) -> Iterator[dict[str, Any]]:
        """One table a layer."""
        inner = _inside(module)
        if inner is not None:
            for layer in inner:
                yield from self.of(layer)
        elif isinstance(module, nets.Residual):
            yield from self.of(module.first)
            for block in module.layers:
                yield {"op": "residual", "layers": list(self.of(block))}
            yield from self.of(module.last)
        else:
            yield self._single(module)

    def _single(self, module: nn.Module) -> dict[str, Any]:
        if isinstance(module, nn.Linear):
            self.shape = (module.out_features,)
            return {"op": "linear", "inputs": module.in_features, "outputs": module.out_features, **self._kept(module)}
        if isinstance(module, nn.ConvTranspose2d):
            return self._transposed(module)
        if isinstance(module, nn.Unflatten):
            self.shape = tuple(module.unflattened_size)
            return {"op": "same"}
        if type(module) in ACTIVATIONS:
            return {"op": ACTIVATIONS[type(module)]}
        raise _refusal(_called(module))

    def _transposed(self, module: nn.ConvTranspose2d) -> dict[str, Any]:
        if (module.kernel_size, module.stride, module.dilation, module.groups) != (KERNEL, STRIDE, (1, 1), 1):
            raise _refusal(f"a transposed convolution of {module.kernel_size} and stride {module.stride}")
        _, high, wide = self.shape
        padding: Any = module.padding
        sides = [
            2 * side - 2 * pad + 2 + extra
            for side, pad, extra in zip((high, wide), padding, module.output_padding, strict=True)
        ]
        self.shape = (module.out_channels, *sides)
        return {
            "op": "transposed", "inputs": [module.in_channels, high, wide], "outputs": list(self.shape),
            "padding": list(padding), **self._kept(module),
        }  # fmt: skip

    def _kept(self, module: nn.Linear | nn.ConvTranspose2d) -> dict[str, int]:
        weight, bias = module.weight.detach().cpu(), module.bias
        none = torch.zeros(module.weight.shape[0] if isinstance(module, nn.Linear) else module.out_channels)
        kept = {"bias": self.blob.add(none if bias is None else bias.detach().cpu(), "f4")}
        if not self.short:
            return {**kept, "weight": self.blob.add(weight, "f4")}
        whole, step = _in_steps(weight)
        return {**kept, "weight": self.blob.add(whole, "i2"), "step": self.blob.add(step, "f4")}


def _inside(module: nn.Module) -> Iterator[nn.Module] | None:
    """The layers of a net or of a sequence, one after the other."""
    if isinstance(module, nets.Linear):
        return iter((module.map,))
    if isinstance(module, nets.MLP | nets.Conv):
        return iter((module.layers,))
    return module.children() if isinstance(module, nn.Sequential) else None


def _called(module: nn.Module) -> str:
    return module.title if isinstance(module, Part) else f"a layer {type(module).__name__}"


def _refusal(what: str) -> Incompatible:
    return Incompatible(f"the page has no code for {what}", expected="a decoder 'linear', 'mlp', 'residual' or 'conv'")
