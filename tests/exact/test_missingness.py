"""p(mask|x): bounds, weights and filled cells of a linear Gaussian model against quadrature and against MIWAE."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lowerbound as lb
from lowerbound import parts
from lowerbound.batches import Batch
from lowerbound.data import Data
from lowerbound.distributions import outcome
from lowerbound.errors import Incompatible
from lowerbound.missingness import Missingness, SelfMasking
from lowerbound.model import VAE, assemble
from lowerbound.objectives import elbo, iwae
from lowerbound.objectives.base import StepContext
from lowerbound.tasks.filling import Holes, weighted

GAIN, LEVEL, NOISE = np.array([0.9, -0.6]), np.array([0.3, -0.2]), 0.5  # of p(x|z), two cells and one code
SLOPE, OFFSET = np.array([0.0, 2.0]), np.array([1.0, 0.4])  # of p(mask|x): the second cell goes missing where large


def model_of(missingness: dict[str, Any] | None, shift: float = 0.0, scale: float = 1.0) -> VAE:
    """One code, two cells, float64, in a unit of x of its own."""
    linear = {"name": "linear"}
    table = {
        "shape": [2], "latent": 1, "encoder": linear, "decoder": linear, "posterior": {"name": "gaussian"},
        "prior": {"name": "standard"}, "likelihood": {"name": "gaussian", "scale": "fixed", "value": NOISE},
        "embedding": {"mode": "columns", "masked": True},
    }  # fmt: skip
    model = assemble({**table, **({"missingness": missingness} if missingness else {})}).double().eval()
    weights: dict[str, Any] = {
        "decoder.map.weight": GAIN[:, None], "decoder.map.bias": LEVEL, "encoder.map.bias": [0.1, -0.3],
        "encoder.map.weight": [[0.4, -0.3, 0.1, 0.0], [0.0, 0.0, -0.2, -0.1]],
        "embedding.shift": np.full(2, shift), "embedding.scale": np.full(2, scale),
    }  # fmt: skip
    for name, value in weights.items():
        model.state_dict()[name].copy_(torch.as_tensor(np.asarray(value, dtype=np.float64)))
    return model


def self_masked(shift: float = 0.0, scale: float = 1.0) -> VAE:
    model = model_of({"name": "self_masking"}, shift, scale)
    part = model.missingness_family
    assert isinstance(part, SelfMasking)
    with torch.no_grad():
        part.slope.copy_(torch.as_tensor(SLOPE) / 10)
        part.offset.copy_(torch.as_tensor(OFFSET) / 10)
    return model


def rows(seen: float, shift: float = 0.0, scale: float = 1.0) -> Batch:
    x = torch.tensor([[seen, math.nan]], dtype=torch.float64) * scale + shift
    return Batch(x, torch.tensor([[True, False]]))


def normal(x: Any, mean: Any, sigma: float) -> Any:
    return np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


def quadrature(seen: float) -> tuple[float, float, float]:
    """p(x_1, mask), and mean and variance of x_2 given both, by a sum over a grid of z and x_2."""
    z, x = np.linspace(-8, 8, 1601)[:, None], np.linspace(-8, 8, 1601)[None, :]
    joint = normal(z, 0, 1) * normal(seen, GAIN[0] * z + LEVEL[0], NOISE) * normal(x, GAIN[1] * z + LEVEL[1], NOISE)
    odds = OFFSET - SLOPE * np.array([seen, 0.0])
    joint *= 1 / (1 + math.exp(-odds[0])) * (1 - 1 / (1 + np.exp(-(OFFSET[1] - SLOPE[1] * x))))
    total = joint.sum()
    mean = float((joint * x).sum() / total)
    return float(total * 0.01**2), mean, float((joint * x**2).sum() / total) - mean**2


@pytest.mark.parametrize("seen", [-1.2, 0.4, 2.0])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (170.0, 100.0)])
def test_weights_average_to_what_quadrature_gives(seen: float, shift: float, scale: float) -> None:
    model, batch = self_masked(shift, scale), rows(seen, shift, scale)
    p, mean, variance = quadrature(seen)
    with torch.no_grad():
        found = weighted(Holes(model, batch, 0), 30_000, 4000)
        bound = iwae(samples=40_000)(model, batch, _context(model, batch, 40_000)).value
    assert float(bound) == pytest.approx(math.log(p) - math.log(scale), abs=0.02)
    spread = math.sqrt(variance)
    filled = (found.mean[0, 1].item() - shift) / scale
    draws = (found.draws[:, 0, 1].numpy() - shift) / scale
    assert filled == pytest.approx(mean, abs=0.03 * spread)
    assert draws.mean() == pytest.approx(mean, abs=0.08 * spread) and draws.std() == pytest.approx(spread, rel=0.06)
    plain = model_of(None, shift, scale)
    with torch.no_grad():
        blind = (weighted(Holes(plain, batch, 0), 10_000, 1).mean[0, 1].item() - shift) / scale
    assert blind < mean - 0.2 * spread  # what is filled in without the reason is too low


def _context(model: VAE, batch: Batch, samples: int) -> StepContext:
    return StepContext.fresh(iwae(samples=samples), model, batch, seed=3)


def test_a_single_weight_is_the_ratio_of_densities() -> None:
    """p(x, mask, z) / q(z|x) written out with numpy, for one draw of z and of the missing cell."""
    model, batch = self_masked(), rows(0.7)
    context = _context(model, batch, 1)
    terms = iwae(samples=1)(model, batch, context)
    with torch.no_grad():
        q = model.posterior(batch.x, mask=batch.mask)
    m, s = q.mean.item(), q.stddev.item()
    z = m + s * context.noise["posterior"].item()
    x = GAIN[1] * z + LEVEL[1] + NOISE * context.noise["missing"][0, 0, 1].item()
    odds = OFFSET - SLOPE * np.array([0.7, x])
    log_w = np.log(normal(0.7, GAIN[0] * z + LEVEL[0], NOISE)) + np.log(normal(z, 0, 1)) - np.log(normal(z, m, s))
    log_w += -np.log1p(np.exp(-odds[0])) - np.log1p(np.exp(odds[1]))
    assert terms.value.item() == pytest.approx(log_w, abs=1e-7)
    assert terms.parts["log_mask"].item() == pytest.approx(-np.log1p(np.exp(-odds[0])) - np.log1p(np.exp(odds[1])))


class Coin(Missingness):
    """Whether a cell is observed depends on nothing."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.odds = torch.nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.float64))

    def logits(self, x: Tensor) -> Tensor:
        return self.odds.expand_as(x)


