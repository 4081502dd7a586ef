"""The verb ``refit``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


def test_refit_writes_a_run_that_opens(run: str, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "refitted"
    found = answer("refit", run, "--prior", "mixture:components=2", "--steps", 60, "--out", out)
    assert found["run"] == str(out) and found["prior"]["components"] == 2
    assert set(found["log_prior"]) == {"before", "after"}
    assert answer("score", out, "--samples", 2, "--out", tmp_path / "s.csv")["rows"] > 0


def test_refit_writes_over_nothing(run: str, tmp_path: Path, cli: Invoke) -> None:
    found = cli("refit", run, "--out", run, code=2)
    assert "already there" in found.stderr and not (tmp_path / "refitted").exists()
