"""From csv to filled csv: one fit, one impute, and every byte that was no hole is as it was."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

Invoke = Callable[..., Result]
HOLE = "\0"  # stands for a hole until a dialect says how one is written
FIT = ("--latent", 1, "--epochs", 1, "--set", "data.validation=0", "--set", "data.test=0")
QUICK = ("--samples", 20, "--method", "importance")
ROWS = 48


def cells() -> list[list[str]]:
    """Numbers with trailing zeros, a sign and an exponent, texts with blanks, umlauts and quotes, dates, holes."""
    source, made = np.random.default_rng(0), []
    for i in range(ROWS):
        number = ["1.50", "+2.25", "-0.10", "3e0", "04.75", "2.00"][i % 6]
        row = [number, ["oak tree", "élan", "a-b"][i % 3], str(source.poisson(3)), f"2024-03-{1 + i % 28:02}",
               f"{source.normal(10, 2):.2f}"]  # fmt: skip
        made.append([HOLE if source.random() < 0.15 and i > 5 else cell for cell in row])
    return made


def joined(mark: str, end: str, hole: str, *, header: bool = True, last: bool = True, quoted: bool = False,
           pad: str = "", bom: bool = False, comma: bool = False) -> str:  # fmt: skip
    """The table in a dialect; holes stand as they are written there, between two marks of their own."""
    rows = [["size", "kind of tree", "n", "day", "x"]] * header + cells()
    dress = (lambda cell: f'"{cell}"') if quoted else (lambda cell: cell)
    lines = []
    for row in rows:
        row = [
            cell.replace(".", ",") if comma and cell[-1:].isdigit() and "-" not in cell[1:] else cell for cell in row
        ]
        lines.append((mark + pad).join(f"\1{hole}\2" if cell == HOLE else dress(cell) for cell in row))
    return ("\ufeff" if bom else "") + end.join(lines) + end * last


DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "comma": (joined(",", "\n", ""), {}),
    "no final newline": (joined(",", "\n", "?", last=False), {}),
    "CRLF, semicolons, decimal comma": (joined(";", "\r\n", "", comma=True), {}),
    "old Mac": (joined(",", "\r", "NA"), {}),
    "tabs, quoted": (joined("\t", "\n", "", quoted=True), {}),
    "quoted, padded, ? for holes": (joined(",", "\r\n", "?", quoted=True, pad=" "), {}),
    "no header, padded as Adult": (joined(",", "\n", "?", header=False, pad=" "), {}),
    "byte order mark": (joined(",", "\n", "nan", bom=True), {}),
    "blank lines at the end": (joined(",", "\n", "") + "\n\n", {}),
    "packed": (joined(",", "\n", "null"), {"suffix": ".csv.gz"}),
}


def check(before: str, made: bytes) -> list[str]:
    """What stands in the holes; all else has to be the same, byte for byte. Holes stand between two marks."""
    pieces, after, holes = re.split("\1[^\2]*\2", before), made.decode(), list[str]()
    assert after.startswith(pieces[0])
    at = len(pieces[0])
    for piece in pieces[1:]:
        end = after.find(piece, at) if piece else len(after)
        assert end >= at and not {"\r", "\n"} & set(after[at:end]), f"a byte outside the holes has changed after {at}"
        holes.append(after[at:end].strip())
        at = end + len(piece)
    assert at == len(after)
    return holes


@pytest.mark.parametrize("name", DIALECTS)
def test_only_holes_are_written(name: str, cli: Invoke, tmp_path: Path) -> None:
    text, options = DIALECTS[name]
    path, out = (tmp_path / f"{stem}{options.get('suffix', '.csv')}" for stem in ("in", "out"))
    raw = text.replace("\1", "").replace("\2", "").encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    cli("fit", path, "--out", tmp_path / "run", *FIT)
    out = out.with_name("out.csv")
    cli("impute", tmp_path / "run", path, "--out", out, *QUICK)
    made = out.read_bytes()
    holes = check(text, gzip.decompress(made) if made[:2] == b"\x1f\x8b" else made)
    assert len(holes) == text.count("\1") > 10 and not {"", "?", "NA", "nan", "null"} & set(holes)
    kinds = {"oak tree", "élan", "a-b"}
    texts = [hole for hole in holes if not re.fullmatch(r"[-+]?[\d.,e]+|\d{4}-\d\d-\d\d", hole)]
    assert texts and {text.strip('"') for text in texts} <= kinds
    if "comma" in name and ";" in text:
        assert not any("." in hole for hole in holes)


def filled(path: Path, cli: Invoke, folder: Path, *options: Any) -> list[str]:
    """What stands in the holes of a file without a header after one fit and one impute."""
    out = folder / "filled.csv"
    cli("fit", path, "--out", folder / "run", *FIT)
    cli("impute", folder / "run", path, "--out", out, *options)
    raw = path.read_bytes().decode()
    marked = re.sub(r"((?:^|, ?))\?(?=,|$)", "\\1\1?\2", raw, flags=re.MULTILINE)
    holes = check(marked, out.read_bytes())
    assert len(holes) == marked.count("\1")
    _in_keeping(raw, out.read_text(), ",")
    return holes


def test_auto_imports(data_folder: Path, cli: Invoke, tmp_path: Path) -> None:
    """26 mixed columns without a header, 51 holes: categories are known ones, whole numbers whole, in their range."""
    assert len(filled(data_folder / "tables/auto_imports.csv", cli, tmp_path, *QUICK)) == 51


@pytest.mark.parametrize("rows", [400, pytest.param(32561, marks=[pytest.mark.acceptance, pytest.mark.timeout(3600)])])
def test_adult(rows: int, data_folder: Path, cli: Invoke, tmp_path: Path) -> None:
    """Cells padded by a blank, `?` for holes: the first rows, and as acceptance all of them, by chains where needed."""
    lines = (data_folder / "tables/adult.data").read_text().splitlines(keepends=True)
    path = tmp_path / "adult.csv"
    path.write_text("".join(lines[:rows]))
    holes = filled(path, cli, tmp_path, *(QUICK if rows == 400 else ("--samples", 200, "--sweeps", 2)))
    assert len(holes) == sum(line.count("?") for line in lines[:rows])


def _in_keeping(before: str, after: str, mark: str) -> None:
    """Filled cells of each column: seen texts, or numbers in the range seen and with no more digits."""
    old, new = ([line.split(mark) for line in text.splitlines() if line] for text in (before, after))
    assert [len(row) for row in old] == [len(row) for row in new]
    for column, filled in zip(zip(*old, strict=True), zip(*new, strict=True), strict=True):
        known = {cell.strip() for cell in column} - {"?"}
        made = {b.strip() for a, b in zip(column, filled, strict=True) if a.strip() == "?"}
        if all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in known):
            numbers = [float(cell) for cell in known]
            assert all(min(numbers) <= float(cell) <= max(numbers) for cell in made)
            if all(cell.isdigit() for cell in known):
                assert all(cell.isdigit() for cell in made)
        else:
            assert made <= known
