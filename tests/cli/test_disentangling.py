"""``disentangle``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

from lowerbound.tasks.disentangle import FILES

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]


def test_disentangle(cli: Invoke, answer: Ask, run: str, tmp_path: Path) -> None:
    out = tmp_path / "factors"
    words = ["disentangle", run, "--factors", "rotation=4,scale=2", "--measures", "mig, modularity", "--out", out]
    found = answer(*words)
    assert {"value", "se", "perfect", "chance"} <= found["mig"].keys() and found["modularity"]["perfect"] == 1
    names = [name for name in FILES if name != "importances.png"]
    assert [Path(file).name for file in found["out"]] == names == [file for file in FILES if (out / file).is_file()]
    assert "already there" in cli(*words, code=2).stderr
    text = cli(*words[:-2], "--bins", 8).stdout
    assert text.startswith("400 rows") and "perfect: the factors themselves" in text


def test_what_is_wrong_is_said(cli: Invoke, run: str) -> None:
    assert "no factors" in cli("disentangle", run, code=3).stderr
    assert "unknown attribute 'colour'" in cli("disentangle", run, "--factors", "colour", code=2).stderr
    assert "unknown generator 'spin'" in cli("disentangle", run, "--factors", "spin=3", code=2).stderr
