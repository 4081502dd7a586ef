"""Counts of single cells from sparse files: the cell lines come apart, and the files are read as the table is."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score

import lowerbound as lb
from lowerbound.data.counts import most_variable
from lowerbound.data.sparse import Sparse

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]
GENES, LATENT = 2000, 10
Record = Callable[[str, str, str], None]


@pytest.fixture
def cells(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> lb.Data:
    monkeypatch.setenv("LOWERBOUND_DATA", str(data_folder))
    return lb.load("sc-mixology")


def tenx(folder: Path, cells: lb.Data) -> Path:
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, scipy.sparse.coo_matrix(cells.x.T))
    for name, words in (("features", cells.columns), ("barcodes", range(cells.rows))):
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress("".join(f"{word}\n" for word in words).encode()))
    return folder


def apart(codes: np.ndarray[Any, Any], lines: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Silhouette of the cell lines, and the adjusted Rand index of five clusters."""
    found = KMeans(5, n_init=10, random_state=0).fit_predict(codes)
    return float(silhouette_score(codes, lines)), float(adjusted_rand_score(lines, found))


def test_the_cell_lines_come_apart(cells: lb.Data, tmp_path: Path, record: Record) -> None:
    read = lb.load(tenx(tmp_path / "cells", cells))
    assert (
        isinstance(read.x, Sparse)
        and read.fingerprint == replace(cells, labels=None, label_names=(), name=read.name).fingerprint
    )
    data = read.with_split(0.1, 0.2)
    assert data.split is not None and cells.labels is not None
    data = replace(most_variable(data, GENES, of=data.train), split=replace(data.split, how="given"))
    settings: Any = {"latent": LATENT, "epochs": 300, "batch": 32, "patience": 60, "encoder": "mlp:widths=[128]",
                     "decoder": "mlp:widths=[128]", "threads": 1, "progress": False}  # fmt: skip
    run = lb.fit(data, recipe="count-vae", **settings)
    scores = lb.score(run, samples=200)
    x = data.values(dtype=np.float64)
    total = x.sum(1, keepdims=True)
    logs = np.log1p(x * np.median(total) / total)
    found = {"count-vae": apart(lb.encode(run, data).astype(np.float64), cells.labels)}
    found["PCA of log counts"] = apart(PCA(LATENT, random_state=0).fit_transform(logs), cells.labels)
    said = "; ".join(f"{name}: silhouette {one:.3f}, Rand index {other:.3f}" for name, (one, other) in found.items())
    record(f"sc-mixology from a sparse file, {GENES} genes, latent {LATENT}: the five cell lines in the latent space",
           "apart", f"{said}; test log p {scores.mean:.1f} ± {scores.mean_se:.1f} nats a cell, "
           f"ESS {np.median(scores.ess):.0f} of 200")  # fmt: skip
    assert found["count-vae"][0] > 0.25 and found["count-vae"][1] > 0.9, said


def test_all_genes_train_as_the_table_does(cells: lb.Data, tmp_path: Path, record: Record) -> None:
    """Sparse file and dense table to the same weights, all 15,564 genes."""
    settings: Any = {"recipe": "count-vae", "latent": 2, "epochs": 2, "encoder": "linear", "decoder": "linear",
                     "precision": "fp64", "threads": 1, "progress": False}  # fmt: skip
    sparse, dense = (lb.fit(x, **settings) for x in (tenx(tmp_path / "cells", cells), cells.x))
    pairs = zip(sparse.model.parameters(), dense.model.parameters(), strict=True)
    most = max(float((one - other).detach().abs().max()) for one, other in pairs)
    record(
        "sc-mixology, 15,564 genes: weights from the sparse file and from the table, float64", "1e-12", f"{most:.1e}"
    )
    assert most <= 1e-12
