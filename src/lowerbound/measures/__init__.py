"""Numbers from arrays alone: of latent spaces, of generated rows, of scores."""

from lowerbound.measures.base import Measure as Measure
from lowerbound.measures.calibration import auroc as auroc
from lowerbound.measures.calibration import calibration_error as calibration_error
from lowerbound.measures.calibration import conformal as conformal
from lowerbound.measures.calibration import two_sided as two_sided
from lowerbound.measures.calibration import typicality as typicality
from lowerbound.measures.latent import active_units as active_units
from lowerbound.measures.latent import gaussian_total_correlation as gaussian_total_correlation
from lowerbound.measures.latent import mutual_information as mutual_information
from lowerbound.measures.latent import prior_gap as prior_gap
from lowerbound.measures.latent import total_correlation as total_correlation
