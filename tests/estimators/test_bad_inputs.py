"""Bad inputs of an estimator: refused with what and where, or taken without a difference.

Each kind of bad input is a test, of estimators here, of tables and files elsewhere:

- NaN, infinity: `test_rows_that_cannot_be_used`, `test_a_column_without_a_value_is_named`; data/test_check,
  test_source.
- values outside a likelihood's support, 0..255 for 0..1: `test_values_without_a_probability`; data/test_check,
  test_kinds, test_counts.
- constant, all-missing, duplicate and id-like columns: `test_few_rows_and_columns`, `test_columns_that_say_little`;
  data/test_kinds, test_tables.
- one row, fewer rows than a batch, zero rows or columns, more codes than columns: `test_few_rows_and_columns`,
  `test_rows_that_cannot_be_used`; training/test_loop.
- types: `test_layouts_and_types_make_no_difference`, `test_types_that_lose_nothing_or_are_refused`,
  `test_rows_that_cannot_be_used`;
  data/test_door, test_source.
- unseen and reordered categories, one called nan: `test_categories_of_other_rows`; training/test_tables_fit,
  test_frames.
- other or reordered columns: `test_other_columns_than_in_training`, `test_another_number_of_columns`.
- axes, channels, sizes and modes of images: `test_rows_that_cannot_be_used`; data/test_pictures, test_formats.
- strides, order, read-only and broadcast memory: `test_layouts_and_types_make_no_difference`.
- sparse rows: `test_sparse_rows_are_refused_by_name_or_as_good_as_dense`,
  `test_sparse_rows_are_never_unpacked_all_at_once`.
- frames of other libraries, tensors, lists, iterators: test_frames, `test_layouts_and_types_make_no_difference`,
  `test_tensors_that_carry_a_gradient_and_frames_with_two_heads`; data/test_iterables, test_door.
- rows without end, too large for memory: data/test_iterables and what reads rows where they are.
- labels of another length, none, not seen: estimators/test_classifier.
- weights of rows: `test_row_weights_are_no_argument`; labels and tasks have their own.
- codes of another size, NaN, far; numbers of samples: `test_codes_and_numbers_of_samples`; tasks/test_latent_space.
- order of calls, clone, old pickles: `test_before_fit`, `test_fit_twice_and_parameters_changed_after`; test_estimators.
- files: data/test_formats, test_tables, test_known, cli/test_mistakes; folders: data/test_pictures.
- configuration: config/test_config, test_changes; command line: cli/test_mistakes, test_verbs; devices:
  cli/test_mistakes, training/test_loop.
"""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lowerbound import batches
from lowerbound.data.sparse import Sparse
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


LAID_OUT = (sparse.csr_matrix, sparse.csc_array, sparse.coo_array)


@pytest.mark.parametrize("laid_out", LAID_OUT)
def test_sparse_rows_are_refused_by_name_or_as_good_as_dense(laid_out: Any) -> None:
    """An imputer has no use for them; log p(x), codes and outliers are those of the same rows unpacked."""
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        VAEImputer(**FEW).fit(laid_out(X))
    for rows in (np.where(np.abs(X) > 1, X, 0.0), COUNTS):
        for kind in (VariationalAutoencoder, VAEOutlierDetector):
            dense, packed = kind(**FEW, samples=3).fit(rows), kind(**FEW, samples=3).fit(laid_out(rows))
            assert np.array_equal(packed.score_samples(laid_out(rows)), dense.score_samples(rows))
    with pytest.raises(DataError, match="toarray"):
        VariationalAutoencoder(**FEW).fit(laid_out(put(np.nan)))


def test_sparse_rows_are_never_unpacked_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unpack, sizes = Sparse._unpacked, list[int]()

    def counted(matrix: Sparse) -> Any:
        sizes.append(matrix.size)
        return unpack(matrix)

    monkeypatch.setattr(Sparse, "_unpacked", counted)
    monkeypatch.setattr(batches, "FETCHED", 1 << 20)  # bytes of rows that say how the others are to be scaled
    rows = sparse.random_array((9000, 500), density=0.001, rng=np.random.default_rng(0), format="csr")
    net = {"encoder": "mlp:widths=[4]", "decoder": "mlp:widths=[4]"}
    options: dict[str, Any] = {**FEW, "samples": 1, "validation_fraction": 0, "batch_size": 1000, "settings": net}
    vae = VariationalAutoencoder(**options).fit(rows)
    assert vae.score_samples(rows).shape == (9000,) and vae.transform(rows).shape == (9000, 2)
    assert sizes and max(sizes) < rows.shape[0] * rows.shape[1] // 4


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


