"""Claims about every part, whatever its kind."""

import re
import tomllib
from collections.abc import Callable
from typing import Any

import tomli_w
import torch
from torch import Tensor

from lowerbound.checks.base import Case, Claim, alternatives, make, required
from lowerbound.checks.latent import draw_and_density, prior_density
from lowerbound.checks.observed import answered, corrupted, log_prob, mapped
from lowerbound.checks.training import loss_of
from lowerbound.errors import LowerboundError
from lowerbound.parts import build, spec

Exercise = Callable[[Case], tuple[Tensor, dict[str, Tensor]]]


def _own(function: Callable[[Case], Tensor]) -> Exercise:
    return lambda case: (function(case), dict(case.part.named_parameters()))


EXERCISES: dict[str, Exercise] = {
    "net": _own(mapped), "posterior": _own(draw_and_density), "prior": _own(prior_density),
    "likelihood": _own(log_prob), "corruption": _own(corrupted), "objective": loss_of,
    "missingness": _own(answered),
}  # fmt: skip


def exercise(case: Case) -> tuple[Tensor, dict[str, Tensor | None]]:
    """What a part gives on fixed inputs, and the gradient of a projection of it by weight."""
    out, weights = EXERCISES[case.part.kind](case)
    if not (weights and out.requires_grad):
        return out.detach(), dict.fromkeys(weights)
    projection = (out * torch.arange(1.0, out.numel() + 1).cos().reshape(out.shape)).sum()
    found = torch.autograd.grad(projection, list(weights.values()), allow_unused=True)
    return out.detach(), dict(zip(weights, found, strict=True))


def unstored(case: Case) -> list[str]:
    """Options that no attribute holds."""
    missing = object()
    return [name for name, value in spec(case.part).items() if getattr(case.part, name, missing) != value]


def undocumented(case: Case) -> list[str]:
    """Options that the docstring does not explain."""
    text = type(case.part).__doc__ or ""
    return [option for option in case.part.options if not re.search(rf"^\s+{option}:", text, re.MULTILINE)]


def unsourced(case: Case) -> list[str]:
    """Whether the docstring says where the part comes from."""
    return [] if "Source" in (type(case.part).__doc__ or "") else ["no 'Source: authors year, title' in the docstring"]


def not_rebuilt(case: Case) -> list[str]:
    """What the part loses on its way through TOML."""
    table = spec(case.part)
    again = build(case.part.kind, tomllib.loads(tomli_w.dumps(table)), case.given)
    shapes = [{name: value.shape for name, value in part.state_dict().items()} for part in (case.part, again)]
    return [word for word, same in (("options", spec(again) == table), ("weights", shapes[0] == shapes[1])) if not same]


def not_repeated(case: Case) -> list[str]:
    """Whether a second part, from the same seed, answers otherwise."""
    again = make(type(case.part), case.given, case.options)
    return [] if _same(exercise(case), exercise(again)) else ["another answer"]


def disturbing(case: Case) -> list[str]:
    """Whether using the part moves torch's global generator; noise is an input, or has a generator of its own."""
    before = torch.get_rng_state()
    exercise(case)
    return [] if before.equal(torch.get_rng_state()) else ["torch's global generator has moved"]


def starved(case: Case) -> list[str]:
    """Weights without a finite gradient that is not all zero; a few units can all be dead, but not for every seed."""
    found = _starved(case)
    for seed in (1, 2, 3):
        if found:
            found &= _starved(make(type(case.part), case.given, case.options, seed))
    return sorted(found)


def _starved(case: Case) -> set[str]:
    gradients = exercise(case)[1]
    return {name for name, g in gradients.items() if g is None or not (g.isfinite().all() and g.any())}


def idle(case: Case) -> list[str] | None:
    """Options no value of which changes what the part gives, nor is refused; tried from the defaults."""
    if case.options != required(type(case.part)):
        return None
    usual = _answer(case)
    return [
        option
        for option, values in alternatives(type(case.part)).items()
        if values and not any(_matters(case, {**case.options, option: value}, usual) for value in values)
    ]


def _answer(case: Case) -> tuple[Any, Any]:
    """What a part gives, and how fast its own weights, if it has some, go where that points."""
    return getattr(case.part, "pace", None), exercise(case)


def _matters(case: Case, options: dict[str, Any], usual: Any) -> bool:
    try:
        pace, answer = _answer(make(type(case.part), case.given, options))
        return pace != usual[0] or not _same(answer, usual[1])
    except LowerboundError:
        return True


def _same(first: Any, second: Any) -> bool:
    (out, gradients), (other, others) = first, second
    pairs = [(out, other), *((gradients[name], others.get(name)) for name in gradients)]
    return gradients.keys() == others.keys() and all(
        a is b or (a is not None and b is not None and a.shape == b.shape and torch.equal(a, b)) for a, b in pairs
    )


CLAIMS = (
    Claim("options are stored under their own names", unstored),
    Claim("options are documented under Args", undocumented),
    Claim("the source is named", unsourced),
    Claim("the config makes the same part again", not_rebuilt),
    Claim("the same seed gives the same answer", not_repeated),
    Claim("global random state is left alone", disturbing),
    Claim("every weight gets a finite gradient", starved),
    Claim("every option changes something or is refused", idle),
)
