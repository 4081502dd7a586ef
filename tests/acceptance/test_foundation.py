"""The foundation's figures on real data: minutes each, so they run under ``make acceptance``."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.linear import principal
from lowerbound.tasks.score import standard_error

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
Record = Callable[[str, str, str], None]


@pytest.fixture(scope="module", autouse=True)
def known_sets_are_found(data_folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWERBOUND_DATA", str(data_folder))
        yield


def test_mnist_grey_cross_entropy_at_epoch_7(record: Record) -> None:
    """784-400-20 of every tutorial; the public example's test value is 106.66."""
    run = lb.fit("mnist", recipe="classic-mnist", epochs=7, binarize="grey", validation=0, patience=0, progress=False)
    found = lb.evaluate(run, samples=1).as_dict()
    assert found["elbo"] is None and found["log_likelihood"] is None
    bound = found["cross_entropy_bound"]
    record("MNIST classic-mnist, grey, epoch 7: test cross-entropy + KL", "106.66 ± 0.6 nats", _show(bound))
    assert abs(bound["mean"] - 106.66) <= 0.6


def test_mnist_sampled_zeros_and_ones(record: Record) -> None:
    run = lb.fit(
        "mnist", recipe="classic-mnist", epochs=10, binarize="sample", validation=0, patience=0, progress=False
    )
    found = lb.evaluate(run, samples=1000).as_dict()
    elbo, log_p = found["elbo"], found["log_likelihood"]
    record("MNIST classic-mnist, binarize = sample, epoch 10: ELBO; IW-1000 log p(x)", "ELBO ≤ IW",
           f"{_show(elbo)}; {_show(log_p)}, median ESS {log_p['ess_median']:.0f}")  # fmt: skip
    assert elbo["mean"] + 2 * elbo["se"] < log_p["mean"] - 2 * log_p["se"]


@pytest.mark.parametrize(("latent", "exact"), [(2, 555.828), (5, 667.69), (10, 754.551), (20, 861.569)])
def test_frey_face_beats_probabilistic_pca(latent: int, exact: float, record: Record) -> None:
    """Importance-sampled log p(x) of the images trained on, against probabilistic PCA's exact value on the same."""
    data = lb.load("frey-face")
    reached = principal(torch.from_numpy(data.values()).flatten(1), latent)
    ppca = float(reached.log_prob(torch.from_numpy(data.values()).flatten(1)).mean())
    assert ppca == pytest.approx(exact, abs=0.01)
    run = lb.fit(data, recipe="aevb-frey", latent=latent, validation=0, test=0, progress=False)
    scores = lb.score(run, data, samples=100)
    record(f"Frey Face, aevb-frey, {latent} latent: log p(x) of the training images over probabilistic PCA's",
           f"> {exact} nats", str(scores))  # fmt: skip
    assert scores.mean - 2 * scores.mean_se > exact


def test_digits_beat_probabilistic_pca(record: Record) -> None:
    """500 test rows, q = 10, learned scale, early stopping on validation rows; and the fall without it."""
    runs = [lb.fit("digits", latent=10, validation=200, test=500, seed=seed, progress=False) for seed in range(3)]
    gains = [_gain(run) for run in runs]
    record("digits, vae, 10 latent: test log p(x) above probabilistic PCA's, median of 3 seeds", "≥ 12 nats",
           ", ".join(f"{mean:.2f} ± {se:.2f}" for mean, se in gains))  # fmt: skip
    assert np.median([mean for mean, _ in gains]) >= 12
    long = lb.fit("digits", latent=10, validation=200, test=500, epochs=600, batch=64, patience=0, progress=False)
    held = [line["validation_elbo"] for line in long.history]
    record("digits, vae without early stopping: held-out ELBO at its best and at epoch 600", "falls",
           f"{max(held):.2f} at epoch {int(np.argmax(held)) + 1}, {held[-1]:.2f}")  # fmt: skip
    assert held[-1] < max(held) - 2


def _gain(run: lb.Run) -> tuple[float, float]:
    test, train = (torch.from_numpy(some.values()).flatten(1) for some in (run.rows(), run.rows(part="train")))
    gain = lb.score(run, samples=1000).log_likelihood - principal(train, 10).log_prob(test).numpy()
    return float(gain.mean()), standard_error(gain)


def _show(found: dict[str, Any]) -> str:
    return f"{found['mean']:.2f} ± {found['se']:.2f} nats"
