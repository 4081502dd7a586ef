"""Objectives that hold the KL or the error to a value, against the rate-distortion curve of the linear model.

With fixed noise the best linear model is that of water-filling: in each principal axis the error is min(theta, lambda)
and the KL log(lambda / theta) / 2, where it is positive. Its weights are known, so that an objective is right if no
change of them improves it; the expectations are exact, by noise that averages squares as the normal does.
"""

import math
from typing import Any

import pytest
import torch

from lowerbound.batches import Batch, Rows
from lowerbound.config import TrainConfig
from lowerbound.errors import Incompatible
from lowerbound.evaluation import HeldOut, reached
from lowerbound.linear import principal
from lowerbound.loop import Loop
from lowerbound.model import VAE, assemble
from lowerbound.objectives import Objective, StepContext, Terms, capacity, constrained, elbo
from lowerbound.randomness import Draw, fill, generator
from lowerbound.selftests.base import affine, linear_model, points_of, rows_of

NOISE = 0.01  # variance of p(x|z), fixed
# theta to a few digits, dimensions in use, KL in nats, squared error: by numpy from the eigenvalues
CURVE = [
    (0.46743, 3, 0.442115, 4.203985), (0.18657, 7, 2.529246, 3.008266), (0.0955, 12, 5.75563, 2.156573),
    (0.0529, 18, 10.140594, 1.538456), (0.01879, 30, 22.614975, 0.75563), (0.01289, 36, 28.833584, 0.562336),
]  # fmt: skip
CAPACITIES = [(0.108469, 11, 5.0, 2.310395), (0.016087, 32, 25.0, 0.672705)]
TARGET, KL_AT_TARGET, THETA_AT_TARGET, MULTIPLIER = 1.173319, 14.426715, 0.03445368, 14.512


def middle(active: int) -> float:
    """The theta in the middle of the gap between two eigenvalues."""
    gap = principal(points_of("digits"), 1).eigenvalues[active - 1 : active + 1]
    return float(gap.prod().sqrt())


def filled(theta: float, latent: int, **likelihood: Any) -> VAE:
    """The linear model whose error in every axis is at most theta."""
    fit = principal(points_of("digits"), latent)
    lam = fit.eigenvalues[:latent]
    signal = (lam - theta).clamp(min=0)
    model = linear_model(64, latent, **{"scale": "fixed", "value": NOISE**0.5, **likelihood})
    with torch.no_grad():
        affine(model.decoder).weight.copy_(fit.axes * signal.sqrt())
        affine(model.decoder).bias.copy_(fit.mean)
        affine(model.encoder).weight.copy_(
            torch.cat([fit.axes.T * (signal.sqrt() / lam)[:, None], torch.zeros(latent, 64)])
        )
        affine(model.encoder).bias.copy_(
            torch.cat([-(signal.sqrt() / lam) * (fit.axes.T @ fit.mean), (theta / lam).clamp(max=1).log()])
        )
    return model


def terms(objective: Objective, model: VAE) -> Terms:
    """Every expectation, over rows and over q(z|x), exact."""
    x = points_of("digits")
    axes = torch.eye(model.latent, dtype=x.dtype) * model.latent**0.5
    noise = {"posterior": torch.cat([axes, -axes]).expand(len(x), -1, -1)}
    return objective(model, Batch(x), StepContext(noise, torch.ones(()), len(x), len(x)))


def slope(objective: Objective, model: VAE) -> float:
    """The largest entry of the gradient of the loss, in the weights of the model and of the objective."""
    weights = [*model.parameters(), *objective.parameters()]
    found = torch.autograd.grad(terms(objective, model).loss, weights, allow_unused=True)
    return max(float(g.abs().max()) for g in found if g is not None)


@pytest.mark.parametrize(("theta", "active", "divergence", "error"), CURVE)
def test_beta_is_flat_on_the_curve(theta: float, active: int, divergence: float, error: float) -> None:
    assert middle(active) == pytest.approx(theta, rel=1e-3)
    theta = middle(active)
    model, objective = filled(theta, active + 2), constrained(limit=TARGET, on="error").double()
    found = terms(objective, model).parts
    assert int((found["kl_per_dimension"].mean(0) > 0.01).sum()) == active
    assert float(found["kl"].mean()) == pytest.approx(divergence, rel=1e-6)
    assert float(found["squared_error"].mean()) == pytest.approx(error, rel=2e-6)
    assert slope(elbo(beta=theta / NOISE), model) < 1e-7
    assert slope(elbo(beta=1.5 * theta / NOISE), model) > 1e-3


def test_a_limit_on_the_error_is_met_with_its_multiplier() -> None:
    objective = constrained(limit=TARGET, on="error", start=MULTIPLIER).double()
    model = filled(THETA_AT_TARGET, 26)
    found = terms(objective, model)
    assert float(found.parts["kl"].mean()) == pytest.approx(KL_AT_TARGET, rel=1e-5)
    assert float(found.parts["squared_error"].mean()) == pytest.approx(TARGET, rel=1e-5)
    assert slope(objective, model) < 1e-3  # the multiplier is given to three digits
    assert slope(constrained(limit=TARGET, on="error", start=1.1 * MULTIPLIER).double(), model) > 0.02
    assert torch.allclose(found.value, found.parts["log_likelihood"] - found.parts["kl"])


@pytest.mark.parametrize(("theta", "active", "nats", "error"), CAPACITIES)
def test_a_limit_on_the_kl_is_met_where_its_multiplier_is_beta(
    theta: float, active: int, nats: float, error: float
) -> None:
    model, objective = filled(theta, active + 2), constrained(limit=nats, start=theta / NOISE).double()
    found = terms(objective, model).parts
    assert float(found["kl"].mean()) == pytest.approx(nats, rel=1e-4)
    assert float((found["log_likelihood"] + 32 * math.log(2 * math.pi * NOISE)).mean()) == pytest.approx(
        -error / 2 / NOISE, rel=1e-4
    )
    assert slope(objective, model) < 2e-4 * theta / NOISE * nats


