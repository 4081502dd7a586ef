"""A prior fitted afterwards: to the optimum where that is known, and without touching the rest of the model."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import BadOption, DataShape, Incompatible, UnknownName
from lowerbound.tasks.refit import codes, mean_log_prior

Answer = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=2, epochs=4, encoder="linear", decoder="linear", progress=False)


def test_one_normal_becomes_that_of_the_codes(run: lb.Run) -> None:
    """The best single normal has the mean and covariance of the codes: E log p(z) is then minus its entropy."""
    made = lb.refit_prior(run, "mixture:components=1,covariance=full", run.rows(part="train"), steps=500)
    z = codes(run.model, run.resident(run.rows(part="train")), 0).double()
    entropy = 0.5 * float(torch.linalg.slogdet(torch.cov(z.T)).logabsdet) + 1 + math.log(2 * math.pi)
    assert mean_log_prior(made.model, z.float()) == pytest.approx(-entropy, abs=0.01)
    assert torch.allclose(made.model.prior().mean.double(), z.mean(0), atol=0.05)


def test_only_the_prior_changes(run: lb.Run, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    made = lb.refit_prior(run, {"name": "mixture", "components": 3}, steps=50)
    after, now = made.model.state_dict(), run.model.state_dict()
    assert all(torch.equal(now[name], value) for name, value in before.items())
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("prior"))
    assert np.array_equal(lb.reconstruct(made), lb.reconstruct(run))
    assert made.config.model.prior["name"] == "mixture" and run.config.model.prior["name"] == "standard"
    gain = made.summary["refitted"]["log_prior"]
    assert set(gain) == {"before", "after"}
    back = lb.open(made.save(tmp_path / "refitted"))
    assert np.array_equal(lb.score(back, samples=4).log_likelihood, lb.score(made, samples=4).log_likelihood)
    assert back.summary["refitted"]["prior"]["components"] == 3


def test_what_is_kept_is_the_best_that_was_met(run: lb.Run) -> None:
    """Longer is never worse on the codes it is stopped by, and the same seed gives the same prior."""
    told = [lb.refit_prior(run, "mixture:components=4", steps=steps).summary["refitted"]["log_prior"]["after"]
            for steps in (1, 100, 200, 200)]  # fmt: skip
    assert told[0] <= told[1] <= told[2] == told[3]
    assert told[2] > told[0] + 0.05


def test_the_weights_are_those_of_the_best_and_not_of_the_last_step(run: lb.Run) -> None:
    """Many normals and few rows: the codes that are fitted go on to gain when those that are not lose."""
    few = run.rows(part="train").take(slice(0, 40))
    made = lb.refit_prior(run, "mixture:components=30", few, steps=600)
    held = run.resident(few.with_split(0.1, 0.0, how="random").validation)
    found = mean_log_prior(made.model, codes(run.model, held, 0))
    assert found == pytest.approx(made.summary["refitted"]["log_prior"]["after"], abs=1e-5)


@pytest.mark.parametrize("prior", ["vamp:components=4", "flow:layers=1,widths=[8]"])
def test_every_prior_with_weights_can_be_fitted(run: lb.Run, prior: str) -> None:
    first, later = (lb.refit_prior(run, prior, steps=steps).summary["refitted"]["log_prior"] for steps in (1, 60))
    assert later["after"] > first["after"]


@pytest.mark.parametrize(
    ("prior", "error", "words"),
    [
        ("standard", Incompatible, "prior 'standard' has no weights to fit"),
        ("conditional", Incompatible, "needs a context"),
        ("mixtur", UnknownName, "Did you mean 'mixture'"),
        ("mixture:components=0", BadOption, "components"),
    ],
)
def test_what_cannot_be_fitted_is_refused(run: lb.Run, prior: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        lb.refit_prior(run, prior)


def test_few_rows_no_steps_and_no_density_are_refused(run: lb.Run) -> None:
    with pytest.raises(DataShape, match="too few rows: found 1"):
        lb.refit_prior(run, "mixture", run.rows().take([0]))
    with pytest.raises(BadOption, match="not a number of steps"):
        lb.refit_prior(run, steps=0)
    with pytest.raises(Incompatible, match="posterior 'point' has no density"):
        lb.refit_prior(lb.fit("digits", recipe="ae", latent=2, epochs=1, progress=False))
