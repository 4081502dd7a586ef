"""A prior fitted to the codes of a trained model: encoder and decoder stay as they are."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lowerbound.batches import Rows
from lowerbound.config import check_parts, override
from lowerbound.distributions import per_row
from lowerbound.errors import BadOption, DataShape, Incompatible
from lowerbound.evaluation import EVALUATION_ROWS, evaluating
from lowerbound.model import VAE, assemble
from lowerbound.randomness import Draw, generator, row_noise
from lowerbound.run import Run

DRAWS = 8  # codes of each row
BATCH = 512
RATE = 3e-3
EVERY = 50  # steps between two looks at the held-out codes
PATIENCE = 20  # looks without a better mean


def refit_prior(run: Run, prior: str | Mapping[str, Any] = "mixture", data: Any = None, *, steps: int = 5000,
                seed: int = 0) -> Run:  # fmt: skip
    """Fit another prior to the codes of the training rows; what the model says of x given z does not change.

    Of the bound on log p(x) only E_q log p(z) depends on the prior: its mean over the rows is maximised over the
    prior's weights by Adam, on codes drawn from q(z|x), and stops where the mean over the codes of the validation rows
    (of a tenth of the rows, where there are none) no longer rises. The best weights met are kept.

    Args:
        run: trained; it is left as it is.
        prior: as on the command line, ``"mixture:components=10"``, or as a table, ``{"name": "mixture"}``.
        data: rows whose codes are used, as ``load`` takes them; the run's training rows when left out.
        steps: of Adam, at most.
        seed: of the prior's first weights and of the draws.

    Returns:
        A run of the same model with the new prior, in memory; ``summary["refitted"]`` tells the mean log p(z) of the
        held-out codes before and after, in nats, and ``save`` writes it.

    Raises:
        Incompatible: a posterior without a density, or a prior that has no weights to fit.
        BadOption: an option of the wrong type or range, or fewer than one step.

    Source: Ghosh, Sajjadi, Vergari, Black & Schölkopf 2020, "From variational to deterministic autoencoders",
    arXiv:1903.12436 (a density for the codes after training).

    >>> from lowerbound.train import fit
    >>> run = fit("digits", latent=2, epochs=2, progress=False)
    >>> refit_prior(run, "mixture:components=3", steps=50).model.spec["prior"]["components"]
    3
    """
    if steps < 1:
        raise BadOption("not a number of steps", where="steps", found=str(steps), expected="1 or more")
    if not run.model.posterior_family.has_density:
        raise Incompatible(
            f"posterior '{run.model.posterior_family.name}' has no density, so a prior makes it no model of x",
            mend="Fit with the posterior 'gaussian'.",
        )  # fmt: skip
    config = check_parts(override(run.config, {"model.prior": prior}))
    model = _with_prior(run.model, dict(config.model.prior), seed)
    train, held = _rows(run, data)
    fitting = _Fitting(model, train, held, seed)
    told = {"before": mean_log_prior(run.model, fitting.held), "after": fitting.follow(steps)}
    summary = {**run.summary, "refitted": {"prior": model.spec["prior"], "log_prior": told}}
    return replace(run, model=model.eval(), config=config, summary=summary, path=None)


def mean_log_prior(model: VAE, z: Tensor) -> float:
    """The mean of log p(z) over codes (n, latent), in nats."""
    with evaluating(model):
        return sum(float(log_prior(model, some).double().sum()) for some in z.split(EVALUATION_ROWS)) / len(z)


def codes(model: VAE, rows: Rows, seed: int) -> Tensor:
    """Draws from q(z|x) of every row, (draws * rows, latent), keyed by the rows' contents."""
    shape, found = Draw(model.posterior_family.noise_shape or ()), []
    with evaluating(model):
        for batch in rows.blocks(EVALUATION_ROWS):
            q = model.posterior(batch.x, batch.context, batch.mask)
            digests = model.embedding.digests(batch.x, batch.mask)
            eps = row_noise(seed, "refit", digests, shape, 0, DRAWS).to(batch.x)
            found.append(model.draw(q, eps).flatten(0, 1))
    return torch.cat(found)


def log_prior(model: VAE, z: Tensor) -> Tensor:
    """log p(z) in nats, (n,)."""
    p = model.prior()
    return per_row(p.log_prob(z), p)


def _with_prior(model: VAE, table: dict[str, Any], seed: int) -> VAE:
    """A copy with another prior, whose weights are drawn from the seed."""
    weight = next(model.parameters())
    made = assemble({**model.spec, "prior": table}, seed=seed).to(weight.device, weight.dtype)
    copy = deepcopy(model)
    copy.prior_family = made.prior_family
    if not list(copy.prior_family.parameters()):
        raise Incompatible(f"{made.prior_family.title} has no weights to fit", mend="Choose 'mixture' or 'vamp'.")
    return copy


def _rows(run: Run, data: Any) -> tuple[Rows, Rows]:
    """Rows to fit the prior to, and rows to stop by."""
    rows = run.rows(data) if data is not None else run.rows(part="train")
    if data is None and run.facts["split"]["validation"]:
        return run.resident(rows), run.resident(run.rows(part="validation"))
    if rows.rows < 2:
        raise DataShape("too few rows", where=rows.name, found=str(rows.rows), expected="2 or more")
    cut = replace(rows, split=None).with_split(0.1, 0.0, how="random")
    return run.resident(cut.train), run.resident(cut.validation)


class _Fitting:
    """A model whose prior is being fitted, codes to fit it to and codes to stop by."""

    def __init__(self, model: VAE, train: Rows, held: Rows, seed: int) -> None:
        self.model, self.order = model, generator(seed, "refit", "order")
        self.train, self.held = codes(model, train, seed), codes(model, held, seed)
        self.weights = dict(model.prior_family.named_parameters())
        with torch.no_grad():
            model.prior_family.start_from(next(train.blocks(EVALUATION_ROWS)).x)
            model.prior_family.start_from_codes(self.train)

    def follow(self, steps: int) -> float:
        """Climb until the held-out codes no longer gain, and keep the best weights; their mean log p(z)."""
        optimiser = torch.optim.Adam(self.weights.values(), lr=RATE)
        best, kept, idle = self._mean(), self._copied(), 0
        for step in range(1, steps + 1):
            self._climb(optimiser)
            if step % EVERY and step < steps:
                continue
            found = self._mean()
            idle = 0 if found > best else idle + 1
            best, kept = (found, self._copied()) if found > best else (best, kept)
            if idle == PATIENCE:
                break
        self.model.prior_family.load_state_dict(kept)
        return best

    def _climb(self, optimiser: torch.optim.Optimizer) -> None:
        rows = torch.randint(len(self.train), (BATCH,), generator=self.order).to(self.train.device)
        loss = -log_prior(self.model, self.train[rows]).mean()
        gradients = torch.autograd.grad(loss, list(self.weights.values()))
        for weight, gradient in zip(self.weights.values(), gradients, strict=True):
            weight.grad = gradient
        optimiser.step()

    def _mean(self) -> float:
        return mean_log_prior(self.model, self.held)

    def _copied(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.prior_family.state_dict().items()}
