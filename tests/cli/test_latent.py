"""The verbs of the latent space."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]


def test_paths(answer: Ask, cli: Invoke, run: str, tmp_path: Path) -> None:
    out = tmp_path / "p.npy"
    found = answer("interpolate", run, "3,label=1", "17,label=7", "--steps", 4, "--path", "density", "--out", out)
    assert (found["paths"], found["steps"]) == (["row 3 → row 17", "label=1 → label=7"], 4)
    assert np.load(out).shape == (2, 4, 1, 8, 8)
    cli("interpolate", run, 0, 1, "--out", tmp_path / "p.gif")
    assert (tmp_path / "p.gif").read_bytes()[:3] == b"GIF"


def test_dimensions(answer: Ask, run: str, tmp_path: Path) -> None:
    found = answer("traverse", run, "--dimensions", "z2", "--steps", 3, "--share", 0.5, "--out", tmp_path / "t.png")
    (row,) = found["dimensions"]
    assert row["dimension"] == "z2" and row["low"] == pytest.approx(-0.6744897) and row["kl"] >= 0
    assert len(answer("traverse", run, "--out", tmp_path / "t.csv")["dimensions"]) == 2


def test_planes(answer: Ask, run: str, tmp_path: Path) -> None:
    for show in ("both", "images", "map"):
        found = answer("manifold", run, "--side", 5, "--show", show, "--out", tmp_path / f"{show}.png")
        assert found["axes"] == ["z1", "z2"] and 0 <= found["empty"] <= 1 and found["over"] == "prior"
    assert len({(tmp_path / f"{show}.png").read_bytes() for show in ("both", "images", "map")}) == 3
    words = ["--plane", "principal", "--row", 7, "--side", 3, "--out", tmp_path / "m.npy"]
    assert answer("manifold", run, *words)["over"] == "codes"
    assert np.load(tmp_path / "m.npy").shape == (9, 1, 8, 8)


def test_attributes(answer: Ask, cli: Invoke, run: str, tmp_path: Path) -> None:
    words = ["--strengths", "0,1", "--rows", "4,-1", "--draws", 5, "--method", "probe", "--details"]
    found = answer("arithmetic", run, "label=0", *words, "--out", tmp_path / "a.npy")
    assert found["rows"] == 2 and len(found["vector"]) == 2 and found["judge"]["mean"] > 0.9
    assert np.load(tmp_path / "a.npy").shape == (2, 2, 1, 8, 8)
    assert (
        "probability at strength 1" in cli("arithmetic", run, "slant", "--draws", 2, "--out", tmp_path / "a.png").stdout
    )


def test_maps(answer: Ask, run: str, tmp_path: Path) -> None:
    assert len(answer("embed", run, "--out", tmp_path / "e.csv")["explained"]) == 2
    assert (tmp_path / "e.csv").read_text().startswith("map1,map2,z1,z2,variance1,variance2\n")
    found = answer("embed", run, "--method", "tsne", "--perplexity", 20, "--seed", 3, "--out", tmp_path / "e.png")
    assert (found["rows"], found["explained"]) == (180, None)


def test_reconstructions_that_were_asked_for(answer: Ask, run: str, tmp_path: Path) -> None:
    worst, best = (
        answer("reconstruct", run, "--show", show, "-n", 3, "--out", tmp_path / f"{show}.png")
        for show in ("worst", "best")
    )
    assert worst["rows"] == 3 and worst["mse"] > best["mse"]
    noisy = answer("reconstruct", run, "--corruption", "gaussian:scale=3", "--seed", 1, "--out", tmp_path / "n.npy")
    assert noisy["rows"] == 180 and noisy["mse"] != answer("reconstruct", run, "--out", tmp_path / "c.npy")["mse"]


WRONG = [
    ("interpolate", ["one", "2"], "not the number of a row"),
    ("interpolate", ["0", "1797"], "no such row"),
    ("interpolate", ["0", "1", "--steps", "0"], "steps"),
    ("traverse", ["--dimensions", "z9"], "dimension 8"),
    ("traverse", ["--dimensions", "first"], "not latent dimensions"),
    ("manifold", ["--show", "all"], "unknown picture"),
    ("manifold", ["--dimensions", "z1"], "not a plane"),
    ("arithmetic", ["hat"], "unknown attribute 'hat'"),
    ("arithmetic", ["label=1", "--strengths", "much"], "not numbers"),
    ("embed", ["--by", "age"], "unknown attribute 'age'"),
    ("reconstruct", ["--show", "odd"], "unknown choice of rows"),
]


@pytest.mark.parametrize(("verb", "words", "said"), WRONG)
def test_mistakes_are_named_in_a_line(
    cli: Invoke, run: str, tmp_path: Path, verb: str, words: list[str], said: str
) -> None:
    code = 3 if said in ("no such row",) else 2
    done = cli(verb, run, *words, "--out", tmp_path / "x.png", code=code)
    assert said in done.stderr and done.stderr.count("\n") == 1 and not (tmp_path / "x.png").exists()


def test_nothing_is_written_over_and_endings_are_known(cli: Invoke, run: str, tmp_path: Path) -> None:
    (tmp_path / "t.png").write_text("mine")
    assert "already there" in cli("traverse", run, "--out", tmp_path / "t.png", code=2).stderr
    assert ".png or .npy or .csv" in cli("embed", run, "--out", tmp_path / "e.gif", code=2).stderr
    cli("traverse", run, "--out", tmp_path / "t.png", "--force")