@pytest.mark.parametrize(("theta", "active", "nats", "error"), CAPACITIES)
def test_no_change_improves_the_model_at_its_capacity(theta: float, active: int, nats: float, error: float) -> None:
    model = filled(theta, active + 2)
    exact = float(terms(elbo(), model).parts["kl"].mean().detach())
    assert exact == pytest.approx(nats, rel=1e-4)
    objective, source = capacity(nats=exact, gamma=2 * theta / NOISE), generator(0, "test")
    best = float(terms(objective, model).loss.detach())
    for weight in model.parameters():
        before, change = weight.detach().clone(), fill(Draw(tuple(weight.shape)), 1, source)[0]
        for size in (1e-3, -1e-3):
            weight.data = before + size * change
            assert float(terms(objective, model).loss.detach()) > best
        weight.data = before


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_the_capacity_is_led_up_and_the_loss_is_the_distance(progress: float) -> None:
    model, x = filled(0.1, 4), rows_of("digits")[:50]
    objective = capacity(nats={"start": 1.0, "end": 5.0, "over": 0.5}, gamma=7.0)
    noise = StepContext.fresh(objective, model, Batch(x)).noise
    found = objective(model, Batch(x), StepContext(noise, torch.tensor(progress), 50, 50))
    mean, wanted = float(found.parts["kl"].mean()), min(1.0 + 8.0 * progress, 5.0)
    loss = 7.0 * abs(mean - wanted) - float(found.parts["log_likelihood"].mean())
    assert float(found.loss.detach()) == pytest.approx(loss)
    assert float(found.target.mean()) == pytest.approx(-loss)
    assert torch.allclose(found.value, found.parts["log_likelihood"] - found.parts["kl"])


@pytest.mark.parametrize(("limit", "rises"), [(1e-3, True), (1e6, False)])
def test_the_multiplier_climbs_where_the_limit_is_passed_and_the_nets_descend(limit: float, rises: bool) -> None:
    model, objective = filled(0.1, 4), constrained(limit=limit).double()
    before, plain = objective.multiplier.item(), Batch(rows_of("digits")[:50])
    loss = objective(model, plain).loss
    own, *nets = torch.autograd.grad(loss, [objective.log_multiplier, *model.parameters()])
    wanted = torch.autograd.grad(elbo(beta=before)(model, plain).loss, list(model.parameters()))
    assert (float(own) < 0) == rises  # what descends by its gradient climbs
    assert all(torch.allclose(a, b) for a, b in zip(nets, wanted, strict=True))


def test_an_error_over_the_limit_costs_the_target_and_the_multiplier_does_not() -> None:
    model, batch = filled(0.1, 4), Batch(rows_of("digits")[:50])
    found = [float(constrained(limit=1.0, start=s).double()(model, batch).target.mean()) for s in (0.1, 10.0)]
    assert found[0] == found[1]
    loose, tight = (constrained(limit=s).double()(model, batch) for s in (100.0, 1.0))
    assert torch.allclose(loose.target, loose.parts["log_likelihood"])
    over = float(tight.parts["kl"].mean()) - 1.0
    assert torch.allclose(tight.target, tight.parts["log_likelihood"] - 64 * over)


@pytest.mark.parametrize("likelihood", [{"scale": "learned"}, {"scale": "predicted"}])
def test_a_limit_on_the_error_would_not_train_a_scale(likelihood: dict[str, str]) -> None:
    with pytest.raises(Incompatible, match=r"'constrained' on the error trains a mean.*likelihood 'gaussian' has more"):
        constrained(limit=1.0, on="error").accepts(linear_model(4, 2, **likelihood))


def test_missing_cells_have_no_error() -> None:
    x, seen = rows_of("iris")[:5].clone(), torch.ones(5, 4, dtype=torch.bool)
    seen[:, 1] = False
    model, objective = linear_model(4, 2, scale="fixed"), constrained(limit=1.0, on="error").double()
    with torch.no_grad():
        mean = model.likelihood(torch.zeros(1, 1, 2).double()).mean[0, 0]
        affine(model.decoder).weight.zero_()
    x[:, 1] = torch.nan
    found = objective(model, Batch(x, seen))
    assert found.parts["squared_error"].tolist() == pytest.approx(
        (x - mean)[seen].reshape(5, 3).square().sum(1).tolist()
    )
    assert all(g.isfinite().all() for g in torch.autograd.grad(found.loss, list(model.parameters())))


def test_a_run_states_what_it_reached() -> None:
    """A weight that no limit binds goes to zero, and one that is always passed grows: at the objective's own pace."""
    rows, settings = Rows(rows_of("iris").numpy()), TrainConfig(epochs=1, batch=50, rate=1e-3)
    for limit, sign in ((1e9, -1), (1e-9, 1)):
        objective = constrained(limit=limit, speed=20.0)
        training = Loop(assemble(linear_model(4, 2).spec), objective, rows, settings, seed=0)
        training.advance()
        assert objective.log_multiplier.item() == pytest.approx(sign * 3 * 20 * 1e-3, rel=1e-2)
        found = reached(training.model, objective, rows, 0)
        means = HeldOut(rows, objective, training.model, 0).means(training.model)
        assert found == {"kl": {"aim": limit, "reached": means["kl"]}, "multiplier": means["multiplier"]}
    assert reached(training.model, elbo(), rows, 0) == {}
