"""What a model says of labels: q(y|x) from a net's numbers and p(y), for classes and for numbers."""

from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal
from torch.nn.functional import softplus

from lowerbound.errors import BadOption, Incompatible

LEAST = 0.01  # of the deviation of q(y|x), in those of y: a few rows learnt by heart must not be certain without end
NUMBER = 1  # so many places of the context hold a label that is a number; a class has as many as there are classes


def outputs(classes: int) -> int:
    """How many numbers q(y|x) is made of: the logits of classes, or a mean and a deviation."""
    return 2 if classes == NUMBER else classes


def told(found: Tensor, classes: int, temperature: Tensor) -> Categorical | Normal:
    """q(y|x) from a net's numbers, (rows, outputs): the larger the temperature, the less certain.

    >>> import torch
    >>> told(torch.tensor([[1.0, 0.0]]), 1, torch.tensor(2.0)).stddev
    tensor([1.4063])
    """
    if classes != NUMBER:
        return Categorical(logits=found / temperature, validate_args=False)
    mean, deviation = found.unbind(-1)
    return Normal(mean, temperature * (LEAST + softplus(deviation)), validate_args=False)


def prior(weights: Tensor | None, classes: int, like: Tensor) -> Distribution:
    """p(y): of classes as they weigh, alike where nothing is said; of a number, which is scaled, a standard normal."""
    if classes == NUMBER:
        return Normal(like.new_zeros(()), like.new_ones(()), validate_args=False)
    weights = like.new_full((classes,), 1 / classes) if weights is None else weights.to(like)
    return Categorical(probs=weights, validate_args=False)


def check(classifier: bool, classes: int, context: int, weights: Tensor | None = None) -> None:
    """Refuse a classifier without labels, and a p(y) that is none.

    Raises:
        Incompatible: no context to hold them. BadOption: probabilities that are not.
    """
    if classifier != (classes > 0) or classes > context:
        raise Incompatible(
            "a classifier needs the labels as context", found=f"{classes} classes, context {context}",
            mend="Set data.context = label, or leave model.classifier out.",
        )  # fmt: skip
    if weights is None:
        return
    if weights.min() <= 0 or abs(weights.sum() - 1) > 1e-6 or (classes and len(weights) != classes):
        shown = ", ".join(f"{weight:g}" for weight in weights.tolist())
        raise BadOption("not the probabilities of the labels", where="model.label_prior", found=shown,
                        expected="one above 0 for each class, 1 in all")  # fmt: skip
