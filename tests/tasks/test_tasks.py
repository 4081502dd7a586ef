"""Scores, codes and samples: exact where they can be, and the same whatever the order and the batches."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import BadOption, DataMissing, DataShape, Incompatible
from lowerbound.measures import mutual_information
from lowerbound.tasks import score as scoring
from lowerbound.tasks.evaluate import evaluate


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=3, epochs=3, progress=False)


@pytest.fixture(scope="module")
def autoencoder() -> lb.Run:
    return lb.fit("digits", recipe="ae", latent=3, epochs=3, progress=False)


def test_scores_are_the_log_mean_of_the_weights(run: lb.Run) -> None:
    batch = next(run.resident(run.rows()).blocks(30))
    for samples in (1, 7, 300):  # 300 is no multiple of a block
        log_w = scoring.log_weights(run.model, batch, samples, seed=4)
        log_p, se, ess = scoring.log_likelihood(run.model, batch, samples, seed=4)
        w = (log_w - log_w.max(0).values).exp()
        np.testing.assert_allclose(log_p, log_w.logsumexp(0) - math.log(samples), rtol=1e-12)
        np.testing.assert_allclose(ess, w.sum(0) ** 2 / w.square().sum(0), rtol=1e-9)
        if samples > 1:
            np.testing.assert_allclose(se, w.std(0) / w.mean(0) / math.sqrt(samples), rtol=1e-6, atol=1e-12)


def test_fewer_samples_are_the_first_of_more(run: lb.Run) -> None:
    batch = next(run.resident(run.rows()).blocks(4))
    long = scoring.log_weights(run.model, batch, 600)
    torch.testing.assert_close(scoring.log_weights(run.model, batch, 5), long[:5], rtol=1e-6, atol=1e-5)


def test_neither_order_nor_choice_of_rows_matters(run: lb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run.rows()
    whole = lb.score(run, rows, samples=20).log_likelihood
    back = lb.score(run, rows.take(np.arange(rows.rows)[::-1]), samples=20).log_likelihood
    some = lb.score(run, rows.take([5, 2]), samples=20).log_likelihood
    np.testing.assert_allclose(back[::-1], whole, rtol=1e-5)
    np.testing.assert_allclose(some, whole[[5, 2]], rtol=1e-5)
    monkeypatch.setattr(scoring, "DECODED", 100)
    np.testing.assert_allclose(lb.score(run, rows, samples=20).log_likelihood, whole, rtol=1e-5)


def test_the_bound_stays_below(run: lb.Run) -> None:
    found = evaluate(run, samples=200).as_dict()
    assert found["elbo"]["mean"] < found["log_likelihood"]["mean"]
    assert sum(found["kl"]["per_dimension"]) == pytest.approx(found["kl"]["total"])
    assert 0 < found["mutual_information"] < math.log(180)


def test_evaluation_has_the_keys_of_the_contract(run: lb.Run, autoencoder: lb.Run) -> None:
    expected = {
        "unit", "quantity", "rows", "elbo", "cross_entropy_bound", "log_likelihood", "bits_per_dimension", "kl",
        "active_units", "mutual_information", "aggregated_posterior", "reconstruction", "columns", "loss", "baselines",
        "probes", "doctor", "verdict",
    }  # fmt: skip
    for some in (run, autoencoder):
        assert set(evaluate(some, samples=2).as_dict()) == expected
    found = evaluate(autoencoder).as_dict()
    assert found["elbo"] is None and found["log_likelihood"] is None and found["reconstruction"]["mse"] > 0


def test_an_autoencoder_has_no_score(autoencoder: lb.Run) -> None:
    with pytest.raises(Incompatible, match="'point' has no density"):
        lb.score(autoencoder)


def test_grey_levels_have_no_score() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 4), np.uint8)
    run = lb.fit(images, latent=2, epochs=1, binarize="grey", progress=False)
    with pytest.raises(Incompatible, match="not a log-likelihood"):
        lb.score(run)
    text = str(evaluate(run))
    assert "cross-entropy + KL (not a log-likelihood)" in text and "log p(x)" not in text


def test_baselines_are_exact(run: lb.Run) -> None:
    from sklearn.decomposition import PCA

    train, test = (run.rows(part=part).values().reshape(-1, 64).astype(float) for part in ("train", "test"))
    pca = PCA(3).fit(train)
    found = evaluate(run, samples=2).as_dict()["baselines"]
    assert found["ppca"]["log_likelihood"]["mean"] == pytest.approx(pca.score(test), abs=1e-3)  # N against N - 1
    rebuilt = pca.inverse_transform(pca.transform(test))
    assert found["ppca"]["mse"] == pytest.approx(((test - rebuilt) ** 2).mean())
    assert found["mean"]["mse"] == pytest.approx(((test - train.mean(0)) ** 2).mean())


def test_mutual_information_of_separate_and_equal_posteriors() -> None:
    draws = np.random.default_rng(0).normal(size=(500, 2))
    equal = mutual_information(np.zeros((500, 2)), np.ones((500, 2)), draws)
    assert equal == pytest.approx(0, abs=1e-9)
    far = np.arange(500.0)[:, None] * 100
    assert mutual_information(far, np.ones((500, 1)), far) == pytest.approx(math.log(500))


def test_codes_there_and_back(run: lb.Run) -> None:
    z = lb.encode(run)
    assert z.shape == (180, 3) and np.array_equal(z, lb.encode(run))
    np.testing.assert_allclose(lb.encode(run, run.rows().take([3])), z[[3]], rtol=1e-4, atol=1e-5)
    assert np.array_equal(lb.decode(run, z), lb.reconstruct(run))
    assert (lb.encode(run, variance=True) > 0).all()


@pytest.mark.parametrize(
    ("codes", "error"), [([[0.0, 0.0]], DataShape), ([0.0, 0.0, 0.0], DataShape), ([[0.0, np.nan, 0.0]], DataMissing)]
)
def test_bad_codes_are_refused(run: lb.Run, codes: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        lb.decode(run, codes)


def test_samples_follow_seed_kind_and_temperature(run: lb.Run) -> None:
    mean, again, drawn, cold = (
        lb.sample(run, 200), lb.sample(run, 200), lb.sample(run, 200, kind="draw"), lb.sample(run, 200, temperature=0.5)
    )  # fmt: skip
    assert np.array_equal(mean.values, again.values) and not np.array_equal(mean.values, drawn.values)
    assert np.array_equal(mean.codes, drawn.codes)
    np.testing.assert_allclose(cold.codes, 0.5 * mean.codes, rtol=1e-6)
    assert not np.array_equal(lb.sample(run, 200, seed=1).codes, mean.codes)
    sigma = float(run.model.likelihood(torch.zeros(1, 3)).stddev.detach().flatten()[0])
    assert (drawn.values - mean.values).std() == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"temperature": 0.0}, {"kind": "median"}])
def test_impossible_samples_are_refused(run: lb.Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        lb.sample(run, **wrong)
