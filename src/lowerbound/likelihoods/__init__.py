"""Likelihood families p(x|z): the numbers they need of the decoder, and the distribution these mean, cell by cell."""

from lowerbound.likelihoods.base import Likelihood
from lowerbound.likelihoods.binary import Bernoulli, ContinuousBernoulli
from lowerbound.likelihoods.codes import Categorical
from lowerbound.likelihoods.columns import Columns
from lowerbound.likelihoods.counts import NegativeBinomial, Poisson, ZeroInflated
from lowerbound.likelihoods.grey import DiscretisedLogistic
from lowerbound.likelihoods.real import Gaussian, Laplace, StudentT

__all__ = [
    "Bernoulli",
    "Categorical",
    "Columns",
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
    "ZeroInflated",
]