@pytest.mark.parametrize("gradient", ["standard", "stl", "dreg"])
def test_a_reason_that_is_none_is_miwae(gradient: Any) -> None:
    """The bound differs by log p(mask), gradients of the nets and the weights of draws do not differ at all."""
    plain, model = model_of(None), model_of(None)
    model.missingness_family = coin = Coin((2,))
    mask = torch.tensor([[True, False], [False, True], [True, True]])
    batch = Batch(torch.tensor([[-1.0, math.nan], [math.nan, 0.5], [2.0, 1.0]], dtype=torch.float64), mask)
    objective = iwae(samples=7, gradient=gradient)
    one, other = (objective(m, batch, StepContext.fresh(objective, m, batch, seed=1)) for m in (plain, model))
    log_p = torch.where(mask, coin.odds.sigmoid().log(), (-coin.odds).sigmoid().log()).sum(1)
    torch.testing.assert_close(other.value - one.value, log_p.detach(), atol=1e-12, rtol=0)
    names = [name for name, weight in plain.named_parameters() if weight.requires_grad]
    found = [torch.autograd.grad(terms.loss, [dict(m.named_parameters())[name] for name in names])
             for m, terms in ((plain, one), (model, other))]  # fmt: skip
    for name, a, b in zip(names, *found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12, msg=name)
    if gradient == "standard":  # of what is filled in there is one kind
        _filled_alike(plain, model, batch, mask)


def _filled_alike(plain: VAE, model: VAE, batch: Batch, mask: Tensor) -> None:
    with torch.no_grad():
        a, b = (weighted(Holes(m, batch, 0), 20_000, 1) for m in (plain, model))
    torch.testing.assert_close(a.ess, b.ess)
    torch.testing.assert_close(a.mean[~mask], b.mean[~mask], atol=0.03, rtol=0)


COIN = """
import torch
from lowerbound.missingness import Missingness

class Coin(Missingness, name="coin"):
    def __init__(self, shape):
        super().__init__(shape)
        self.odds = torch.nn.Parameter(torch.zeros(shape))

    def logits(self, x):
        return self.odds.expand_as(x)
"""
FEW: dict[str, Any] = {
    "recipe": "not-miwae", "latent": 1, "epochs": 3, "validation": 0, "test": 0, "progress": False,
    "encoder": "mlp:widths=[8]", "decoder": "mlp:widths=[8]", "objective": "iwae:samples=4",
}  # fmt: skip


