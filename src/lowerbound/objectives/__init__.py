"""What training minimises and what it reports."""

from lowerbound.objectives.base import Objective, Pace, StepContext, Terms
from lowerbound.objectives.bounds import ELBO as elbo
from lowerbound.objectives.bounds import Reconstruction as reconstruction
from lowerbound.objectives.constraints import Capacity as capacity
from lowerbound.objectives.constraints import Constrained as constrained
from lowerbound.objectives.correlation import TotalCorrelation as total_correlation
from lowerbound.objectives.critic import Factor as factor
from lowerbound.objectives.discrepancy import MMD as mmd
from lowerbound.objectives.importance import IWAE as iwae
from lowerbound.objectives.labelled import Labelled as labelled
from lowerbound.objectives.moments import DIP as dip

__all__ = [
    "Objective", "Pace", "StepContext", "Terms", "capacity", "constrained", "dip", "elbo", "factor", "iwae", "labelled",
    "mmd", "reconstruction", "total_correlation",
]  # fmt: skip
