"""Noise depends on what it is keyed by and on nothing else, and has the law that it names.

Each statistical bound is passed by sound noise with a probability above 0.9999; seeds are fixed.
"""

import math
import random

import numpy as np
import pytest
import torch
from scipy import stats

from lowerbound.randomness import Draw, fill, generator, key, permutation, row_digests, row_noise, scope, step_noise

NORMAL, UNIFORM = Draw((3,)), Draw((3,), "uniform")


def test_a_key_depends_on_every_element_and_their_order() -> None:
    paths: list[tuple[int | str, ...]] = [
        (0,),
        (1,),
        (0, 0),
        ("0",),
        (0, "a"),
        ("a", 0),
        ("a", "b"),
        ("ab",),
        (0, "a", 1),
    ]
    keys = [key(*path) for path in paths]
    assert len(set(keys)) == len(paths)
    assert keys == [key(*path) for path in paths]
    assert all(0 <= one < 2**63 for one in keys)


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_noise_has_its_law(law: str) -> None:
    noise = fill(Draw((), law), 20000, generator(0, "law")).numpy()  # type: ignore[arg-type]
    assert noise.dtype == np.float32
    cdf = stats.norm.cdf if law == "normal" else stats.uniform.cdf
    assert stats.kstest(noise, cdf).pvalue > 1e-4
    mean, variance = (0.0, 1.0) if law == "normal" else (0.5, 1 / 12)
    assert abs(noise.mean() - mean) < 4 * math.sqrt(variance / len(noise))


def rows(count: int = 40) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(1))


def test_row_noise_has_its_law_over_rows_and_over_draws() -> None:
    for noise in (row_noise(0, "z", row_digests(rows(3000)), NORMAL, 0, 2), row_noise(0, "z", [5], NORMAL, 0, 3000)):
        values = noise.flatten().numpy()
        assert stats.kstest(values, stats.norm.cdf).pvalue > 1e-4
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / math.sqrt(len(values))


def test_rows_and_draws_are_independent_of_each_other() -> None:
    noise = row_noise(0, "z", row_digests(rows(2000)), NORMAL, 0, 4).numpy()
    table = noise.transpose(1, 0, 2).reshape(2000, -1)
    off = np.corrcoef(table.T) - np.eye(table.shape[1])
    assert np.abs(off).max() < 4.5 / math.sqrt(2000)  # 66 pairs


@pytest.mark.parametrize("law", [NORMAL, UNIFORM])
def test_row_noise_is_the_same_for_any_order_subset_and_split(law: Draw) -> None:
    digests = row_digests(rows())
    whole = row_noise(7, "z", digests, law, 0, 600)
    assert whole.shape == (600, 40, 3)
    assert row_noise(7, "z", digests[::-1], law, 0, 600).equal(whole.flip(1))
    assert row_noise(7, "z", digests[5:9], law, 0, 600).equal(whole[:, 5:9])
    for start, stop in [
        (0, 1),
        (0, 2),
        (1, 2),
        (2, 3),
        (3, 7),
        (0, 256),
        (255, 257),
        (300, 300),
        (511, 513),
        (599, 600),
    ]:
        assert row_noise(7, "z", digests, law, start, stop).equal(whole[start:stop])


def test_row_noise_depends_on_seed_purpose_row_and_draw() -> None:
    one = row_noise(0, "z", [1], NORMAL, 0, 600)
    others = [(1, "z", 1), (0, "x", 1), (0, "z", 2)]
    assert all(not row_noise(s, p, [d], NORMAL, 0, 600).eq(one).any() for s, p, d in others)
    assert len(set(one.flatten().tolist())) > 0.99 * one.numel()


def test_a_digest_is_of_what_is_seen() -> None:
    x, mask = torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, -0.0]]), torch.tensor([[True, False]] * 3)
    first, second, third = row_digests(x, mask)
    assert first == second == third
    assert len(set(row_digests(x))) == 3
    assert row_digests(x)[2] == row_digests(torch.tensor([[1.0, 0.0]]))[0]
    assert row_digests(x, ~mask)[0] != row_digests(x, torch.ones_like(mask))[0]
    zero = torch.zeros(1, 2)
    assert row_digests(zero, torch.tensor([[True, False]])) != row_digests(zero, torch.tensor([[False, True]]))


def test_step_noise_is_keyed_by_purpose_and_step_and_not_by_what_else_is_asked() -> None:
    asked = {"posterior": NORMAL, "corruption": UNIFORM, "binarize": UNIFORM}
    noise = step_noise(0, 5, asked, 8, "cpu", torch.float64)
    assert {name: (tuple(one.shape), one.dtype) for name, one in noise.items()} == dict.fromkeys(
        asked, ((8, 3), torch.float64)
    )
    alone = step_noise(0, 5, {"posterior": NORMAL}, 8, "cpu", torch.float64)
    assert alone["posterior"].equal(noise["posterior"])
    assert not noise["corruption"].eq(noise["binarize"]).any()
    for seed, step in [(1, 5), (0, 6)]:
        other = step_noise(seed, step, asked, 8, "cpu", torch.float64)
        assert not any(other[name].eq(noise[name]).any() for name in asked)
    assert noise["posterior"].float().equal(step_noise(0, 5, asked, 8, "cpu", torch.float32)["posterior"])


def test_a_permutation_visits_every_row_once_in_an_order_of_its_own() -> None:
    orders = [permutation(500, 0, epoch) for epoch in range(3)] + [permutation(500, 1, 0)]
    assert all(order.sort().values.equal(torch.arange(500)) for order in orders)
    assert permutation(500, 0, 1).equal(orders[1])
    assert not any(a.equal(b) for number, a in enumerate(orders) for b in orders[:number])
    assert abs(stats.spearmanr(orders[0], orders[1]).statistic) < 4 / math.sqrt(500)


def test_nothing_global_is_read_or_written() -> None:
    def state() -> tuple[object, ...]:
        name, keys, *rest = np.random.get_state()
        return torch.get_rng_state().tolist(), random.getstate(), name, keys.tobytes(), rest

    before = state()
    everything = [
        fill(NORMAL, 3, generator(0)), row_noise(0, "z", [1, 2], NORMAL, 0, 3), permutation(9, 0, 0),
        *step_noise(0, 0, {"a": UNIFORM}, 3, "cpu", torch.float32).values(),
    ]  # fmt: skip
    with scope(0, "inside"):
        inside = torch.randn(3)
    assert state() == before
    with scope(9, "elsewhere"):
        torch.randn(100)
        again = [fill(NORMAL, 3, generator(0)), row_noise(0, "z", [1, 2], NORMAL, 0, 3), permutation(9, 0, 0)]
        with scope(0, "inside"):
            assert torch.randn(3).equal(inside)
    assert all(a.equal(b) for a, b in zip(everything, again, strict=False))


def test_a_scope_puts_the_state_back_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), scope(0, "inside"):
        torch.randn(3)
        _ = 1 / 0
    assert torch.get_rng_state().equal(before)
