"""The importance-weighted bound, and encoder gradients of it that lose the term which is zero on average."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from lowerbound.batches import Batch
from lowerbound.distributions import outcome, per_row
from lowerbound.errors import Incompatible
from lowerbound.model import VAE
from lowerbound.objectives.base import Objective, StepContext, Terms
from lowerbound.parts import Count
from lowerbound.posteriors import Posterior
from lowerbound.randomness import Draw

MISSING = "missing"  # noise of the cells that p(mask|x) needs a value of


class IWAE(Objective, name="iwae"):
    """The importance-weighted bound.

    L_K = E log (1/K) sum_k w_k, w_k = p(x, z_k) / q(z_k|x), z_k ~ q(z|x): it rises with K from the ELBO to log p(x).
    The value is that bound, whatever the gradient. ``standard`` differentiates the bound. ``stl`` (sticking the
    landing) leaves out the encoder's gradient through the density log q(z|x), which for K = 1 is zero on average; for
    more samples it is not, so that this gradient is biased. ``dreg`` (doubly reparameterised) is without bias, its
    paths weighted by the squares of the normalised weights. Both vanish where q(z|x) is exact. The decoder's gradient
    is the standard one. Where the model has p(mask|x), w_k = p(x, mask, z_k) / q(z_k|x), missing cells drawn from
    p(x|z_k): a bound on log p(x, mask).
    Sources: Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders", arXiv:1509.00519; Roeder, Wu &
    Duvenaud 2017, "Sticking the landing", arXiv:1703.09194; Tucker et al. 2019, "Doubly reparameterized gradient
    estimators for Monte Carlo objectives", arXiv:1810.04152; Ipsen, Mattei & Frellsen 2021, "not-MIWAE",
    arXiv:2006.12871.

    Args:
        samples: K, draws from q(z|x) per row.
        gradient: ``standard``, ``stl`` or ``dreg``.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> IWAE(samples=5).options["samples"]
    5
    """

    reports = "iwae_bound"
    missingness = True
    beta: float = 1.0  # what the audit says of the KL

    def __init__(self, *, samples: Count = 5, gradient: Literal["standard", "stl", "dreg"] = "standard") -> None:
        super().__init__()
        self.samples, self.gradient = samples, gradient

    def requests(self, model: VAE) -> dict[str, Draw]:
        asked = super().requests(model)
        return asked if model.missingness_family is None else asked | {MISSING: Draw((self.samples, *model.shape))}

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        numbers = model.numbers(batch.x, batch.context, batch.mask, corruption=context.noise.get("corruption"))
        q, p = model.posterior_family(numbers), model.prior(batch.context)
        z = model.draw(q, context.noise["posterior"].transpose(0, 1))
        p_x = model.likelihood(z, batch.context)
        log_px = model.log_likelihood(p_x, batch.x, batch.mask, context.ranks.total)
        standard = self.gradient == "standard"
        log_q = per_row(q.log_prob(z), q) if standard else stopped_density(model.posterior_family, numbers, z)
        ratio = log_q - per_row(p.log_prob(z), p)
        log_w, parts = log_px - ratio, {"log_likelihood": log_px.mean(0).detach(), "kl": ratio.mean(0).detach()}
        if model.missingness_family is not None:
            x = completed(p_x, batch, context.noise[MISSING].transpose(0, 1))
            log_mask = log_missingness(model, x, batch.mask)
            log_w, parts["log_mask"] = log_w + log_mask, log_mask.mean(0).detach()
        bound = log_w.logsumexp(0) - math.log(self.samples)
        gain = bound if standard else self._surrogate(log_w, z)
        value = bound.detach()
        return Terms(-context.average(gain), value, value, parts, context.rows_total)

    def _surrogate(self, log_w: Tensor, z: Tensor) -> Tensor:
        """Its gradient is sum_k v_k grad log w_k, v the normalised weights; v_k again for what comes through z_k."""
        v = log_w.detach().softmax(0)
        if self.gradient == "dreg" and z.requires_grad:
            z.register_hook(lambda through: through * v.unsqueeze(-1))
        return (v * log_w).sum(0)


def completed(p: Distribution, batch: Batch, eps: Tensor) -> Tensor:
    """Rows with draws of p(x|z) in their missing cells, (samples, rows, *shape).

    Args:
        p: of (samples, rows, *shape).
        batch: the rows.
        eps: standard normal noise, of p's shape.

    Raises:
        Incompatible: a distribution that is not drawn by noise.
    """
    if batch.mask is None:
        return batch.x.expand_as(eps)
    drawn = outcome(p, eps)
    if drawn is None:
        raise Incompatible("p(mask|x) needs draws of missing cells by noise", found=type(p).__name__,
                           mend="Choose the likelihood 'gaussian'.")  # fmt: skip
    return torch.where(batch.mask, batch.x, drawn)


def log_missingness(model: VAE, x: Tensor, mask: Tensor | None) -> Tensor:
    """log p(mask|x) in nats, (samples, rows), of rows without holes, (samples, rows, *shape)."""
    seen = torch.ones_like(x[0]) if mask is None else mask.to(x)
    return model.missingness(x).log_prob(seen).flatten(2).sum(-1)


class _Density(nn.Module):
    def __init__(self, family: Posterior) -> None:
        super().__init__()
        self.family = family

    def forward(self, numbers: Tensor, z: Tensor) -> Tensor:
        q = self.family(numbers)
        return per_row(q.log_prob(z), q)


def stopped_density(family: Posterior, numbers: Tensor, z: Tensor) -> Tensor:
    """log q(z|x), (samples, rows), with a gradient through z alone: none through the numbers or the family's weights.

    Args:
        family: of the posterior.
        numbers: of the encoder, (rows, numbers).
        z: (samples, rows, latent).
    """
    density = _Density(family)
    fixed = {name: weight.detach() for name, weight in density.named_parameters()}
    found: Tensor = functional_call(density, fixed, (numbers.detach(), z))
    return found
