"""Likelihoods of real images, beside the published ones."""

from collections.abc import Callable

import pytest

import lowerbound as lb

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
PUBLISHED = 86.76  # Burda et al. 2016, table 1: VAE with one stochastic layer, k = 1, after 3280 epochs
EPOCHS = 60


def test_mnist_burda_one_layer(
    record: Callable[[str, str, str], None], data_folder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200-200 tanh, 50 latent, binarised at every use; 60 epochs in place of 3280, and a cosine rate."""
    monkeypatch.setenv("LOWERBOUND_DATA", str(data_folder))
    net = "mlp:widths=[200,200],activation=tanh"
    run = lb.fit(
        "mnist", latent=50, encoder=net, decoder=net, batch=100, epochs=EPOCHS, rate=1e-3, schedule="cosine",
        validation=400, patience=0, progress=False,
    )  # fmt: skip
    found = lb.evaluate(run, samples=5000).as_dict()
    elbo, log_p = found["elbo"], found["log_likelihood"]
    record(
        f"MNIST, 200-200 tanh, 50 latent, {EPOCHS} epochs: ELBO; IW-5000 log p(x); active units",
        f"published {-PUBLISHED} after 3280 epochs",
        f"{elbo['mean']:.2f} ± {elbo['se']:.2f}; {log_p['mean']:.2f} ± {log_p['se']:.2f} nats, median ESS "
        f"{log_p['ess_median']:.0f}; {found['active_units']} of 50",
    )
    assert elbo["mean"] < log_p["mean"] < -PUBLISHED + 1
    assert log_p["mean"] > -95
