"""Neighbours in the latent space."""

from pathlib import Path

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.errors import BadOption, DataError


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=3, progress=False)


def test_neighbours_are_the_nearest_codes_of_all_rows(run: lb.Run) -> None:
    codes = lb.encode(run, "digits").astype(float)
    distances = np.linalg.norm(codes - codes[7], axis=1)
    order = [row for row in np.argsort(distances, kind="stable") if row != 7][:12]
    found = lb.similar(run, 7, 12)
    assert found.rows.tolist() == order and len(found) == 12
    np.testing.assert_allclose(found.distances, distances[order], rtol=1e-4, atol=1e-6)
    assert np.array_equal(found.values, lb.load("digits").values(np.array([7, *order])))
    labels = lb.load("digits").labels
    assert labels is not None
    assert found.agreement == np.mean(labels[order] == labels[7])
    assert [neighbour["label"] for neighbour in found.as_dict()["neighbours"]] == [str(labels[row]) for row in order]


def test_rows_may_be_given_and_counted_from_the_end(run: lb.Run, tmp_path: Path) -> None:
    some = run.rows().take(slice(0, 5))
    found = lb.similar(run, -1, 10, data=some)
    assert found.query == 4 and sorted(found.rows) == [0, 1, 2, 3]
    assert found.save(tmp_path / "near.png").stat().st_size > 0
    assert "row 4" in str(found)


def test_tables_without_labels(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 3))
    found = lb.similar(lb.fit(rows, latent=1, epochs=1, progress=False), 0, 2)
    assert found.agreement is None and found.as_dict()["label"] is None
    assert found.save(tmp_path / "near.csv").read_text().count("\n") == 4


@pytest.mark.parametrize(("row", "n", "error"), [(1797, 1, DataError), (-1798, 1, DataError), (0, 0, BadOption)])
def test_impossible_questions_are_refused(run: lb.Run, row: int, n: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        lb.similar(run, row, n)
