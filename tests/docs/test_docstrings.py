"""Public things are documented, and the examples in the documentation run."""

import doctest
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType

import pytest
import torch

import lowerbound

FOUND = [found.name for found in pkgutil.walk_packages(lowerbound.__path__, "lowerbound.")]
NAMES = ["lowerbound", *(name for name in FOUND if not name.endswith("__main__"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def undocumented(things: Iterable[object]) -> list[str]:
    """The things without a docstring of their own: ``__doc__`` of a class is not that of its base."""
    return [str(thing) for thing in things if not (thing.__doc__ or "").strip()]


def heirs(kind: type) -> Iterator[type]:
    """All classes below one."""
    for child in kind.__subclasses__():
        yield child
        yield from heirs(child)


def failures(module: ModuleType) -> str:
    """The report of the examples of a module that do not print what they say."""
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for example in doctest.DocTestFinder().find(module):
        runner.run(example, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("name", lowerbound.__all__)
def test_public_names_are_documented(name: str) -> None:
    assert not undocumented([getattr(lowerbound, name)])


def test_parts_are_documented() -> None:
    for name in NAMES:
        import_module(name)
    parts = [
        kind for kind in heirs(import_module("lowerbound.parts").Part) if kind.__module__.startswith("lowerbound.")
    ]
    assert parts
    assert not undocumented(parts)


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str) -> None:
    with torch.random.fork_rng(devices=[]):  # examples make nets in the way that their readers will
        assert not failures(import_module(name))


def test_a_wrong_example_and_a_missing_docstring_are_found() -> None:
    module = ModuleType("module", ">>> 1 + 1\n3")
    assert "Expected:\n    3\nGot:\n    2" in failures(module)
    documented = type("Documented", (), {"__doc__": "A sentence."})
    silent = type("Silent", (documented,), {})
    assert undocumented([documented, silent]) == [str(silent)]
