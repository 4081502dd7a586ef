"""What the help says, and that it costs nothing."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from lowerbound.__about__ import __version__

VERBS = [
    "fit", "evaluate", "score", "anomaly", "generation", "reconstruct", "sample", "encode", "decode", "interpolate",
    "traverse", "manifold", "arithmetic", "embed", "impute", "imputation", "refit", "compare", "similar", "sweep",
    "disentangle", "predict", "analogies", "independence", "estimate", "gap", "explain", "export", "explore", "serve",
    "recipes", "parts", "check", "selftest", "data",
]  # fmt: skip
HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "rich")
ALL_HELP = f"""
import sys
from typer.testing import CliRunner
from lowerbound.cli import app
verbs = [*{VERBS}, "data list", "data show", "data fetch", "data convert", "data check", ""]
codes = [CliRunner().invoke(app, [*verb.split(), "--help"]).exit_code for verb in verbs]
print(codes, [name for name in [*{HEAVY}, "pydantic"] if name in sys.modules])
codes = [CliRunner().invoke(app, words).exit_code for words in (["recipes", "pca"], ["parts", "net"], ["fit"])]
print(codes, [name for name in {HEAVY} if name in sys.modules])
"""
Invoke = Callable[..., Result]


def test_the_verbs_in_their_order(cli: Invoke) -> None:
    shown = cli("--help").stdout.split("Commands:\n")[1]
    assert re.findall(r"^  (\w+)  ", shown, re.MULTILINE) == VERBS
    assert "..." not in shown, "a summary is cut off"
    assert re.findall(r"^  (\w+)  ", cli("data", "--help").stdout.split("Commands:\n")[1], re.MULTILINE) == [
        "list", "show", "fetch", "convert", "check",
    ]  # fmt: skip


def test_defaults_are_shown(cli: Invoke) -> None:
    shown = " ".join(cli("fit", "--help").stdout.split())
    for words in ("--latent N Dimension of z. [default: 16]", "--prior NAME[:K=V,...] p(z) [default: standard]"):
        assert words in shown


def test_no_help_and_no_list_loads_a_heavy_library() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", ALL_HELP], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{[0] * (len(VERBS) + 6)} []", "[0, 0, 2] []"]


def test_help_is_quick(start: Callable[..., "subprocess.Popen[str]"]) -> None:
    """Processor time, so that a busy machine does not count; the quickest of a few."""
    quickest = 1.0
    for _ in range(8):
        before = os.times()
        process = start("fit", "--help", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.wait()
        after = os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        quickest = min(quickest, spent)
        if quickest < 0.15:
            return
        time.sleep(0.2)
    pytest.fail(f"help took {quickest:.2f} s")


def test_the_narrowest_terminal_gets_help(cli: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    assert "--latent" in cli("fit", "--help").stdout


def test_version(cli: Invoke) -> None:
    assert cli("--version").stdout == f"lowerbound {__version__}\n"


def test_no_verb_is_a_mistake_that_shows_help(cli: Invoke) -> None:
    assert "Commands:" in cli(code=2).output
