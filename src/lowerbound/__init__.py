"""Variational autoencoders whose every printed number says what it is.

Public names are loaded on first touch (PEP 562), so that importing the package costs neither torch nor numpy:

    >>> import lowerbound as lb
    >>> "fit" in lb.__all__
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lowerbound.__about__ import __version__ as __version__

if TYPE_CHECKING:
    from lowerbound import objectives as objectives
    from lowerbound.checks import check as check
    from lowerbound.data import Data as Data
    from lowerbound.data import convert as convert
    from lowerbound.data import load as load
    from lowerbound.estimators.autoencoder import VariationalAutoencoder as VariationalAutoencoder
    from lowerbound.estimators.classifier import VAEClassifier as VAEClassifier
    from lowerbound.estimators.imputer import VAEImputer as VAEImputer
    from lowerbound.estimators.outliers import VAEOutlierDetector as VAEOutlierDetector
    from lowerbound.explorer.export import export_html as export_html
    from lowerbound.model import VAE as VAE
    from lowerbound.model import assemble as assemble
    from lowerbound.run import Run as Run
    from lowerbound.run import open as open
    from lowerbound.selftests import selftest as selftest
    from lowerbound.tasks.analogies import analogies as analogies
    from lowerbound.tasks.anomaly import anomaly as anomaly
    from lowerbound.tasks.arithmetic import arithmetic as arithmetic
    from lowerbound.tasks.compare import compare as compare
    from lowerbound.tasks.disentangle import disentangle as disentangle
    from lowerbound.tasks.embed import embed as embed
    from lowerbound.tasks.estimators import estimate as estimate
    from lowerbound.tasks.evaluate import evaluate as evaluate
    from lowerbound.tasks.explain import explain as explain
    from lowerbound.tasks.gaps import gap as gap
    from lowerbound.tasks.generate import sample as sample
    from lowerbound.tasks.generation import generation as generation
    from lowerbound.tasks.gradients import gradient_noise as gradient_noise
    from lowerbound.tasks.imputation import imputation as imputation
    from lowerbound.tasks.impute import impute as impute
    from lowerbound.tasks.independence import independence as independence
    from lowerbound.tasks.interpolate import interpolate as interpolate
    from lowerbound.tasks.labels import predict as predict
    from lowerbound.tasks.latent import codes as codes
    from lowerbound.tasks.latent import decode as decode
    from lowerbound.tasks.latent import encode as encode
    from lowerbound.tasks.latent import reconstruct as reconstruct
    from lowerbound.tasks.manifold import manifold as manifold
    from lowerbound.tasks.reconstructions import reconstructions as reconstructions
    from lowerbound.tasks.refit import refit_prior as refit_prior
    from lowerbound.tasks.score import score as score
    from lowerbound.tasks.similar import similar as similar
    from lowerbound.tasks.sweep import sweep as sweep
    from lowerbound.tasks.traverse import traverse as traverse
    from lowerbound.train import fit as fit

# Public name -> the module that defines it under the same name; a module that is itself public stands for itself.
_HOME = {
    "Data": "data",
    "Run": "run",
    "VAE": "model",
    "VAEClassifier": "estimators.classifier",
    "VAEImputer": "estimators.imputer",
    "VAEOutlierDetector": "estimators.outliers",
    "VariationalAutoencoder": "estimators.autoencoder",
    "analogies": "tasks.analogies",
    "anomaly": "tasks.anomaly",
    "arithmetic": "tasks.arithmetic",
    "assemble": "model",
    "check": "checks",
    "codes": "tasks.latent",
    "compare": "tasks.compare",
    "convert": "data",
    "decode": "tasks.latent",
    "disentangle": "tasks.disentangle",
    "embed": "tasks.embed",
    "encode": "tasks.latent",
    "estimate": "tasks.estimators",
    "evaluate": "tasks.evaluate",
    "explain": "tasks.explain",
    "export_html": "explorer.export",
    "fit": "train",
    "gap": "tasks.gaps",
    "generation": "tasks.generation",
    "gradient_noise": "tasks.gradients",
    "imputation": "tasks.imputation",
    "impute": "tasks.impute",
    "independence": "tasks.independence",
    "interpolate": "tasks.interpolate",
    "load": "data",
    "manifold": "tasks.manifold",
    "objectives": "objectives",
    "open": "run",
    "predict": "tasks.labels",
    "reconstruct": "tasks.latent",
    "reconstructions": "tasks.reconstructions",
    "refit_prior": "tasks.refit",
    "sample": "tasks.generate",
    "score": "tasks.score",
    "selftest": "selftests",
    "similar": "tasks.similar",
    "sweep": "tasks.sweep",
    "traverse": "tasks.traverse",
}

__all__ = [
    "Data",
    "Run",
    "VAE",
    "VAEClassifier",
    "VAEImputer",
    "VAEOutlierDetector",
    "VariationalAutoencoder",
    "analogies",
    "anomaly",
    "arithmetic",
    "assemble",
    "check",
    "codes",
    "compare",
    "convert",
    "decode",
    "disentangle",
    "embed",
    "encode",
    "estimate",
    "evaluate",
    "explain",
    "export_html",
    "fit",
    "gap",
    "generation",
    "gradient_noise",
    "imputation",
    "impute",
    "independence",
    "interpolate",
    "load",
    "manifold",
    "objectives",
    "open",
    "predict",
    "reconstruct",
    "reconstructions",
    "refit_prior",
    "sample",
    "score",
    "selftest",
    "similar",
    "sweep",
    "traverse",
]


def __getattr__(name: str) -> object:
    """The public name, loaded on first touch."""
    if name not in _HOME:
        raise AttributeError(f"module 'lowerbound' has no attribute '{name}'")
    module = import_module(f"lowerbound.{_HOME[name]}")
    value: object = module if _HOME[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
