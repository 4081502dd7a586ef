"""``lowerbound export``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[..., dict[str, Any]]


def test_a_page(run: str, answer: Answer, cli: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    found = answer("export", run, "--html", page, "--rows", 40)
    assert found == {"out": str(page), "bytes": page.stat().st_size, "rows": 40, "weights": 16}
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert "already there" in cli("export", run, "--html", page, code=2).stderr
    text = cli("export", run, "--html", page, "--rows", 30, "--force").stdout
    assert text.endswith("with 30 rows of the data in it\n")


def test_one_thing_at_a_time(run: str, cli: Any, tmp_path: Path) -> None:
    for words in ([], ["--html", tmp_path / "a", "--onnx", tmp_path / "b"], ["--hub", tmp_path / "a", "--rows", 3]):
        assert "not one thing to write" in cli("export", run, *words, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_the_layout_of_the_hub(run: str, answer: Answer, cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    assert answer("export", run, "--hub", folder) == {"out": str(folder)}
    assert {"README.md", "config.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    assert "already there" in cli("export", run, "--hub", folder, code=2).stderr


def test_without_rows_of_its_own_it_asks_for_some(run: str, cli: Any, tmp_path: Path) -> None:
    assert "rows" in cli("export", run, "--html", tmp_path / "page.html", "--rows", 0, code=2).stderr
