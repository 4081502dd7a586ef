"""The benchmark runs from end to end, says who failed, and keeps what it found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance
BENCH = Path(__file__).parents[2] / "bench"


def test_a_short_run_from_end_to_end(data_folder: Path, tmp_path: Path) -> None:
    words = "--works mnist --only ours,none --ours none:nonsense=1 --limit 256 --rounds 1 --threads 1 --note tried"
    files = ["--json", str(tmp_path / "all.json"), "--log", str(tmp_path / "LOG.md")]
    run = subprocess.run(
        [sys.executable, str(BENCH / "run.py"), *words.split(), *files], capture_output=True, text=True, timeout=200,
        env={**os.environ, "LOWERBOUND_DATA": str(data_folder)}, check=True,
    )  # fmt: skip
    found = {
        one["name"]: one for one in json.loads((tmp_path / "all.json").read_text())["works"]["mnist"]["contenders"]
    }
    assert found["ours"]["laps"][0]["seconds"] > 0 and found["ours"]["parameters"] == 652824
    assert "nonsense" in found["none"]["failed"]
    assert "- tried" in run.stdout and (tmp_path / "LOG.md").read_text() == "\n" + run.stdout[:-1]
