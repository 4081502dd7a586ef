"""Public things are documented, and the examples in the documentation run."""

import doctest
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType

import pytest
import torch

import lowerbound
import lowerbound.objectives  # registers the objectives
from lowerbound.checks.base import EXAMPLE, required
from lowerbound.parts import REGISTRY, Part

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


def lacking(part: type[Part]) -> list[str]:
    """What a part's docstring must say and does not."""
    doc = part.__doc__ or ""
    wanted = ["Args:" if part(**sized(part)).options else "", "Source", ">>>"]
    wanted.append("Raises:" if part(**sized(part)).options else "")
    return [word for word in wanted if word not in doc]


def sized(part: type[Part]) -> dict[str, object]:
    """Something for each name that stands before the star."""
    names = inspect.signature(part.__init__).parameters
    shape = EXAMPLE["shape"] if "columns" in names else (1, 8, 8)
    given = {**EXAMPLE, "shape": shape, "inputs": (1, 8, 8), "context": 2 * (part.name == "conditional")}
    needed = required(part) if part.name else {}
    return {name: given[name] for name in names if name in given} | needed


@pytest.mark.parametrize("part", [part for kind in REGISTRY.values() for part in kind.values()])
def test_parts_say_options_errors_source_and_an_example(part: type[Part]) -> None:
    with torch.random.fork_rng(devices=[]):
        assert not lacking(part)


def test_a_part_without_its_errors_is_found() -> None:
    class Bare(REGISTRY["objective"]["elbo"].__mro__[1]):  # type: ignore[misc]  # the kind, found at run time
        """Nothing.

        Args:
            samples: none.

        Source: none.

        >>> 1
        1
        """

        def __init__(self, *, samples: int = 1) -> None:
            super().__init__()

    assert lacking(Bare) == ["Raises:"]
