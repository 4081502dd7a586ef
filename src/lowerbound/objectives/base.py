"""The contract of an objective: ``objective(model, batch, context) -> Terms``."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.errors import Incompatible
from lowerbound.model import VAE
from lowerbound.parts import Part
from lowerbound.randomness import Draw, step_noise


@dataclass(frozen=True)
class Terms:
    """What an objective says of a batch, in nats.

    Args:
        loss: what is differentiated, a scalar: summed over dimensions, averaged over the rows of the global batch. It
            may be a surrogate whose gradient is right and whose value means nothing.
        value: the reported bound per row, (rows,); never the surrogate.
        target: what training maximises, per row, (rows,): the value with its weights (beta). On held-out rows its mean
            decides when to stop.
        parts: named addends per row, (rows,), and per dimension, (rows, latent).
        rows_total: N, the rows of the data set.
    """

    loss: Tensor
    value: Tensor
    target: Tensor
    parts: Mapping[str, Tensor]
    rows_total: int

    @property
    def full_data(self) -> Tensor:
        """The minibatch estimate of the bound of the whole data set, N/M * sum over the batch of M rows (scalar)."""
        return self.value.mean() * self.rows_total


@dataclass(frozen=True)
class StepContext:
    """What a step gives an objective besides the batch.

    Args:
        noise: name -> (rows, *shape), as the objective's ``requests`` ask.
        progress: 0-d tensor in [0, 1].
        rows_total: N, the rows of the data set.
        batch_rows: rows of the global batch, which the loss is divided by.
    """

    noise: Mapping[str, Tensor]
    progress: Tensor = field(default_factory=lambda: torch.ones(()))
    rows_total: int = 1
    batch_rows: int = 1

    @classmethod
    def fresh(cls, objective: "Objective", model: VAE, batch: Batch, seed: int = 0, step: int = 0) -> "StepContext":
        """A context outside training: noise from a seed, N = the rows of the batch."""
        rows = len(batch.x)
        noise = step_noise(seed, step, objective.requests(model), rows, batch.x.device, batch.x.dtype)
        return cls(noise, torch.ones((), device=batch.x.device), rows, rows)

    def average(self, per_row: Tensor) -> Tensor:
        """Sum over the rows at hand, divided by the rows of the global batch (scalar)."""
        return per_row.sum() / self.batch_rows


class Objective(Part, kind="objective"):
    """A map from a model and a batch to ``Terms``. ``needs_density`` refuses posteriors that have none."""

    needs_density: ClassVar[bool] = True
    reports: ClassVar[str] = "elbo"
    samples: int = 1

    def requests(self, model: VAE) -> dict[str, Draw]:
        """Noise that a step needs, name -> shape per row."""
        asked = {}
        shape = model.posterior_family.noise_shape
        if shape is not None:
            asked["posterior"] = Draw((self.samples, *shape), "normal")
        if model.corruption is not None:
            asked["corruption"] = model.corruption.request()
        return asked

    def accepts(self, model: VAE) -> None:
        """Refuse a model that the objective is not defined for.

        Raises:
            Incompatible: names both sides.
        """
        family = model.posterior_family
        if self.needs_density and not family.has_density:
            raise Incompatible(
                f"objective '{self.name}' needs a posterior with a density; '{family.name}' has none",
                mend="Use objective 'reconstruction', or posterior 'gaussian'.",
            )

    @abstractmethod
    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        """Terms of a batch; without a context, noise is fresh from seed 0 and N = the rows of the batch."""
