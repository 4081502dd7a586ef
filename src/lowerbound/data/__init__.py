"""Data: what comes in, checked at the door. `load` reads it, `Data` holds it, `check_values` judges it."""

from lowerbound.data.check import SUPPORTS, check_values, describe, fitting
from lowerbound.data.conversion import convert
from lowerbound.data.door import known_names, load
from lowerbound.data.shards import check_shards
from lowerbound.data.source import Data, Split

__all__ = [
    "SUPPORTS", "Data", "Split", "check_shards", "check_values", "convert", "describe", "fitting", "known_names",
    "load",
]  # fmt: skip
