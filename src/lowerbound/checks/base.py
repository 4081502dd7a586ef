"""What a claim about a part is, the cases it is tried on, and its verdict."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import BadOption, LowerboundError
from lowerbound.parts import Part, build, check_options, describe
from lowerbound.randomness import Draw, fill, generator, scope

ROWS = 6


@dataclass(frozen=True)
class Check:
    """The verdict on one claim.

    Args:
        name: what is claimed, and of what.
        passed: whether it holds.
        value: what was found; words where it is no finite number.
        expected: what it should be.
        tolerance: how far from it is still right.
        detail: where the worst was found, or what went wrong.
    """

    name: str
    passed: bool
    value: float | str
    expected: float | str
    tolerance: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Case:
    """A part made from options and from what data would decide; in double precision, always from the same seed."""

    part: Any
    given: Mapping[str, Any]
    options: Mapping[str, Any]

    def __str__(self) -> str:
        sizes = {key: value for key, value in self.given.items() if EXAMPLE[key] != value}
        return ", ".join(f"{key}={value!r}" for key, value in {**self.options, **sizes}.items()) or "defaults"


@dataclass(frozen=True)
class Claim:
    """A measure of a case and what it should be. A measure may name faults, or say None where it does not apply."""

    name: str
    measure: Callable[[Case], float | list[str] | None]
    expected: float = 0.0
    tolerance: float = 0.0

    def check(self, title: str, cases: Iterable[Case]) -> Check | None:
        """The verdict on the worst case; None if no case has anything to do with the claim."""
        found = [(*self._try(case), case) for case in cases]
        tried = [(value, detail, case) for value, detail, case in found if value is not None]
        if not tried:
            return None
        value, detail, case = max(tried, key=lambda one: self._distance(one[0]))
        passed = self._distance(value) <= self.tolerance
        words = "; ".join(filter(None, [detail, str(case)]))
        plain = value if math.isfinite(value) else str(value)
        return Check(f"{title}: {self.name}", passed, plain, self.expected, self.tolerance, words)

    def _try(self, case: Case) -> tuple[float | None, str]:
        try:
            found = self.measure(case)
        except Exception as error:  # whatever a user's part raises is a finding about it
            return math.nan, f"{type(error).__name__}: {error}"
        return (float(len(found)), ", ".join(found)) if isinstance(found, list) else (found, "")

    def _distance(self, value: float) -> float:
        return math.inf if math.isnan(value) else abs(value - self.expected)


COLUMNS: list[dict[str, Any]] = [
    {"name": "a", "kind": "real", "family": "gaussian"}, {"name": "b", "kind": "count", "family": "negative_binomial"},
    {"name": "c", "kind": "ordinal", "family": "ordinal", "categories": ["low", "middle", "high"]},
]  # fmt: skip
EXAMPLE: dict[str, Any] = {
    "shape": (3,), "latent": 2, "context": 0, "inputs": (3,), "outputs": (4,), "classes": 3, "columns": COLUMNS,
}  # fmt: skip
IMAGES = [(1, 8, 8), (3, 7, 5), (1, 1, 1)]
MAPS = [((3,), (4,)), *((shape, (4,)) for shape in IMAGES), *(((2,), shape) for shape in IMAGES)]
SIZES: dict[str, list[dict[str, Any]]] = {
    "net": [{"inputs": inputs, "outputs": outputs} for inputs, outputs in MAPS],
    "posterior": [{"latent": 1}, {"latent": 2}],
    "prior": [{"latent": 1}, {"latent": 2}, {"latent": 2, "context": 3}],
    "likelihood": [{"shape": (3,)}, {"shape": (1, 8, 8)}],
    "corruption": [{"shape": (3,)}, {"shape": (1, 8, 8)}],
    "objective": [{}],
    "missingness": [{"shape": (3,)}, {"shape": (1, 8, 8)}],
}
VALUES: dict[str, list[Any]] = {
    "integer": [2, 3, 5], "number": [0.5, 0.7, 3.0, 50.0], "boolean": [False, True], "string": ["a"],
    "list of integer": [[5], [4, 3]], "list of number": [[0.3], [0.2, 0.7]],
    "table": [{"start": 0.0, "end": 2.0, "over": 0.5}],
}  # fmt: skip


def make(cls: type[Part], given: Mapping[str, Any], options: Mapping[str, Any], seed: int = 0) -> Case:
    """The part on those sizes, with weights from the seed."""
    with scope(seed, "check"):
        part = build(cls.kind, {"name": cls.name, **options}, given)
    return Case(part.double(), given, options)


def cases(cls: type[Part]) -> list[Case]:
    """The part on every size it takes, and on the first of them with every other value of every option."""
    needed = required(cls)
    found = [case for sizes in SIZES[cls.kind] for case in _made(cls, {**EXAMPLE, **sizes}, needed)]
    changed = [{**needed, option: value} for option, values in alternatives(cls).items() for value in values]
    return found + [case for options in changed for first in found[:1] for case in _made(cls, first.given, options)]


def _made(cls: type[Part], given: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[Case]:
    try:
        yield make(cls, given, options)
    except LowerboundError:  # sizes and values that a part refuses are none of its cases
        return


def _candidates(cls: type[Part]) -> dict[str, list[Any]]:
    rows = describe(cls.kind, cls.name)["options"]
    by_type = {
        option: [value for kind in row["type"].split(" | ") for value in VALUES.get(kind, [])]
        for option, row in rows.items()
    }
    return {option: rows[option].get("choices", values) for option, values in by_type.items()}


def required(cls: type[Part]) -> dict[str, Any]:
    """A value for each option that has no default."""
    rows = describe(cls.kind, cls.name)["options"]
    without = [option for option, row in rows.items() if "default" not in row]
    guesses = (dict(zip(without, values, strict=True)) for values in product(*(_candidates(cls)[o] for o in without)))
    return next((options for options in guesses if _accepted(cls, options)), {})


def alternatives(cls: type[Part]) -> dict[str, list[Any]]:
    """Values of each option, of the right type and range, other than the one it has anyway."""
    usual = required(cls)
    usual = check_options(cls, usual) if _accepted(cls, usual) else usual
    return {
        option: [value for value in values if value != usual.get(option) and _accepted(cls, {**usual, option: value})]
        for option, values in _candidates(cls).items()
    }


def _accepted(cls: type[Part], options: Mapping[str, Any]) -> bool:
    try:
        check_options(cls, options)
    except BadOption:
        return False
    return True


def noise(*shape: int, seed: int = 0, law: Any = "normal") -> Tensor:
    """Fixed noise in double precision."""
    return fill(Draw(shape[1:], law), shape[0], generator(seed, "check")).double()


def apart(first: Tensor, second: Tensor) -> float:
    """The largest difference; infinite where the shapes differ."""
    if first.shape != second.shape:
        return math.inf
    return float((first - second).detach().abs().max()) if first.numel() else 0.0


def alone(function: Callable[..., Tensor], *batches: Tensor, axis: int = 0) -> float:
    """How far a row of a batch is from the same row taken alone."""
    whole = function(*batches)
    single = [function(*(batch[row : row + 1] for batch in batches)) for row in range(len(batches[0]))]
    return apart(whole, torch.cat(single, dim=axis))
