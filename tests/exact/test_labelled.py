"""The semi-supervised bound against the conditional one: known labels, marginalised labels, and both in a batch."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lowerbound.batches import Batch, Rows
from lowerbound.errors import DataMissing, Incompatible
from lowerbound.model import VAE, assemble
from lowerbound.objectives import StepContext, Terms, elbo, labelled

ROWS, CLASSES = 5, 2
X = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0)).double()
EPS = torch.randn(ROWS, 4, 2, generator=torch.Generator().manual_seed(1)).double()
Y = torch.tensor([0, 1, 1, 0, 1])


def make(**changes: Any) -> VAE:
    net = {"name": "mlp", "widths": [7]}
    table = {
        "shape": [3], "latent": 2, "context": CLASSES, "classes": CLASSES, "encoder": net, "decoder": net,
        "classifier": net, "posterior": {"name": "gaussian"}, "prior": {"name": "standard"},
        "likelihood": {"name": "gaussian"},
    }  # fmt: skip
    return assemble({**table, **changes}, seed=3).double()


def step(rows: Tensor | None = None) -> StepContext:
    eps = EPS if rows is None else EPS[rows]
    return StepContext({"posterior": eps}, rows_total=ROWS, batch_rows=len(eps))


def conditional(model: VAE, labels: Tensor, rest: Tensor | None = None) -> Terms:
    """The conditional VAE's bound on log p(x|y), by the objective that knows nothing of labels."""
    context = nn.functional.one_hot(labels, CLASSES).double()
    context = context if rest is None else torch.cat([context, rest], 1)
    return elbo(samples=4)(model, Batch(X, context=context), step())


def test_with_all_labels_it_is_the_conditional_bound_and_log_p_of_the_label_and_the_classifier() -> None:
    model, objective = make(), labelled(alpha=0.7, samples=4).double()
    objective.prepare(Rows(X.numpy(), labels=Y.numpy()))
    found = objective(model, Batch(X, labels=Y), step())
    bound = conditional(model, Y).value - math.log(CLASSES)
    log_q = model.classifier(X).log_softmax(1)[torch.arange(ROWS), Y]
    torch.testing.assert_close(found.value, bound, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.target, bound + 0.7 * log_q.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.loss, -(bound + 0.7 * log_q).mean(), rtol=0, atol=1e-12)


def enumerated(model: VAE) -> Tensor:
    """sum_y q(y|x) (L(x, y) - log q(y|x)), a class at a time."""
    q = model.classifier(X).softmax(1)
    bounds = []
    for label in range(CLASSES):
        terms = conditional(model, torch.full((ROWS,), label))
        bounds.append(terms.value)
    each = torch.stack(bounds, 1) + math.log(1 / CLASSES)
    return (q * (each - q.log())).sum(1)


def test_without_labels_the_marginal_is_the_enumeration() -> None:
    model = make()
    found = labelled(samples=4)(model, Batch(X), step())
    torch.testing.assert_close(found.value, enumerated(model).detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.value, enumerated(model).detach(), rtol=0, atol=1e-11)


def test_its_gradient_is_that_of_the_enumeration() -> None:
    model, x, eps = make(), X[:1], EPS[:1]
    weights = list(model.parameters())
    context = StepContext({"posterior": eps}, rows_total=1, batch_rows=1)
    found = torch.autograd.grad(labelled(samples=4)(model, Batch(x), context).loss, weights)
    q = model.classifier(x).softmax(1)[0]
    losses = [
        elbo(samples=4)(model, Batch(x, context=torch.eye(CLASSES).double()[label : label + 1]), context).loss
        for label in range(CLASSES)
    ]
    whole = sum(q[y] * (-losses[y] - math.log(CLASSES) - q[y].log()) for y in range(CLASSES))
    expected = torch.autograd.grad(-whole, weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


class Told(nn.Module):
    """A classifier that says what it was told."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def test_the_best_classifier_makes_it_the_log_of_the_sum() -> None:
    model = make()
    bounds = torch.stack([conditional(model, torch.full((ROWS,), label)).value for label in range(CLASSES)], 1)
    model.classifier = Told(bounds)
    found = labelled(samples=4)(model, Batch(X), step()).value
    torch.testing.assert_close(found, bounds.logsumexp(1) - math.log(CLASSES), rtol=0, atol=1e-12)


def test_rows_with_and_without_a_label_keep_their_own_terms() -> None:
    model, objective = make(), labelled(alpha=2.0, samples=4)
    mixed = torch.tensor([0, -1, 1, -1, -1])
    objective.prepare(Rows(X.numpy(), labels=mixed.numpy()))
    assert float(objective.share) == pytest.approx(2 / 5)
    found, none = (objective(model, Batch(X, labels=y), step()) for y in (mixed, None))
    known = conditional(model, mixed.clamp(min=0)).value - math.log(CLASSES)
    torch.testing.assert_close(found.value, torch.where(mixed >= 0, known, none.value), rtol=0, atol=1e-12)
    assert (found.parts["cross_entropy"] > 0).tolist() == (mixed >= 0).tolist()
    cost = 2.0 * 5 / 2 * found.parts["cross_entropy"]
    torch.testing.assert_close(found.target, found.value - cost, rtol=1e-6, atol=1e-6)


def test_the_rest_of_the_context_stays_with_its_row() -> None:
    model, rest = make(context=CLASSES + 1), torch.linspace(-1, 1, ROWS).double()[:, None]
    batch = Batch(X, context=torch.cat([torch.zeros(ROWS, CLASSES).double(), rest], 1), labels=Y)
    found = labelled(samples=4)(model, batch, step())
    torch.testing.assert_close(found.value, conditional(model, Y, rest).value - math.log(CLASSES), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("objective", "changes"),
    [(labelled, {"classes": 0, "classifier": None}), (elbo, {})],
    ids=["no classifier", "a classifier that nothing trains"],
)
def test_objective_and_classifier_go_together(objective: Callable[[], Any], changes: dict[str, Any]) -> None:
    table = {key: value for key, value in {**make().spec, **changes}.items() if value is not None}
    with pytest.raises(Incompatible, match="classifier"):
        objective().accepts(assemble(table))


def test_a_classifier_without_labels_as_context_is_refused() -> None:
    with pytest.raises(Incompatible, match="labels as context"):
        make(context=0)


def test_training_without_any_label_is_refused() -> None:
    with pytest.raises(DataMissing, match="no training row has a label"):
        labelled().prepare(Rows(X.numpy(), labels=torch.full((ROWS,), -1).numpy()))


def test_temperature_flattens_the_classifier() -> None:
    model = make()
    cold = model.label(X).logits
    model.temperature.fill_(2.0)
    torch.testing.assert_close(model.label(X).logits, (cold / 2).log_softmax(1), rtol=0, atol=1e-12)
