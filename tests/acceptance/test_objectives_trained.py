"""Objectives trained from random weights to figures that formulas decide: minutes in sum."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import lowerbound as lb
from lowerbound.batches import Batch
from lowerbound.objectives import Objective, StepContext, capacity, constrained, elbo
from lowerbound.recipes import RECIPES
from lowerbound.selftests.base import linear_model, points_of

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
Record = Callable[[str, str, str], None]
NOISE, STEPS, RATE = 0.05, 3000, 0.06  # variance of p(x|z); of Adam
CURVE = [
    (0.46743, 3, 0.442115, 4.203985), (0.18657, 7, 2.529246, 3.008266), (0.0955, 12, 5.75563, 2.156573),
    (0.0529, 18, 10.140594, 1.538456), (0.01879, 30, 22.614975, 0.75563), (0.01289, 36, 28.833584, 0.562336),
]  # fmt: skip


def reached(objective: Objective, latent: int) -> tuple[int, float, float]:
    """Dimensions in use, KL and squared error of a linear model of the digits, trained with exact expectations.

    The rows are centred, which changes none of these and lets the weights converge. The noise of each row is a simplex
    about the origin: one point more than dimensions, mean 0 and variance 1.
    """
    x = (points_of("digits") - points_of("digits").mean(0)).float()
    model = linear_model(64, latent, scale="fixed", value=NOISE**0.5).float()
    simplex = torch.linalg.svd(torch.eye(latent + 1) - 1 / (latent + 1))[0][:, :latent] * (latent + 1) ** 0.5
    context = StepContext({"posterior": simplex.expand(len(x), -1, -1)}, torch.ones(()), len(x), len(x))
    pace = {"lr": RATE * objective.pace.speed, "betas": objective.pace.betas}
    groups: list[dict[str, Any]] = [{"params": list(model.parameters())}]
    groups.append({"params": list(objective.parameters()), **pace})
    adam = torch.optim.Adam(groups, lr=RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for _ in range(STEPS):
        adam.zero_grad()
        objective(model, Batch(x), context).loss.backward()
        adam.step()
        falling.step()
    found = constrained(limit=1.0, on="error")(model, Batch(x), context).parts
    used = int((found["kl_per_dimension"].mean(0) > 0.01).sum())
    return used, float(found["kl"].mean()), float(found["squared_error"].mean())


@pytest.mark.parametrize(("theta", "active", "divergence", "error"), CURVE)
def test_beta_traces_the_curve(theta: float, active: int, divergence: float, error: float, record: Record) -> None:
    used, kl, found = reached(elbo(beta=theta / NOISE), active + 3)
    record(f"digits, linear, theta {theta}: dimensions in use, KL, squared error", f"{active}, {divergence}, {error}",
           f"{used}, {kl:.4f}, {found:.4f}")  # fmt: skip
    assert used == active
    assert (kl, found) == pytest.approx((divergence, error), rel=0.02)


@pytest.mark.parametrize(("nats", "theta", "error"), [(5.0, 0.108469, 2.310395), (25.0, 0.016087, 0.672705)])
@pytest.mark.parametrize("how", ["capacity", "constrained"])
def test_a_kl_that_is_asked_for_has_the_error_of_the_curve(
    how: str, nats: float, theta: float, error: float, record: Record
) -> None:
    asked = capacity(nats=nats, gamma=1.5 * theta / NOISE) if how == "capacity" else constrained(limit=nats, speed=1.0)
    _, kl, found = reached(asked, 28)
    record(
        f"digits, linear, {how} at {nats:g} nats: KL, squared error", f"{nats:g}, {error}, 2%", f"{kl:.4f}, {found:.4f}"
    )
    assert (kl, found) == pytest.approx((nats, error), rel=0.02)


def test_an_error_that_is_asked_for_has_the_kl_of_the_curve(record: Record) -> None:
    asked = constrained(limit=1.173319, on="error", speed=1.0)
    _, kl, found = reached(asked, 28)
    multiplier = asked.multiplier.item()
    record("digits, linear, geco at a quarter of the variance: KL, squared error, multiplier",
           "14.427, 1.173319, 14.51, 2%", f"{kl:.4f}, {found:.4f}, {multiplier:.3f}")  # fmt: skip
    assert (kl, found, multiplier) == pytest.approx((14.426715, 1.173319, 14.512), rel=0.02)


@pytest.mark.parametrize("name", ["iwae", "dreg", "stl", "dip-vae-ii"])
def test_recipes_come_to_probabilistic_pca(name: str, record: Record) -> None:
    target = RECIPES[name].target
    assert target is not None
    run = lb.fit("digits", recipe=name, progress=False, **{k.replace(".", "__"): v for k, v in target.settings.items()})
    found = lb.score(run, run.rows(part="train"), samples=200)
    record(f"{name}, linear: {target.quantity}", str(target), str(found))
    assert found.mean == pytest.approx(target.value, abs=target.tolerance)


@pytest.mark.parametrize("name", ["capacity-vae", "constrained-vae", "geco"])
def test_recipes_come_to_their_figures(name: str, record: Record) -> None:
    target = RECIPES[name].target
    assert target is not None
    run = lb.fit("digits", recipe=name, progress=False, **{k.replace(".", "__"): v for k, v in target.settings.items()})
    states: dict[str, Any] = run.summary["reached"]
    held = next(iter(states.values()))
    record(f"{name}, linear: what it holds to its aim", f"{held['aim']:g}, 2%", f"{held['reached']:.4f}")
    assert held["reached"] == pytest.approx(held["aim"], rel=0.02)


def test_the_bound_rises_with_k_on_held_out_mnist(data_folder: Path, record: Record) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWERBOUND_DATA", str(data_folder))
        run = lb.fit("mnist", latent=20, epochs=3, progress=False)
        rows = run.rows().take(slice(0, 2000))
        found = [lb.score(run, rows, samples=k) for k in (1, 5, 50, 500)]
    record("MNIST, 2000 held-out digits: bound by 1, 5, 50, 500 samples", "rises",
           ", ".join(f"{one.mean:.2f}" for one in found))  # fmt: skip
    gains = [more.log_likelihood - less.log_likelihood for less, more in pairwise(found)]
    assert all(gain.mean() > 2 * gain.std() / len(gain) ** 0.5 for gain in gains)
