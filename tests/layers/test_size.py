"""Small files of small functions."""

import ast
from collections.abc import Iterable, Mapping
from statistics import median, quantiles

import pytest

FILE, MEDIAN, NINETIETH, LONGEST = 400, 8, 25, 60


def function_lengths(trees: Mapping[str, ast.Module]) -> dict[str, int]:
    """Lines of every function without its decorators and docstring."""
    return {
        f"{name}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1 - docstring_lines(node)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    return (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node, clean=False) is not None else 0


def faults(lengths: Mapping[str, int]) -> list[str]:
    """What is too long: the longest functions, then the whole distribution."""
    found = [f"{name} has {lines} lines" for name, lines in lengths.items() if lines > LONGEST]
    if (half := median(lengths.values())) > MEDIAN:
        found.append(f"the median is {half} lines: {longest(lengths)}")
    if (tail := quantiles(lengths.values(), n=10, method="inclusive")[-1]) > NINETIETH:
        found.append(f"the 90th percentile is {tail} lines: {longest(lengths)}")
    return found


def longest(lengths: Mapping[str, int]) -> str:
    return ", ".join(sorted(lengths, key=lambda name: -lengths[name])[:10])


def long_files(sources: Iterable[tuple[str, str]]) -> list[str]:
    return [path for path, text in sources if len(text.splitlines()) > FILE]


def test_files(sources: dict[str, str]) -> None:
    assert not long_files(sources.items())


def test_functions(modules: dict[str, ast.Module]) -> None:
    assert not faults(function_lengths(modules))


def test_a_long_file_is_found() -> None:
    assert long_files([("long.py", "x = 1\n" * 401), ("short.py", "x = 1\n" * 400)]) == ["long.py"]


def test_a_docstring_and_decorators_do_not_count() -> None:
    code = '@decorated\ndef f():\n    """One.\n\n    Two.\n    """\n    return 1\n'
    assert function_lengths({"m": ast.parse(code)}) == {"m:2 f": 2}


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([2] * 50 + [61], "has 61 lines"),
        ([9] * 10, "the median is 9"),
        ([2] * 8 + [26] * 3, "the 90th percentile is 26"),
    ],
)
def test_long_functions_are_found(lengths: list[int], words: str) -> None:
    assert [words in fault for fault in faults({str(i): n for i, n in enumerate(lengths)})] == [True]
