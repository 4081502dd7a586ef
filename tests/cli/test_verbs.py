"""Every verb does what it says on a small run, for people and for programs."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from lowerbound import catalogue
from lowerbound.cli.verbs import finite, plain, table
from lowerbound.recipes import RECIPES
from lowerbound.run import open as open_run

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]


def test_fit_says_what_it_did_and_leaves_a_run(fitted: dict[str, Any]) -> None:
    assert (fitted["recipe"], fitted["epochs"], fitted["stopped"]) == ("beta-vae", 2, "all epochs done")
    assert set(fitted["best"]) == {"epoch", "elbo"}
    run = open_run(fitted["run"])
    assert (run.model.latent, run.config.objective["beta"], len(run.history)) == (2, 4.0, 2)
    assert run.history[fitted["best"]["epoch"] - 1]["validation_elbo"] == fitted["best"]["elbo"]
    names = {path.name for path in (Path(fitted["run"]) / "figures").iterdir()}
    assert names == {"training.png", "samples.png", "reconstructions.png", "latent.png", "kl.png"}


def test_fit_for_people(cli: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("fit", "digits", "--recipe", "ae", "--epochs", 1, "--latent", 2)
    line, folder = done.stdout.splitlines()
    assert line.startswith("ae on digits: 1 epochs in ")
    assert "reconstruction log likelihood -" in line
    assert folder == str(Path("runs/digits-ae"))
    assert "samples.png" not in {path.name for path in (Path(folder) / "figures").iterdir()}, "ae has no prior"
    assert done.stderr.startswith("loss: gaussian")
    assert not cli("fit", "digits", "--epochs", 0, "--quiet", "--out", "quiet").stderr


def test_a_table_is_fitted_and_drawn(cli: Invoke, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",", header="a,b,c", comments="")
    cli("fit", tmp_path / "t.csv", "--epochs", 1, "--latent", 1, "--out", tmp_path / "run", "--quiet")
    assert {path.name for path in (tmp_path / "run/figures").iterdir()} == {"training.png", "samples.png", "kl.png"}
    cli("sample", tmp_path / "run", "-n", 3, "--kind", "draw", "--out", tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().startswith("a,b,c\n")


def test_evaluate(cli: Invoke, answer: Ask, run: str) -> None:
    found = answer("evaluate", run, "--samples", 8)
    assert (found["unit"], found["rows"], found["log_likelihood"]["samples"]) == ("nats", 180, 8)
    assert len(found["kl"]["per_dimension"]) == 2
    assert f"{found['elbo']['mean']:.2f}" in cli("evaluate", run, "--samples", 8).stdout
    assert answer("evaluate", run, "digits", "--samples", 2)["rows"] == 1797


def test_score_writes_a_table(answer: Ask, run: str, tmp_path: Path) -> None:
    out = tmp_path / "new/folder/scores.csv"
    found = answer("score", run, "--samples", 8, "--seed", 3, "--out", out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["log_likelihood", "se", "ess", "pareto_k", "samples", "p_value"]
    assert len(rows) == found["rows"] == 180
    assert math.isclose(found["log_likelihood"]["mean"], np.mean([float(row["log_likelihood"]) for row in rows]))
    assert all(0 < float(row["p_value"]) <= 1 for row in rows)


def test_codes_go_out_and_come_back(cli: Invoke, answer: Ask, run: str, tmp_path: Path) -> None:
    z, back, direct = tmp_path / "z.csv", tmp_path / "back.npy", tmp_path / "direct.npy"
    assert answer("encode", run, "--out", z) == {"out": str(z), "rows": 180}
    assert z.read_text().startswith("z1,z2\n")
    answer("decode", run, z, "--out", back)
    answer("reconstruct", run, "--out", direct)
    np.testing.assert_allclose(np.load(back), np.load(direct), rtol=1e-5, atol=1e-6)
    cli("encode", run, "digits", "--variance", "--out", tmp_path / "v.npy")
    assert np.load(tmp_path / "v.npy").shape == (1797, 2)
    assert (np.load(tmp_path / "v.npy") > 0).all()


def test_sample_obeys_seed_number_and_temperature(answer: Ask, run: str, tmp_path: Path) -> None:
    def made(*words: object) -> Any:
        out = tmp_path / "s.npy"
        answer("sample", run, "--out", out, "--force", *words)
        return np.load(out)

    first = made("-n", 5)
    assert first.shape == (5, 1, 8, 8)
    assert np.array_equal(first, made("-n", 5))
    for other in (["--seed", 1], ["--temperature", 0.5], ["--kind", "draw"]):
        assert not np.array_equal(first, made("-n", 5, *other)), other


def test_pictures(cli: Invoke, run: str, tmp_path: Path) -> None:
    for words in (["sample", run, "-n", 16], ["reconstruct", run]):
        out = tmp_path / f"{words[0]}.png"
        assert cli(*words, "--out", out).stdout == f"16 rows in {out}\n"
        assert out.read_bytes().startswith(b"\x89PNG")


def test_data(cli: Invoke, answer: Ask, tmp_path: Path) -> None:
    sets = {row["name"]: row for row in answer("data", "list")["sets"]}
    assert (sets["digits"]["rows"], sets["digits"]["at_hand"]) == (1797, True)
    assert "CC BY 4.0" in cli("data", "list").stdout
    (tmp_path / "t.csv").write_text("a,b\n1,\n2,0.5\n")
    found = answer("data", "show", tmp_path / "t.csv")
    assert (found["rows"], found["columns"], found["missing"]) == (2, ["a", "b"], 0.25)
    assert found["fitting"] == ["columns", "gaussian", "laplace", "student_t"]
    assert "a, b" in cli("data", "show", tmp_path / "t.csv").stdout
    assert answer("data", "fetch", "digits") == {"name": "digits", "rows": 1797, "shape": [1, 8, 8]}


def test_a_set_that_is_not_here(answer: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWERBOUND_CACHE", str(tmp_path))
    monkeypatch.delenv("LOWERBOUND_DATA", raising=False)
    assert [row["name"] for row in answer("data", "list")["sets"] if row["at_hand"]] == ["digits"]


def test_selftest(cli: Invoke, answer: Ask) -> None:
    found = answer("selftest", "oracle/iris-q1")
    assert (found["passed"], found["failed"]) == (len(found["checks"]), 0)
    assert {"name", "value", "expected", "tolerance"} <= set(found["checks"][0])
    done = cli("selftest", "oracle/iris-q1")
    assert done.stdout.count("ok      oracle/iris-q1") == found["passed"]
    assert done.stdout.endswith(f"{found['passed']} passed, 0 failed\n")
    assert cli("selftest", "oracle/iris-q1", "--json").stderr == "\n".join(done.stdout.splitlines()[:-1]) + "\n"


def test_a_selftest_that_fails(cli: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from lowerbound import selftests

    monkeypatch.setattr(selftests, "CLAIMS", {"sum": lambda: iter([("one", 1.0, 2.0, 0.5), ("two", 2.0, 2.0, 0.5)])})
    lines = ["FAILED  sum/one: 1, expected 2 ± 0.5", "ok      sum/two: 2, expected 2 ± 0.5", "1 passed, 1 failed"]
    assert cli("selftest", code=1).stdout.splitlines() == lines


def test_recipes(cli: Invoke, answer: Ask) -> None:
    assert [row["name"] for row in answer("recipes")["recipes"]] == list(RECIPES)
    assert answer("recipes", "beta-vae")["changes"] == {"objective.beta": 4.0}
    assert "objective.beta  4.0" in cli("recipes", "beta-vae").stdout
    assert "as vae" in cli("recipes", "vae").stdout


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_shown(name: str, cli: Invoke, answer: Ask) -> None:
    assert answer("recipes", name)["citation"]["link"] in cli("recipes", name).stdout


def test_parts(cli: Invoke, answer: Ask) -> None:
    every = [(kind, name) for kind in catalogue.KINDS for name in catalogue.names(kind)]
    assert [(row["kind"], row["name"]) for row in answer("parts")["parts"]] == every
    assert {row["kind"] for row in answer("parts", "net")["parts"]} == {"net"}
    for kind, name in every:
        found, text = answer("parts", kind, name), cli("parts", kind, name).stdout
        assert all(f"  {option} " in text for option in found["options"]), name


def test_what_json_cannot_hold_becomes_null() -> None:
    value = {"a": [math.nan, 1.5, math.inf], "b": (True, None, "x", 3)}
    assert json.loads(json.dumps(finite(value), allow_nan=False)) == {"a": [None, 1.5, None], "b": [True, None, "x", 3]}


@pytest.mark.parametrize(
    "text", ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07red", "\x1b]0;title\x1b\\red", "\x9bred\r\x07"]
)
def test_nothing_reaches_the_terminal_but_text(text: str) -> None:
    assert plain(text) == "red"
    assert table([[text, 1]]) == "red  1"
    assert plain("a\n\tb ± ü") == "a\n\tb ± ü"