def test_types_that_lose_nothing_or_are_refused() -> None:
    """Nullable and single columns of pandas: by value; dates without a frame: by name of the type."""
    pandas = pytest.importorskip("pandas")
    whole = np.arange(30) % 7
    frame = pandas.DataFrame({"a": pandas.array(whole, "Int64"), "b": whole.astype(np.float32)})
    vae = VariationalAutoencoder(**FEW, samples=3)
    plain = np.column_stack([whole, whole]).astype(float)
    assert np.array_equal(vae.fit(frame).score_samples(frame), vae.fit(plain).score_samples(plain))
    days = plain.astype("M8[D]")
    with pytest.raises((TypeError, ValueError), match="datetime64"):
        vae.fit(days)


def test_columns_that_say_little(recwarn: pytest.WarningsRecorder) -> None:
    """Twice the same column, or one value: kept; all-missing: see above."""
    rows = np.column_stack([X[:, 0], X[:, 0], np.full(30, 7.0)])
    for kind in (VariationalAutoencoder, VAEOutlierDetector):
        fitted = kind(**FEW, samples=3).fit(rows)
        assert np.isfinite(fitted.score_samples(rows)).all()
        assert np.isfinite([line["train_kl"] for line in fitted.run_.history]).all()
    assert not recwarn.list


def test_categories_of_other_rows() -> None:
    """One not seen is refused by name, their order does not matter, and a text that says nothing is missing."""
    pandas = pytest.importorskip("pandas")
    cells = {"size": X[:, 0], "kind": (["x", "nan", "y"] * 10)}
    vae = VariationalAutoencoder(**FEW, samples=3).fit(pandas.DataFrame(cells))
    assert vae.run_.schema is not None and vae.run_.schema.columns[1].categories == ("x", "y")
    turned = pandas.DataFrame(cells).iloc[::-1].reset_index(drop=True)
    found = vae.score_samples(pandas.DataFrame(cells))
    np.testing.assert_allclose(vae.score_samples(turned)[::-1], found, atol=1e-9)
    other = pandas.DataFrame({**cells, "kind": pandas.Categorical(cells["kind"], ["y", "x", "nan"])})
    assert np.array_equal(vae.score_samples(other), found)
    with pytest.raises(DataError, match="'w'"):
        vae.score_samples(pandas.DataFrame({**cells, "kind": ["w"] * 30}))


def test_tensors_that_carry_a_gradient_and_frames_with_two_heads() -> None:
    pandas, vae = pytest.importorskip("pandas"), VariationalAutoencoder(**FEW, samples=3)
    with pytest.raises((RuntimeError, TypeError), match="grad"):
        vae.fit(torch.from_numpy(X).requires_grad_())
    heads = pandas.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")])
    assert np.isfinite(
        vae.fit(pandas.DataFrame(X, columns=heads)).score_samples(pandas.DataFrame(X, columns=heads))
    ).all()
    twice = pandas.DataFrame(np.column_stack([X[:, 0], X[:, 0]]), columns=["a", "a"])
    twice.insert(2, "kind", "x")
    with pytest.raises(DataError, match="same name"):
        vae.fit(twice)


@pytest.mark.parametrize("weights", [np.ones(30), -np.ones(30), np.full(30, np.nan)])
def test_row_weights_are_no_argument(weights: Any) -> None:
    for kind in KINDS:
        with pytest.raises(TypeError, match="sample_weight"):
            kind(**FEW).fit(X, sample_weight=weights)


def test_fit_twice_and_parameters_changed_after() -> None:
    """The second training knows nothing of the first; a changed parameter has its effect at the next one."""
    vae = VariationalAutoencoder(**FEW, samples=3).fit(X)
    first = vae.score_samples(X)
    assert np.array_equal(vae.fit(COUNTS).fit(X).score_samples(X), first)
    assert np.array_equal(vae.set_params(latent=1).score_samples(X), first) and vae.fit(X).transform(X).shape == (30, 1)
    copied = clone(vae)
    assert copied.get_params() == vae.get_params() and not hasattr(copied, "run_")


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
