"""pandas and polars frames in and out."""

import pickle
from typing import Any

import numpy as np
import pytest

from lowerbound.errors import DataRange
from lowerbound.estimators import VAEImputer, VAEOutlierDetector, VariationalAutoencoder

FEW: dict[str, Any] = {"latent": 2, "max_iter": 2, "random_state": 0}
ROWS = 60


@pytest.fixture(params=["pandas", "polars"])
def frames(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


def columns() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    kinds = [["x", "y", "z"][i % 3] for i in range(ROWS)]
    return {"size": generator.normal(size=ROWS), "kind": kinds, "count": generator.poisson(3, ROWS)}


def test_numbers_keep_their_names(frames: Any) -> None:
    frame = frames.DataFrame({name: column for name, column in columns().items() if name != "kind"})
    vae = VariationalAutoencoder(**FEW).fit(frame)
    assert vae.feature_names_in_.tolist() == ["size", "count"]
    codes = vae.set_output(transform=frames.__name__).transform(frame)
    assert isinstance(codes, frames.DataFrame) and list(codes.columns) == list(vae.get_feature_names_out())
    filled = VAEImputer(**FEW).set_output(transform=frames.__name__).fit_transform(frame)
    assert isinstance(filled, frames.DataFrame) and list(filled.columns) == ["size", "count"]


def test_tables_come_back_as_tables(frames: Any) -> None:
    cells = columns()
    frame = frames.DataFrame(cells)
    holed = frames.DataFrame({**cells, "kind": [None, *cells["kind"][1:]]})
    vae = VariationalAutoencoder(**FEW, samples=5).fit(frame)
    assert vae.run_.config.model.likelihood["name"] == "columns"
    for made in (vae.sample(4), vae.impute(holed), vae.inverse_transform(vae.transform(frame))):
        assert isinstance(made, frames.DataFrame) and list(made.columns) == list(cells)
        assert set(made["kind"]) <= {"x", "y", "z"} and np.asarray(made["count"]).dtype.kind == "i"
    assert list(vae.impute(holed)["kind"])[1:] == cells["kind"][1:]
    again = pickle.loads(pickle.dumps(vae))
    assert np.array_equal(again.score_samples(holed), vae.score_samples(holed)) and isinstance(
        again.sample(), type(frame)
    )
    strange = frames.DataFrame({**cells, "kind": ["w"] * ROWS})
    with pytest.raises(DataRange, match="unseen category"):
        vae.transform(strange)
    with pytest.raises(ValueError, match="same order"):
        vae.transform(frame[["kind", "size", "count"]])


def test_columns_of_pandas_with_marks_and_names_of_its_own() -> None:
    pandas = pytest.importorskip("pandas")
    cells = columns()
    frame = pandas.DataFrame({0: pandas.array([1, None] * (ROWS // 2), dtype="Int64"), 1: cells["size"]})
    assert np.isfinite(VAEImputer(**FEW).fit_transform(frame)).all()
    frame[2] = pandas.array([pandas.NA, *cells["kind"][1:]], dtype="string")
    filled = VariationalAutoencoder(**FEW).fit(frame).impute(frame.head(4))
    assert filled["2"][0] in ("x", "y", "z") and list(filled["2"])[1:] == cells["kind"][1:4]


def test_strange_rows_of_a_table(frames: Any) -> None:
    found = VAEOutlierDetector(0.1, **FEW, samples=5).fit(frames.DataFrame(columns()))
    assert found.explain(frames.DataFrame(columns())).shape == (ROWS, 3)
