"""The semi-supervised bound of linear normal models, of labels that are numbers, and of classes that are not alike."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from lowerbound.batches import Batch, Rows
from lowerbound.errors import BadOption
from lowerbound.labelling import LEAST
from lowerbound.model import VAE, assemble
from lowerbound.objectives import StepContext, labelled

FAMILIES = {"posterior": {"name": "gaussian"}, "prior": {"name": "standard"}}
D, Q, SIGMA = 4, 2, 1.0  # whose logarithm single precision has exactly


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


W, B, M = draw(D, Q, seed=0), draw(D, seed=1), draw(D, seed=2)
X, Y = draw(5, D, seed=3), torch.tensor([0.3, math.nan, -1.2, math.nan, 0.0]).double()


def axes() -> Tensor:
    """W with the columns made orthogonal, so that q(z|x, y) has independent dimensions."""
    return torch.linalg.svd(W, full_matrices=False)[0] * torch.tensor([1.5, 0.6]).double()


def exact() -> tuple[VAE, Tensor]:
    """x = W z + b y + m + noise with its true q(z|x, y) and q(y|x), and the covariance of x given y."""
    linear = {"name": "linear"}
    noise = {"name": "gaussian", "scale": "fixed", "value": SIGMA}
    table = {"shape": [D], "latent": Q, "context": 1, "classes": 1, **FAMILIES, "likelihood": noise}
    model: Any = assemble({**table, **dict.fromkeys(("encoder", "decoder", "classifier"), linear)}).double()
    w, within = axes(), SIGMA**2 * torch.eye(D).double()
    given_y = w @ w.T + within
    precision = w.T @ w / SIGMA**2 + torch.eye(Q).double()
    gain = torch.linalg.solve(precision, w.T) / SIGMA**2
    slope = torch.linalg.solve(given_y + torch.outer(B, B), B)
    with torch.no_grad():
        model.decoder.map.weight.copy_(torch.cat([w, B[:, None]], 1))
        model.decoder.map.bias.copy_(M)
        model.encoder.map.weight.zero_()
        model.encoder.map.weight[:Q] = torch.cat([gain, -gain @ B[:, None]], 1)
        model.encoder.map.bias.copy_(torch.cat([-gain @ M, -precision.diagonal().log()]))
        model.classifier.map.weight.zero_()
        model.classifier.map.weight[0] = slope
        spread = (1 - slope @ B).sqrt() - LEAST
        model.classifier.map.bias.copy_(torch.stack([-slope @ M, spread.expm1().log()]))
    return model, given_y


def corners(rows: int) -> StepContext:
    """Noise whose mean over the samples is exact for squares: plus and minus along each axis of z and y at once.

    As y is drawn once a row, every row of the batch stands for one of its two draws.
    """
    eps = math.sqrt(Q) * torch.cat([torch.eye(Q), -torch.eye(Q)]).double()
    sign = torch.ones(rows, 1).double()
    sign[rows // 2 :] = -1
    return StepContext({"posterior": eps.expand(rows, -1, -1), "label": sign}, rows_total=rows, batch_rows=rows)


def test_of_a_linear_normal_model_it_is_log_p_exactly() -> None:
    """With the true q both bounds are tight: log p(x, y) where y is known, log p(x) where it is not."""
    model, given_y = exact()
    twice, context = X.repeat(2, 1), Y.repeat(2)[:, None]
    found = labelled(samples=2 * Q)(model, Batch(twice, context=context), corners(len(twice)))
    both = found.value.reshape(2, -1).mean(0)
    joint = MultivariateNormal(M + torch.outer(Y.nan_to_num(), B), given_y).log_prob(X)
    joint = joint + Normal(0.0, 1.0).log_prob(Y.nan_to_num())
    alone = MultivariateNormal(M, given_y + torch.outer(B, B)).log_prob(X)
    torch.testing.assert_close(both, torch.where(Y.isnan(), alone, joint), rtol=0, atol=1e-10)


def test_the_classifier_of_numbers_is_a_normal_and_costs_its_density() -> None:
    model, _ = exact()
    objective = labelled(alpha=0.7, samples=2 * Q).double()
    objective.accepts(model)
    objective.prepare(Rows(X.numpy(), context=Y[:, None].numpy()))
    found = objective(model, Batch(X, context=Y[:, None]), corners(5))
    q = model.label(X)
    slope = model.classifier.map.weight[0]
    torch.testing.assert_close(q.mean, (X - M) @ slope)
    torch.testing.assert_close(q.stddev, (1 - slope @ B).sqrt().expand(5))
    cost = 0.7 * 5 / 3 * -q.log_prob(Y.nan_to_num())
    expected = found.value - torch.where(Y.isnan(), 0.0, cost).detach()
    torch.testing.assert_close(found.target, expected, rtol=1e-6, atol=1e-6)


def test_worse_q_of_the_number_is_a_lower_bound() -> None:
    model, _ = exact()
    batch, context = Batch(X.repeat(2, 1)), corners(10)
    best = labelled(samples=2 * Q)(model, batch, context).value.reshape(2, -1).mean(0)
    with torch.no_grad():
        model.classifier.map.bias += 0.3
    worse = labelled(samples=2 * Q)(model, batch, context).value.reshape(2, -1).mean(0)
    assert (worse < best - 1e-3).all()


NET = {"name": "mlp", "widths": [7]}
NETS = dict.fromkeys(("encoder", "decoder", "classifier"), NET)
TABLE = {"shape": [D], "latent": 2, "context": 2, "classes": 2, **NETS, **FAMILIES, "likelihood": {"name": "gaussian"}}


def test_classes_weigh_as_they_are_said_to() -> None:
    """Known rows gain log p(y); rows without a label the expectation of it: beside even classes, to the bit of both."""
    p, labels = torch.tensor([0.2, 0.8], dtype=torch.float64), torch.tensor([0, -1, 1, -1, -1])
    even, uneven = assemble(TABLE, seed=3).double(), assemble({**TABLE, "label_prior": [0.2, 0.8]}, seed=3).double()
    noise = StepContext({"posterior": draw(5, 1, 2, seed=5)}, rows_total=5, batch_rows=5)
    values = [labelled()(model, Batch(X, labels=labels), noise).value for model in (even, uneven)]
    q = even.label(X).probs.detach()
    weight = torch.where((labels >= 0)[:, None], torch.eye(2).double()[labels.clamp(min=0)], q)
    torch.testing.assert_close(values[1] - values[0], weight @ (p.log() + math.log(2)), rtol=0, atol=1e-12)
    assert uneven.spec["label_prior"] == [0.2, 0.8] and assemble(uneven.spec).spec == uneven.spec


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.0, 0.0], [0.2, 0.3, 0.5]])
def test_what_is_no_distribution_of_the_classes_is_refused(weights: list[float]) -> None:
    with pytest.raises(BadOption, match="not the probabilities"):
        assemble({**TABLE, "label_prior": weights})


def test_where_labels_are_few_all_of_them_are_shown_at_each_step() -> None:
    """Six places of a batch and three labelled rows: each is there twice, whatever the noise; held-out rows are not."""
    model, x = assemble(TABLE, seed=3).double(), draw(40, D, seed=7)
    labels = torch.full((40,), -1)
    labels[[4, 9, 30]] = torch.tensor([1, 0, 1])
    objective = labelled(alpha=2.0).double()
    objective.accepts(model)
    objective.prepare(Rows(x.numpy(), labels=labels.numpy(), dtype=torch.float64))
    asked = objective.requests(model)
    assert set(asked) == {"posterior", "labelled rows"}
    context = StepContext.fresh(objective, model, Batch(x[:6], labels=labels[:6]), seed=1)
    found = objective(model, Batch(x[:6], labels=labels[:6]), context)
    cross = -model.label(x).log_prob(labels.clamp(min=0))[[4, 9, 30]]
    torch.testing.assert_close(found.parts["cross_entropy"].sort().values, cross.repeat(2).sort().values)
    torch.testing.assert_close(found.loss, -found.value.mean() + 2.0 * cross.mean())
    held = objective(model.eval(), Batch(x[:6], labels=labels[:6]), context)
    assert (held.parts["cross_entropy"] > 0).tolist() == [False] * 4 + [True, False]
