"""Write src/lowerbound/catalogue.json: parts and options as their signatures say, for the floors that know no torch."""

import json
from pathlib import Path
from typing import Any

from lowerbound.checks import KINDS
from lowerbound.parts import REGISTRY, describe

FILE = Path(__file__).parents[1] / "src/lowerbound/catalogue.json"


def table() -> dict[str, dict[str, dict[str, Any]]]:
    """Every part of the package, by kind and name."""
    return {kind: {name: describe(kind, name) for name in _own(kind)} for kind in KINDS}


def _own(kind: str) -> list[str]:
    return [name for name, cls in REGISTRY[kind].items() if cls.__module__.startswith("lowerbound.")]


def text() -> str:
    """The file as it should be."""
    return json.dumps(table(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
