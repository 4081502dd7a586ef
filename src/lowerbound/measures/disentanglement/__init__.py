"""Disentanglement: how codes and the factors that made the rows belong together, from arrays alone.

Sources: each measure names its own; definitions and sizes follow Locatello et al. 2019, "Challenging common assumptions
in the unsupervised learning of disentangled representations", arXiv:1811.12359, where nothing else is said.
"""

from lowerbound.measures.disentanglement.agreement import udr as udr
from lowerbound.measures.disentanglement.base import Score as Score
from lowerbound.measures.disentanglement.base import Settings as Settings
from lowerbound.measures.disentanglement.suite import LABELS as LABELS
from lowerbound.measures.disentanglement.suite import Scores as Scores
from lowerbound.measures.disentanglement.suite import disentanglement as disentanglement
from lowerbound.measures.disentanglement.unsupervised import UNSUPERVISED as UNSUPERVISED
