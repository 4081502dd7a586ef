"""Every part keeps its contract, and all that may be composed can be trained."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch

from lowerbound.batches import Batch
from lowerbound.checks import check
from lowerbound.checks.base import required
from lowerbound.checks.training import model_for
from lowerbound.errors import ConfigError, Incompatible
from lowerbound.model import VAE, assemble
from lowerbound.objectives import elbo, reconstruction
from lowerbound.parts import REGISTRY, build, find
from lowerbound.randomness import scope

Composer = Callable[..., VAE]
# of posteriors, priors and likelihoods: see test_pairs
PAIRS = list(product(REGISTRY["net"], REGISTRY["net"], ["gaussian", "point"], ["bernoulli", "gaussian"]))


def test_a_part_keeps_its_contract(kind: str, name: str) -> None:
    found = check(find(kind, name))
    assert len(found) > 8
    assert not [one for one in found if not one.passed]


def batch(*shape: int) -> Batch:
    return Batch(torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)).round())


def gradient(model: VAE, rows: Batch) -> torch.Tensor:
    """The gradient of the first objective that takes the model, in one vector."""
    objective = elbo() if model.posterior_family.has_density else reconstruction()
    objective.accepts(model)
    loss = objective(model, rows).loss
    found = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([loss.detach().reshape(1), *(g.flatten() for g in found)])


@pytest.mark.parametrize(("encoder", "decoder", "posterior", "likelihood"), PAIRS)
def test_every_composition_trains(
    compose: Composer, encoder: str, decoder: str, posterior: str, likelihood: str
) -> None:
    names = {"encoder": encoder, "decoder": decoder, "posterior": posterior, "likelihood": likelihood}
    tables = {role: {"name": name} for role, name in names.items()}
    model = compose((1, 8, 8), **tables)
    assert gradient(model, batch(1, 8, 8)).isfinite().all()
    again, other = assemble(model.spec), assemble(model.spec, seed=1)
    assert again.spec == model.spec
    state, same, different = (made.state_dict() for made in (model, again, other))
    assert all(state[key].equal(same[key]) for key in state)
    assert not state["encoder." + next(iter(model.encoder.state_dict()))].equal(
        different["encoder." + next(iter(model.encoder.state_dict()))]
    )


@pytest.mark.parametrize("kind", ["prior", "corruption"])
def test_every_other_part_composes(compose: Composer, kind: str) -> None:
    for name, cls in REGISTRY[kind].items():
        size = int(name == "conditional")
        model = compose((1, 8, 8), context=size, **{kind: {"name": name, **required(cls)}})
        rows = replace(batch(1, 8, 8), context=torch.ones(4, 1) if size else None)
        assert gradient(model, rows).isfinite().all()
        assert assemble(model.spec).spec == model.spec


def test_every_objective_takes_a_model() -> None:
    for cls in REGISTRY["objective"].values():
        with scope(0, "test"):
            objective = build("objective", {"name": cls.name, **required(cls)}, {"latent": 2})
        assert isinstance(model_for(objective), VAE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"name": "conv"}}, r"net 'conv' maps images.*found \(3,\) to \(4,\)"),
        ({"decoder": {"name": "conv"}}, r"net 'conv' maps images.*found \(2,\) to \(3,\)"),
        ({"corruption": {"name": "block"}}, "corruption 'block' needs images"),
        (
            {"embedding": {"mode": "global"}, "likelihood": {"name": "bernoulli"}},
            "scaling 'global'.*'bernoulli' has none",
        ),
        (
            {"embedding": {"mode": "columns"}, "likelihood": {"name": "gaussian", "mean": "sigmoid"}},
            "scaling 'columns'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(compose: Composer, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose((3,), **changes)


def test_an_objective_and_a_posterior_that_do_not_fit_are_both_named(compose: Composer) -> None:
    with pytest.raises(Incompatible, match="objective 'elbo' needs a posterior with a density; 'point' has none"):
        elbo().accepts(compose(posterior={"name": "point"}))


def test_nothing_warns() -> None:
    with warnings.catch_warnings(record=True) as caught:
        check("net:mlp")
    assert not caught
