"""The verbs of labels, and ``--given``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Answer = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, answer: Answer) -> str:
    out = tmp_path_factory.mktemp("runs") / "cvae"
    found = answer("fit", "digits", "--recipe", "cvae", "--epochs", 2, "--latent", 2, "--out", out)
    assert not found["notes"] and (out / "report.html").is_file()
    return str(out)


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "-n", 3), ("interpolate", 0, 1), ("traverse", "--dimensions", 1), ("manifold", "--side", 3),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_rows_are_made_at_what_is_given(told: str, tmp_path: Path, cli: Invoke, words: tuple[Any, ...]) -> None:
    verb, *rest = words
    made = []
    for label in (1, 7):
        cli(verb, told, *rest, "--given", f"label={label}", "--out", tmp_path / f"{label}.npy")
        made.append(np.load(tmp_path / f"{label}.npy"))
    assert made[0].shape == made[1].shape and not np.allclose(*made)


def test_analogies_predictions_and_independence(told: str, run: str, tmp_path: Path, answer: Answer) -> None:
    assert answer("analogies", told, "-n", 2, "--out", tmp_path / "a.png")["values"] == list("0123456789")
    found = answer("predict", told, "--out", tmp_path / "labels.csv")
    assert found["by"] == "bayes" and found["rows"] == 180 and (tmp_path / "labels.csv").is_file()
    found = answer("independence", told, "--beside", run)
    assert found["chance"] < found["beside"]["mean"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--given", "label=x"), "value of 'label'"), (("--given", "label"), "NAME=VALUE"),
        (("--given", "label=1", "--given", "label=2"), "each name once"),
    ],
)  # fmt: skip
def test_a_wrong_condition_is_one_line(
    told: str, tmp_path: Path, cli: Invoke, words: tuple[str, ...], message: str
) -> None:
    found = cli("sample", told, *words, "--out", tmp_path / "s.npy", code=2)
    assert message in found.stderr and len(found.stderr.splitlines()) == 1
