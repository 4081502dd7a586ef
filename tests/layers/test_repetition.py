"""Code is said once: at most one line in twenty repeats lines said before, tests counted."""

import io
import tokenize
from collections.abc import Iterator, Mapping
from itertools import groupby

WINDOW, SHARE = 6, 0.05
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}


def statements(text: str) -> Iterator[list[tokenize.TokenInfo]]:
    """The tokens of each logical line, without imports and docstrings."""
    line: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NEWLINE:
            if line[0].string not in ("import", "from") and {part.type for part in line} != {tokenize.STRING}:
                yield line
            line = []
        elif token.type not in SILENT:
            line.append(token)


def significant(text: str) -> list[tuple[int, str]]:
    """Number and normal form of every line that holds a name: numbers are all alike, layout does not count."""
    tokens = [token for statement in statements(text) for token in statement]
    lines = {number: list(group) for number, group in groupby(tokens, key=lambda token: token.start[0])}
    return [
        (number, " ".join("0" if token.type == tokenize.NUMBER else token.string for token in line))
        for number, line in lines.items()
        if any(token.type == tokenize.NAME for token in line)
    ]


def repeated(sources: Mapping[str, str]) -> tuple[set[tuple[str, int]], int]:
    """The lines that lie in a window of lines met before, and how many significant lines there are."""
    met: set[tuple[str, ...]] = set()
    again: set[tuple[str, int]] = set()
    total = 0
    for path, text in sources.items():
        lines = significant(text)
        total += len(lines)
        for start in range(len(lines) - WINDOW + 1):
            window = lines[start : start + WINDOW]
            words = tuple(line for _, line in window)
            if words in met:
                again.update((path, number) for number, _ in window)
            met.add(words)
    return again, total


def test_little_is_repeated(sources: dict[str, str]) -> None:
    again, total = repeated(sources)
    assert len(again) <= SHARE * total, "\n".join(f"{path}:{line}" for path, line in sorted(again))


CODE = """
def area(width, height):
    if width < 0:
        raise ValueError("width")
    if height < 0:
        raise ValueError("height")
    total = width * height * 2
    return total
"""


def test_a_copy_is_found_whatever_its_layout() -> None:
    copy = CODE.replace("2", "3").replace("if height", "# a word\n\n    if height").replace("* height", "*height")
    again, total = repeated({"a.py": CODE, "b.py": copy})
    assert (len(again), total) == (7, 14)
    assert {path for path, _ in again} == {"b.py"}


def test_other_code_and_short_copies_pass() -> None:
    short = "\n".join(CODE.splitlines()[:6])
    assert not repeated({"a.py": CODE, "b.py": CODE.replace("width", "depth"), "c.py": short})[0]


def test_imports_docstrings_and_tables_do_not_count() -> None:
    table = "x = [\n" + "    (1, 2),\n" * 9 + "]\n"
    header = '"""Doc."""\nfrom a import (\n    b,\n    c,\n    d,\n    e,\n    f,\n    g,\n)\n'
    assert [line for _, line in significant(header + table)] == ["x = ["]
