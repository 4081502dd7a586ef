"""How noisy the gradients of different estimators are: variance and signal-to-noise ratio, measured by one call.

Sources: Rainforth et al. 2018, "Tighter variational bounds are not necessarily better", arXiv:1802.04537 (the
signal-to-noise ratio); Tucker et al. 2019, arXiv:1810.04152.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowerbound import figures
from lowerbound.batches import Batch
from lowerbound.distributions import per_row
from lowerbound.errors import BadOption, unknown
from lowerbound.evaluation import evaluating
from lowerbound.model import VAE
from lowerbound.objectives import Objective, StepContext, Terms, elbo, iwae
from lowerbound.randomness import row_noise
from lowerbound.tasks.score import DECODED, noise_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ESTIMATORS = ("score", "score_baseline", "reparameterized", "sticking", "iwae", "dreg")
PILOT = 256  # draws that the baseline is found from
ROUNDING = 1e-16  # a variance below it is that of rounding

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Noise:
    """The gradient of one estimator over independent draws, number by number.

    Args:
        mean: of the gradient of the reported bound, any shape, in nats per unit.
        variance: the same shape; of one step's gradient.
        draws: how many there were.
    """

    mean: Array
    variance: Array
    draws: int

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio: |mean| / standard deviation, averaged over the numbers that vary; NaN without any."""
        moving = self.variance > ROUNDING
        ratios = np.abs(self.mean[moving]) / np.sqrt(self.variance[moving])
        return float(ratios.mean()) if len(ratios) else float("nan")

    @property
    def total_variance(self) -> float:
        """Sum of the variances of all numbers."""
        return float(self.variance.sum())


@dataclass(frozen=True)
class GradientNoise:
    """What ``gradient_noise`` found, by estimator."""

    found: Mapping[str, Noise]
    of: str
    samples: int

    def __getitem__(self, name: str) -> Noise:
        return self.found[name]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        lines = {name: {"variance": one.total_variance, "snr": one.snr, "draws": one.draws}
                 for name, one in self.found.items()}  # fmt: skip
        return {"of": self.of, "samples": self.samples, "estimators": lines}

    def __str__(self) -> str:
        head = f"gradient in the {self.of}, K = {self.samples}: variance in all, signal to noise of a number"
        return "\n".join(
            [head, *(f"{name:<18}{one.total_variance:12.4g}{one.snr:10.3f}" for name, one in self.found.items())]
        )

    def figure(self) -> "Figure":
        """The standard deviation of each estimator's gradient, side by side."""
        spread = [one.total_variance**0.5 for one in self.found.values()]
        return figures.comparison_bars(
            list(self.found), spread, unit="standard deviation of the gradient", title=f"{self.of}, K = {self.samples}"
        )


def gradient_noise(
    model: VAE, batch: Batch, estimators: Iterable[str] | Mapping[str, Objective] = ESTIMATORS, *, samples: int = 1,
    draws: int = 1000, of: Literal["encoder", "decoder"] = "encoder", seed: int = 0,
) -> GradientNoise:  # fmt: skip
    """Measure how noisy the gradients of training steps are.

    ``score`` is the score function; ``score_baseline`` the same with the best constant baseline for these rows;
    ``reparameterized`` the plain path derivative of the ELBO; these average over the samples. ``sticking`` leaves out
    the density's own term (of several samples it is of the importance-weighted bound, with a bias); ``iwae`` and
    ``dreg`` are the gradients of that bound.

    Args:
        model: with a posterior that has a density.
        batch: rows in the units of the data.
        estimators: names, or objectives by name.
        samples: K, draws from q(z|x) per row and step.
        draws: steps that are measured.
        of: ``encoder``: the gradient in the numbers that the encoder gives for each row; ``decoder``: in the decoder's
            weights, summed over the rows.
        seed: of the noise, which is keyed by the rows' contents.

    Returns:
        Mean and variance of each number's gradient of the bound (nats per unit), of shape (rows, numbers) for the
        encoder and (weights,) for the decoder; sums and ratios of them.

    Raises:
        UnknownName: an estimator that does not exist.
        BadOption: fewer than two draws or one sample.
        Incompatible: a posterior without a density.

    Sources: Rainforth et al. 2018, arXiv:1802.04537; Roeder, Wu & Duvenaud 2017, arXiv:1703.09194; Tucker et al. 2019,
    arXiv:1810.04152.

    >>> from lowerbound.selftests.base import closed_form, rows_of
    >>> found = gradient_noise(closed_form("iris", 1), Batch(rows_of("iris")[:2]), ["reparameterized", "sticking"])
    >>> found["reparameterized"].total_variance > 1e-3, found["sticking"].total_variance < 1e-20
    (True, True)
    """
    if samples < 1 or draws < 2:
        raise BadOption("too few", where="gradient_noise", found=f"{samples} samples, {draws} draws",
                        expected="1 sample and 2 draws, or more")  # fmt: skip
    noise_of(model)
    steps = _Steps(model, batch, seed)
    measure = steps.encoder if of == "encoder" else steps.decoder
    found = {name: measure(objective, draws) for name, objective in _objectives(steps, estimators, samples).items()}
    return GradientNoise(found, of, samples)


