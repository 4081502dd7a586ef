"""Matrices of counts, and which values count likelihoods and grey levels take."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.audit import resolve
from lowerbound.config import Config
from lowerbound.data import Data
from lowerbound.data.check import check_values
from lowerbound.data.counts import most_variable, read_annotation, read_counts
from lowerbound.errors import BadOption, DataFormat, DataRange, UnknownName

TEXT = '"a","b"\n"gene 1",0,3\n"gene 2",5,7\n"gene 3",1,0\n'


def test_samples_become_rows(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    found = read_counts(path)
    assert found["x"].tolist() == [[0, 5, 1], [3, 7, 0]]
    assert (found["columns"], found["rows"]) == (("gene 1", "gene 2", "gene 3"), ("a", "b"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"a","b"\n"g",1.5,2\n', r"counts\.csv:2: not a whole number"),
        ('"a","b"\n"g",1,2\n"h",1\n', r"counts\.csv:3: a line of the wrong width: found 1 counts: expected 2"),
        ('"a","b"\n', "no counts"),
        ("", "no counts"),
    ],
)
def test_a_damaged_matrix_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(text)
    with pytest.raises(DataFormat, match=words.replace(": expected", ", expected")) as caught:
        read_counts(path)
    assert str(path) in str(caught.value)


def test_an_annotation_is_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('"depth","line"\n"a",3,"x"\n"b",4,"y"\n')
    assert read_annotation(path, "line") == {"a": "x", "b": "y"}
    with pytest.raises(UnknownName, match=r"unknown column 'lines'.*'line'"):
        read_annotation(path, "lines")


def test_the_matrix_of_single_cells(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWERBOUND_DATA", str(data_folder))
    data = lb.load("sc-mixology")
    assert data.x.shape == (297, 15564) and data.label_names == ("A549", "H1975", "H2228", "H838", "HCC827")
    assert data.labels is not None and np.bincount(data.labels).tolist() == [103, 50, 50, 51, 43]
    assert 0.6 < (data.x == 0).mean() < 0.62
    assert data.columns[0] == "ENSG00000154529" and data.x[2, 0] == 1


def test_what_varies_beyond_the_total_is_kept() -> None:
    rng = np.random.default_rng(0)
    depth = rng.integers(1, 20, (50, 1))
    x = np.concatenate([depth * 10, depth * 10, depth * 10 * rng.integers(0, 2, (50, 2))], axis=1)
    data = Data(x, columns=("a", "b", "c", "d"), labels=np.arange(50))
    kept = most_variable(data, 2)
    assert kept.columns == ("c", "d") and kept.labels is data.labels
    assert most_variable(data, 4).x.tolist() == x.tolist()
    assert most_variable(data, 2, of=data.take([0, 1])).x.shape == (50, 2)
    for count in (0, 5):
        with pytest.raises(BadOption, match="columns cannot be used"):
            most_variable(data, count)
    with pytest.raises(DataRange, match="no counts"):
        most_variable(Data(np.array([[0.5, 1.0]])), 1)


@pytest.mark.parametrize(
    ("support", "values", "place"),
    [
        ("count", [[0.0, 1.0], [2.0, -1.0]], "row 1, column 1"),
        ("count", [[0.0, 1.5], [2.0, 1.0]], "row 0, column 1"),
        ("codes:3", [[0.0, 1.0], [3.0, 1.0]], "row 1, column 0"),
        ("byte", [[0.0, 0.5 / 255], [1.0, 1.0]], "row 0, column 1"),
        ("byte", [[0.0, 1.0], [255.0, 1.0]], "row 1, column 0"),
    ],
)
def test_a_value_outside_is_named(support: str, values: list[list[float]], place: str) -> None:
    with pytest.raises(DataRange, match=rf"{place}.*gives this value no probability"):
        check_values(Data(np.array(values)), "family", support)
    inside = {"count": [[0.0, 7.0]], "codes:3": [[0.0, 2.0]], "byte": [[0.0, 128 / 255]]}[support]
    check_values(Data(np.array(inside, np.float32)), "family", support)
    check_values(Data(np.array([[0, 255]], np.uint8), unit=1 / 255), "family", "byte")


@pytest.mark.parametrize("support", ["bytes", "byte:3", ""])
def test_an_unknown_support_is_refused(support: str) -> None:
    with pytest.raises(UnknownName, match="unknown support"):
        check_values(Data(np.zeros((1, 1))), "family", support)


def test_a_range_of_grey_levels_is_advised() -> None:
    with pytest.raises(DataRange, match=r"looks like 0\.\.255; divide by 255"):
        check_values(Data(np.array([[0.0, 255.0]])), "discretised_logistic", "byte")


@pytest.mark.parametrize(
    ("x", "likelihood", "scaling"),
    [
        ([[0, 3], [5, 0]], "negative_binomial", "log"),
        ([[0.0, 3.0], [5.0, 0.0]], "negative_binomial", "log"),
        ([[4, 3], [5, 7]], "gaussian", "columns"),  # whole, but measured rather than counted: no zeros
        ([[0, -3], [5, 0]], "gaussian", "columns"),
        ([[0.0, 3.5], [5.0, 0.0]], "gaussian", "columns"),
        ([[0, 1], [1, 0]], "bernoulli", "none"),
    ],
)
def test_counts_are_told_from_other_numbers(x: list[list[float]], likelihood: str, scaling: str) -> None:
    found = resolve(Config(), Data(np.array(x)))
    assert (found.model.likelihood["name"], found.data.scaling) == (likelihood, scaling)
