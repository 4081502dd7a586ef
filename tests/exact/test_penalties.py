"""Penalties on the codes as a whole, against enumeration, quadrature and closed forms."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from lowerbound.batches import Batch, Rows
from lowerbound.config import TrainConfig
from lowerbound.errors import Incompatible
from lowerbound.loop import Loop
from lowerbound.model import VAE, assemble
from lowerbound.objectives import Objective, StepContext, Terms, dip, elbo, factor, mmd, total_correlation
from lowerbound.objectives.correlation import aggregated, batch_weights
from lowerbound.objectives.discrepancy import SCALES, discrepancy
from lowerbound.objectives.moments import covariance
from lowerbound.posteriors import Delta
from lowerbound.randomness import Draw, fill, generator, scope
from lowerbound.selftests.base import closed_form, linear_model, rows_of, variance_of

ROWS = 30


def normal(*shape: int, seed: int = 0) -> Tensor:
    return fill(Draw(shape[1:]), shape[0], generator(seed, "test")).double()


def posteriors(rows: int, latent: int = 2) -> Normal:
    return Normal(normal(rows, latent), normal(rows, latent, seed=1).exp() / 2, validate_args=False)


def mixture(q: Normal, dimension: int | None = None) -> MixtureSameFamily:
    """The mean of the posteriors, or of one dimension of them."""
    of: Distribution = Independent(q, 1) if dimension is None else Normal(q.loc[:, dimension], q.scale[:, dimension])
    return MixtureSameFamily(Categorical(torch.ones(len(q.loc)).double()), of, validate_args=False)


def critical(**options: Any) -> Any:
    """A critic's objective, with weights that leave the global generator alone."""
    with scope(0, "test"):
        return factor(**options)


def terms_of(objective: Objective, model: VAE | None = None, rows_total: int = ROWS) -> Terms:
    """Of the first digits, with a model that is not the best one, in a data set of so many rows."""
    model = model or linear_model(64, 3)
    batch = Batch(rows_of("digits")[:ROWS])
    noise = StepContext.fresh(objective, model, batch).noise
    return objective(model, batch, StepContext(noise, torch.ones(()), rows_total, ROWS))


@pytest.mark.parametrize(("rows", "total"), [(1, 1), (1, 9), (2, 9), (5, 9), (9, 9), (64, 4096)])
def test_the_shares_of_a_row_sum_to_one_and_its_own_is_that_of_a_row(rows: int, total: int) -> None:
    weights = batch_weights(rows, total, "stratified")
    assert torch.allclose(weights.sum(1), torch.ones(rows).double(), rtol=1e-14)
    assert rows == 1 or torch.equal(weights.diagonal(), torch.full((rows,), 1 / total, dtype=torch.float64))
    assert weights.equal(weights.T)
    assert torch.allclose(batch_weights(rows, total, "weighted"), torch.tensor(1 / (rows * total), dtype=torch.float64))


def test_where_the_batch_is_the_data_set_the_aggregated_posterior_is_exact() -> None:
    q, z = posteriors(40, 3), normal(40, 3, seed=2)
    joint, product = aggregated(q, z, 40)
    assert torch.allclose(joint, mixture(q).log_prob(z), rtol=0, atol=1e-12)
    assert torch.allclose(product, sum(mixture(q, j).log_prob(z[:, j]) for j in range(3)), rtol=0, atol=1e-12)


def test_over_all_batches_the_density_is_right_on_average() -> None:
    q, z = posteriors(6), normal(6, 2, seed=2)
    exact = mixture(q).log_prob(z[:1]).exp()
    found = []
    for others in combinations(range(1, 6), 2):
        rows = torch.tensor([0, *others])
        found.append(aggregated(Normal(q.loc[rows], q.scale[rows]), z[rows], 6)[0][:1].exp())
    assert torch.allclose(torch.stack(found).mean(0), exact, rtol=1e-12)
    assert float(torch.stack(found).std()) > 1e-3


def test_the_weighted_estimate_has_its_constants_once() -> None:
    q, z = posteriors(4), normal(4, 2, seed=2)
    joint, product = aggregated(q, z, 100, "weighted")
    pairs = q.log_prob(z[:, None]).exp()
    assert torch.allclose(joint, (pairs.prod(2).sum(1) / 400).log())
    assert torch.allclose(product, (pairs.sum(1) / 400).log().sum(1))


