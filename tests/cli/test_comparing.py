"""``compare``, ``similar`` and the page of ``evaluate``."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]


def test_compare(cli: Invoke, answer: Ask, tmp_path: Path) -> None:
    out = tmp_path / "compared"
    words = ["compare", "digits", "--recipes", "pca, vae", "--seeds", 1, "--latent", 2, "--epochs", 1, "--samples", 2]
    found = answer(*words, "--set", "train.batch=256", "--out", out, "--quiet")
    assert [row["recipe"] for row in found["rows"]] == ["pca", "vae"] and found["out"] == str(out)
    with (out / "comparison.csv").open() as file:
        assert [row["recipe"] for row in csv.DictReader(file)] == ["pca", "vae"]
    text = cli(*words, "--set", "train.batch=256", "--out", out).stdout
    assert text.startswith("digits: 180 test rows, 1 seed\n") and "prior draws off the data" in text
    error = cli(*words, "--out", out, "--quiet", code=4).stderr
    assert error.startswith("error E-RUN-MISMATCH")
    assert "unknown recipe" in cli("compare", "digits", "--recipes", "vaee", "--out", out, code=2).stderr


def test_similar(cli: Invoke, answer: Ask, run: str, tmp_path: Path) -> None:
    found = answer("similar", run, 3, "-n", 4, "--out", tmp_path / "near.png")
    assert found["row"] == 3 and len(found["neighbours"]) == 4
    assert (tmp_path / "near.png").read_bytes().startswith(b"\x89PNG")
    lines = cli("similar", run, 3, "-n", 4).stdout.splitlines()
    assert lines[0] == "row 3 (3): nearest in the latent space"
    assert [int(line.split()[0]) for line in lines[1:]] == [neighbour["row"] for neighbour in found["neighbours"]]
    assert "no such row" in cli("similar", run, 5000, code=3).stderr


def test_evaluate_writes_the_page_anew(answer: Ask, cli: Invoke, run: str) -> None:
    path = Path(run) / "report.html"
    assert "K = 64" in path.read_text("utf-8"), "fit leaves one"
    found = answer("evaluate", run, "--samples", 6, "--report")
    assert found["report"] == str(path) and "K = 6" in path.read_text("utf-8")
    assert answer("evaluate", run, "--samples", 2)["report"] is None
    assert "unknown baselines" in cli("evaluate", run, "--baselines", "some", code=2).stderr
