"""Between the codes: balls around data, slopes of decoders, paths."""

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import DataError
from lowerbound.tasks.baselines import Reference
from lowerbound.tasks.geometry import Balls, fitted, geometry, steepness


def test_balls_reach_to_the_fifth_neighbour() -> None:
    line = torch.arange(10.0).double()[:, None]
    balls = Balls.around(line)
    assert balls.radii.tolist() == [5, 4, 3, 3, 3, 3, 3, 3, 4, 5]
    assert balls.reach(torch.tensor([[-4.0], [4.0], [14.5]]).double()).tolist() == pytest.approx([4 / 5, 0, 5.5 / 5])
    assert balls.outside(torch.tensor([[-5.1], [-4.9], [4.5], [99.0]]).double()) == 0.5
    with pytest.raises(DataError, match="too few"):
        Balls.around(line[:5])


def test_the_slope_of_a_linear_decoder_is_its_largest_singular_value() -> None:
    run = lb.fit("digits", recipe="pca", latent=4, progress=False)
    weight = run.model.decoder.map.weight.detach().double()
    spread = torch.tensor([1.0, 0.5, 2.0, 0.1]).double()
    found = steepness(run, torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double(), spread)
    exact = float(torch.linalg.svdvals(weight * spread)[0])
    assert found.tolist() == pytest.approx([exact] * 3, rel=1e-6)


def test_the_slope_counts_in_units_of_the_scaled_data() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    one, other = (lb.fit(some, latent=2, epochs=0, progress=False) for some in (rows, 1000 * rows))
    z = torch.zeros(1, 2).double()
    first, second = (float(steepness(run, z, torch.ones(2).double())) for run in (one, other))
    assert first == pytest.approx(second, rel=1e-3)


def test_codes_are_drawn_as_they_lie() -> None:
    codes = np.random.default_rng(0).normal(size=(4000, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]]) + [3.0, -1.0]
    made = fitted(codes)
    assert made.spread.tolist() == pytest.approx(codes.std(0).tolist())
    draws = made.draw(20_000, 0).numpy()
    np.testing.assert_allclose(draws.mean(0), codes.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(codes.T), atol=0.1)


def test_an_autoencoder_has_holes_and_a_vae_has_not() -> None:
    """Eight dimensions, digits: draws that should be like the codes leave the data in one and not in the other."""
    found = {}
    for recipe in ("ae", "vae"):
        run = lb.fit("digits", recipe=recipe, latent=8, epochs=25, progress=False)
        found[recipe] = geometry(Reference(run))
    assert found["ae"]["outside"]["prior"] > 0.4 > 0.1 > found["vae"]["outside"]["prior"]
    assert found["ae"]["outside"]["fitted"] > 2 * found["vae"]["outside"]["fitted"]
    assert found["ae"]["outside"]["test"] == found["vae"]["outside"]["test"] < 0.15
    for one in found.values():
        slopes = list(one["lipschitz"].values())
        assert slopes == sorted(slopes) and one["interpolation"]["whole"] <= one["interpolation"]["inside"] <= 1
    assert found["vae"]["interpolation"]["pairs"] == 90
