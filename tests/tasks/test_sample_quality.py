"""Samples of a run against held-out rows: which rows are compared, and what stands beside each measure."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

import lowerbound as lb
from lowerbound.errors import BadOption, DataError, DataMissing
from lowerbound.measures.generation import CLASSIFIERS, prdc, snap
from lowerbound.tasks.generation import measure


@pytest.fixture(scope="module", autouse=True)
def quick_classifiers() -> Iterator[None]:
    """What the true ones find is tested with the measures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CLASSIFIERS, "forest", lambda seed: RandomForestClassifier(20, random_state=seed))
        patch.setitem(CLASSIFIERS, "mlp", lambda seed: DecisionTreeClassifier(random_state=seed))
        yield


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=2, epochs=2, progress=False)


@pytest.fixture(scope="module")
def found(run: lb.Run) -> Any:
    return lb.generation(run, rows=60, kind="mean")


def test_the_measures_are_those_of_the_samples_on_the_grid(run: lb.Run, found: Any) -> None:
    rng = np.random.default_rng(0)
    train, test = (run.rows(part=part).values(dtype=np.float64).reshape(-1, 64) for part in ("train", "test"))
    known = train[rng.choice(len(train), 600, replace=False)]
    made = snap(lb.sample(run, 60).values.reshape(60, 64), known, pooled=True)
    np.testing.assert_allclose(made * 16, np.round(made * 16))
    real = test[rng.choice(len(test), 60, replace=False)]
    assert found.measures["coverage"].value == prdc(real, made)["coverage"].value
    assert found.measures["recall"].value == prdc(real, made)["recall"].value


def test_training_rows_are_perfect_and_cells_on_their_own_are_chance(found: Any) -> None:
    assert set(found.measures) == {
        "two_sample_forest", "two_sample_mlp", "mmd", "precision", "recall", "density", "coverage", "frechet",
        "memorisation", "copies",
    }  # fmt: skip
    best, worst = ({name: getattr(one, side) for name, one in found.measures.items()} for side in ("perfect", "chance"))
    assert best["two_sample_forest"] < 0.65 < worst["two_sample_forest"]
    assert best["coverage"] > 0.85 > 0.5 > worst["coverage"]
    assert best["frechet"] < worst["frechet"] and abs(best["mmd"]) < worst["mmd"]
    assert best["memorisation"] == 0.5 and worst["memorisation"] < 0.3


def test_what_is_printed_says_what_was_judged(run: lb.Run, found: Any) -> None:
    assert "60 means of p(x|z) against 60 held-out rows; Fréchet: PCA-20 of the training rows" in str(found)
    assert "perfect: training rows in place of samples" in str(found) and "equal to a training row" not in str(found)
    drawn = lb.generation(run, rows=20)
    assert (drawn.about["kind"], drawn.about["rows"]) == ("draw", 20)
    facts = drawn.as_dict()["measures"]
    assert set(facts["mmd"]) == {"value", "se", "perfect", "chance", "p_value"} > set(facts["density"])


def test_copies_are_counted(run: lb.Run) -> None:
    train = run.rows(part="train").values(slice(0, None, 23))[:60]
    found = lb.generation(run, rows=60, made=train)
    assert found.about["copies"] == 60 and found.about["kind"] == "given"
    assert "60 samples are equal to a training row" in str(found)
    assert found.measures["memorisation"].value == 1.0 and found.measures["memorisation"].p_value < 1e-6
    assert found.measures["two_sample_forest"].value < 0.65


def test_measures_follow_the_seed() -> None:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(40, 3)) for _ in range(3)]
    assert measure(*x, seed=1) == measure(*x, seed=1) != measure(*x, seed=2)


def test_zeros_and_ones_are_compared_as_such() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 5, 5), np.uint8)
    run = lb.fit(images, latent=2, epochs=1, test=60, progress=False)
    found = lb.generation(run, rows=40)
    assert found.measures["density"].perfect > 0.3
    assert found.measures["two_sample_forest"].value < 0.8


def test_what_cannot_be_compared_is_refused(run: lb.Run) -> None:
    with pytest.raises(BadOption, match="20 or more"):
        lb.generation(run, rows=5)
    with pytest.raises(BadOption, match="kind"):
        lb.generation(run, rows=20, kind="median")  # type: ignore[arg-type]
    x = np.random.default_rng(0).normal(size=(90, 3))
    with pytest.raises(DataError, match="no test rows"):
        lb.generation(lb.fit(x, latent=1, epochs=1, test=0, progress=False))
    x[3, 1] = np.nan
    with pytest.raises(DataMissing, match="missing cells"):
        lb.generation(lb.fit(x, latent=1, epochs=1, missing="nan", progress=False))
