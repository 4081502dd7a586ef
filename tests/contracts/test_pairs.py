"""Every pair of posterior, prior and likelihood trains, is saved, comes back and scores the same."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import lowerbound as lb
from lowerbound.batches import Batch
from lowerbound.checks.base import required
from lowerbound.errors import Incompatible
from lowerbound.model import VAE, assemble
from lowerbound.objectives import elbo
from lowerbound.parts import REGISTRY
from lowerbound.tasks.score import log_likelihood, refuse

Composer = Callable[..., VAE]
SMALL = {"flow": {"layers": 2, "widths": [8]}, "vamp": {"components": 3}, "mixture": {"components": 3}}
GIVEN = {"columns"}  # parts that need more of the data than zeros and ones
SHAPE, ROWS = (4,), 12


def table(kind: str, name: str) -> dict[str, Any]:
    return {"name": name, **required(REGISTRY[kind][name]), **(SMALL.get(name, {}) if kind != "likelihood" else {})}


def named(kind: str, *without: str) -> list[str]:
    return sorted(name for name in REGISTRY[kind] if name not in {*without, *GIVEN})


def rows() -> Batch:
    """Zeros and ones: values that every likelihood takes."""
    return Batch(torch.rand(ROWS, *SHAPE, generator=torch.Generator().manual_seed(0)).round())


def refused(posterior: str, prior: str) -> bool:
    """Whether a posterior declares that it means nothing with that prior."""
    return getattr(REGISTRY["posterior"][posterior], "needs_prior", "") not in ("", prior)


def trained(model: VAE, batch: Batch) -> VAE:
    objective, weights = elbo(), list(model.parameters())
    for part in (model.posterior_family, model.prior_family, model.likelihood_family):
        part.start_from(batch.x)
    before = objective(model, batch).loss.detach()
    for _ in range(3):
        loss = objective(model, batch).loss
        with torch.no_grad():
            for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                assert slope.isfinite().all()
                weight -= 1e-3 * slope
    assert objective(model, batch).loss < before
    return model.eval()


@pytest.mark.parametrize("likelihood", named("likelihood"))
@pytest.mark.parametrize("posterior", named("posterior", "point"))
def test_every_pair_scores_the_same_once_it_is_back(compose: Composer, posterior: str, likelihood: str) -> None:
    batch = rows()
    for prior in named("prior", "conditional"):
        parts = {"posterior": posterior, "prior": prior, "likelihood": likelihood}
        tables = {kind: table(kind, name) for kind, name in parts.items()}
        if refused(posterior, prior):
            with pytest.raises(Incompatible, match=f"'{posterior}'.*'{prior}'"):
                compose(SHAPE, **tables)
            continue
        model = trained(compose(SHAPE, **tables), batch)
        again = assemble(model.spec, seed=1)
        again.load_state_dict(safetensors.torch.load(safetensors.torch.save(dict(model.state_dict()))))
        found = [log_likelihood(one.eval(), batch, 4)[0] for one in (model, again)]
        assert np.isfinite(found[0]).all() and np.array_equal(*found), prior


@pytest.mark.parametrize("posterior", named("posterior"))
@pytest.mark.parametrize("prior", named("prior", "conditional"))
def test_every_pair_of_a_run_is_saved_and_opened(posterior: str, prior: str, tmp_path: Path) -> None:
    """Likelihoods take turns."""
    if refused(posterior, prior):
        return
    pairs = list(product(named("posterior"), named("prior", "conditional")))
    likelihood = named("likelihood")[pairs.index((posterior, prior)) % len(named("likelihood"))]
    parts = {"posterior": posterior, "prior": prior, "likelihood": likelihood}
    given = {kind: table(kind, name) for kind, name in parts.items()}
    objective = "reconstruction" if posterior == "point" else "elbo"
    binarize = "sample" if likelihood == "bernoulli" else "none"
    x = rows().x.numpy()
    run = lb.fit(x, latent=2, epochs=2, batch=6, validation=0, test=4, encoder="linear", decoder="linear",
                 objective=objective, binarize=binarize, out=tmp_path / "run", progress=False, **given)  # fmt: skip
    back = lb.open(tmp_path / "run")
    assert back.model.spec == run.model.spec
    assert np.array_equal(lb.encode(back, x), lb.encode(run, x))
    assert np.array_equal(lb.reconstruct(back, x), lb.reconstruct(run, x))
    assert np.array_equal(lb.sample(back, 3).values, lb.sample(run, 3).values)
    if posterior == "point":
        with pytest.raises(Incompatible, match="'point' has no density"):
            refuse(back, 4)
    else:
        assert np.array_equal(lb.score(back, x, samples=4).log_likelihood, lb.score(run, x, samples=4).log_likelihood)