def test_pieces_of_the_table_of_pairs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    q, z = posteriors(9), normal(9, 2, seed=2)
    whole = aggregated(q, z, 20)
    monkeypatch.setattr("lowerbound.objectives.correlation.PAIRS", 40)
    assert all(torch.allclose(a, b, rtol=1e-14) for a, b in zip(whole, aggregated(q, z, 20), strict=True))


def test_the_total_correlation_is_that_of_the_density() -> None:
    """Two posteriors far apart on the diagonal; the integral of q log(q / q_1 q_2) by the midpoint rule."""
    q = Normal(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]).double(), torch.tensor([[0.5, 0.4], [0.6, 0.5]]).double())
    axis = torch.linspace(-5, 5, 401).double()
    grid = torch.cartesian_prod(axis, axis)
    log_q = mixture(q).log_prob(grid)
    log_product = mixture(q, 0).log_prob(grid[:, 0]) + mixture(q, 1).log_prob(grid[:, 1])
    exact = float((log_q.exp() * (log_q - log_product)).sum() * (axis[1] - axis[0]) ** 2)
    draws = q.loc + q.scale * normal(4000, 2, 2, seed=3)
    found = torch.stack([torch.stack(aggregated(q, z, 2)) for z in draws])
    assert exact > 0.3
    assert float((found[:, 0] - found[:, 1]).mean()) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
@pytest.mark.parametrize("posterior", ["gaussian", "laplace"])
def test_the_three_parts_of_a_row_add_up_to_its_kl(estimator: Any, posterior: str) -> None:
    found = terms_of(total_correlation(estimator=estimator), linear_model(64, 3, posterior=posterior), 1000).parts
    whole = found["mutual_information"] + found["total_correlation"] + found["dimension_kl"]
    assert torch.allclose(whole, found["kl"], rtol=0, atol=1e-6)
    assert all(float(found[name].abs().mean()) > 1e-3 for name in ("mutual_information", "total_correlation"))


@pytest.mark.parametrize("weight", [0.0, 1.0, 4.0])
def test_with_one_weight_for_all_it_is_the_beta_vae(weight: float) -> None:
    alike = total_correlation(total_correlation=weight, mutual_information=weight, dimension_kl=weight)
    found, wanted = terms_of(alike), terms_of(elbo(beta=weight))
    assert torch.allclose(found.loss, wanted.loss)
    assert torch.allclose(found.target, wanted.target)
    assert torch.equal(found.value, wanted.value)


def test_each_part_has_its_weight() -> None:
    chosen = {"mutual_information": 0.5, "total_correlation": 7.0, "dimension_kl": 3.0}
    found = terms_of(total_correlation(**chosen), rows_total=500)
    cost = sum(weight * found.parts[name] for name, weight in chosen.items())
    assert torch.allclose(found.target, found.parts["log_likelihood"] - cost)
    assert torch.allclose(found.loss.detach(), -found.target.mean())


def test_a_posterior_that_has_no_density_by_dimension_is_refused() -> None:
    with pytest.raises(Incompatible, match=r"'total_correlation' needs a density for each dimension.*posterior 'full'"):
        total_correlation().accepts(linear_model(4, 2, posterior="full"))


def test_a_shuffled_code_keeps_each_dimension_and_not_their_pairs() -> None:
    seen: list[Tensor] = []
    objective = critical(latent=2, widths=[4]).double()
    objective.critic.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    z = normal(200, 1) * torch.tensor([1.0, 2.0])
    objective._mistakes(z, fill(Draw((2,), "uniform"), 200, generator(0, "test")).double())
    real, shuffled = seen
    assert real.equal(z)
    assert shuffled.sort(0).values.equal(z.sort(0).values)
    assert abs(torch.corrcoef(shuffled.T)[0, 1].item()) < 0.25
    assert float(torch.corrcoef(torch.cat([z, shuffled], 1).T)[0, 2:].abs().max()) < 0.25


