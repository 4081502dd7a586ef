"""The verbs ``anomaly`` and ``generation``, and the p-values of ``score``."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Answer = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Ten rows of noise, as long as a digit."""
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).random((10, 1, 8, 8)).astype(np.float32))
    return path


def test_anomaly_writes_a_column_for_each_score(run: str, rows: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "strange.csv"
    found = answer("anomaly", run, rows, "--out", out, "--samples", 8)
    assert (found["rows"], found["held_out"]) == (10, 180)
    assert found["strange"] == {"level": 0.05, "score": 10, "typicality": 10}
    with out.open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0])[:9] == [
        "score", "p_value", "typicality", "typicality_p_value", "likelihood_ratio", "code", "norm", "ppca", "knn"
    ]  # fmt: skip
    assert len(table[0]) == 9 + 64 and "" not in table[0].values()
    assert {float(row["p_value"]) for row in table} == {1 / 181}


def test_anomaly_says_what_log_p_does_not_find(run: str, tmp_path: Path, cli: Invoke) -> None:
    text = cli("anomaly", run, "--out", tmp_path / "a.npy", "--samples", 4, "--background", run).stdout
    assert "strange at the level 0.05 by typicality" in text and "simpler than those of the training" in text
    assert (np.load(tmp_path / "a.npy")[:, 4] == 0).all()  # a run is no background to itself


def test_scores_have_p_values(run: str, rows: Path, tmp_path: Path, cli: Invoke) -> None:
    for data in ([rows], []):
        cli("score", run, *data, "--out", tmp_path / "s.npy", "--samples", 4, "--force")
        p = np.load(tmp_path / "s.npy")[:, -1] * 181  # held-out rows and one
        np.testing.assert_allclose(p, np.round(p))
        assert (p == 1).all() if data else p.min() >= 1 and 60 < np.median(p) < 120


def test_generation_prints_perfect_and_chance(run: str, answer: Answer) -> None:
    found = answer("generation", run, "-n", 20, "--kind", "mean")
    assert (found["rows"], found["kind"]) == (20, "mean")
    assert all({"value", "se", "perfect", "chance"} <= set(one) for one in found["measures"].values())
