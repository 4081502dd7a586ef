"""``impute`` and ``imputation``."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]
FEW = ("--samples", 30, "--sweeps", 2)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, cli: Invoke) -> tuple[Path, Path]:
    """A run on a table with holes, and the table: an odd dialect, a text column, a column that is no use."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    lines = ["id; size ;kind"]
    for row in range(60):
        size = "?" if row % 7 == 0 else f"{rng.normal(10, 2):.2f}".replace(".", ",")
        lines.append(f"r{row};{size};{'' if row % 11 == 0 else rng.choice(['red', 'blue'])}")
    path = folder / "t.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    cli("fit", path, "--latent", 1, "--epochs", 2, "--out", folder / "run")
    return folder / "run", path


def test_a_table_keeps_what_it_had(table: tuple[Path, Path], answer: Ask, tmp_path: Path) -> None:
    run, path = table
    out, bounds = tmp_path / "filled.csv", tmp_path / "bounds.csv"
    found = answer("impute", run, path, "--out", out, "--intervals", bounds, *FEW)
    before, after = path.read_bytes().split(b"\r\n"), out.read_bytes().split(b"\r\n")
    assert found["cells"] == 9 + 6 and len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        cells = list(zip(old.split(b";"), new.split(b";"), strict=True))
        assert all(b == a if a not in (b"?", b"") else b not in (b"?", b"") for a, b in cells if old)
    assert {line.split(b";")[2] for line in after[1:] if line} <= {b"red", b"blue"}
    lines = list(csv.DictReader(bounds.read_text().splitlines()))
    assert len(lines) == 15 and set(lines[0]) == {"row", "cell", "mean", "lower", "upper"}


def test_copies_stand_one_under_the_other(table: tuple[Path, Path], cli: Invoke, tmp_path: Path) -> None:
    run, path = table
    cli("impute", run, path, "--out", tmp_path / "copies.csv", "--draws", 3, *FEW)
    lines = list(csv.reader((tmp_path / "copies.csv").read_text().splitlines()))
    assert lines[0] == ["draw", "size", "kind"]
    assert [line[0] for line in lines[1:]] == ["1"] * 60 + ["2"] * 60 + ["3"] * 60
    sizes = np.array([line[1] for line in lines[1:]]).reshape(3, 60)
    assert (sizes[0, 1:7] == sizes[1, 1:7]).all() and sizes[0, 0] != sizes[1, 0]


def test_images_as_arrays_and_as_a_picture(fitted: dict[str, Any], answer: Ask, tmp_path: Path) -> None:
    out = tmp_path / "f.npy"
    facts = answer("impute", fitted["run"], "--hide", "half:top", "--out", out, "--draws", 2, "--method", "gibbs", *FEW)
    assert np.load(out).shape == (2, 180, 1, 8, 8)
    assert facts["methods"] == {"gibbs": 180} and facts["rows"] == 180
    picture = tmp_path / "f.png"
    assert answer("impute", fitted["run"], "--hide", "box", "--out", picture, "--method", "gibbs", *FEW)["rows"] == 8
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_imputation_prints_ours_beside_rivals(fitted: dict[str, Any], answer: Ask, cli: Invoke) -> None:
    words = ("imputation", fitted["run"], "--hide", "half", "--method", "gibbs", *FEW)
    found = answer(*words)
    assert set(found["errors"]) >= {"run", "mean", "neighbours", "gaussian", "ppca", "chained"}
    assert 0 < found["coverage"] <= 1 and found["cells"] == 180 * 32
    assert "ten nearest rows" in cli(*words).stdout


def test_mistakes_are_one_line(fitted: dict[str, Any], cli: Invoke, tmp_path: Path) -> None:
    for words in (["--hide", "thirds"], ["--method", "mean"], ["--interval", "2"]):
        result = cli("impute", fitted["run"], "--out", tmp_path / "x.csv", *words, code=2)
        assert result.stderr.startswith("error E-CONFIG") and not (tmp_path / "x.csv").exists()
