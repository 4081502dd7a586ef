"""A text table again, byte for byte, with values in the cells that had none."""

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lowerbound.errors import DataShape

Cell = tuple[int, str]
"""Row, from 0, and name of the column."""
MARKS = "\t;,"  # between cells: the first of these that the first line has


@dataclass
class _Piece:
    """A cell as it is written, and what stands behind it."""

    text: str
    end: str


def refilled(path: Path, values: Mapping[Cell, str], rows: int) -> bytes:
    r"""The bytes of a csv file with texts put into some cells; all else is as it was.

    Args:
        path: of the file, packed by gzip or not.
        values: by row and name of the column; a column of a file without names is called c1, c2 and so on.
        rows: that the file has.

    Raises:
        DataShape: another number of rows, or a cell that is not there.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> path.write_bytes(b'a , "b"\r\n1.50, ?\r\n') and refilled(path, {(0, "b"): "2"}, 1)
    b'a , "b"\r\n1.50, 2\r\n'
    """
    packed = path.name.lower().endswith(".gz")
    raw = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    head = raw[:3] if raw[:3] == b"\xef\xbb\xbf" else b""
    lines = list(_lines(raw[len(head) :].decode("utf-8")))
    full = [line for line in lines if len(line) > 1 or line[0].text]
    named = len(full) == rows + 1
    if len(full) != rows + named:
        raise DataShape("another number of rows than were read", where=str(path), found=str(len(full) - 1),
                        expected=str(rows))  # fmt: skip
    names = [_bare(piece.text) if named else f"c{i + 1}" for i, piece in enumerate(full[0])]
    comma = {name: _has_comma(full[named:], at) for at, name in enumerate(names)}
    mark = full[0][0].end
    for (row, name), text in values.items():
        if name not in names:
            raise DataShape("a column that is not there", where=str(path), found=repr(name))
        piece = full[row + named][names.index(name)]
        piece.text = _dressed(text.replace(".", ",") if comma[name] else text, piece.text, mark)
    made = head + "".join(piece.text + piece.end for line in lines for piece in line).encode()
    return gzip.compress(made, mtime=0) if packed else made


def _lines(text: str) -> Iterator[list[_Piece]]:
    """Cells of each line; a line break in quotes ends none."""
    bare = "".join(text.partition("\n")[0].split('"')[::2])
    mark = next((mark for mark in MARKS if mark in bare), ",")
    line: list[_Piece] = []
    pattern = rf'([ ]*"(?:[^"]|"")*"[^{mark}\r\n]*|[^{mark}\r\n]*)({mark}|\r\n|\n|\r|\Z)'
    for found in re.finditer(pattern, text):
        line.append(_Piece(*found.groups()))
        if found[2] != mark:
            if line != [_Piece("", "")]:
                yield line
            line = []
        if found.end() == len(text) and found[2] != mark:
            return


def _bare(text: str) -> str:
    """A name without its quotes."""
    text = text.strip()
    return text[1:-1].replace('""', '"').strip() if text[:1] == '"' else text


def _has_comma(lines: list[list[_Piece]], at: int) -> bool:
    """Whether numbers of a column are written with a decimal comma."""
    return any(re.fullmatch(r'\s*"?[-+]?\d+,\d+"?\s*', line[at].text) for line in lines if at < len(line))


def _dressed(text: str, before: str, mark: str) -> str:
    """A text with the blanks and the quotes of what stood there before, and quotes wherever it needs them."""
    bare = before.strip(" ")
    if bare[:1] == '"' or any(sign in text for sign in (mark, '"', "\n", "\r")):
        text = '"' + text.replace('"', '""') + '"'
    return before[: len(before) - len(before.lstrip(" "))] + text + (before[len(before.rstrip(" ")) :] if bare else "")
