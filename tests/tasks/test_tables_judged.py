"""What is said of a table's model: columns on their own, and samples beside rows with holes and categories."""

import csv
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from scipy.stats import hypergeom, norm
from sklearn.ensemble import RandomForestClassifier

import lowerbound as lb
from lowerbound.errors import DataMissing
from lowerbound.measures.generation import CLASSIFIERS, copies
from lowerbound.tasks import generation as tasks
from lowerbound.tasks.generation import comparable, measure
from lowerbound.tasks.marginals import alone

ROWS = 400


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Height goes with the tree; a tenth of the trees is not known."""
    rng = np.random.default_rng(0)
    tree, path = rng.integers(0, 3, ROWS), tmp_path_factory.mktemp("table") / "t.csv"
    height = rng.normal(170 + 20 * tree, 5, ROWS)
    with path.open("w") as file:
        csv.writer(file).writerows([
            ["tree", "height", "price", "fee"],
            *([["ash", "elm", "oak"][t] if i % 10 else "?", f"{h:.4f}", f"{np.exp(h / 50):.4f}",
               "0" if i % 2 else f"{h % 7:.4f}"] for i, (t, h) in enumerate(zip(tree, height, strict=True))),
        ])  # fmt: skip
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> lb.Run:
    return lb.fit(table, latent=2, epochs=2, progress=False)


def test_columns_alone_are_their_own_best_fits(run: lb.Run) -> None:
    train, test = run.rows(part="train"), run.rows(part="test")
    assert run.schema is not None and [c.kind for c in run.schema][:2] == ["categorical", "real"]
    found = alone(run, train, test)
    assert train.mask is not None and test.mask is not None
    codes = train.x[train.mask[:, 0], 0].astype(int)
    shares = np.bincount(codes, minlength=3) / len(codes)
    trees = np.where(test.mask[:, 0], np.log(shares[test.x[:, 0].astype(int)]), 0.0)
    np.testing.assert_allclose(found[:, 0], trees, atol=2e-3)
    height = norm(train.x[:, 1].mean(), train.x[:, 1].std()).logpdf(test.x[:, 1])
    np.testing.assert_allclose(found[:, 1], height, atol=5e-3)
    zero = (train.x[:, 3] == 0).mean()
    assert run.schema.columns[3].spikes == (0.0,)
    np.testing.assert_allclose(found[test.x[:, 3] == 0, 3], np.log(zero), atol=2e-3)


def test_an_evaluation_says_whether_the_model_beats_its_columns_alone(run: lb.Run) -> None:
    found = lb.evaluate(run, samples=20).as_dict()
    own = alone(run, run.rows(part="train"), run.rows(part="test"))
    facts = found["baselines"]["independent"]
    assert facts["log_likelihood"]["mean"] == pytest.approx(own.sum(1).mean())
    assert facts["columns"] == pytest.approx(dict(zip(run.facts["columns"], own.mean(0), strict=True)))
    assert any("independent cells" in line for line in found["verdict"])
    assert "in brackets each on its own" in str(lb.evaluate(run, samples=20))


def test_samples_of_a_table_are_compared_with_holes_and_categories(
    run: lb.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSIFIERS, "forest", lambda seed: RandomForestClassifier(20, random_state=seed))
    monkeypatch.setitem(CLASSIFIERS, "mlp", lambda seed: RandomForestClassifier(20, random_state=seed))
    spy = Mock(side_effect=measure)
    monkeypatch.setattr(tasks, "measure", spy)
    found = lb.generation(run, rows=40)
    trees = spy.call_args_list[0].args[2][:, 3:6]  # of the samples, after their three numbers
    assert 0 < (trees.sum(1) == 0).mean() < 0.35 and set(trees.ravel()) == {0.0, 1.0}  # some are not known
    assert found.measures["two_sample_forest"].perfect < 0.7
    train = run.rows(part="train").x[:40]
    copied = lb.generation(run, rows=40, made=train)
    assert copied.measures["copies"].value > 0.5 and copied.about["copies"] > 20
    assert copied.measures["copies"].perfect == 0.0 and copied.measures["memorisation"].value > 0.7


def test_rows_are_compared_as_scaled_numbers_and_channels(run: lb.Run) -> None:
    x = np.array([[np.nan, 170.0, 30.0, 0.0], [2.0, 170.0, 30.0, 0.0], [1.0, 170.0, 30.0, 0.0]])
    seen = comparable(run, x)
    assert seen.shape == (3, 3 + 3 + 1)  # numbers, trees, the spike
    assert ((seen[0] - seen[1]) ** 2).sum() == 1.0 and ((seen[1] - seen[2]) ** 2).sum() == 2.0


def test_copies_beside_those_of_held_out_rows() -> None:
    """Fisher's p is the hypergeometric tail of as many copies or more among the made rows."""
    train = np.array([[0.0, 1.0], [-0.0, 2.0]])
    made = np.array([[0.0, 1.0]] * 5 + [[5.0, 5.0]] * 15)
    real = np.array([[0.0, 2.0]] * 2 + [[1.0, 0.0]] * 28)
    found = copies(train, real, made)
    assert (found.value, found.perfect, found.chance) == (0.25, 2 / 30, 1.0)
    assert found.p_value == pytest.approx(hypergeom(50, 7, 20).sf(4))


def test_holes_in_rows_of_plain_numbers_are_still_refused() -> None:
    x = np.random.default_rng(0).normal(size=(90, 3))
    x[3, 1] = np.nan
    with pytest.raises(DataMissing):
        lb.generation(lb.fit(x, latent=1, epochs=1, missing="nan", progress=False))
