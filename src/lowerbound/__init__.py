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
    from lowerbound.data import load as load
    from lowerbound.model import VAE as VAE
    from lowerbound.model import assemble as assemble
    from lowerbound.run import Run as Run
    from lowerbound.run import open as open
    from lowerbound.selftests import selftest as selftest
    from lowerbound.tasks.anomaly import anomaly as anomaly
    from lowerbound.tasks.compare import compare as compare
    from lowerbound.tasks.estimators import estimate as estimate
    from lowerbound.tasks.evaluate import evaluate as evaluate
    from lowerbound.tasks.gaps import gap as gap
    from lowerbound.tasks.generate import sample as sample
    from lowerbound.tasks.generation import generation as generation
    from lowerbound.tasks.gradients import gradient_noise as gradient_noise
    from lowerbound.tasks.latent import decode as decode
    from lowerbound.tasks.latent import encode as encode
    from lowerbound.tasks.latent import reconstruct as reconstruct
    from lowerbound.tasks.score import score as score
    from lowerbound.tasks.similar import similar as similar
    from lowerbound.train import fit as fit

# Public name -> the module that defines it under the same name; a module that is itself public stands for itself.
_HOME = {
    "Data": "data",
    "Run": "run",
    "VAE": "model",
    "anomaly": "tasks.anomaly",
    "assemble": "model",
    "check": "checks",
    "compare": "tasks.compare",
    "decode": "tasks.latent",
    "encode": "tasks.latent",
    "estimate": "tasks.estimators",
    "evaluate": "tasks.evaluate",
    "fit": "train",
    "gap": "tasks.gaps",
    "generation": "tasks.generation",
    "gradient_noise": "tasks.gradients",
    "load": "data",
    "objectives": "objectives",
    "open": "run",
    "reconstruct": "tasks.latent",
    "sample": "tasks.generate",
    "score": "tasks.score",
    "selftest": "selftests",
    "similar": "tasks.similar",
}

__all__ = [
    "Data",
    "Run",
    "VAE",
    "anomaly",
    "assemble",
    "check",
    "compare",
    "decode",
    "encode",
    "estimate",
    "evaluate",
    "fit",
    "gap",
    "generation",
    "gradient_noise",
    "load",
    "objectives",
    "open",
    "reconstruct",
    "sample",
    "score",
    "selftest",
    "similar",
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
