"""The total correlation by a critic that tells codes from codes whose dimensions were shuffled apart."""

from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import softplus

from lowerbound.batches import Batch
from lowerbound.model import VAE
from lowerbound.nets import MLP
from lowerbound.objectives.base import Objective, Pace, StepContext, Terms
from lowerbound.objectives.bounds import bound
from lowerbound.parts import Count, NonNegative, Positive
from lowerbound.randomness import Draw


class Factor(Objective, name="factor"):
    """The ELBO less gamma times the total correlation of q(z), as a critic sees it.

    The critic's c(z) is trained to be log q(z) - log prod_j q(z_j), by telling the codes of a batch from the same
    codes with each dimension shuffled among the rows; its mean is the total correlation. One backward pass serves
    both: the model does not move the critic, nor the critic's loss the model. The reported value is the ELBO.
    Source: Kim & Mnih 2018, "Disentangling by factorising", arXiv:1802.05983 (which shuffles a second batch; the codes
    of the same one are shuffled here, as in Locatello et al. 2019, arXiv:1811.12359).

    Args:
        latent: dimension of z.
        gamma: weight of the total correlation.
        widths: units of each hidden layer of the critic; six of 1000 in the paper.
        speed: of the critic, times the rate of the nets.

    Raises:
        BadOption: an option of the wrong type or range.

    >>> import torch
    >>> Factor(2, widths=[8]).critic(torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """

    couples_rows = gathers = True
    beta: float = 1.0  # what the audit says of the KL

    def __init__(
        self, latent: int, *, gamma: NonNegative = 10.0,
        widths: list[Count] = [256, 256, 256], speed: Positive = 1.0,  # noqa: B006  # never written to
    ) -> None:  # fmt: skip
        super().__init__()
        self.gamma, self.widths, self.speed = gamma, widths, speed
        self.pace = Pace(speed, betas=(0.5, 0.9))
        self.critic = MLP((latent,), (1,), widths=widths, activation="leaky_relu")

    @property
    def says(self) -> str:
        return f"total correlation x {1 + self.gamma:g}, by a critic"

    def requests(self, model: VAE) -> dict[str, Draw]:
        return {**super().requests(model), "shuffle": Draw((1, model.latent), "uniform")}

    def forward(self, model: VAE, batch: Batch, context: StepContext | None = None) -> Terms:
        context = context or StepContext.fresh(self, model, batch)
        found = bound(model, batch, context)
        z = found.decoded.z[0]
        fixed = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        correlation = functional_call(self.critic, fixed, (z,))[:, 0]
        cost = self.gamma * correlation
        own = self._mistakes(z.detach(), context.noise["shuffle"][:, 0], context)
        loss = context.average(found.kl - found.likelihood + cost + own)
        return found.terms(context, loss, cost, total_correlation=correlation, critic_loss=own)

    def _mistakes(self, z: Tensor, noise: Tensor, context: StepContext | None = None) -> Tensor:
        """The critic's cross-entropy of a code and one shuffled among all rows of the batch, (rows,)."""
        context = context or StepContext({})
        order = context.gather(noise).argsort(0)
        mixed = context.gather(z).gather(0, order)[context.first : context.first + len(z)]
        real, shuffled = self.critic(z), self.critic(mixed)
        return (softplus(-real) + softplus(shuffled))[:, 0]
