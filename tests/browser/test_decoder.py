"""What the page computes is what torch computes, for every net and every likelihood; intervals by known formulas."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import lowerbound as lb
from lowerbound.explorer import decoder, families
from lowerbound.explorer.blob import Blob
from lowerbound.nets import ACTIVATIONS
from lowerbound.parts import REGISTRY

Open = Callable[..., Any]

SHAPE = (2, 7, 10)
LATENT = 3
ROWS = 12
READ = """async ([facts, index, text, cells, codes, whole]) => {
    const found = explorer.decoder(facts, await explorer.arrays(text, index), cells);
    return codes.map((z) => {
        const numbers = found.net(z), all = Array.from({ length: cells }, (_, i) => i);
        return {
            mean: Array.from(found.likelihood.mean(numbers, new Float32Array(cells))),
            interval: whole && all.map((i) => found.likelihood.interval(numbers, i) ?? null),
            shares: whole && all.map((i) => found.likelihood.shares?.(numbers, i) ?? null),
        };
    });
}"""

NETS: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear"},
    "residual": {"name": "residual", "width": 13},
    "conv": {"name": "conv", "channels": [5, 3], "hidden": 9},
    **{f"mlp {name}": {"name": "mlp", "widths": [17, 6], "activation": name} for name in ACTIVATIONS},
}
WITH_ALL = ("linear", "residual", "conv", "mlp relu")  # an activation does not know the likelihood
LIKELIHOODS: dict[str, dict[str, Any]] = {
    "categorical": {"categories": 4},
    "gaussian": {"scale": "predicted"},
    "gaussian sigmoid": {"mean": "sigmoid", "scale": "fixed", "value": 0.3},
    "gaussian per_dimension": {"scale": "per_dimension"},
    "discretised_logistic": {"components": 3, "scale": "predicted"},
    "discretised_logistic narrow": {"value": 1e-3},
    "negative_binomial": {"dispersion": "predicted"},
    "negative_binomial per_dimension": {},
    "zero_inflated": {},
    "zero_inflated poisson": {"base": "poisson"},
    **{name: {} for name in ("bernoulli", "continuous_bernoulli", "laplace", "poisson", "student_t")},
}


def model_of(net: Mapping[str, Any], likelihood: str) -> lb.VAE:
    """A model with weights by chance, large enough that everything bends."""
    table = {"name": likelihood.split()[0], **LIKELIHOODS[likelihood]}
    scaling = {"mode": "columns"} if likelihood in ("gaussian", "laplace", "student_t") else {}
    parts = {"encoder": {"name": "linear"}, "posterior": {"name": "gaussian"}, "prior": {"name": "standard"}}
    model = lb.assemble({"shape": list(SHAPE), "latent": LATENT, "embedding": scaling, "decoder": dict(net),
                         "likelihood": table, **parts}, seed=1)  # fmt: skip
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in [*model.decoder.parameters(), *model.likelihood_family.parameters()]:
            weight.mul_(2).add_(0.02 * torch.randn(weight.shape, generator=noise))
        if scaling:
            model.embedding.start_from(5 + 3 * torch.randn(50, *SHAPE, generator=noise))
    return model.eval()


def codes() -> torch.Tensor:
    return torch.randn(ROWS, LATENT, generator=torch.Generator().manual_seed(2))


def in_page(opened: Any, model: lb.VAE, whole: bool = True) -> list[dict[str, Any]]:
    blob, z = Blob(), codes()
    facts = decoder.describe(model, z, blob)
    found: list[dict[str, Any]] = opened.ask(
        READ, [facts, blob.index, blob.text, int(np.prod(SHAPE)), z.tolist(), whole]
    )
    return found


def deviation(opened: Any, model: lb.VAE) -> float:
    """Largest distance of a mean, in units of the scaled data, or of itself where that is larger."""
    found = np.array([row["mean"] for row in in_page(opened, model, whole=False)]).reshape(ROWS, *SHAPE)
    with torch.no_grad():
        mean = model.likelihood(codes()).mean.numpy()
    unit = model.embedding.scale.numpy() if model.embedding.mode == "columns" else 1.0
    return float((np.abs(found - mean) / np.maximum(unit, np.abs(mean))).max())


def test_every_net_with_every_likelihood(show: Open, image_page: Path) -> None:
    opened = show(image_page)
    pairs = [(net, name) for net in NETS for name in LIKELIHOODS if net in WITH_ALL or name == "gaussian"]
    found = {(net, name): deviation(opened, model_of(NETS[net], name)) for net, name in pairs}
    assert {pair: far for pair, far in found.items() if not far <= 1e-3} == {}


def test_no_net_and_no_likelihood_is_left_out() -> None:
    assert {table["name"] for table in NETS.values()} == set(REGISTRY["net"])
    assert {name.split()[0] for name in LIKELIHOODS} == {kind.name for kind in families.FAMILIES}


def test_a_net_that_differs_is_seen(show: Open, image_page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoder.ACTIVATIONS, torch.nn.ReLU, "elu")
    assert deviation(show(image_page), model_of(NETS["mlp relu"], "gaussian")) > 1e-2


def ends(name: str, p: Any) -> Any:
    """5 % and 95 % quantiles by scipy."""
    share = np.array([0.05, 0.95]).reshape(2, *(1,) * (1 + len(SHAPE)))
    if name == "gaussian":
        return stats.norm(p.loc, p.scale).ppf(share)
    if name == "laplace":
        return stats.laplace(p.loc, p.scale).ppf(share)
    if name == "student_t":
        return stats.t(p.df, p.loc, p.scale).ppf(share)
    if name == "poisson":
        return stats.poisson(p.mean).ppf(share)
    size = p.log_size.exp().numpy().astype(np.float64)
    return stats.nbinom(size, size / (size + p.mean.numpy())).ppf(share)


@pytest.mark.parametrize("name", ["gaussian", "laplace", "student_t", "poisson", "negative_binomial"])
def test_intervals(name: str, show: Open, image_page: Path) -> None:
    model = model_of(NETS["linear"], name)
    found = np.array([row["interval"] for row in in_page(show(image_page), model)])
    with torch.no_grad():
        wanted = ends(name, model.likelihood(codes()))
    got = np.moveaxis(found, -1, 0).reshape(2, ROWS, *SHAPE)
    if name in ("poisson", "negative_binomial"):  # rounding may put a quantile on the next count
        assert (np.abs(got - wanted) <= 1).all()
        assert (got != wanted).mean() < 0.01
    else:
        np.testing.assert_allclose(got, wanted, atol=5e-3)


def test_intervals_of_large_counts(show: Open, image_page: Path) -> None:
    """Around more than 500 they are those of a normal of the same mean and variance, here nearly Poisson."""
    model = model_of(NETS["linear"], "negative_binomial per_dimension")
    with torch.no_grad():
        model.decoder.map.bias.add_(8)
        model.likelihood_family.sizes.slow.fill_(1.2)
        p = model.likelihood(codes())
    found = np.array([row["interval"] for row in in_page(show(image_page), model)])
    wanted, spread = ends("negative_binomial", p), p.variance.sqrt().numpy()
    far = np.abs(np.moveaxis(found, -1, 0).reshape(wanted.shape) - wanted) / spread
    assert (p.mean > 500).float().mean() > 0.5
    assert far.max() < 0.05


def test_the_interval_of_a_continuous_bernoulli_holds_its_share(show: Open, image_page: Path) -> None:
    model = model_of(NETS["linear"], "continuous_bernoulli")
    found = np.array([row["interval"] for row in in_page(show(image_page), model)]).reshape(ROWS, *SHAPE, 2)
    with torch.no_grad():
        eta = model.likelihood(codes()).logits.double().numpy()[..., None]
    np.testing.assert_allclose(
        np.expm1(eta * found) / np.expm1(eta), np.broadcast_to([0.05, 0.95], found.shape), atol=1e-3
    )


def test_shares_of_categories(show: Open, image_page: Path) -> None:
    model = model_of(NETS["linear"], "categorical")
    found = np.array([row["shares"] for row in in_page(show(image_page), model)]).reshape(ROWS, *SHAPE, 4)
    with torch.no_grad():
        np.testing.assert_allclose(found, model.likelihood(codes()).probs.numpy(), atol=1e-3)


def test_weights_that_16_bits_spoil_are_kept_whole() -> None:
    model = model_of(NETS["linear"], "gaussian")
    with torch.no_grad():
        model.decoder.map.weight[:, 0] = 1e4
        model.decoder.map.weight[:, 1] = -1e4
    z = codes()
    assert decoder.describe(model_of(NETS["linear"], "gaussian"), z, Blob())["weights"] == 16
    assert decoder.describe(model, z[:, :1].expand(-1, LATENT), Blob())["weights"] == 32


@pytest.mark.parametrize("which", ["images", "table"])
def test_a_run_in_its_page(which: str, show: Open, request: pytest.FixtureRequest) -> None:
    run, opened = request.getfixturevalue(which), show(request.getfixturevalue(f"{which.rstrip('s')}_page"))
    z = np.random.default_rng(0).normal(size=(20, run.model.latent))
    found = np.array(opened.ask("(codes) => codes.map(explorer.decode)", z.tolist()))
    unit = 10 if which == "table" else 1
    np.testing.assert_allclose(found, lb.decode(run, z).reshape(20, -1), atol=1e-3 * unit)
