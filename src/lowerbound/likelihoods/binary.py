"""Zeros and ones, and grey levels from 0 to 1."""

from torch import Tensor
from torch.distributions import Distribution

from lowerbound.distributions import BernoulliLogits
from lowerbound.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from lowerbound.likelihoods.base import Likelihood


class Bernoulli(Likelihood, name="bernoulli"):
    """Zeros and ones with a probability per cell.

    log p(x|z) = x log s(l) + (1 - x) log(1 - s(l)), l the decoder's logits. A probability of x in {0, 1} only: on grey
    levels it is a cross-entropy. Source: Kingma & Welling 2014, arXiv:1312.6114, appendix C.1.

    Args:
        shape: of a row.

    >>> import torch
    >>> Bernoulli((1,))(torch.zeros(1, 1)).log_prob(torch.ones(1, 1)).exp()
    tensor([[0.5000]])
    """

    support = "binary"
    discrete = True

    def forward(self, numbers: Tensor) -> Distribution:
        return BernoulliLogits(numbers)


class ContinuousBernoulli(Likelihood, name="continuous_bernoulli"):
    """A density on [0, 1], for grey levels that are not zeros and ones.

    p(x|z) = C(s) s^x (1 - s)^(1 - x), s = s(l), l the decoder's logits. Source: Loaiza-Ganem & Cunningham 2019,
    "The continuous Bernoulli", arXiv:1907.06845.

    Args:
        shape: of a row.

    >>> import torch
    >>> ContinuousBernoulli((1,))(torch.zeros(1, 1)).log_prob(torch.full((1, 1), 0.3)).abs() < 1e-6
    tensor([[True]])
    """

    support = "unit"

    def forward(self, numbers: Tensor) -> Distribution:
        return ContinuousBernoulliDistribution(numbers)