def _objectives(steps: "_Steps", chosen: Iterable[str] | Mapping[str, Objective], samples: int) -> dict[str, Objective]:
    if isinstance(chosen, Mapping):
        return dict(chosen)
    for name in (names := list(chosen)):
        if name not in ESTIMATORS:
            raise unknown("estimator", name, ESTIMATORS)
    known: dict[str, Callable[[], Objective]] = {
        "score": lambda: elbo(samples=samples, gradient="score"),
        "score_baseline": lambda: elbo(samples=samples, gradient="score", baseline=steps.baseline()),
        "reparameterized": lambda: elbo(samples=samples),
        "sticking": lambda: iwae(samples=samples, gradient="stl"),
        "iwae": lambda: iwae(samples=samples),
        "dreg": lambda: iwae(samples=samples, gradient="dreg"),
    }
    return {name: known[name]() for name in names}


class _Free(VAE):
    """A model with posterior numbers of its own for the rows of one batch, to take gradients in."""

    def __init__(self, model: VAE, x: Tensor, numbers: Tensor) -> None:
        super().__init__(
            encoder=model.encoder, posterior=model.posterior_family, prior=model.prior_family, decoder=model.decoder,
            likelihood=model.likelihood_family, embedding=model.embedding, context=model.context,
        )  # fmt: skip
        self.own, self.training = (x, numbers), False

    def numbers(self, x: Tensor, *rest: Any, **more: Any) -> Tensor:
        return self.own[1] if x is self.own[0] else super().numbers(x, *rest, **more)


class _Steps:
    """Training steps on the same rows, each with noise of its own."""

    def __init__(self, model: VAE, batch: Batch, seed: int) -> None:
        self.model, self.batch, self.seed, self.rows = model, batch, seed, len(batch.x)
        self.digests = model.embedding.digests(batch.x, batch.mask)
        with evaluating(model):
            self.numbers = model.numbers(batch.x, batch.context, batch.mask)

    def encoder(self, objective: Objective, draws: int) -> Noise:
        """Of the numbers of each row: with a copy of a row for each step, one backward pass gives many."""
        moments, size = _Moments(), max(1, DECODED // (self.rows * objective.samples))
        for first in range(0, draws, size):
            count = min(size, draws - first)
            free, batch = self._copies(count)
            loss = self._loss(objective, free, batch, first, first + count)
            moments.add(-torch.autograd.grad(loss, free.own[1])[0].unflatten(0, (count, self.rows)))
        return moments.noise()

    def decoder(self, objective: Objective, draws: int) -> Noise:
        """Of the decoder's weights, step by step."""
        moments = _Moments()
        weights = [weight for weight in self.model.decoder.parameters() if weight.requires_grad]
        for first in range(draws):
            loss = self._loss(objective, *self._copies(1), first, first + 1)
            moments.add(-torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]).unsqueeze(0))
        return moments.noise()

    def baseline(self) -> float:
        """The constant that lowers the score function's variance most: E f |s|^2 / E |s|^2, s = grad log q(z|x)."""
        eps = row_noise(self.seed, "gradient-pilot", self.digests, noise_of(self.model), 0, PILOT).to(self.batch.x)
        with evaluating(self.model), torch.enable_grad():
            free, batch = self._copies(PILOT)
            q = self.model.posterior_family(free.own[1])
            z = self.model.draw(q, eps.flatten(0, 1).unsqueeze(0)).detach()
            s = torch.autograd.grad(per_row(q.log_prob(z), q).sum(), free.own[1])[0].square().sum(1)
            with torch.no_grad():
                f = self.model.log_likelihood(self.model.likelihood(z, batch.context), batch.x, batch.mask)[0]
        return float((f * s).sum() / s.sum())

    def _copies(self, count: int) -> tuple[_Free, Batch]:
        """The rows so many times over, and a model with as many posteriors."""
        index = torch.arange(self.rows).repeat(count)
        batch = self.batch.cut(index)
        return _Free(self.model, batch.x, self.numbers[index].requires_grad_()), batch

    def _loss(self, objective: Objective, free: _Free, batch: Batch, first: int, last: int) -> Tensor:
        noise = {
            name: row_noise(self.seed, f"gradient-{name}", self.digests, draw, first, last).flatten(0, 1).to(batch.x)
            for name, draw in objective.requests(free).items()
        }
        with evaluating(self.model), torch.enable_grad():
            terms: Terms = objective(free, batch, StepContext(noise, torch.ones(()).to(batch.x), self.rows, 1))
        return terms.loss


class _Moments:
    """Mean and variance of many arrays, taken around the first so that no digits are lost."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, values: Tensor) -> None:
        """Values (n, ...)."""
        values = values.double().cpu()
        if not self.count:
            self.centre = values.mean(0)
            self.first, self.second = torch.zeros_like(self.centre), torch.zeros_like(self.centre)
        away = values - self.centre
        self.first, self.second = self.first + away.sum(0), self.second + away.square().sum(0)
        self.count += len(values)

    def noise(self) -> Noise:
        """What they came to."""
        shift = self.first / self.count
        variance = (self.second / self.count - shift.square()).clamp(min=0) * self.count / (self.count - 1)
        return Noise((self.centre + shift).numpy(), variance.numpy(), self.count)
