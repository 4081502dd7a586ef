"""Samples against held-out rows: what a prior fitted to the codes brings; the tests err as often as they say."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

import lowerbound as lb
from lowerbound.measures import generation

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
Record = Callable[[str, str, str], None]

SHARP = {"name": "gaussian", "scale": "fixed", "value": 0.05, "mean": "sigmoid"}
"""Little noise: the means, which are judged, then have the edges that a forest looks for."""


def test_a_mixture_of_the_codes_makes_better_digits_than_the_prior(record: Record) -> None:
    """10 latent dimensions, 10 components on the training rows' codes; 500 means on the 1/16 grid, 500 test rows."""
    run = lb.fit("digits", latent=10, likelihood=SHARP, epochs=400, test=500, progress=False)
    codes = lb.encode(run, run.rows(part="train")).astype(np.float64)
    mixture = GaussianMixture(10, random_state=0).fit(codes)
    made = lb.decode(run, mixture.sample(500)[0])
    found, plain = (lb.generation(run, rows=500, kind="mean", made=rows).measures for rows in (made, None))
    for name, bar in (("two_sample_forest", "≤ 0.866"), ("two_sample_mlp", "-"), ("coverage", "-"), ("frechet", "-")):
        record(f"digits, VAE(10) + mixture of 10 on its codes, 500 means: {name}", bar,
               f"{found[name]}; from N(0, I) {plain[name].value:.4g}")  # fmt: skip
    assert found["two_sample_forest"].value <= 0.866
    assert found["two_sample_forest"].value < plain["two_sample_forest"].value


def test_the_permutation_test_of_mmd_errs_as_often_as_it_says(record: Record) -> None:
    rng = np.random.default_rng(0)
    draws = ((rng.normal(size=(50, 5)), rng.normal(size=(50, 5))) for _ in range(2000))
    wrong = [generation.mmd(*pair, seed=i).p_value <= 0.05 for i, pair in enumerate(draws)]
    record("MMD, two sets of N(0, I), 2,000 repeats: rejected at 0.05", "5 ± 1.5 %", f"{np.mean(wrong):.2%}")
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.015)


def test_precision_recall_density_and_coverage_of_two_normal_sets(record: Record) -> None:
    """The size of the README of clovaai/generative-evaluation-prdc is 10,000 rows of 1,000 cells; here a third."""
    rng = np.random.default_rng(0)
    found = generation.prdc(rng.normal(size=(3000, 1000)), rng.normal(size=(3000, 1000)))
    record("PRDC, two sets of N(0, I), 3,000 rows of 1,000 cells, k = 5", "coverage 0.969 ± 0.01",
           "; ".join(f"{name} {one}" for name, one in found.items()))  # fmt: skip
    assert found["coverage"].value == pytest.approx(0.969, abs=0.01)
    for name in ("precision", "recall"):
        assert found[name].value == pytest.approx(found[name].perfect, abs=0.05)
