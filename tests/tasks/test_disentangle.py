"""Disentanglement of a run, with factors from everywhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.data.synthetic import factors as rectangles
from lowerbound.errors import BadOption, DataError, DataMissing, DataShape, OutputExists, UnknownName
from lowerbound.measures.disentanglement import Settings, disentanglement
from lowerbound.tasks.disentangle import FILES, with_factors

QUICK = ["mig", "sap_continuous"]


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit(rectangles(size=12, positions=5), latent=3, epochs=2, progress=False)


def test_it_is_the_measure_of_the_codes(run: lb.Run) -> None:
    found = lb.disentangle(run, measures=["mig", "mig_chen", "irs"], seed=4)
    data = run.data
    assert data is not None and data.factors is not None
    z, v = lb.encode(run, data), lb.encode(run, data, variance=True)
    same = disentanglement(z, data.factors, variance=v, measures=["mig", "mig_chen", "irs"], seed=4)
    assert found.measures == same.measures
    assert [one["name"] for one in found.scores.about["factors"]] == list(data.factor_names)
    facts = json.loads(json.dumps(found.as_dict()))
    assert facts["mig"].keys() == {"value", "se", "perfect", "chance", "rotation", "seed", "sensitivity"}
    assert facts["sap"] is None and np.array(facts["information"]).shape == (3, 4) and facts["importances"] is None


def test_all_of_it_is_written_with_pictures(run: lb.Run, tmp_path: Path) -> None:
    found = lb.disentangle(run, measures=["dci_disentanglement", "mig"], settings=Settings(rows=60))
    files = found.save(tmp_path / "made")
    assert [file.name for file in files] == list(FILES)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files[2:])
    assert files[1].read_text().splitlines()[0] == "measure,value,se,perfect,rotation,chance"
    with pytest.raises(OutputExists):
        found.save(tmp_path / "made")
    again = found.save(tmp_path / "made", force=True)
    assert again == files and "turned at random" in str(found)


def test_factors_from_names_files_arrays_and_generators(run: lb.Run, tmp_path: Path) -> None:
    data = run.data
    assert data is not None and data.factors is not None
    np.savetxt(tmp_path / "f.csv", data.factors[:, :2], delimiter=",", header="x,y", comments="")
    np.save(tmp_path / "f.npy", data.factors[:, :2])
    given: list[Any] = ["x,y", ("x", "y"), tmp_path / "f.csv", str(tmp_path / "f.npy"), data.factors[:, :2]]
    tables = [with_factors(run, None, one) for one in given]
    assert all(np.array_equal(rows.factors, data.factors[:, :2]) for rows in tables)  # type: ignore[arg-type]  # there
    assert tables[2].factor_names == ("x", "y")
    texts = lb.disentangle(run, None, np.where(data.factors[:, 0] > 2, "right", "left"), measures=QUICK, paths=False)
    assert texts.scores.about["factors"][0]["classes"] == 2 and texts.paths is None
    made = with_factors(run, None, "rotation=4,position=3")
    assert made.factor_names == ("image", "rotation", "x", "y") and made.shape == data.shape


def test_columns_that_were_not_trained_on_are_factors(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(200, 2))
    np.savetxt(tmp_path / "t.csv", np.c_[z[:, 0], z[:, 1], z[:, 0]], delimiter=",", header="a,b,f", comments="")
    run = lb.fit(lb.Data(z, columns=("a", "b")), latent=2, epochs=1, progress=False)
    found = lb.disentangle(run, str(tmp_path / "t.csv"), "f", measures=QUICK)
    assert found.scores.about["factors"] == [{"name": "f", "classes": 20, "cut": True}]
    assert found.paths is None and found.measures["mig"].perfect > 0.5


def test_factors_of_no_use_are_refused(run: lb.Run) -> None:
    plain = lb.fit("digits", latent=2, epochs=1, progress=False)
    with pytest.raises(DataError, match="have no factors"):
        lb.disentangle(plain)
    with pytest.raises(UnknownName, match="colour"):
        lb.disentangle(run, factors="colour")
    with pytest.raises(DataShape, match="factors do not fit the rows"):
        lb.disentangle(run, factors=np.zeros((3, 2)))
    with pytest.raises(DataError, match="one value only"):
        lb.disentangle(run, factors=np.ones(run.facts["rows"]))
    with pytest.raises(DataMissing, match="row 5"):
        lb.disentangle(
            run, factors=np.where(np.arange(run.facts["rows"]) == 5, np.nan, np.arange(run.facts["rows"]) % 3)
        )


def test_compare_measures_it_over_settings_and_seeds(tmp_path: Path) -> None:
    data, recipes = rectangles(size=12, positions=4, sizes=2), ["vae", "beta-vae:objective.beta=8"]
    options: dict[str, Any] = {"seeds": 2, "samples": 2, "latent": 2, "epochs": 1, "progress": False}
    found = lb.compare(data, recipes, out=tmp_path, measures=["mig"], **options)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "beta-vae-objective.beta=8-0", "beta-vae-objective.beta=8-1", "vae-0", "vae-1",
    ]  # fmt: skip
    row = found.as_dict()["rows"][-1]
    run = lb.open(tmp_path / "runs/beta-vae-objective.beta=8-1")
    assert run.config.objective["beta"] == 8 and row["recipe"] == recipes[1]
    assert row["disentanglement"]["mig"]["value"] == lb.disentangle(run, data, measures=["mig"]).measures["mig"].value
    middle = found.as_dict()["summary"][1]
    assert {"median", "q25", "q75"} == middle["mig"].keys() == middle["udr"].keys() and middle["sap"] is None
    with pytest.raises(UnknownName, match="mgi"):
        lb.compare(data, recipes, measures=["mgi"], **options)
    with pytest.raises(DataError, match="no factors"):
        lb.compare("digits", recipes, measures=["mig"], **options)
    with pytest.raises(BadOption, match="not a setting"):
        lb.compare(data, ["vae:beta"], **options)
