"""The estimators of scikit-learn: what they compute, and how they fit in with the rest of it."""

import copy
import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lowerbound as lb
from lowerbound.data import Data
from lowerbound.errors import BadOption, DataError, Incompatible, RunError
from lowerbound.estimators import VAEImputer, VAEOutlierDetector, VariationalAutoencoder, callbacks

FEW: dict[str, Any] = {"latent": 2, "max_iter": 3, "random_state": 0}
KINDS = [VariationalAutoencoder, VAEImputer, VAEOutlierDetector]


@pytest.fixture(scope="module")
def x() -> Any:
    generator = np.random.default_rng(0)
    z = generator.normal(size=(200, 2))
    return z @ generator.normal(size=(2, 5)) + 0.3 * generator.normal(size=(200, 5)) + [0, 10, 0, -5, 0]


def test_a_closed_form_model_scores_as_scikit_learns_pca(x: Any) -> None:
    """The posterior of probabilistic PCA is exact, so that one draw gives log p(x) itself."""
    vae = VariationalAutoencoder(2, recipe="pca", samples=1, max_iter=0, validation_fraction=0).fit(x)
    pca = PCA(2).fit(x)
    pca.explained_variance_ *= 199 / 200  # maximum likelihood divides by N
    pca.noise_variance_ *= 199 / 200
    np.testing.assert_allclose(vae.score_samples(x), pca.score_samples(x), rtol=1e-4)
    assert vae.score(x) == pytest.approx(vae.score_samples(x).mean(), abs=1e-12)


def test_cells_are_filled_in_by_the_conditional_mean(x: Any) -> None:
    """Of a Gaussian model with known moments, by the regression of the missing cells on the observed ones."""
    vae = VariationalAutoencoder(2, recipe="pca", max_iter=0, validation_fraction=0, random_state=0).fit(x)
    pca = PCA(2).fit(x)
    holed = x[:20].copy()
    holed[:, 1] = np.nan
    cov, rest = pca.get_covariance(), [0, 2, 3, 4]
    slope = np.linalg.solve(cov[np.ix_(rest, rest)], cov[rest, 1])
    wanted = pca.mean_[1] + (holed[:, rest] - pca.mean_[rest]) @ slope
    filled = vae.impute(holed)
    np.testing.assert_allclose(filled[:, 1], wanted, atol=0.15)
    assert np.array_equal(filled[:, rest], holed[:, rest])


