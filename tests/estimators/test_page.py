"""The examples of the page on estimators."""

import doctest
from pathlib import Path

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.errors import DataError


def test_the_examples_of_the_page_run() -> None:
    page = Path(__file__).parents[2] / "docs/estimators.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 8 and not found.failed


def test_a_row_is_explained_by_what_its_columns_add() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 3)) * [1.0, 10.0, 0.1]
    run = lb.fit(x, latent=1, epochs=5, validation=0, test=0, progress=False)
    x[7, 1] += 80
    found = lb.explain(run, 7, x, samples=200)
    assert found.order[0] == 1 and found.names == ("x0", "x1", "x2")
    assert found.score == pytest.approx(-lb.score(run, x[7:8], samples=200).log_likelihood[0], abs=1e-3)
    others = [lb.explain(run, row, x, samples=200).nats for row in (0, 50)]
    assert found.nats[1] > 10 + max(nats[1] for nats in others) and found.usual[1] < found.nats[1]
    assert str(found).splitlines()[1].split()[0] == "x1"
    with pytest.raises(DataError, match="row"):
        lb.explain(run, 300, x)
    alone = lb.explain(run, 0, x[:1], samples=4)
    assert alone.as_dict()["code"]["usual"] is None


def test_explaining_on_the_command_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from lowerbound.cli import app

    path = tmp_path / "table.csv"
    path.write_text("age,sex\n" + "".join(f"{30 + i % 9},{'mf'[i % 2]}\n" for i in range(60)) + "45,\n")
    lb.fit(path, latent=1, epochs=1, out=tmp_path / "run", progress=False)
    made = CliRunner().invoke(app, ["explain", str(tmp_path / "run"), "60", "--samples", "20"])
    assert made.exit_code == 0 and "age" in made.output and "45" in made.output
    given = ["sample", str(tmp_path / "run"), "-n", "5", "--given", "sex=m", "--given", "age=31..33"]
    made = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "made.csv")])
    assert made.exit_code == 0 and "effective sample size" in made.output
    rows = [line.split(",") for line in (tmp_path / "made.csv").read_text().split()[1:]]
    assert len(rows) == 5 and all(sex == "m" and 31 <= float(age) <= 33 for age, sex in rows)
