"""The best point, its error, and what is not told apart from it, worked out by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.tasks.choosing import Sweep, chosen, comparable, name_of, notes, ranked

Array = np.ndarray[Any, Any]
ROWS = np.random.default_rng(0).normal(-100, 30, 400)  # rows differ much more than points do


def trial(latent: int, seed: int, values: Array, **others: Any) -> tuple[dict[str, Any], Array]:
    se = float(values.std(ddof=1) / math.sqrt(len(values)))
    found = {"mean": float(values.mean()), "se": se, "samples": 200, "ess_median": 50.0, "reliable": True}
    row = {"point": {"model.latent": latent}, "seed": seed, "run": f"{latent}-{seed}", "state": "done", "reason": "",
           "log_likelihood": found, "quantity": "density", "binarize": "none", "epochs": 1, "seconds": 1.0}  # fmt: skip
    return row | others, values


def found_of(*made: tuple[dict[str, Any], Array]) -> list[dict[str, Any]]:
    return ranked([row for row, _ in made], {row["run"]: values for row, values in made})


def test_errors_over_rows_and_over_seeds_by_hand() -> None:
    points = found_of(trial(2, 0, ROWS - 3), trial(5, 0, ROWS), trial(5, 1, ROWS + 0.4), trial(2, 1, ROWS - 3.2))
    assert [point["point"]["model.latent"] for point in points] == [5, 2]
    over_rows = ROWS.var(ddof=1) / 400
    assert points[0]["mean"] == pytest.approx(ROWS.mean() + 0.2)
    assert points[0]["se"] == pytest.approx(math.sqrt(over_rows + 0.4**2 / 2 / 2))
    assert points[1]["behind"] == pytest.approx(3.3)
    assert points[1]["behind_se"] == pytest.approx(math.sqrt(0.4**2 / 4 + 0.2**2 / 4))  # the rows drop out
    assert (points[0]["run"], points[1]["run"], points[0]["seeds"]) == ("5-1", "2-0", 2)


def test_what_is_within_the_error_is_tied() -> None:
    noise = np.random.default_rng(1).normal(0, 5, 400)
    error = noise.std(ddof=1) / 20
    for apart, tied in ((1.9, True), (2.1, False)):
        other = ROWS + noise - noise.mean() - apart * error
        points = found_of(trial(2, 0, other), trial(5, 0, ROWS))
        best = chosen(points)
        assert best is not None and best["point"] == {"model.latent": 5}
        assert best["tied"] == ([{"model.latent": 2}] if tied else [])
        said = " ".join(notes([], points, best))
        assert ("not told apart from the best" in said) == tied and "one seed a point" in said


def test_what_failed_and_what_is_unreliable_is_said() -> None:
    weak = trial(5, 0, ROWS)
    weak[0]["log_likelihood"] |= {"ess_median": 1.5, "reliable": False}
    dead = trial(9, 0, ROWS)[0] | {
        "state": "died",
        "reason": "its process was killed (SIGKILL)",
        "log_likelihood": None,
    }
    points = found_of(weak, (dead, ROWS))
    said = list(notes([weak[0], dead], points, chosen(points)))
    assert "latent=5, seed 0: log p(x) is not reliable, median effective sample size 1.5 of 200" in said
    assert "latent=9, seed 0: died: its process was killed (SIGKILL)" in said
    assert len(points) == 1 and chosen([]) is None


def test_likelihoods_of_another_kind_have_no_best() -> None:
    rows = [trial(2, 0, ROWS)[0], trial(5, 0, ROWS, quantity="probability")[0]]
    assert not comparable(rows) and comparable(rows[:1])
    points = found_of(trial(2, 0, ROWS), trial(5, 0, ROWS))
    assert "no best" in next(notes(rows, points, None))


def test_tables_and_picture(tmp_path: Path) -> None:
    made = [trial(2, 0, ROWS - 3), trial(5, 0, ROWS), trial(5, 1, ROWS + 0.4)]
    rows, points = [row for row, _ in made], found_of(*made)
    facts = {
        "title": "rows",
        "over": ["model.latent"],
        "rows": rows,
        "points": points,
        "best": chosen(points),
        "notes": ["so"],
    }
    sweep = Sweep(facts)
    assert sweep.save(tmp_path) == []
    lines = (tmp_path / "sweep.csv").read_text().splitlines()
    assert lines[0].startswith("model.latent,seed,log_likelihood,se,ess_median,reliable") and len(lines) == 4
    assert lines[1].startswith(f"2,0,{ROWS.mean() - 3}")
    text = (tmp_path / "sweep.md").read_text()
    assert "| 5      | 2     |" in text and text.count("best") == 2 and text.endswith("- so\n")
    assert json.loads((tmp_path / "sweep.json").read_text())["best"]["run"] == "5-1"
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    empty = Sweep(facts | {"rows": [], "points": [], "best": None})
    assert empty.save(tmp_path / "none") == [] and not (tmp_path / "none" / "sweep.png").exists()


def test_names_of_points() -> None:
    assert name_of({"objective.beta": 0.5, "model.prior": "mixture"}) == "beta=0.5 prior=mixture"
    assert name_of({}) == "as the recipe says"
