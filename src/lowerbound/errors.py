"""Errors that say what, where, what was found, what was expected and how to mend it.

Every class has a stable ``id`` (a heading of ``docs/errors.md``) and the ``exit_code`` the command line ends with.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class LowerboundError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: one clause naming the problem.
        where: file, row, column or config key.
        found: the offending value.
        expected: what would have been accepted.
        mend: what to do about it.
    """

    id: ClassVar[str] = "E-ERROR"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", found: str = "", expected: str = "", mend: str = "") -> None:
        self.what, self.where, self.found, self.expected, self.mend = what, where, found, expected, mend
        super().__init__(self._line())

    def _line(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        pieces = [f"found {self.found}" if self.found else "", f"expected {self.expected}" if self.expected else ""]
        body = ", ".join(piece for piece in pieces if piece)
        line = f"{head}: {body}" if body else head
        return f"{line}. {self.mend}" if self.mend else line


class ConfigError(LowerboundError, ValueError):
    """A setting that cannot be used."""

    id = "E-CONFIG"
    exit_code = 2


class UnknownName(ConfigError):
    """A part, recipe, option or key that does not exist."""

    id = "E-CONFIG-NAME"


class BadOption(ConfigError):
    """An option whose value has the wrong type or range."""

    id = "E-CONFIG-OPTION"


class Incompatible(ConfigError):
    """Parts that cannot be composed; names both sides."""

    id = "E-CONFIG-PARTS"


class DataError(LowerboundError, ValueError):
    """Data that cannot be used."""

    id = "E-DATA"
    exit_code = 3


class DataFormat(DataError):
    """A file that is not what it claims to be, or is damaged or empty."""

    id = "E-DATA-FORMAT"


class DataRange(DataError):
    """A value outside what the likelihood can give a probability to."""

    id = "E-DATA-RANGE"


class DataMissing(DataError):
    """A missing value (NaN) where none is allowed."""

    id = "E-DATA-MISSING"


class DataShape(DataError):
    """Rows of the wrong shape or number."""

    id = "E-DATA-SHAPE"


class DataChanged(DataError):
    """Data that differ from those a run was made with."""

    id = "E-DATA-CHANGED"


class DataNotFound(DataError):
    """A data set or file that is not there."""

    id = "E-DATA-NOT-FOUND"


class DownloadFailed(DataError):
    """A download that did not arrive whole or has the wrong checksum."""

    id = "E-DATA-DOWNLOAD"


class RunError(LowerboundError):
    """A run folder that cannot be opened."""

    id = "E-RUN"
    exit_code = 4


class ForeignCode(RunError):
    """A run made with parts that are not in the package; they must be given, unchanged."""

    id = "E-RUN-IMPORT"


class CheckpointDamaged(RunError):
    """A checkpoint that is not as it was written."""

    id = "E-RUN-DAMAGED"


class CheckpointMismatch(RunError):
    """A checkpoint of a run with another configuration."""

    id = "E-RUN-MISMATCH"


class FolderLocked(RunError):
    """A folder that another run writes to."""

    id = "E-RUN-LOCKED"


class DiskError(LowerboundError, OSError):
    """A file or folder that cannot be written."""

    id = "E-DISK"
    exit_code = 5


class CheckpointNotSaved(DiskError):
    """A checkpoint that could not be written; the ones before are untouched, and training can go on."""

    id = "E-DISK-CHECKPOINT"


class OutputExists(LowerboundError):
    """An output that is already there and would be overwritten."""

    id = "E-OUTPUT-EXISTS"
    exit_code = 2


class NotFinite(LowerboundError):
    """A loss or gradient that is NaN or infinite."""

    id = "E-TRAIN-FINITE"


class RankLost(LowerboundError):
    """Another of the processes that train together ended, failed, or does not answer."""

    id = "E-TRAIN-RANK"


class MissingExtra(LowerboundError, ImportError):
    """An optional package that a function needs is not installed."""

    id = "E-EXTRA"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra '{extra}'", mend=f"Install it with: pip install 'lowerbound[{extra}]'"
        )


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "") -> UnknownName:
    """The error for a name that is not known, with the permitted ones and the nearest of them."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else ""
    return UnknownName(f"unknown {kind} '{name}'", where=where, expected="one of " + ", ".join(names), mend=hint)
