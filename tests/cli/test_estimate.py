"""The verbs that ask how far log p(x) is to be trusted."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from lowerbound.cli.verbs import counting

Invoke = Callable[..., Result]
Ask = Callable[..., dict[str, Any]]


def test_score_with_a_tolerance(cli: Invoke, answer: Ask, run: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    words = ["score", run, "--samples", 2, "--tolerance", 1e-9, "--most", 8, "--out", out]
    found = answer(*words)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["samples"] for row in rows} == {"8.0"}
    assert {row["pareto_k"] for row in rows} == {""}, "too few to tell"
    assert found["unsettled"] == list(range(180))
    assert found["log_likelihood"]["samples"] == 8
    text = cli(*words, "--force").stdout
    assert all(f"- {line}\n" in text for line in found["warnings"])
    assert "tolerance" in cli("score", run, "--tolerance", -1, "--out", out, "--force", code=2).stderr


def test_estimate(cli: Invoke, answer: Ask, run: str) -> None:
    words = ["estimate", run, "--rows", 3, "--samples", 20, "--temperatures", 4, "--chains", 2, "--seed", 1]
    found = answer(*words)
    assert (found["unit"], found["rows"], found["bdmc"]["rows"]) == ("nats", 3, 3)
    text = cli(*words).stdout
    for line in found["estimates"]:
        assert f"{line['label']:<46}{line['mean']:10.2f}" in text
    few = answer(*words, "--methods", "prior")
    assert [line["method"] for line in few["estimates"]] == ["prior"]
    assert few["bdmc"] is None
    assert "unknown method 'magic'" in cli(*words, "--methods", "magic", code=2).stderr


def test_gap(cli: Invoke, answer: Ask, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lowerbound.tasks import gaps

    monkeypatch.setattr(gaps, "LONGEST", 100)
    words = ["gap", run, "--rows", 2, "--samples", 50]
    found = answer(*words)
    assert found["rows"] == 2
    parts = found["approximation"]["mean"] + found["amortisation"]["mean"]
    assert found["total"]["mean"] == pytest.approx(parts)
    assert f"{found['elbo']['mean']:.2f}" in cli(*words).stdout


def test_a_count_is_for_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    counting("{} of {} rows")(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show = counting("{} of {} rows")
    show(1, 2)
    show(2, 2)
    assert capsys.readouterr() == ("", "\r1 of 2 rows\r2 of 2 rows\n")