@pytest.fixture
def coin(tmp_path: Path) -> Iterator[Path]:
    """A file with such a part; the registry is as it was before once the test is over."""
    names, foreign = dict(parts.REGISTRY["missingness"]), dict(parts.FOREIGN)
    path = tmp_path / "coin.py"
    path.write_text(COIN)
    yield path
    for known, before in ((parts.REGISTRY["missingness"], names), (parts.FOREIGN, foreign)):
        known.clear()
        known.update(before)  # type: ignore[arg-type]  # each with its own


def holed(rows: int = 90) -> Any:
    x = np.random.default_rng(0).normal(size=(rows, 2)) @ [[1.0, 0.8], [0.0, 0.6]] * [1.0, 10.0] + [0.0, 50.0]
    return np.where(x > [9.0, 52.0], np.nan, x)


def test_nets_trained_with_a_reason_that_is_none_are_those_of_miwae(coin: Path) -> None:
    plain = lb.fit(holed(), missingness="none", **FEW)
    run = lb.fit(holed(), missingness="coin", imports=[coin], **FEW)
    assert "log p(x, mask)" in run.loss["value"] and "mask" not in plain.loss["value"]
    for name, weight in plain.model.state_dict().items():
        torch.testing.assert_close(run.model.state_dict()[name], weight, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("missingness", ["self_masking:gone=high", "self_masking", "agnostic", "agnostic:widths=[3]"])
def test_a_run_comes_back_from_its_folder_and_learns_the_reason(missingness: str, tmp_path: Path) -> None:
    run = lb.fit(holed(), missingness=missingness, out=tmp_path / "run", **FEW)
    again = lb.open(tmp_path / "run")
    assert again.model.spec == run.model.spec and again.config.model.missingness is not None
    found, same = (lb.impute(each, holed(), samples=300) for each in (run, again))
    assert np.array_equal(found.values, same.values) and np.array_equal(found.draws, same.draws)
    assert set(found.method) == {"none", "importance"} and "why cells are missing" in found.reason
    start = assemble(run.model.spec).missingness_family
    assert start is not None and run.model.missingness_family is not None
    moved = zip(run.model.missingness_family.parameters(), start.parameters(), strict=True)
    assert all(not torch.equal(a, b) for a, b in moved)
    assert np.isfinite(lb.score(run, holed(), samples=20).log_likelihood).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_what_stands_in_missing_cells_changes_nothing(value: float) -> None:
    model, mask = self_masked(), torch.tensor([[True, False], [False, True]])
    x = torch.tensor([[0.5, 0.0], [0.0, -0.4]], dtype=torch.float64)
    found = []
    for filled in (x, x.masked_fill(~mask, value)):
        terms = iwae(samples=5)(model, Batch(filled, mask), None)
        found.append([terms.value, *torch.autograd.grad(terms.loss, [w for w in model.parameters()
                                                                     if w.requires_grad])])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(Incompatible, match="'elbo' does not train missingness 'self_masking'"):
        elbo().accepts(self_masked())
    with pytest.raises(Incompatible, match="needs a likelihood of real values; likelihood 'bernoulli'"):
        lb.fit(np.where(holed() > 0, 1.0, holed() * 0), **{**FEW, "likelihood": "bernoulli"})
    with pytest.raises(Incompatible, match="no cell is missing"):
        lb.fit(np.nan_to_num(holed()), **FEW)
    with pytest.raises(Incompatible, match="no p\\(mask"):
        model_of(None).missingness(torch.zeros(1, 2, dtype=torch.float64))
    run = lb.fit(holed(), **FEW)
    with pytest.raises(Incompatible, match="'metropolis' knows no"):
        lb.impute(run, Data(np.zeros((1, 2)), mask=np.array([[True, False]])), method="metropolis")


def test_noise_becomes_draws_with_a_gradient() -> None:
    """Location and scale of a normal, a Laplace and a Student-t, by differences; never infinite in single precision."""
    eps = torch.tensor([-1.3, 0.2, 9.0], dtype=torch.float64)
    laws = (torch.distributions.Normal, torch.distributions.Laplace,
            lambda loc, scale: torch.distributions.StudentT(4.0, loc, scale))  # fmt: skip
    for law in laws:
        loc, scale = (torch.full((3,), v, dtype=torch.float64, requires_grad=True) for v in (0.5, 2.0))
        made = outcome(law(loc, scale), eps)
        assert made is not None
        by_loc, by_scale = torch.autograd.grad(made.sum(), [loc, scale])
        unit = outcome(law(loc * 0, scale * 0 + 1), eps)
        assert torch.allclose(by_loc, torch.ones(3).double()) and unit is not None and torch.allclose(by_scale, unit)
        far = outcome(law(loc.float(), scale.float()), eps.float())
        assert far is not None and far.isfinite().all()