def test_one_backward_serves_the_model_and_the_critic() -> None:
    objective, model, batch = critical(latent=3, widths=[8], gamma=5.0).double(), linear_model(64, 3), rows_of("digits")
    context = StepContext.fresh(objective, model, Batch(batch[:ROWS]))
    critic, nets = list(objective.parameters()), list(model.encoder.parameters())
    found = torch.autograd.grad(objective(model, Batch(batch[:ROWS]), context).loss, [*critic, *nets])
    z = model.draw(model.posterior(batch[:ROWS]), context.noise["posterior"].transpose(0, 1))[0]
    own = objective._mistakes(z.detach(), context.noise["shuffle"][:, 0]).mean()
    plain = elbo()(model, Batch(batch[:ROWS]), context).loss + 5.0 * objective.critic(z).mean()
    wanted = (*torch.autograd.grad(own, critic), *torch.autograd.grad(plain, nets))
    assert all(torch.allclose(a, b) for a, b in zip(found, wanted, strict=True))


def test_the_critic_comes_to_the_total_correlation_of_a_normal() -> None:
    correlation, objective = 0.8, critical(latent=2, widths=[32, 32])
    mix = torch.tensor([[1.0, correlation], [0.0, (1 - correlation**2) ** 0.5]])
    steps = torch.optim.Adam(objective.parameters(), lr=5e-3, betas=objective.pace.betas)
    for step in range(300):
        noise = fill(Draw((2,), "uniform"), 500, generator(step, "shuffle"))
        loss = objective._mistakes(normal(500, 2, seed=step).float() @ mix, noise).mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
    found = float(objective.critic(normal(20_000, 2, seed=1000).float() @ mix).mean().detach())
    assert found == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=0.06)


def test_the_critic_goes_at_its_own_pace() -> None:
    x = rows_of("iris").float()
    moved = []
    for speed in (1.0, 10.0):
        objective = critical(latent=2, widths=[4], speed=speed)
        before = [weight.detach().clone() for weight in objective.parameters()]
        model = assemble(linear_model(4, 2).spec)
        Loop(model, objective, Rows(x.numpy()), TrainConfig(epochs=1, batch=150, rate=1e-4), seed=0).advance()
        moved.append(
            max(float((a.detach() - b).abs().max()) for a, b in zip(objective.parameters(), before, strict=True))
        )
    assert moved == pytest.approx([1e-4, 1e-3], rel=0.02)  # the first step of Adam is the rate


@pytest.mark.parametrize("family", ["gaussian", "laplace", "full"])
def test_the_covariance_of_the_codes_is_that_of_many_samples(family: str) -> None:
    model = linear_model(4, 2, posterior=family)
    x = 0.1 * rows_of("iris")
    q = model.posterior(x)
    assert np.allclose(covariance(q, within=False).detach(), np.cov(q.mean.detach().T, bias=True))
    with torch.no_grad():
        z = model.draw(q, normal(4000, 150, 2))
    assert torch.allclose(covariance(q, within=True), torch.cov(z.flatten(0, 1).T, correction=0), atol=0.03)


def test_the_codes_of_probabilistic_pca_cost_nothing() -> None:
    """Their covariance is the identity; that of the means alone falls short of it by sigma^2 / lambda."""
    model, x = closed_form("digits", 10), rows_of("digits")
    lam = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1][:10]
    second = dip()(model, Batch(x))
    first = dip(version="i", off_diagonal=3.0, diagonal=2.0)(model, Batch(x))
    assert float(second.parts["covariance_penalty"][0]) == pytest.approx(0.0, abs=1e-12)
    short = 2.0 * ((variance_of(model) / lam) ** 2).sum()
    assert float(first.parts["covariance_penalty"][0]) == pytest.approx(short)
    assert torch.allclose(first.loss.detach(), short - first.value.mean())
    assert torch.allclose(first.target, first.value - short)


def test_covariances_and_variances_have_their_weights() -> None:
    table = torch.tensor([[1.5, 0.2], [0.2, 0.9]])
    assert float(dip(off_diagonal=3.0, diagonal=5.0).penalty(table)) == pytest.approx(3 * 2 * 0.04 + 5 * (0.25 + 0.01))


