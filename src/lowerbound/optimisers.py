"""First-order optimisers: one fused kernel call a step over all weights, and a step that can be refused on the device.

The kernels are those behind ``torch.optim`` with ``fused=True``; called directly they save its bookkeeping, which on a
CPU costs as much as the arithmetic of a small net.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lowerbound.config import TrainConfig
from lowerbound.objectives import Pace

BETAS = Pace().betas
ADAM_EPS, ADAGRAD_EPS = 1e-8, 1e-10
MOMENTS = {"adam": 2, "adagrad": 1, "sgd": 0}


@dataclass
class Group:
    """Weights that are updated alike: names, the prior's pull on them, their pace, the optimiser's memory of each."""

    names: list[str]
    weights: list[nn.Parameter]
    decay: float
    pace: Pace
    moments: list[list[Tensor]]
    count: Tensor


class Optimiser:
    """Adam, Adagrad or plain gradient descent on the weights of a model and of an objective.

    The prior on the weights, N(0, 1/precision), enters as its gradient divided by N, precision/N times the weight; the
    objective's own parameters have none, and a pace of their own. Sources: Kingma & Ba 2015, "Adam", arXiv:1412.6980;
    Duchi, Hazan & Singer 2011, "Adaptive subgradient methods", JMLR 12.

    Args:
        model: whose weights are trained.
        objective: whose parameters, if any, are trained beside them.
        settings: optimizer, rate, weight_prior.
        rows: N, of the training data.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, settings: TrainConfig, rows: int) -> None:
        self.kind = settings.optimizer
        groups = [
            self._group("model", model, settings.weight_prior / rows, Pace()),
            self._group("objective", objective, 0.0, getattr(objective, "pace", Pace())),
        ]
        self.groups = [group for group in groups if group.weights]

    @property
    def weights(self) -> list[nn.Parameter]:
        """All weights, in the order that ``step`` takes gradients."""
        return [weight for group in self.groups for weight in group.weights]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's memory, by name: what a checkpoint keeps."""
        found: dict[str, Tensor] = {}
        for group in self.groups:
            found[f"{group.names[0]}.count"] = group.count
            for index, name in enumerate(group.names):
                found |= {f"{name}.moment{order}": moment[index] for order, moment in enumerate(group.moments)}
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put a memory that ``tensors`` gave back."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float | Tensor, refuse: Tensor) -> None:
        """One update; where ``refuse`` (0-d, on the device) is 1 nothing changes, and nobody waits to know."""
        for group, some in zip(self.groups, self.split(gradients), strict=True):
            self._update(group, some, rate * group.pace.speed, refuse)

    def split(self, gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
        """The gradients of each group."""
        first = 0
        for group in self.groups:
            yield list(gradients[first : first + len(group.weights)])
            first += len(group.weights)

    def _update(self, group: Group, gradients: list[Tensor], rate: float | Tensor, refuse: Tensor) -> None:
        beta1, beta2 = group.pace.betas
        weights, moments, counts = list[Tensor](group.weights), group.moments, [group.count] * len(group.weights)
        group.count.add_(1 - refuse)
        if self.kind == "adam":
            torch._fused_adam_(
                weights, gradients, moments[0], moments[1], [], counts, lr=rate, beta1=beta1, beta2=beta2,
                weight_decay=group.decay, eps=ADAM_EPS, amsgrad=False, maximize=False, found_inf=refuse,
            )  # fmt: skip
        elif self.kind == "adagrad":
            torch._fused_adagrad_(
                weights, gradients, moments[0], counts, lr=rate, lr_decay=0.0,
                weight_decay=group.decay, eps=ADAGRAD_EPS, maximize=False, found_inf=refuse,
            )  # fmt: skip
        else:
            torch._fused_sgd_(
                weights, gradients, [], weight_decay=group.decay, momentum=0.0, lr=rate, dampening=0.0,
                nesterov=False, maximize=False, is_first_step=False, found_inf=refuse,
            )  # fmt: skip

    def _group(self, owner: str, module: nn.Module, decay: float, pace: Pace) -> Group:
        named = [(f"{owner}.{name}", weight) for name, weight in module.named_parameters() if weight.requires_grad]
        weights = [weight for _, weight in named]
        moments = [
            [torch.zeros_like(weight, requires_grad=False) for weight in weights] for _ in range(MOMENTS[self.kind])
        ]
        count = torch.zeros((), dtype=torch.float32, device=weights[0].device if weights else None)
        return Group([name for name, _ in named], weights, decay, pace, moments, count)
