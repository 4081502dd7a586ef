"""Why a loss was not finite: which rows, and which module first."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lowerbound.batches import Batch
from lowerbound.model import VAE
from lowerbound.objectives import Objective, StepContext

SHOWN = 5


def diagnose(model: VAE, objective: Objective, batch: Batch, noise: Mapping[str, Tensor], rows_total: int) -> str:
    """Run a batch again with the weights as they are, and say where the first NaN or infinite number appears.

    Args:
        model: not changed.
        objective: whose loss was not finite.
        batch: the rows of the step.
        noise: of the step.
        rows_total: N.
    """
    seen: list[str] = []
    hooks = [m.register_forward_hook(_watch(name, seen)) for name, m in model.named_modules() if not list(m.children())]
    try:
        with torch.no_grad():
            terms = objective(model, batch, StepContext(noise, rows_total=rows_total, batch_rows=len(batch.x)))
    finally:
        for hook in hooks:
            hook.remove()
    weights = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    first = f"first in weight '{weights[0]}'" if weights else f"first in {seen[0]}" if seen else "in the gradient only"
    return f"loss or gradient not finite, {first}{_rows(batch, terms.value)}"


def _watch(name: str, seen: list[str]) -> Callable[[nn.Module, object, object], None]:
    def hook(module: nn.Module, inputs: object, output: object) -> None:
        for tensor in (output, getattr(output, "mean", None), getattr(output, "stddev", None)):
            if isinstance(tensor, Tensor) and not torch.isfinite(tensor).all():
                low, high = tensor.nan_to_num(posinf=0, neginf=0).aminmax()
                seen.append(f"module '{name}' (its finite values span {low:.3g} to {high:.3g})")
                return

    return hook


def _rows(batch: Batch, value: Tensor) -> str:
    bad = (~torch.isfinite(value)).nonzero().flatten()
    if not len(bad) or batch.index is None:
        return ""
    numbers = ", ".join(str(int(row)) for row in batch.index[bad[:SHOWN]])
    more = ", ..." if len(bad) > SHOWN else ""
    return f", at {len(bad)} of {len(value)} rows of the batch (training rows {numbers}{more})"
