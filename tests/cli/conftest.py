"""The command line in this process, a fresh one where that matters, and one small run for all tests."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lowerbound.cli import app

ROOT = Path(__file__).parents[2]
Invoke = Callable[..., Result]


def invoke(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, (result.exception, result.output)
    return result


@pytest.fixture(scope="session")
def cli() -> Invoke:
    """Runs a verb; the exit code must be ``code``."""
    return invoke


@pytest.fixture(scope="session")
def answer() -> Callable[..., dict[str, Any]]:
    """Runs a verb with --json: its stdout is exactly one object, which has the keys that docs/cli.md names."""

    def ask(*words: object, code: int = 0) -> dict[str, Any]:
        found = json.loads(invoke(*words, "--json", code=code).stdout)
        assert isinstance(found, dict)
        name = " ".join(map(str, words[: 1 + (words[0] == "data")]))
        assert sorted(found) in documented(name), name
        return found

    return ask


def documented(name: str) -> list[list[str]]:
    """The sets of keys that a verb's object may have."""
    page = (ROOT / "docs/cli.md").read_text()
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    written = re.sub(r"\([^)]*\)", "", section.split("\nKeys: ")[1].split("\n")[0])
    return [sorted(re.findall(r"`(\w+)`", alternative)) for alternative in written.split(";")]


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, answer: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What ``fit --json`` said of a run of two epochs on the digits."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    return answer("fit", "digits", "--epochs", 2, "--latent", 2, "--recipe", "beta-vae", "--out", out)


@pytest.fixture
def run(fitted: dict[str, Any]) -> str:
    """The folder of the run."""
    return str(fitted["run"])


@pytest.fixture(scope="session")
def start() -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the command line in a process of its own."""

    def popen(*words: object, **options: Any) -> "subprocess.Popen[str]":
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | options.pop("env", {})
        command = [sys.executable, "-m", "lowerbound", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **pipes | options)

    return popen


@pytest.fixture
def own_parts() -> Iterator[None]:
    """Forgets the parts that a test imported from files of its own."""
    from lowerbound.parts import FOREIGN, REGISTRY

    before = set(FOREIGN)
    yield
    for cls in set(FOREIGN) - before:
        del FOREIGN[cls], REGISTRY[cls.kind][cls.name]
        sys.modules.pop(cls.__module__, None)
