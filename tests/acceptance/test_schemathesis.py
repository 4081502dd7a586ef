"""schemathesis finds nothing in the endpoints, asked by their own descriptions."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lowerbound as lb

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]
Record = Callable[[str, str, str], None]


def asked(address: str) -> tuple[int, str]:
    """Exit code and output of a run over all operations."""
    base, token = address.split("/#token=")
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{base}/first/openapi.json", "--url", f"{base}/first",
             "-H", f"Authorization: Bearer {token}", "--max-examples", "30", "--seed", "1", "--request-timeout", "120",
             "--no-color"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=1700)
    return done.returncode, done.stdout


@pytest.mark.parametrize("which", ["pictures", "table"])
def test_all_operations(which: str, record: Record, every_kind: tuple[Path, str], explored: Callable[..., str]) -> None:
    pytest.importorskip("schemathesis", reason="needs schemathesis")
    path, said = every_kind
    run = (lb.fit("digits", latent=2, epochs=1, progress=False) if which == "pictures" else
           lb.fit(path, latent=2, epochs=1, columns=said, progress=False))  # fmt: skip
    code, output = asked(explored(run, rows=30))
    counts = re.search(r"(\d+) generated, (\d+) passed", output)
    operations = re.search(r"(\d+) selected / (\d+) total", output)
    assert counts is not None and operations is not None, output
    record(f"schemathesis on the endpoint of {which}: operations; cases passed", "all; all",
           f"{operations[1]} of {operations[2]}; {counts[2]} of {counts[1]}")  # fmt: skip
    assert code == 0, output
    assert counts[1] == counts[2]
    assert operations[1] == operations[2]