def test_codes_samples_and_back(x: Any) -> None:
    vae = VariationalAutoencoder(**FEW).fit(x)
    z = vae.transform(x)
    assert z.shape == (200, 2) and z.dtype == np.float64
    assert vae.inverse_transform(z).shape == vae.sample(200).shape == x.shape
    assert np.array_equal(vae.sample(5), vae.sample(5)) and vae.n_iter_ == 3
    assert list(vae.get_feature_names_out()) == ["variationalautoencoder0", "variationalautoencoder1"]
    np.testing.assert_allclose(vae.transform(x[:7]), z[:7], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_hold_the_same_model(kind: Any, x: Any) -> None:
    told = {VariationalAutoencoder: "score_samples", VAEImputer: "transform", VAEOutlierDetector: "score_samples"}[kind]
    fitted = kind(**FEW).fit(np.where(np.arange(5) == np.arange(200)[:, None] % 40, np.nan, x))
    rows = np.where(np.arange(5) == 2, np.nan, x[:3])
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert np.array_equal(getattr(other, told)(rows), getattr(fitted, told)(rows))


def test_a_pickle_holds_no_code_of_the_model_and_is_checked(x: Any) -> None:
    vae = VariationalAutoencoder(**FEW).fit(x)
    assert b"torch" not in pickle.dumps({k: v for k, v in vae.__getstate__().items() if k != "run_"})
    files = vae.__getstate__()["run_"]
    assert all(isinstance(value, bytes) for value in files.values())
    spoilt = {"model.safetensors": files["model.safetensors"][:-1] + b"?"}
    newer = {"model.json": files["model.json"].replace(b'"format": 1', b'"format": 99')}
    for changed, says in ((spoilt, "damaged"), (newer, "newer")):
        with pytest.raises(RunError, match=says):
            VariationalAutoencoder().__setstate__({**vae.__getstate__(), "run_": {**files, **changed}})


def test_pipelines_searches_and_column_transformers(x: Any) -> None:
    y = (x[:, 0] > 0).astype(int)
    chain = make_pipeline(StandardScaler(), VAEImputer(**FEW), VariationalAutoencoder(**FEW), LogisticRegression())
    holed = np.where(np.random.default_rng(1).random(x.shape) < 0.01, np.nan, x)
    assert chain.fit(holed, y).score(holed, y) > 0.5
    search = GridSearchCV(VariationalAutoencoder(samples=4, max_iter=1, random_state=0), {"latent": [1, 2]}, cv=2).fit(
        x
    )
    assert search.best_params_["latent"] in (1, 2) and np.isfinite(search.best_score_)
    both = ColumnTransformer([("code", VariationalAutoencoder(**FEW), [0, 1, 2]), ("rest", "passthrough", [3, 4])])
    assert both.fit_transform(x).shape == (200, 4)


def test_metadata_is_routed_past_them(x: Any) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        final = LogisticRegression().set_fit_request(sample_weight=True)
        chain = make_pipeline(VariationalAutoencoder(**FEW), final)
        chain.fit(x, x[:, 0] > 0, sample_weight=np.ones(len(x)))
    with pytest.raises(TypeError, match="sample_weight"):
        VariationalAutoencoder(**FEW).fit(x, sample_weight=np.ones(len(x)))


def test_warm_start_goes_on(x: Any) -> None:
    cold = VariationalAutoencoder(**FEW, samples=10, validation_fraction=0).fit(x)
    warm = clone(cold).set_params(warm_start=True).fit(x)
    first = warm.score(x)
    assert first == cold.score(x)
    assert warm.fit(x).score(x) != first
    assert cold.fit(x).score(x) == first  # without it, training begins anew
    with pytest.raises(Incompatible, match="latent"):
        warm.set_params(latent=3).fit(x)


def test_partial_fit_learns_from_batches_with_holes_and_without(x: Any) -> None:
    vae = VariationalAutoencoder(latent=2, samples=20, random_state=0)
    scores = []
    for turn in range(12):
        batch = x[turn % 2 :: 2].copy()
        if turn % 3 == 1:
            batch[::4, turn % 5] = np.nan
        scores.append(vae.partial_fit(batch).score(x))
    assert vae.n_iter_ == 12 and scores[-1] > scores[0]


def test_partial_fit_goes_on_with_the_optimiser(x: Any) -> None:
    """Two calls are two epochs of one training, to rounding: without noise, in batches of all rows."""
    options: dict[str, Any] = {"latent": 2, "recipe": "ae", "batch_size": 200, "validation_fraction": 0}
    turns = VariationalAutoencoder(**options, max_iter=3, random_state=0)
    for _ in range(3):
        turns.partial_fit(x)
    once = VariationalAutoencoder(**options, max_iter=1, random_state=0).partial_fit(x)
    plain = _steps(x, once.run_, 2, go_on=True)
    for name, weight in plain.items():
        torch.testing.assert_close(turns.run_.model.float().state_dict()[name], weight, atol=1e-5, rtol=1e-4, msg=name)
    anew = _steps(x, once.run_, 2, go_on=False)
    assert any(not torch.allclose(anew[name], weight, atol=1e-4) for name, weight in plain.items())
    counts = [float(value) for name, value in turns.run_.memory.items() if name.endswith("count")]
    assert counts == [3.0]
    again = pickle.loads(pickle.dumps(turns)).partial_fit(x)
    assert [float(v) for name, v in again.run_.memory.items() if name.endswith("count")] == [1.0]
    with pytest.raises(BadOption, match="no optimiser to go on with"):
        lb.fit(x, epochs=1, go_on=True, progress=False)


def _steps(x: Any, run: Any, epochs: int, *, go_on: bool) -> dict[str, torch.Tensor]:
    """Weights after further steps, one by one, each by a training of its own."""
    data = Data(x, mask=np.ones(x.shape, bool))
    for _ in range(epochs):
        run = lb.fit(data, config=run.config, init=run, go_on=go_on, progress=False)
    found: dict[str, torch.Tensor] = run.model.float().state_dict()
    return found


def test_callbacks_of_scikit_learn(x: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Each epoch is a task; one that asks to stop does; searches hand their callbacks down."""
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has no callbacks")
    seen: list[str] = []

    class Recorder:
        max_propagation_depth = None

        def __init__(self, last: int = 99) -> None:
            self.last = last

        def setup(self, estimator: Any, context: Any) -> None:
            seen.append("setup")

        def teardown(self, estimator: Any, context: Any) -> None:
            seen.append("teardown")

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            seen.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
            seen.append(f"end {context.task_name}")
            return seen.count("end epoch") >= self.last

    epoch = ["begin epoch", "end epoch"]
    for kind in KINDS:
        seen.clear()
        kind(**FEW).set_callbacks(Recorder()).fit(x)
        assert seen == ["setup", "begin fit", *epoch * 3, "end fit", "teardown"]
    seen.clear()
    vae = VariationalAutoencoder(**FEW).set_callbacks(Recorder(last=2)).fit(x)
    assert vae.n_iter_ == 2 == seen.count("end epoch") and seen[-1] == "teardown"
    assert vae.run_.summary["stopped"] == "ended by progress"
    seen.clear()
    search = GridSearchCV(VariationalAutoencoder(samples=2, max_iter=1, random_state=0), {"latent": [1]}, cv=2)
    search.set_callbacks(Recorder()).fit(x)
    assert seen.count("begin epoch") == 3 and seen.count("teardown") == 1
    VariationalAutoencoder(**FEW).set_callbacks(callback.ProgressBar()).fit(x)
    assert "VariationalAutoencoder" in capfd.readouterr().out
    with pytest.raises(DataError):
        VariationalAutoencoder(**FEW).set_callbacks(Recorder()).fit(np.full((9, 2), np.nan))
    assert seen[-1] == "teardown"


def test_without_callbacks_in_scikit_learn_nothing_is_missed(x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    monkeypatch.delattr(sklearn, "callback", raising=False)
    path = Path(str(callbacks.__file__))
    spec = importlib.util.spec_from_file_location("callbacks_of_an_older_version", path)
    assert spec is not None and spec.loader is not None
    older = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(older)
    assert older.with_callbacks(len) is len and not hasattr(older.CallbackSupportMixin, "set_callbacks")
    with older.watched(VariationalAutoencoder(), 3) as tell:
        assert tell is None


def test_training_stops_early_on_rows_held_out(x: Any) -> None:
    vae = VariationalAutoencoder(1, max_iter=60, n_iter_no_change=1, settings={"train.rate": 0.05}, random_state=0).fit(
        x
    )
    assert vae.n_iter_ < 60 and vae.run_.facts["split"]["validation"] == 20
    assert VariationalAutoencoder(1, max_iter=1).fit(x[:60]).run_.facts["split"]["validation"] == 0


def test_nothing_given_as_seed_leaves_the_global_generator_alone(x: Any) -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    one, other = (VariationalAutoencoder(2, max_iter=1).fit(x) for _ in range(2))
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]
    assert not np.array_equal(one.transform(x), other.transform(x))


def test_verbose_shows_a_bar(x: Any, capsys: pytest.CaptureFixture[str]) -> None:
    VariationalAutoencoder(**FEW).fit(x)
    assert capsys.readouterr().err == ""
    VariationalAutoencoder(**FEW, verbose=1).fit(x)
    assert "loss: gaussian" in capsys.readouterr().err


def test_an_imputer_keeps_what_is_seen_and_names_its_columns(x: Any) -> None:
    holed = x.copy()
    holed[:30:3, 1], holed[:, 2], holed[1, 4] = np.nan, np.nan, np.nan
    options: dict[str, Any] = {**FEW, "add_indicator": True}
    imputer = VAEImputer(**options, min_value=-1, max_value=1).fit(holed)
    made = imputer.transform(holed)
    assert list(imputer.get_feature_names_out()) == [
        "x0", "x1", "x3", "x4", "missingindicator_x1", "missingindicator_x2", "missingindicator_x4"
    ]  # fmt: skip
    assert made.shape == (200, 7)
    kept, seen = holed[:, [0, 1, 3, 4]], ~np.isnan(holed[:, [0, 1, 3, 4]])
    assert np.array_equal(made[:, :4][seen], kept[seen]) and (np.abs(made[:, :4][~seen]) <= 1).all()
    assert np.array_equal(made[:, 5], np.ones(200))
    whole = VAEImputer(**FEW, keep_empty_features=True).fit_transform(holed)
    assert whole.shape == x.shape and not whole[:, 2].any()


def test_an_imputer_takes_another_mark_and_draws(x: Any) -> None:
    marked = x.copy()
    marked[:40, 0] = -99
    filled = VAEImputer(**FEW, missing_values=-99).fit(marked).transform(marked[:50])
    assert not (filled == -99).any() and np.array_equal(filled[40:], x[40:50])
    drawn = VAEImputer(**FEW, missing_values=-99, sample_posterior=True).fit(marked).transform(marked[:40])
    assert drawn[:, 0].std() > 1.2 * filled[:40, 0].std()


def test_an_imputer_is_better_than_the_mean(x: Any) -> None:
    hidden = np.random.default_rng(2).random(x.shape) < 0.2
    holed = np.where(hidden, np.nan, x)
    imputer = VAEImputer(latent=2, max_iter=150, settings={"train.rate": 5e-3}, random_state=0).fit(holed)
    error = (imputer.transform(holed[:60]) - x[:60])[hidden[:60]]
    assert (error**2).mean() < 0.5 * ((np.nanmean(holed, axis=0) - x[:60])[hidden[:60]] ** 2).mean()


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_an_outlier_detector_marks_the_share_it_is_told(share: float, x: Any) -> None:
    found = VAEOutlierDetector(share, **FEW, samples=10).fit(x)
    assert (found.predict(x) == -1).sum() == round(share * len(x))
    np.testing.assert_allclose(found.decision_function(x), found.score_samples(x) - found.offset_)


def test_auto_takes_the_threshold_from_rows_held_out(x: Any) -> None:
    found = VAEOutlierDetector(**FEW, samples=10).fit(x)
    held = found.score_samples(x[found.run_.data.split.validation])
    assert len(held) == 20 and found.offset_ == pytest.approx(np.quantile(held, 0.05), rel=1e-6)


def test_columns_explain_a_strange_row(x: Any) -> None:
    found = VAEOutlierDetector(latent=2, max_iter=60, settings={"train.rate": 5e-3}, random_state=0).fit(x)
    strange = x[:1].copy()
    strange[0, 3] += 30
    nats = found.explain(strange)
    assert nats.shape == (1, 5) and nats[0].argmax() == 3 and found.predict(strange).tolist() == [-1]
