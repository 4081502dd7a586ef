"""The source as the tests of its layers see it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def dotted(path: Path) -> str:
    """``src/lowerbound/data/source.py`` -> ``lowerbound.data.source``; a package's ``__init__`` is the package."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed."""
    return {dotted(path): ast.parse(path.read_text()) for path in sorted((ROOT / "src").rglob("*.py"))}


@pytest.fixture(scope="session")
def sources() -> dict[str, str]:
    """The text of every Python file of the package and its tests by its path."""
    paths = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}
