"""What ONNX has no operation for, made of those that it has."""

from collections.abc import Callable
from typing import Any

import torch

SHIFT = 8  # the series is exact to single precision from here on
HALF_LOG_TAU = 0.9189385332046727  # log(2 pi) / 2


def translations() -> dict[Any, Callable[..., Any]]:
    """Operation of torch -> how it is written."""
    return {torch.ops.aten.lgamma.default: _lgamma}


def _lgamma(self: Any) -> Any:
    """Logarithm of the gamma function of numbers above 0, by Stirling's series at x + 8."""
    from onnxscript import opset18

    op: Any = opset18

    def constant(value: float) -> Any:
        return op.CastLike(op.Constant(value_float=value), self)

    below = op.Log(self)
    for step in range(1, SHIFT):
        below = op.Add(below, op.Log(op.Add(self, constant(float(step)))))
    x = op.Add(self, constant(float(SHIFT)))
    inverse = op.Reciprocal(x)
    square = op.Mul(inverse, inverse)
    least = op.Sub(constant(1 / 360), op.Mul(square, constant(1 / 1260)))
    tail = op.Mul(inverse, op.Sub(constant(1 / 12), op.Mul(square, least)))
    whole = op.Sub(op.Mul(op.Sub(x, constant(0.5)), op.Log(x)), x)
    return op.Sub(op.Add(op.Add(whole, constant(HALF_LOG_TAU)), tail), below)
