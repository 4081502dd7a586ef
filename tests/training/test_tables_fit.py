"""A table from csv to samples and scores: names, types, categories, and rows that do not go with it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import DataRange, DataShape, Incompatible

COUNT = 160


def write(path: Path, height: float = 1.0) -> Path:
    source = np.random.default_rng(1)
    kind = source.integers(0, 3, COUNT)
    tall = (source.normal(1.7, 0.1, COUNT) + 0.05 * kind).round(2) * height
    cells = [[f"{tall[i]:.2f}" if i % 9 else "?", ["ash", "oak", "elm"][kind[i]], str(source.poisson(2 + kind[i])),
              f"2024-03-{1 + i % 28:02}"] for i in range(COUNT)]  # fmt: skip
    path.write_text("\n".join(["height,tree,nests,day", *(",".join(row) for row in cells)]) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("tables")
    lb.fit(write(base / "t.csv"), latent=2, epochs=3, out=base / "run", progress=False)
    yield base


@pytest.fixture(scope="module")
def run(folder: Path) -> lb.Run:
    return lb.open(folder / "run")


def test_the_schema_is_kept(run: lb.Run) -> None:
    assert run.config.model.likelihood["name"] == "columns" and run.config.data.missing == "nan"
    assert run.schema is not None
    assert [(c.name, c.kind) for c in run.schema] == [
        ("height", "real"), ("tree", "categorical"), ("nests", "count"), ("day", "date"),
    ]  # fmt: skip


def test_synthetic_rows_keep_names_types_categories_and_bounds(run: lb.Run, tmp_path: Path) -> None:
    lb.sample(run, 300).save(tmp_path / "s.csv")
    with (tmp_path / "s.csv").open() as file:
        header, *rows = list(csv.reader(file))
    assert header == ["height", "tree", "nests", "day"] and len(rows) == 300 and run.schema is not None
    height, tree, nests, day = zip(*rows, strict=True)
    assert set(tree) <= {"ash", "oak", "elm"} and all(value.isdigit() for value in nests)
    low, high = run.schema.columns[0].low, run.schema.columns[0].high
    assert all(low <= float(value) <= high and round(float(value), 2) == float(value) for value in height)
    assert len(set(height)) > 20 and all("2024-03-01" <= value <= "2024-03-28" and len(value) == 10 for value in day)


def test_rows_of_another_file_get_the_same_numbers(run: lb.Run, folder: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.csv"
    lines = (folder / "t.csv").read_text().splitlines()
    chosen = [line for line in lines[1:] if ",oak," in line][:5]
    part.write_text("\n".join([lines[0], *chosen]) + "\n")
    whole = lb.load(folder / "t.csv")
    index = [i for i, line in enumerate(lines[1:]) if line in chosen][:5]
    assert lb.encode(run, part).tolist() == lb.encode(run, whole.take(index)).tolist()
    own = lb.load(part)  # inferred alone: other categories, another origin of days
    assert lb.encode(run, own).tolist() == lb.encode(run, part).tolist()


@pytest.mark.parametrize(("text", "error"), [
    ("tree,height,nests,day\noak,1.7,2,2024-03-01\n", DataShape), ("height,tree,nests\n1.7,oak,2\n", DataShape),
    ("height,tree,nests,day\n1.7,yew,2,2024-03-01\n", DataRange),
    ("height,tree,nests,day\n1.7,oak,-2,2024-03-01\n", DataRange),
    ("height,tree,nests,day\n1.7,oak,2.5,2024-03-01\n", DataRange),
])  # fmt: skip
def test_rows_that_do_not_go_with_the_run_are_refused(
    run: lb.Run, tmp_path: Path, text: str, error: type[Exception]
) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(error, match=r"other\.csv"):
        lb.score(run, path, samples=2)


def test_what_each_column_adds_is_told(run: lb.Run) -> None:
    found = lb.evaluate(run, samples=20).as_dict()
    assert set(found["columns"]) == {"height", "tree", "nests", "day"} and found["reconstruction"]["mse"] is None
    code = sum(found["columns"].values()) - found["log_likelihood"]["mean"]
    assert code > 0  # KL(p(z|x) || p(z)), up to the noise of different draws
    assert "what columns add" in str(lb.evaluate(run, samples=20))


def test_weights_of_columns_are_said(tmp_path: Path) -> None:
    options: dict[str, Any] = {"latent": 1, "epochs": 1, "progress": False, "data__columns": "nests=count:weight=2"}
    made = lb.fit(write(tmp_path / "t.csv"), **options)
    assert "not a bound" in made.loss["value"] and made.history[0]["train_elbo"] != made.history[0]["validation_elbo"]


def test_units_change_the_density_by_the_jacobian_and_nothing_else(tmp_path: Path) -> None:
    options: dict[str, Any] = {"latent": 2, "epochs": 3, "progress": False, "precision": "fp64", "patience": 0}
    made = [lb.fit(write(tmp_path / f"{height:g}.csv", height), validation=0, **options) for height in (1.0, 100.0)]
    shift = [runs.history[-1]["train_elbo"] for runs in made]
    rows = [runs.rows(part="train") for runs in made]
    assert rows[0].mask is not None
    seen = rows[0].mask[:, 0].mean()
    assert shift[0] - shift[1] == pytest.approx(seen * np.log(100), abs=1e-4)
    codes = [lb.encode(one, part) for one, part in zip(made, rows, strict=True)]
    assert np.allclose(codes[0], codes[1], atol=1e-6)
    filled = [lb.decode(one, z) for one, z in zip(made, codes, strict=True)]
    assert np.allclose(filled[0] * [100, 1, 1, 1], filled[1], rtol=1e-5)


def test_categories_need_a_likelihood_of_tables(tmp_path: Path) -> None:
    with pytest.raises(Incompatible, match=r"knows numbers only.*tree"):
        lb.fit(write(tmp_path / "t.csv"), likelihood="gaussian", epochs=1, progress=False)
    with pytest.raises(Incompatible, match="needs a table"):
        lb.fit(np.eye(9), likelihood="columns", epochs=1, progress=False)


def test_the_run_folder_says_it(folder: Path) -> None:
    facts = json.loads((folder / "run" / "model.json").read_text())
    assert [c["name"] for c in facts["spec"]["columns"]] == ["height", "tree", "nests", "day"]
    assert facts["data"]["schema"]["columns"][1]["categories"] == ["ash", "elm", "oak"]


def test_a_run_goes_on_from_a_table(tmp_path: Path) -> None:
    options: dict[str, Any] = {"latent": 2, "progress": False, "seed": 4}
    path = write(tmp_path / "t.csv")
    whole = lb.fit(path, epochs=2, **options)
    again = lb.fit(path, epochs=2, **options)
    weights = zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
