"""Recipes and seeds on one split."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.errors import BadOption, CheckpointMismatch, UnknownName
from lowerbound.tasks import compare as comparing
from lowerbound.tasks.comparison import MEASURES, notes, panels_of, summary

SMALL: dict[str, Any] = {"samples": 4, "latent": 2, "epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "digits"


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return lb.compare("digits", ["pca", "ae", "vae"], seeds=2, out=folder, **SMALL).as_dict()


def test_every_recipe_and_seed_has_a_row_with_the_keys_of_evaluate(found: dict[str, Any], folder: Path) -> None:
    rows = found["rows"]
    assert [(row["recipe"], row["seed"]) for row in rows] == [
        (recipe, seed) for recipe in ("pca", "ae", "vae") for seed in (0, 1)
    ]
    run = lb.open(folder / "runs/vae-1")
    again = lb.evaluate(run, samples=4).as_dict()
    row = json.loads(json.dumps(rows[-1]))
    assert again.keys() <= row.keys()
    assert row["elbo"]["mean"] == pytest.approx(again["elbo"]["mean"]) and row["verdict"] == again["verdict"]
    assert rows[2]["log_likelihood"] is None and rows[2]["geometry"]["outside"]["fitted"] >= 0
    assert rows[0]["epochs"] == 0, "a recipe in closed form is not trained"


def test_all_runs_have_the_one_split(found: dict[str, Any], folder: Path) -> None:
    runs = [lb.open(path) for path in sorted((folder / "runs").iterdir())]
    assert len(runs) == 6
    assert len({run.rows(part=part).fingerprint for run in runs for part in ("test",)}) == 1
    assert len({run.rows(part="train").fingerprint for run in runs}) == 1
    assert {run.config.seed for run in runs} == {0, 1}
    alone = lb.fit("digits", recipe="vae", latent=2, epochs=0, progress=False)
    assert np.array_equal(alone.rows().x, runs[0].rows().x), "it is the split that fit makes from the first seed"


def test_a_recipe_that_would_split_otherwise_has_it_too(tmp_path: Path) -> None:
    lb.compare("digits", ["vae", "aevb-frey"], seeds=1, out=tmp_path, **SMALL)
    first, second = (lb.open(tmp_path / "runs" / name) for name in ("vae-0", "aevb-frey-0"))
    for part in ("train", "validation", "test"):
        assert np.array_equal(first.rows(part=part).x, second.rows(part=part).x), part


def test_table_and_picture_are_written(found: dict[str, Any], folder: Path) -> None:
    table = list(csv.DictReader(io.StringIO((folder / "comparison.csv").read_text())))
    assert [(row["recipe"], row["seed"]) for row in table] == [
        (row["recipe"], str(row["seed"])) for row in found["rows"]
    ]
    assert float(table[-1]["mse"]) == found["rows"][-1]["reconstruction"]["mse"] and table[2]["elbo"] == ""
    assert set(table[0]) >= {measure[0] for measure in MEASURES}
    assert json.loads((folder / "comparison.json").read_text())["summary"] == json.loads(json.dumps(found["summary"]))
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_finished_is_used_as_it_is(
    found: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}

    def judged(*given: object) -> None:
        raise AssertionError("judged again")

    monkeypatch.setattr(comparing._Bench, "_judged", judged)
    again = lb.compare("digits", ["pca", "ae", "vae"], seeds=2, out=folder, **SMALL).as_dict()
    assert json.loads(json.dumps(again["rows"])) == json.loads(json.dumps(found["rows"]))
    assert weights == {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}


def test_other_settings_are_refused_and_taken_by_force(found: dict[str, Any], folder: Path) -> None:
    other = {**SMALL, "epochs": 1}
    with pytest.raises(CheckpointMismatch):
        lb.compare("digits", ["vae"], seeds=1, out=folder, **other)
    row = lb.compare("digits", ["vae"], seeds=1, out=folder, force=True, **other).as_dict()["rows"][0]
    assert row["epochs"] == 1 and row["elbo"] != found["rows"][-2]["elbo"]


def test_a_comparison_that_is_broken_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[str] = []
    whole = comparing.fit

    def counted(*given: Any, **named: Any) -> lb.Run:
        trained.append(named["recipe"])
        run = whole(*given, **named)
        if len(trained) == 2:
            run.summary["stopped"] = "interrupted"
        return run

    monkeypatch.setattr(comparing, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        lb.compare("digits", ["pca", "vae"], seeds=1, out=tmp_path, **SMALL)
    assert trained == ["pca", "vae"] and not (tmp_path / "comparison.json").exists()
    assert len(lb.compare("digits", ["pca", "vae"], seeds=1, out=tmp_path, **SMALL).as_dict()["rows"]) == 2


def test_densities_and_probabilities_are_kept_apart() -> None:
    images = np.random.default_rng(0).integers(0, 256, (80, 4, 4), np.uint8)
    found = lb.compare(images, ["pca", "vae"], seeds=1, **SMALL)
    rows = found.as_dict()["rows"]
    assert [row["quantity"] for row in rows] == ["density", "probability"]
    said = " ".join(found.as_dict()["notes"])
    assert "log p(x) is not comparable" in said and "squared errors are not comparable" in said
    labels = [label for label, _ in panels_of(rows)]
    assert "log p(x) (nats), density" in labels and "log p(x) (nats), probability" in labels
    same = lb.compare(images, ["pca", "vae"], seeds=1, likelihood="gaussian", **SMALL).as_dict()
    assert "comparable" not in " ".join(same["notes"])


def test_median_and_quartiles_over_seeds() -> None:
    rows = [
        {"recipe": "vae", "seed": seed, "quantity": "density", "elbo": {"mean": value}, "kl": None, "seconds": 1.0}
        for seed, value in enumerate((1.0, 2.0, 3.0, 4.0, 10.0))
    ]
    (found,) = summary(rows)
    assert found["elbo"] == {"median": 3.0, "q25": 2.0, "q75": 4.0}
    assert found["kl"] is None and found["seeds"] == 5
    assert list(notes([])) == []


def test_tables_with_holes_have_no_geometry() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[::7, 1] = np.nan
    found = lb.compare(rows, ["vae"], seeds=1, missing="nan", **SMALL)
    assert found.as_dict()["rows"][0]["geometry"] is None and not found.maps
    assert "log p(x)" in str(found)


@pytest.mark.parametrize(("recipes", "seeds"), [([], 1), (["vae"], 0), (["vae", "vae"], 1), (["vae"], [1, 1])])
def test_nothing_to_compare_is_refused(recipes: list[str], seeds: Any) -> None:
    with pytest.raises(BadOption, match="nothing to compare"):
        lb.compare("digits", recipes, seeds=seeds)


def test_an_unknown_recipe_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'vae'"):
        lb.compare("no data of that name", ["pca", "vea"])
