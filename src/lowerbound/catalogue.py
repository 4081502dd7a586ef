"""The parts of the package and their options, read from a table so that naming them needs no torch."""

import json
from functools import cache
from typing import Any

from lowerbound.errors import unknown

KINDS = ("net", "posterior", "prior", "likelihood", "objective", "corruption", "missingness")


@cache
def catalogue() -> dict[str, dict[str, dict[str, Any]]]:
    """Every part by kind and name: ``{"summary", "options", "facts"}``, as its signature says."""
    from importlib.resources import files

    written = (files("lowerbound") / "catalogue.json").read_text("utf-8")
    table: dict[str, dict[str, dict[str, Any]]] = json.loads(written)
    return table


def names(kind: str) -> list[str]:
    """The parts of a kind, sorted.

    Raises:
        UnknownName: no such kind.
    """
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)
    return sorted(catalogue().get(kind, {}))


def options(kind: str, name: str) -> dict[str, dict[str, Any]]:
    """The options of a part: ``{"type", "default", "choices"}`` each; without a default it must be given.

    Raises:
        UnknownName: no such kind or part.
    """
    known = names(kind)
    if name not in known:
        raise unknown(kind, name, known)
    found: dict[str, dict[str, Any]] = catalogue()[kind][name]["options"]
    return found
