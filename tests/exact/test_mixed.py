"""A row of a table: every column's density against a formula, its integral, its samples, and its units."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lowerbound.batches import Batch
from lowerbound.data.columns import Column, plain
from lowerbound.likelihoods import Columns
from lowerbound.model import VAE, assemble
from lowerbound.objectives import StepContext, elbo
from lowerbound.randomness import scope
from lowerbound.tabular import TableEmbedding

COLUMNS = (
    Column("r", "real", "gaussian", -5, 5, 0.1), Column("t", "real", "student_t", -5, 5),
    Column("p", "positive", "log_normal", 0.1, 50, 0.1), Column("b", "bounded", "logit_normal", 0, 1, 0.01),
    Column("n", "count", "negative_binomial", 0, 60, 1, spikes=(40.0,)), Column("q", "count", "poisson", 0, 9, 1),
    Column("o", "ordinal", "ordinal", categories=("a", "b", "c", "d")),
    Column("k", "categorical", "categorical", categories=tuple("uvwxyz")),
    Column("y", "binary", "categorical", categories=("0", "1")),
    Column("s", "positive", "log_normal", 0, 9e4, 1, spikes=(0.0, 7688.0)),
)  # fmt: skip
AT = {column.name: i for i, column in enumerate(COLUMNS)}
SHIFT = torch.tensor([1.0, 2, 0.5, 0, 3, 2, 0, 0, 0, 2]).double()
SCALE = torch.tensor([2.0, 1, 1.5, 1, 1, 1, 1, 1, 1, 1]).double()
UNIT = (torch.arange(8000).double() + 0.5) / 8000


def family(columns: tuple[Column, ...] = COLUMNS, **options: Any) -> Columns:
    with scope(0, "test"):
        return Columns((len(columns),), columns, **options).double()


def likelihood(seed: int = 0, **options: Any) -> tuple[Columns, Any]:
    part = family(**options)
    numbers = torch.randn(3, 5, *part.numbers, generator=torch.Generator().manual_seed(seed)).double()
    return part, part(numbers).relocated(SHIFT, SCALE)  # type: ignore[attr-defined]


def cell(name: str, values: Tensor, **options: Any) -> Tensor:
    """log p of values of one column, (values, samples, rows)."""
    part, p = likelihood(**options)
    x = part.fill.double().repeat(len(values), 1, 1, 1)
    x[..., AT[name]] = values[:, None, None]
    found: Tensor = p.log_prob(x.expand(-1, 3, 5, -1))[..., AT[name]].detach()
    return found


POINTS = {
    "r": (5 * UNIT.logit(), 5 / (UNIT * (1 - UNIT)) / 8000),
    "t": (UNIT.logit().sinh(), UNIT.logit().cosh() / (UNIT * (1 - UNIT)) / 8000),
    "p": ((8 * UNIT.logit()).exp(), (8 * UNIT.logit()).exp() * 8 / (UNIT * (1 - UNIT)) / 8000),
    "s": ((8 * UNIT.logit()).exp(), (8 * UNIT.logit()).exp() * 8 / (UNIT * (1 - UNIT)) / 8000),
    "b": (-0.005 + 1.01 * UNIT, torch.full_like(UNIT, 1.01 / 8000)),
    **{name: (torch.arange(count).double(), torch.ones(count).double())
       for name, count in (("n", 3000), ("q", 200), ("o", 4), ("k", 6), ("y", 2))},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(POINTS))
@pytest.mark.parametrize("scale", ["predicted", "learned"])
def test_the_density_of_each_column_integrates_to_one(name: str, scale: str) -> None:
    points, weights = POINTS[name]
    total = (cell(name, points, scale=scale).exp() * weights[:, None, None]).sum(0)
    if name == "s":  # the probability of the spikes is beside the density
        total = total + cell(name, torch.tensor([0.0, 7688.0]).double(), scale=scale).exp().sum(0)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-3)


def test_densities_are_those_of_the_formulas() -> None:
    part, p = likelihood()
    x = torch.tensor([0.3, -1.0, 4.0, 0.25, 7.0, 3.0, 2.0, 4.0, 1.0, 12.0]).double()
    found = p.log_prob(x.expand(5, -1))[1, 2].detach().numpy()
    numbers, layout = p.numbers[1, 2].numpy(), part.layout
    loc, raw, nu, means, logits, ordinal = np.split(numbers, np.cumsum(layout.groups)[:-1])
    shift, scale = SHIFT.numpy(), SCALE.numpy()
    m = shift[[0, 1, 2, 3, 9]] + scale[[0, 1, 2, 3, 9]] * loc
    step = np.array(
        [0.1, 0.0, 0.1 * math.exp(-m[2]), 0.01 / (1.01 * (e := 1 / (1 + math.exp(-m[3]))) * (1 - e)), math.exp(-m[4])]
    )
    least = np.minimum(step / math.sqrt(12), [np.inf, np.inf, 1, 1, 1]) / scale[[0, 1, 2, 3, 9]]
    s = np.sqrt(1e-6 + least**2 + np.exp(raw)) * scale[[0, 1, 2, 3, 9]]
    freedom = 1 + np.log1p(np.exp(nu[0] + 1))
    assert found[0] == pytest.approx(stats.norm(m[0], s[0]).logpdf(0.3))
    assert found[1] == pytest.approx(stats.t(freedom, m[1], s[1]).logpdf(-1.0))
    assert found[2] == pytest.approx(stats.lognorm(s[2], scale=math.exp(m[2])).logpdf(4.0))
    u = (0.25 + 0.005) / 1.01
    expected = stats.norm(m[3], s[3]).logpdf(math.log(u / (1 - u))) - math.log(1.01 * u * (1 - u))
    assert found[3] == pytest.approx(expected, rel=1e-6)
    mean, rate = 3 * math.exp(means[0]), 2 * math.exp(means[1])
    beside = -math.log1p(math.exp(logits[6]))  # the first six logits are of k and y
    assert found[4] == pytest.approx(beside + stats.nbinom(1, 1 / (1 + mean)).logpmf(7))
    assert found[5] == pytest.approx(stats.poisson(rate).logpmf(3))
    weights = np.exp([0.0, *logits[:5]])
    assert found[7] == pytest.approx(math.log(weights[4] / weights.sum()))
    assert found[8] == pytest.approx(math.log(math.exp(logits[5]) / (1 + math.exp(logits[5]))))
    gap = math.log(2)  # softplus(0): the cuts are -gap, 0, gap
    cuts = [1 / (1 + math.exp(-(c - ordinal[0]))) for c in (0.0, gap)]
    assert found[6] == pytest.approx(math.log(cuts[1] - cuts[0]), rel=1e-6)
    gate = np.exp([0.0, *logits[7:9]])
    expected = math.log(gate[0] / gate.sum()) + stats.lognorm(s[4], scale=math.exp(m[4])).logpdf(12.0)
    assert found[9] == pytest.approx(expected)
    on = p.log_prob(torch.where(torch.arange(10) == 9, 7688.0, x).expand(5, -1))[1, 2, 9]
    assert float(on.detach()) == pytest.approx(math.log(gate[2] / gate.sum()))


def test_samples_have_the_mean_and_stand_in_the_support() -> None:
    _, p = likelihood()
    with scope(3, "test"):
        x = p.sample((20000,))
    plain_tails = [AT[name] for name in "rbnqoky"]
    error = ((x.mean(0) - p.mean) / (x.std(0) / math.sqrt(20000) + 1e-12))[..., plain_tails]
    assert error.abs().max() < 4.5
    assert p.log_prob(x).isfinite().all()
    assert (x[..., AT["s"]] == 7688.0).any() and (x[..., AT["n"]] == 40.0).any()
    assert set(x[..., AT["o"]].unique().tolist()) == {0, 1, 2, 3}


def test_sigma_is_no_less_than_rounding_leaves() -> None:
    part = family()
    numbers = torch.full((1, *part.numbers), -60.0).double()
    numbers[..., : len(part.layout.measured)] = 0.0
    p = part(numbers).relocated(SHIFT, SCALE)  # type: ignore[attr-defined]
    at_mean = torch.where(torch.arange(10) == AT["r"], SHIFT, part.fill.double())
    best = float(p.log_prob(at_mean[None])[0, AT["r"]].detach())
    least = math.sqrt((0.1 / math.sqrt(12)) ** 2 + (1e-3 * 2) ** 2)
    assert best == pytest.approx(-math.log(least * math.sqrt(2 * math.pi)), rel=1e-6)


def model(columns: tuple[Column, ...], mode: str = "columns", masked: bool = False) -> VAE:
    net = {"name": "mlp", "widths": [6]}
    return assemble({
        "shape": [len(columns)], "latent": 2, "encoder": net, "decoder": net, "posterior": {"name": "gaussian"},
        "prior": {"name": "standard"}, "likelihood": {"name": "columns"}, "columns": [plain(c) for c in columns],
        "embedding": {"mode": mode, "masked": masked},
    }).double()  # fmt: skip


def rows(count: int = 40) -> Tensor:
    with scope(5, "test"):
        x: Tensor = likelihood()[1].sample((count,))[:, 0, 0]
    return x


def test_what_stands_in_missing_cells_has_no_effect() -> None:
    x, mask = rows(), torch.rand(40, 10, generator=torch.Generator().manual_seed(1)) < 0.6
    made, objective = model(COLUMNS, masked=True).train(), elbo()

    def step(values: Tensor) -> list[Tensor]:
        made.embedding.start_from(values, mask)
        batch = Batch(values, mask)
        terms = objective(made, batch, StepContext.fresh(objective, made, batch))
        return [terms.value.detach(), *torch.autograd.grad(terms.loss, list(made.parameters()))]

    clean = step(x.masked_fill(~mask, 0.0))
    assert all(one.isfinite().all() for one in clean)
    for poison in (math.nan, math.inf, -math.inf, 1e30, -3.5):
        assert all(a.equal(b) for a, b in zip(step(x.masked_fill(~mask, poison)), clean, strict=True)), poison
    assert not step(x + mask.double())[0].equal(clean[0])


def test_a_change_of_units_shifts_log_p_by_the_jacobian() -> None:
    metres = (Column("h", "real", "gaussian", 1.2, 2.1, 0.01), Column("w", "positive", "log_normal", 40, 120, 0.1),
              Column("b", "bounded", "logit_normal", 0.0, 1.0, 0.01),
              Column("c", "count", "poisson", 0, 9, 1))  # fmt: skip
    hundredfold = (Column("h", "real", "gaussian", 120, 210, 1.0),
                   Column("w", "positive", "log_normal", 4e4, 1.2e5, 100),
                   Column("b", "bounded", "logit_normal", 0.0, 100.0, 1.0), metres[3])  # fmt: skip
    source = np.random.default_rng(0)
    x = torch.tensor(np.stack([source.normal(1.7, 0.1, 50).round(2), source.normal(70, 9, 50).round(1),
                               source.random(50).round(2), source.poisson(2, 50)], 1))  # fmt: skip
    factor = torch.tensor([100.0, 1000.0, 100.0, 1.0]).double()
    found, objective = [], elbo()
    for columns, values in ((metres, x), (hundredfold, x * factor)):
        made = model(columns)
        made.embedding.start_from(values)
        batch = Batch(values)
        bound = objective(made, batch, StepContext.fresh(objective, made, batch)).value.detach()
        q = made.posterior(values)
        found.append((bound, made.likelihood(q.mean).point.detach()))  # type: ignore[attr-defined]
    assert torch.allclose(found[0][0] - found[1][0], factor.log().sum().expand(50), atol=1e-6)
    assert torch.allclose(found[0][1] * factor, found[1][1], rtol=1e-9)


def test_what_the_encoder_sees() -> None:
    columns = (Column("v", "real", "gaussian", spikes=(0.0,)), Column("p", "positive", "log_normal"),
               Column("c", "categorical", "categorical", categories=("x", "y", "z")))  # fmt: skip
    embedding = TableEmbedding(columns, mode="columns", masked=True).double()
    x = torch.tensor([[0.0, 1.0, 2.0], [4.0, math.e, 0.0], [8.0, 1.0, 1.0]]).double()
    embedding.start_from(x)
    assert embedding.shift.tolist() == pytest.approx([6.0, 1 / 3, 0.0])  # the spike does not count, categories neither
    assert embedding.scale.tolist() == pytest.approx([2.0, math.sqrt(2) / 3, 1.0])
    mask = torch.tensor([[True, True, True], [True, False, True], [True, True, False]])
    seen = embedding(x, mask)
    expected = [
        [0.0, -0.7071, 1, 0, 0, 1, 1, 1, 1],
        [-1.0, 0.0, 0, 1, 0, 0, 1, 0, 1],
        [1.0, -0.7071, 0, 0, 0, 0, 1, 1, 0],
    ]
    assert torch.allclose(seen, torch.tensor(expected).double(), atol=1e-4)
    assert embedding.outputs == (seen.shape[1],)


def test_weights_count_in_training_only() -> None:
    columns = (Column("a", "real", "gaussian", weight=3.0), Column("b", "real", "gaussian"))
    made = model(columns)
    x, z = torch.tensor([[0.5, -0.2]]).double(), torch.zeros(1, 1, 2).double()
    p = made.likelihood(z)
    cells = p.log_prob(x)[0, 0].detach()
    assert float(made.eval().log_likelihood(p, x).detach()) == pytest.approx(float(cells.sum()))
    assert float(made.train().log_likelihood(p, x).detach()) == pytest.approx(float(3 * cells[0] + cells[1]))


def test_point_is_a_category_that_is_there() -> None:
    _, p = likelihood()
    for name, count in (("o", 4), ("k", 6), ("y", 2)):
        chosen = p.point[..., AT[name]]
        logs = torch.stack([cell(name, torch.tensor([float(k)]).double())[0] for k in range(count)])
        assert chosen.long().equal(logs.argmax(0))


def test_the_model_is_made_again_from_its_specification() -> None:
    made = model(COLUMNS, masked=True)
    again = assemble(made.spec).double()
    assert again.spec == made.spec
    again.load_state_dict(made.state_dict())
    x = rows(4)
    assert again.posterior(x).mean.equal(made.posterior(x).mean)
