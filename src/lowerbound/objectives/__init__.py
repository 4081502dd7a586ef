"""What training minimises and what it reports."""

from lowerbound.objectives.base import Objective, StepContext, Terms
from lowerbound.objectives.bounds import ELBO as elbo
from lowerbound.objectives.bounds import Reconstruction as reconstruction
from lowerbound.objectives.importance import IWAE as iwae

__all__ = ["Objective", "StepContext", "Terms", "elbo", "iwae", "reconstruction"]
