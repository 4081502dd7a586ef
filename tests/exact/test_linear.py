"""Probabilistic PCA and the formulas for linear models against other ways to the same numbers."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import MultivariateNormal

from lowerbound.batches import Batch
from lowerbound.errors import ConfigError, DataShape, Incompatible
from lowerbound.linear import evidence, exact_elbo, fill_closed_form, principal
from lowerbound.model import VAE, assemble
from lowerbound.objectives import elbo
from lowerbound.randomness import Draw, fill, generator
from lowerbound.selftests.base import affine, closed_form, distance, linear_model, rows_of, variance_of
from lowerbound.selftests.exact import cubature

MODES = ["none", "global", "columns"]


@pytest.mark.parametrize(("name", "latent"), [("digits", 10), ("breast", 5), ("iris", 2)])
def test_agrees_with_scikit_learn(name: str, latent: int) -> None:
    x = rows_of(name)
    theirs, ours = PCA(latent, svd_solver="full").fit(x.numpy()), principal(x, latent)
    unbiased = len(x) / (len(x) - 1)  # scikit-learn divides the covariance by N - 1
    assert np.allclose(ours.eigenvalues[:latent] * unbiased, theirs.explained_variance_)
    assert ours.noise * unbiased == pytest.approx(theirs.noise_variance_)
    assert np.allclose((ours.axes.T.numpy() * theirs.components_).sum(1) ** 2, 1.0)
    back = theirs.inverse_transform(theirs.transform(x.numpy()))
    assert distance(ours.reconstruct(x), torch.from_numpy(back)) < 1e-10


def test_scores_like_scikit_learn_but_for_its_n_minus_1() -> None:
    x = rows_of("digits")
    theirs, ours = PCA(10, svd_solver="full").fit(x.numpy()).score(x.numpy()), principal(x, 10).log_prob(x).mean()
    assert theirs == pytest.approx(17.451942, abs=1e-6)
    assert 4e-6 < float(ours) - theirs < 6e-6


def random_linear(mode: str, scale: str) -> tuple[VAE, Tensor]:
    """A linear model with arbitrary weights, and rows in units that need scaling."""
    x = 3.0 + rows_of("iris")[::10] * torch.tensor([1.0, 20.0, 0.1, 2.0])
    net = {"name": "linear"}
    table = {
        "shape": [4], "latent": 2, "encoder": net, "decoder": net, "posterior": {"name": "gaussian"},
        "prior": {"name": "standard"}, "likelihood": {"name": "gaussian", "scale": scale, "value": 0.7},
        "embedding": {"mode": mode},
    }  # fmt: skip
    model = assemble(table, seed=1).double()
    model.embedding.start_from(x)
    if scale == "per_dimension":
        model.likelihood_family.set_variance(torch.tensor([0.2, 0.5, 1.0, 3.0]))
    return model, x


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", ["fixed", "learned", "per_dimension"])
def test_formulas_hold_for_any_weights(mode: str, scale: str) -> None:
    model, x = random_linear(mode, scale)
    with torch.no_grad():
        p = model.likelihood(torch.cat([torch.zeros(1, 2), torch.eye(2)]).double())
        columns = (p.mean[1:] - p.mean[0]).T
        noise = p.variance.expand(3, 4)[0].diag()
        exact = MultivariateNormal(p.mean[0], columns @ columns.T + noise, validate_args=False).log_prob(x)
    bound, divergence = exact_elbo(model, x)
    terms = cubature(model, x)
    assert distance(evidence(model, x), exact) < 1e-9
    assert distance(bound, terms.value) < 1e-9
    assert distance(divergence, terms.parts["kl_per_dimension"]) < 1e-12
    assert (bound < exact).all()


def test_the_sampled_bound_is_right_on_average() -> None:
    model, x = random_linear("columns", "learned")
    many = elbo(samples=20000)(model, Batch(x)).value
    exact = exact_elbo(model, x)[0]
    assert distance(many, exact) < 0.02 * float(exact.abs().max())


@pytest.mark.parametrize("mode", MODES)
def test_the_closed_form_is_a_maximum(mode: str) -> None:
    """Any small change of any weight makes the exact bound worse."""
    x = rows_of("iris")
    model, _ = random_linear(mode, "learned")
    model.embedding.start_from(x)
    fill_closed_form(model, x)
    best = float(exact_elbo(model, x)[0].mean())
    assert best == pytest.approx(float(evidence(model, x).mean()))
    source = generator(0, "test")
    for weight in model.parameters():
        before = weight.detach().clone()
        weight.data += 1e-2 * fill(Draw(tuple(weight.shape)), 1, source)[0]
        assert float(exact_elbo(model, x)[0].mean()) < best - 1e-7
        weight.data = before


def test_a_fixed_scale_is_kept_and_the_axes_have_a_sign() -> None:
    model = linear_model(64, 3, scale="fixed", value=0.5)
    fill_closed_form(model, rows_of("digits"))
    assert variance_of(model) == pytest.approx(0.25)
    weights = affine(closed_form("digits", 3).decoder).weight
    assert (weights.gather(0, weights.abs().argmax(0, keepdim=True)) > 0).all()


@pytest.mark.parametrize("latent", [0, 4, 5])
def test_a_latent_that_cannot_be_is_refused(latent: int) -> None:
    with pytest.raises(DataShape, match="0 < latent < features"):
        principal(rows_of("iris"), latent)


def test_rows_without_noise_are_refused() -> None:
    flat = torch.zeros(10, 3)
    flat[:, 0] = torch.arange(10.0)
    with pytest.raises(ConfigError, match="no variance is left"):
        principal(flat, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": {"name": "mlp"}}, "linear nets"),
        ({"decoder": {"name": "mlp"}}, "linear nets"),
        ({"likelihood": {"name": "bernoulli"}}, "gaussian likelihood"),
        ({"likelihood": {"name": "gaussian", "scale": "predicted"}}, "gaussian likelihood"),
        ({"likelihood": {"name": "gaussian", "mean": "sigmoid"}}, "gaussian likelihood"),
    ],
)
def test_models_without_a_closed_form_are_refused(change: dict[str, object], words: str) -> None:
    model = assemble({**linear_model(4, 2).spec, **change}).double()
    for function in (evidence, exact_elbo, fill_closed_form):
        with pytest.raises(Incompatible, match=words):
            function(model, rows_of("iris"))
