"""Each fault of ``mutations.toml`` turns the test that it names red: a test that cannot fail is worth nothing."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTATIONS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("mutations.toml").read_text())
FAILED = 1  # what pytest ends with when tests ran and some failed


def copied(place: Path) -> Path:
    """The package and its exact tests, in another place."""
    for part in ("src", "tests/exact"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "tests/conftest.py", place / "tests")
    (place / "pytest.ini").write_text("[pytest]\n")
    return place


def mutate(place: Path, file: str, old: str, new: str) -> None:
    path = place / "src/lowerbound" / file
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} must stand once in {file}: write the mutation anew"
    path.write_text(text.replace(old, new))


def outcome(place: Path, tests: Iterable[str]) -> tuple[int, str]:
    """How tests of the copy end, run in an interpreter of their own without plugins."""
    command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider"]
    settings = {"PYTHONPATH": str(place / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    chosen = [f"tests/exact/{test}" for test in tests]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run([*command, *chosen], cwd=place, env=clean | settings, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_is_seen(name: str, tmp_path: Path) -> None:
    mutation = MUTATIONS[name]
    place = copied(tmp_path)
    mutate(place, mutation["file"], mutation["old"], mutation["new"])
    code, output = outcome(place, [mutation["test"]])
    assert code == FAILED, output


def test_without_a_fault_all_is_green(tmp_path: Path) -> None:
    code, output = outcome(copied(tmp_path), sorted({mutation["test"] for mutation in MUTATIONS.values()}))
    assert code == 0, output


def test_a_mutation_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="must stand once"):
        mutate(copied(tmp_path), "model.py", "nothing of this kind", "")
