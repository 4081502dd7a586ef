"""The public names, and that reaching for the package or its help loads nothing heavy."""

import ast
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import lowerbound

HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "PIL")
IMPORT = "import lowerbound"
HELP = """
import sys
from lowerbound.cli import main
sys.argv = ["lowerbound", "--help"]
try:
    main()
except SystemExit:
    pass
"""


def loaded_by(code: str, root: Path) -> set[str]:
    """Which of the heavy libraries a fresh interpreter holds after the code."""
    tail = f"\nimport sys\nprint(' '.join(['loaded:', *(name for name in {HEAVY} if name in sys.modules)]))"
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", code + tail]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_nothing_heavy_is_loaded(code: str, root: Path) -> None:
    assert not loaded_by(code, root)


def test_a_heavy_import_is_seen(root: Path) -> None:
    assert loaded_by("import lowerbound, numpy", root) == {"numpy"}


def test_names_are_sorted_and_have_one_home_each() -> None:
    assert lowerbound.__all__ == sorted(lowerbound._HOME)


@pytest.mark.parametrize("name", lowerbound.__all__)
def test_name_resolves(name: str) -> None:
    home = lowerbound._HOME[name]
    module = import_module(f"lowerbound.{home}")
    assert getattr(lowerbound, name) is (module if name == home else getattr(module, name))
    assert name in dir(lowerbound)


@pytest.mark.parametrize("name", lowerbound.__all__)
def test_no_module_hides_a_name(name: str) -> None:
    """Importing ``lowerbound.x`` sets the attribute ``x``: a function of that name would be lost."""
    assert lowerbound._HOME[name] == name or find_spec(f"lowerbound.{name}") is None


def test_type_checkers_see_the_same_names(modules: dict[str, ast.Module]) -> None:
    block = next(node for node in modules["lowerbound"].body if isinstance(node, ast.If))
    homes = {node.names[0].name: (node.module or "") for node in block.body if isinstance(node, ast.ImportFrom)}
    homes = {name: module.removeprefix("lowerbound").removeprefix(".") or name for name, module in homes.items()}
    assert homes == lowerbound._HOME


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lowerbound.nonsense
