"""Rows written to Parquet come back as they were."""

from pathlib import Path

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.outputs import write_array

pytest.importorskip("duckdb")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_numbers_come_back_with_names_and_holes(tmp_path: Path, dtype: str) -> None:
    rows = np.array([[1, 2], [3, 40], [500, 6]]).astype(dtype)
    if dtype != "int64":
        rows = rows / 3
        rows[1, 0] = np.nan
    read = lb.load(write_array(rows, tmp_path / "rows.parquet", columns=("a,b", 'c"d')), missing="nan")
    assert read.columns == ("a,b", 'c"d')
    mask = np.ones(rows.shape, bool) if read.mask is None else read.mask
    assert np.array_equal(mask, ~np.isnan(rows)) and np.array_equal(read.values(dtype=np.float64)[mask], rows[mask])


def test_categories_stay_text(tmp_path: Path) -> None:
    table = tmp_path / "shops.csv"
    table.write_text("town,size\n" + "".join(f"{'Ulm' if i % 2 else 'Bonn West'},{i / 7:.3f}\n" for i in range(40)))
    run = lb.fit(table, latent=1, epochs=1, progress=False)
    made = run.rows(part="train")
    path = write_array(made.x, tmp_path / "made.parquet", columns=made.columns, schema=made.schema)
    assert [column.kind for column in lb.load(path).schema or ()] == [column.kind for column in made.schema or ()]
    assert {"Ulm", "Bonn West"} in [set(column.categories) for column in lb.load(path).schema or ()]
