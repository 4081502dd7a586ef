"""Values are judged at the door, and the message says which, where, how many and what would fit."""

from typing import Any

import numpy as np
import pytest

from lowerbound.data import SUPPORTS, Data, check_values, describe, fitting, load
from lowerbound.errors import DataMissing, DataRange, UnknownName

FAMILIES = {
    "bernoulli": "binary",
    "beta": "open-unit",
    "continuous_bernoulli": "unit",
    "gaussian": "real",
    "lognormal": "positive",
    "discretised_logistic": "byte",
    "poisson": "count",
    "categorical": "codes",
}
#           value: the supports that hold it
BELONGS = {
    0.0: {"binary", "unit", "real", "count", "codes", "byte"},
    0.5: {"unit", "open-unit", "real", "positive"},
    1.0: {"binary", "unit", "real", "positive", "count", "codes", "byte"},
    1.5: {"real", "positive"},
    255.0: {"real", "positive", "count", "codes"},
    256.0: {"real", "positive", "count", "codes"},
    -1.0: {"real"},
}


def raised(data: Data, likelihood: str, **options: Any) -> str:
    with pytest.raises(DataRange) as error:
        check_values(data, likelihood, FAMILIES[likelihood], supports=FAMILIES, **options)
    return str(error.value)


@pytest.mark.parametrize("support", sorted(SUPPORTS))
@pytest.mark.parametrize("value", sorted(BELONGS))
def test_what_a_support_holds(value: float, support: str) -> None:
    likelihood = next(name for name, of in FAMILIES.items() if of == support)
    data = Data(np.array([[value]]))
    assert (likelihood in fitting(data, FAMILIES)) == (support in BELONGS[value])
    if support in BELONGS[value]:
        check_values(data, likelihood, support)
    else:
        raised(data, likelihood)


def test_the_message_for_a_table() -> None:
    data = Data(np.array([[0.0, 1.0], [1.0, -3.0], [0.5, 1.0]]), name="rain.csv", columns=("wet", "depth"))
    assert raised(data, "poisson") == (
        "rain.csv, row 1, column 'depth': poisson gives this value no probability: "
        "found -3 (2 such values; smallest -3, largest 1), expected whole numbers from 0. "
        "Likelihoods that fit: gaussian."
    )


def test_the_message_for_a_picture() -> None:
    x = np.zeros((3, 1, 4, 5), np.uint8)
    x[2, 0, 3, 1] = 51
    data = load(x)
    text = raised(data, "bernoulli")
    assert "row 2, channel 0, pixel (3, 1)" in text
    assert "found 0.2 (1 such values; smallest 0, largest 0.2)" in text
    assert "binarize = 'sample'" in text


@pytest.mark.parametrize("how", ["sample", "fixed", "threshold", "grey"])
def test_binarising_makes_grey_fit(how: str) -> None:
    data = load(np.full((2, 4, 4), 51, np.uint8))
    check_values(data, "bernoulli", "binary", binarize=how)
    raised(data, "bernoulli", binarize="none")
    raised(Data(np.array([[2.0]])), "bernoulli", binarize=how)


def test_values_to_255_are_recognised() -> None:
    assert "looks like 0..255; divide by 255" in raised(Data(np.array([[0.0, 254.0]])), "continuous_bernoulli")
    assert "looks like" not in raised(Data(np.array([[-1.0, 254.0]])), "continuous_bernoulli")


def test_bytes_are_judged_as_stored() -> None:
    assert "discretised_logistic" in fitting(load(np.full((2, 4, 4), 51, np.uint8)), FAMILIES)
    assert "poisson" not in fitting(load(np.full((2, 4, 4), 51, np.uint8)), FAMILIES)


@pytest.mark.parametrize(("value", "error"), [(np.nan, DataMissing), (np.inf, DataRange), (-np.inf, DataRange)])
def test_non_finite_values_are_refused_unless_masked(value: float, error: type[Exception]) -> None:
    x = np.array([[1.0, 2.0], [3.0, value]])
    with pytest.raises(error, match="row 1, column 1"):
        check_values(Data(x), "gaussian", "real")
    check_values(Data(x, mask=np.isfinite(x)), "gaussian", "real")


def test_masked_cells_are_not_judged() -> None:
    data = Data(np.array([[1.0, -5.0]]), mask=np.array([[True, False]]))
    check_values(data, "lognormal", "positive")
    assert "lognormal" in fitting(data, FAMILIES)
    masked = load(np.array([[2.5, np.nan], [7.0, 3.0]]), missing="nan")
    assert "(1 such values; smallest 2.5, largest 7)" in raised(masked, "poisson")


def test_rows_are_counted_over_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowerbound.data.source.CHUNK", 4)
    x = np.ones((50, 2))
    x[[31, 40], 1] = -1
    assert "row 31, column 1" in (text := raised(Data(x), "poisson"))
    assert "2 such values" in text


def test_an_unknown_support() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'unit'"):
        check_values(Data(np.zeros((1, 1))), "mine", "unti")


def test_describe() -> None:
    x = np.array([[0.0, 2.0], [4.0, np.nan], [0.0, 3.0]])
    data = load(x, missing="nan", labels=["b", "a", "b"]).with_split(1, 1, how="time")
    said = describe(data, FAMILIES)
    expected = {
        "rows": 3,
        "shape": [2],
        "stored": "float64",
        "min": 0.0,
        "max": 4.0,
        "mean": 9 / 5,
        "zeros": 2 / 5,
        "labels": {"a": 1, "b": 2},
        "factors": {},
        "split": {"how": "time", "train": 1, "validation": 1, "test": 1},
        "fingerprint": data.fingerprint,
        "fitting": ["categorical", "gaussian", "poisson"],
    }
    assert {name: said[name] for name in expected} == expected
    assert said["missing"] == pytest.approx(1 / 6)
