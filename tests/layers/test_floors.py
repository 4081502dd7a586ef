"""Imports point down only: the floors are the table of docs/design.md."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

LOWEST = {"numpy": 1, "scipy": 1, "sklearn": 1, "matplotlib": 1, "PIL": 1, "torch": 2, "safetensors": 2}
PARTS, SURFACE = 3, 8


def floor_table(page: str) -> dict[str, int]:
    """Module or package directly under ``lowerbound`` -> floor, from rows such as ``| 2 tensors | `parts` | … |``."""
    rows = re.findall(r"^\| (\d) [^|]*\|([^|]*)\|", page, re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}


def imported(name: str, tree: ast.Module, known: Collection[str]) -> Iterator[str]:
    """The absolute names of all modules that a module imports, inside functions too."""
    package = name if any(other.startswith(f"{name}.") for other in known) else name.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                above = package.rsplit(".", level - 1)[0] if level else ""
                base = ".".join(filter(None, [above, module]))
                whole = [f"{base}.{alias.name}" for alias in aliases]
                yield from (inner if inner in known else base for inner in whole)
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(target)), *_]):
                yield target


def family(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def complaint(name: str, target: str, floors: Mapping[str, int]) -> str:
    """What is wrong with one import; nothing if it points down."""
    if (here := floors.get(family(name))) is None:
        return "has no floor"
    if target.split(".")[0] != "lowerbound":
        return "needs a higher floor" if here < LOWEST.get(target.split(".")[0], 0) else ""
    there = floors.get(family(target), SURFACE)  # the bare package is a door for users: only the surface may use it
    if here == there == PARTS and family(name) != family(target):
        return "goes sideways between parts"
    return "goes up" if there > here else ""


def faults(trees: Mapping[str, ast.Module], floors: Mapping[str, int]) -> list[str]:
    """One line for every forbidden import, and one for the first cycle."""
    graph = {name: set(imported(name, tree, trees)) for name, tree in trees.items() if name != "lowerbound"}
    pairs = [(name, target) for name, targets in graph.items() for target in sorted(targets)]
    found = [f"{name} -> {target}: {why}" for name, target in pairs if (why := complaint(name, target, floors))]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"cycle: {' -> '.join(error.args[1])}")
    return found


@pytest.fixture
def floors(root: Path) -> dict[str, int]:
    return floor_table((root / "docs/design.md").read_text())


def test_every_module_has_a_floor_and_every_entry_a_module(
    modules: dict[str, ast.Module], floors: dict[str, int]
) -> None:
    assert {family(name) for name in modules} - {""} == set(floors)


def test_imports_point_down(modules: dict[str, ast.Module], floors: dict[str, int]) -> None:
    assert not faults(modules, floors)


OFFENDERS = {
    "from lowerbound import model": "lowerbound.priors -> lowerbound.model: goes up",
    "def late():\n    from ..model import VAE": "lowerbound.priors.flow -> lowerbound.model: goes up",
    "import lowerbound.nets.mlp": "lowerbound.priors -> lowerbound.nets.mlp: goes sideways",
    "from lowerbound import fit": "lowerbound.priors -> lowerbound: goes up",
    "import lowerbound": "lowerbound.priors -> lowerbound: goes up",
    "from .flow import Flow": "cycle: lowerbound.priors",
    "from importlib import import_module\nimport_module('lowerbound.model')": "lowerbound.model: goes up",
}


@pytest.mark.parametrize("code", OFFENDERS)
def test_an_offender_is_found(code: str) -> None:
    floors = {"nets": 3, "priors": 3, "model": 4}
    name = "lowerbound.priors.flow" if "late" in code else "lowerbound.priors"
    texts = dict.fromkeys(["lowerbound.nets.mlp", "lowerbound.model"], "import torch")
    texts |= {"lowerbound.priors": "", "lowerbound.priors.flow": "from lowerbound import priors"} | {name: code}
    assert OFFENDERS[code] in "\n".join(faults({key: ast.parse(text) for key, text in texts.items()}, floors))


@pytest.mark.parametrize(("floor", "code"), [(0, "import numpy as np"), (0, "import torch.nn"), (1, "import torch")])
def test_a_heavy_import_too_low_is_found(floor: int, code: str) -> None:
    trees = {"lowerbound.config": ast.parse(code)}
    assert "needs a higher floor" in faults(trees, {"config": floor})[0]
    assert not faults(trees, {"config": 2})
