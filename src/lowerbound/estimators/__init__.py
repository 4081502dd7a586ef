"""The scikit-learn face."""

from lowerbound.estimators.autoencoder import VariationalAutoencoder as VariationalAutoencoder
from lowerbound.estimators.classifier import VAEClassifier as VAEClassifier
from lowerbound.estimators.imputer import VAEImputer as VAEImputer
from lowerbound.estimators.outliers import VAEOutlierDetector as VAEOutlierDetector

__all__ = ["VAEClassifier", "VAEImputer", "VAEOutlierDetector", "VariationalAutoencoder"]
