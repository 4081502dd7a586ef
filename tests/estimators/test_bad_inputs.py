"""Bad inputs of an estimator: refused with what and where, or taken without a difference."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError

from lowerbound.errors import DataError, LowerboundError
from lowerbound.estimators import VAEImputer, VAEOutlierDetector, VariationalAutoencoder

FEW: dict[str, Any] = {"latent": 2, "max_iter": 1, "random_state": 0}
KINDS = [VariationalAutoencoder, VAEImputer, VAEOutlierDetector]
X = np.random.default_rng(0).normal(size=(30, 3))
COUNTS = np.random.default_rng(0).poisson(2.0, size=(30, 3)).astype(float)


def put(value: Any, row: int = 1, column: int = 2, base: Any = X) -> Any:
    made = base.copy()
    made[row, column] = value
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (put(np.inf), "row 1, column '2'"), (put(-np.inf, 3, 0), "row 3, column '0'"),
        (X + 1j, "[Cc]omplex"), (X[:, 0], "1D array"), (np.zeros((2, 3, 4)), "dim 3"), (X[:0], "0 sample"),
        (X[:, :0], "0 feature"), ([["a", "b"]] * 4, "could not convert"), ([[1.0, 2.0], [3.0]], "inhomogeneous"),
        (np.full((3, 2), np.nan), "observed"), (X > 1e400, None), (iter(X), "iterator|float|0D"),
    ],
    ids=["inf", "-inf", "complex", "1-D", "3-D", "no row", "no column", "text", "ragged", "all missing", "bool",
         "iterator"],
)  # fmt: skip
def test_rows_that_cannot_be_used(kind: Any, rows: Any, says: str | None) -> None:
    if says is None:
        kind(**FEW).fit(rows)
        return
    with pytest.raises((ValueError, TypeError), match=says):
        kind(**FEW).fit(rows)


@pytest.mark.parametrize("kind", [VariationalAutoencoder, VAEOutlierDetector])
def test_a_column_without_a_value_is_named(kind: Any) -> None:
    with pytest.raises(DataError, match="column 1"):
        kind(**FEW).fit(np.where(np.arange(3) == 1, np.nan, X))


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_rows_are_refused_by_name(kind: Any) -> None:
    for made in (sparse.csr_matrix(X), sparse.csc_array(X), sparse.coo_array(X)):
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            kind(**FEW).fit(made)


@pytest.mark.parametrize(
    ("likelihood", "rows", "says"),
    [
        ("bernoulli", np.abs(X) * 200, "column"), ("poisson", put(-1.0, base=COUNTS), "column"),
        ("negative_binomial", put(1.5, base=COUNTS), "column"), ("no_such", X, "no_such"),
    ],
)  # fmt: skip
def test_values_without_a_probability(likelihood: str, rows: Any, says: str) -> None:
    with pytest.raises(LowerboundError, match=says):
        VariationalAutoencoder(**FEW, likelihood=likelihood).fit(rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "option",
    [
        {"latent": 0}, {"latent": 1.5}, {"max_iter": -1}, {"batch_size": 0}, {"validation_fraction": 1.0},
        {"validation_fraction": float("nan")}, {"n_iter_no_change": -1}, {"recipe": "no_such"},
        {"settings": {"train.no_such": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range(kind: Any, option: dict[str, Any]) -> None:
    with pytest.raises(LowerboundError, match=r"found|expected|unknown"):
        kind(**{**FEW, **option}).fit(X)


@pytest.mark.parametrize("share", [0, 0.6, float("nan"), "some"])
def test_no_share_of_outliers(share: Any) -> None:
    with pytest.raises(ValueError, match="contamination"):
        VAEOutlierDetector(share, **FEW).fit(X)


def test_bounds_of_an_imputer() -> None:
    with pytest.raises(ValueError, match="min_value"):
        VAEImputer(**FEW, min_value=2, max_value=1).fit(X)
    with pytest.raises(ValueError, match="NaN"):
        VAEImputer(**FEW, missing_values=-1).fit(put(np.nan))


@pytest.mark.parametrize("verb", ["transform", "inverse_transform", "score_samples", "score", "impute", "sample"])
def test_before_fit(verb: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(VariationalAutoencoder(), verb)(X if verb != "sample" else 3)


def test_codes_and_numbers_of_samples() -> None:
    vae = VariationalAutoencoder(**FEW).fit(X)
    for codes in (np.zeros((2, 3)), [[np.nan, 0.0]], np.zeros(2)):
        with pytest.raises(DataError):
            vae.inverse_transform(codes)
    assert np.isfinite(vae.inverse_transform([[1e30, -1e30]])).all()
    for rows in (0, -1):
        with pytest.raises(LowerboundError, match="rows"):
            vae.sample(rows)
    with pytest.raises(ValueError, match="samples"):
        VariationalAutoencoder(**FEW, samples=0).fit(X).score(X)


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_and_columns(kind: Any) -> None:
    """One row, one column, a constant column, more codes than columns: scores stay finite."""
    for rows in (X[:1], X[:, :1], np.where(np.arange(3) == 0, 7.0, X), np.repeat(X[:1], 9, axis=0)):
        fitted = kind(latent=5, max_iter=1, random_state=0).fit(rows)
        assert np.isfinite(fitted.transform(rows) if kind is VAEImputer else fitted.score_samples(rows)).all()


LAYOUTS = {
    "float16": X.astype(np.float16), "big-endian": X.astype(">f8"), "Fortran": np.asfortranarray(X),
    "negative strides": np.ascontiguousarray(X[::-1])[::-1], "not contiguous": np.repeat(X, 2, axis=1)[:, ::2],
    "object": X.astype(object), "list": X.tolist(), "tensor": torch.from_numpy(X),
    "decimal": [[Decimal(repr(v)) for v in row] for row in X.tolist()], "integers": (X * 10).astype(np.int64),
    "zero strides": np.broadcast_to(X[:1], X.shape),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_and_types_make_no_difference(name: str) -> None:
    rows = LAYOUTS[name]
    plain = np.array(np.asarray(rows), dtype=np.float64, order="C")
    before = plain.copy()
    if isinstance(rows, np.ndarray) and rows.flags.writeable:
        rows.flags.writeable = False
    vae = VariationalAutoencoder(**FEW, samples=3)
    found = vae.fit(rows).score_samples(rows)
    assert np.array_equal(found, vae.fit(plain).score_samples(plain)) and np.array_equal(plain, before)


def test_other_columns_than_in_training() -> None:
    frames = pytest.importorskip("pandas")
    frame = frames.DataFrame(X, columns=["a", "b", "c"])
    for kind in KINDS:
        fitted = kind(**FEW).fit(frame)
        use = fitted.transform if hasattr(fitted, "transform") else fitted.score_samples
        with pytest.raises(ValueError, match="same order"):
            use(frame[["b", "a", "c"]])
        with pytest.raises(ValueError, match="seen at fit time"):
            use(frame[["a", "b"]])


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_columns(kind: Any) -> None:
    fitted = kind(**FEW).fit(X)
    use = fitted.transform if hasattr(fitted, "transform") else fitted.score_samples
    with pytest.raises(ValueError, match="2 features"):
        use(X[:, :2])
