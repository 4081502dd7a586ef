"""What a user says of the columns of a table."""

from typing import Any

import numpy as np

from lowerbound.config import parse_part
from lowerbound.data.columns import KINDS
from lowerbound.errors import BadOption, unknown


def choices(written: str) -> dict[str, dict[str, Any]]:
    """What is said of columns, ``age=count; share=bounded:low=0,high=1; note=drop``: name -> kind and options.

    >>> choices("age=count; income=categorical:weight=2")
    {'age': {'kind': 'count'}, 'income': {'kind': 'categorical', 'weight': 2}}

    Raises:
        BadOption: no kind, an unknown one, or an option that it does not have.
    """
    found: dict[str, dict[str, Any]] = {}
    for piece in filter(None, (piece.strip() for piece in written.split(";"))):
        name, equals, _ = piece.partition(":")[0].rpartition("=")
        if not equals:
            raise BadOption("not a column's kind", where="data.columns", found=repr(piece), expected="name=kind")
        table = parse_part(piece[len(name) + 1 :].strip())
        found[name.strip()] = _checked(name.strip(), table.pop("name"), table)
    return found


OPTIONS = {"family": str, "low": float, "high": float, "resolution": float, "spikes": list, "order": list,
           "weight": float, "missing": str}  # fmt: skip


def _checked(name: str, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    where = f"data.columns: {name}"
    if kind not in (*KINDS, "drop"):
        raise unknown("kind", kind, (*KINDS, "drop"), where=where)
    for option, value in options.items():
        if option not in OPTIONS:
            raise unknown("option", option, OPTIONS, where=where)
        right = isinstance(value, int | float) if OPTIONS[option] is float else isinstance(value, OPTIONS[option])
        right = right and not isinstance(value, bool)
        if not right or (option in ("weight", "resolution") and not 0 <= value < np.inf):
            raise BadOption(f"not a {option}", where=where, found=repr(value), expected=OPTIONS[option].__name__)
    family = options.get("family")
    if family is not None and family not in KINDS.get(kind, ()):
        raise unknown("family", family, KINDS.get(kind, ()), where=where)
    return {"kind": kind, **options}
