"""The contract of an objective: ``objective(model, batch, context) -> Terms``."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.batches import Batch, Rows
from lowerbound.errors import Incompatible
from lowerbound.model import VAE
from lowerbound.parts import Part
from lowerbound.randomness import Draw, step_noise
from lowerbound.ranks import ALONE, Ranks

TRAINING = ("corruption", "labelled")  # first words of the names of noise that is of use in training alone


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
class Pace:
    """How an objective's own parameters are updated: no prior pulls on them, and they are clipped alone.

    Args:
        speed: times the rate of the nets.
        betas: of Adam.
    """

    speed: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class StepContext:
    """What a step gives an objective besides the batch.

    Args:
        noise: name -> (rows, *shape), as the objective's ``requests`` ask.
        progress: 0-d tensor in [0, 1].
        rows_total: N, the rows of the data set.
        batch_rows: rows of the global batch, which the loss is divided by.
        ranks: the processes that have rows of the batch: what couples rows is asked of all of them.
        first: place in the global batch of the first row at hand.
    """

    noise: Mapping[str, Tensor]
    progress: Tensor = field(default_factory=lambda: torch.ones(()))
    rows_total: int = 1
    batch_rows: int = 1
    ranks: Ranks = ALONE
    first: int = 0

    @classmethod
    def fresh(cls, objective: "Objective", model: VAE, batch: Batch, seed: int = 0, step: int = 0) -> "StepContext":
        """A context outside training: noise from a seed, N = the rows of the batch."""
        rows = len(batch.x)
        noise = step_noise(seed, step, objective.requests(model), rows, batch.x.device, batch.x.dtype)
        return cls(noise, torch.ones((), device=batch.x.device), rows, rows)

    def average(self, per_row: Tensor) -> Tensor:
        """Sum over the rows at hand, divided by the rows of the global batch (scalar)."""
        return per_row.sum() / self.batch_rows

    def once(self, whole: Tensor) -> Tensor:
        """This process's part of a term of the whole batch that every one of them has: losses are summed."""
        return whole / self.ranks.world if self.ranks.world > 1 else whole

    def gather(self, per_row: Tensor) -> Tensor:
        """The rows of the global batch, with gradient, from the rows at hand."""
        return self.ranks.gather(per_row, self.batch_rows)


class Objective(Part, kind="objective"):
    """A map from a model and a batch to ``Terms``.

    ``needs_density`` refuses posteriors that have none, ``reports`` names the value, ``pace`` is that of the
    objective's own parameters, ``labels`` says that it trains a classifier, ``says`` what the loss has besides the
    bound, ``missingness`` that it trains p(mask|x), and ``aims`` holds, by the name of a part, what training should
    bring its mean to: the run's summary states both.
    """

    needs_density: bool = True
    reports: str = "elbo"
    samples: int = 1
    labels: bool = False
    missingness: bool = False
    pace: Pace = Pace()

    @property
    def says(self) -> str:
        return ""

    @property
    def aims(self) -> dict[str, float]:
        return {}

    def requests(self, model: VAE) -> dict[str, Draw]:
        """Noise that a step needs, name -> shape per row."""
        asked = {}
        shape = model.posterior_family.noise_shape
        if shape is not None:
            asked["posterior"] = Draw((self.samples, *shape), "normal")
        if model.corruption is not None:
            asked["corruption"] = model.corruption.request()
        return asked

    def prepare(self, rows: Rows) -> None:
        """Look at the training rows, before the first step and again when training goes on (nothing by default)."""

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
        if model.missingness_family is not None and not self.missingness:
            raise Incompatible(
                f"objective '{self.name}' does not train {model.missingness_family.title}",
                mend="Use objective 'iwae', or leave model.missingness out.",
            )
        if self.labels != (model.classifier is not None):
            raise Incompatible(
                f"objective '{self.name}' "
                + (
                    "trains a classifier; the model has none"
                    if self.labels
                    else "trains no classifier; the model has one"
                ),
                mend="Objective 'labelled' goes with model.classifier and data.context = label, as in the recipe 'm2'.",
            )

    @abstractmethod
    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        """Terms of a batch; without a context, noise is fresh from seed 0 and N = the rows of the batch."""


def need_dimensions(objective: Objective, model: VAE) -> None:
    """Refuse a posterior without a density for each dimension by itself.

    Raises:
        Incompatible: names both sides.
    """
    family = model.posterior_family
    if example(model).event_shape:
        raise Incompatible(
            f"objective '{objective.name}' needs a density for each dimension of z; posterior '{family.name}' has one "
            "for all of them together",
            mend="Use posterior 'gaussian'.",
        )


def need_moments(objective: Objective, model: VAE) -> None:
    """Refuse a posterior whose covariance has no formula.

    Raises:
        Incompatible: names both sides.
    """
    q = example(model)
    if q.event_shape and not hasattr(q, "covariance_matrix"):
        raise Incompatible(
            f"objective '{objective.name}' needs the covariance of q(z|x); posterior '{model.posterior_family.name}' "
            "has no formula for it",
            mend="Use posterior 'gaussian'.",
        )


def example(model: VAE) -> Distribution:
    """A distribution of the posterior family, to see what it can do."""
    weight = next(model.parameters())
    q: Distribution = model.posterior_family(weight.new_zeros(1, model.posterior_family.numbers))
    return q
