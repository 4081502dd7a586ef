"""How far log p(x) is to be trusted, on models as they are trained: minutes, so they run under ``make acceptance``."""

from collections.abc import Callable

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.linear import evidence
from lowerbound.selftests.base import closed_form
from lowerbound.tasks.annealing import Annealing, sandwich
from lowerbound.tasks.score import standard_error

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
Record = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=10, validation=200, test=500, progress=False)


def test_bidirectional_monte_carlo_holds_the_exact_value(record: Record) -> None:
    model = closed_form("digits", 10)
    batch, lower, upper = sandwich(model, 60, Annealing(temperatures=500, chains=32))
    exact = evidence(model, batch.x).numpy()
    below, above = exact - lower.log_mean, -upper.log_mean - exact
    gap = below + above
    record("digits, linear model of 10 latents: exact log p(x) between annealing's bounds, 500 temperatures",
           "gap < 0.1 nats", f"{below.mean():.3f} below, {above.mean():.3f} above, gap {gap.mean():.3f} ± "
           f"{standard_error(gap):.3f}")  # fmt: skip
    assert 0 < gap.mean() < 0.1
    assert all(side.mean() > -2 * standard_error(side) for side in (below, above))


def test_inference_gaps_of_a_trained_model(run: lb.Run, record: Record) -> None:
    found = lb.gap(run, rows=40)
    facts = found.as_dict()
    shown = {name: f"{facts[name]['mean']:.2f} ± {facts[name]['se']:.2f}" for name in ("approximation", "amortisation")}
    record("digits, vae, 10 latent: approximation gap; amortisation gap; both", "≥ -2 s.e., add up to log p(x) - ELBO",
           f"{shown['approximation']}; {shown['amortisation']}; {facts['total']['mean']:.2f} nats")  # fmt: skip
    for name in ("approximation", "amortisation"):
        assert facts[name]["mean"] >= -2 * facts[name]["se"]
    np.testing.assert_allclose(found.total, found.approximation + found.amortisation)


def test_ways_to_log_p_agree_on_a_trained_model(run: lb.Run, record: Record) -> None:
    found = lb.estimate(run, samples=5000, rows=20)
    means = {one.label: f"{one.mean:.2f}" for one in found.found}
    gap = found.as_dict()["bdmc"]["gap"]
    lines = "; ".join(f"{label} {mean}" for label, mean in means.items())
    record("digits, vae, 10 latent: log p(x) of 20 test rows, every way", "the bounds rise to annealing's value",
           f"{lines}; bidirectional gap {gap:.2f}")  # fmt: skip
    bounds = [one.mean for one in found.found if one.method in ("iwae", "importance")]
    assert bounds == sorted(bounds)
    assert bounds[-1] < found["ais"].mean + 0.2
    assert found["prior"].doubtful > 10