@pytest.mark.parametrize("kernel", ["gaussian", "inverse_multiquadratic"])
def test_the_discrepancy_is_the_mean_over_pairs(kernel: Any) -> None:
    here, there, size = normal(5, 2), normal(5, 2, seed=1) + 1, 4.0

    def near(a: Tensor, b: Tensor) -> float:
        square = float((a - b).square().sum())
        many = [s * size / (s * size + square) for s in SCALES]
        return math.exp(-square / size) if kernel == "gaussian" else sum(many)

    others = [(i, j) for i in range(5) for j in range(5) if i != j]
    within = sum(near(here[i], here[j]) + near(there[i], there[j]) for i, j in others) / 20
    across = sum(near(a, b) for a in here for b in there) / 25
    assert float(discrepancy(here, there, kernel, size)) == pytest.approx(within - 2 * across)
    assert math.isfinite(float(discrepancy(here[:1], there[:1], kernel, size)))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_discrepancy_of_normals_is_right_on_average(shift: float) -> None:
    """E exp(-r^2 / S) for r ~ N(m, 2) is sqrt(S / (S + 4)) exp(-m^2 / (S + 4)); small batches have no bias."""
    found = [
        float(discrepancy(normal(4, 1, seed=i) + shift, normal(4, 1, seed=-1 - i), "gaussian", 2.0))
        for i in range(3000)
    ]
    exact = 2 * math.sqrt(2 / 6) * (1 - math.exp(-(shift**2) / 6))
    assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / 3000**0.5)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_discrepancy_and_the_kl_have_their_weights(beta: float) -> None:
    found = terms_of(mmd(beta=beta, weight=20.0))
    parts = found.parts
    kl = beta * parts["kl"] if beta else 0.0
    assert torch.allclose(found.target, parts["log_likelihood"] - kl - 20.0 * parts["mmd"])
    assert torch.allclose(found.loss.detach(), -found.target.mean())
    assert torch.allclose(found.value, parts["log_likelihood"] - (parts["kl"] if beta else 0.0))


def test_without_a_kl_a_point_will_do() -> None:
    model = linear_model(4, 2, posterior="point")
    mmd(beta=0.0).accepts(model)
    with pytest.raises(Incompatible, match="objective 'mmd' needs a posterior with a density"):
        mmd(beta=0.1).accepts(model)


def test_samples_are_made_of_a_normal_prior_alone() -> None:
    model = assemble({**linear_model(4, 2).spec, "prior": {"name": "mixture"}})
    with pytest.raises(Incompatible, match="objective 'mmd' makes samples of a normal prior; 'mixture' is another"):
        mmd().accepts(model)


@pytest.mark.parametrize("objective", [total_correlation, dip, mmd])
def test_what_couples_rows_does_not_go_in_pieces(objective: Any) -> None:
    rows, settings = Rows(rows_of("iris").float().numpy()), TrainConfig(accumulate=2)
    with pytest.raises(Incompatible, match=f"objective '{objective.name}' couples their rows"):
        Loop(assemble(linear_model(4, 2).spec), objective(), rows, settings, seed=0)


def trained(posterior: dict[str, Any], least: float) -> float:
    """The KL that a strong pull leaves; at every step no row has less than asked for."""
    model = assemble({**linear_model(4, 2).spec, "posterior": posterior})
    settings = TrainConfig(epochs=60, batch=150, rate=0.1, schedule="cosine")
    x = (rows_of("iris") - rows_of("iris").mean(0)).float()
    rows = Rows(x.numpy())
    training = Loop(model, elbo(beta=1000.0), rows, settings, seed=0)
    while not training.done:
        training.advance(1)
        q = model.posterior(x)
        row = torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum(1)
        assert float(row.min().detach()) >= least
    return float(row.mean().detach())


@pytest.mark.parametrize("rate", [0.1, 2.0])
def test_a_committed_rate_is_spent_at_every_step(rate: float) -> None:
    assert trained({"name": "delta", "rate": rate}, rate) < rate + 0.15
    assert trained({"name": "gaussian"}, 0.0) < 0.05


def test_the_least_divergence_is_the_rate() -> None:
    family = Delta(3, rate=2.0).double()
    q = family(torch.cat([torch.zeros(1, 3), torch.full((1, 3), 40.0)], 1).double())
    exact = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    own = MultivariateNormal(q.mean[0], q.variance[0].diag())
    assert float(torch.distributions.kl_divergence(own, exact)) == pytest.approx(2.0, rel=2e-4)


def test_a_committed_rate_needs_its_prior() -> None:
    changed = {"posterior": {"name": "delta"}, "prior": {"name": "mixture"}}
    with pytest.raises(Incompatible, match="posterior 'delta' needs the prior 'standard', not 'mixture'"):
        assemble({**linear_model(4, 2).spec, **changed})
