"""Where the settings of a sweep come from: a grid, or optuna, which looks where it has been good so far."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from lowerbound.config import full_path, parse_value
from lowerbound.errors import BadOption, MissingExtra

Point = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``; with ``log`` each power of ten is as likely as another."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" + ":log" * self.log


Space = Mapping[str, Sequence[Any] | Range]


def axis(written: str) -> tuple[str, Sequence[Any] | Range]:
    """The path and the values of ``KEY=A,B,...``, ``KEY=LOW..HIGH`` or ``KEY=LOW..HIGH:log``.

    >>> axis("latent=2,5,10"), axis("encoder.widths=[64],[64, 64]")
    (('model.latent', (2, 5, 10)), ('model.encoder.widths', ([64], [64, 64])))
    >>> str(axis("train.rate=1e-4..1e-2:log")[1])
    '0.0001..0.01:log'

    Raises:
        BadOption: not of this form. ConfigError: a value that starts like a list and is none.
    """
    path, equals, text = (side.strip() for side in written.partition("="))
    if not (path and equals and text):
        raise BadOption("not an axis", where="over", found=repr(written), expected="KEY=A,B,... or KEY=LOW..HIGH")
    low, dots, high = text.removesuffix(":log").partition("..")
    if not dots:
        return full_path(path), tuple(parse_value(word, f"over {path}") for word in _words(text))
    start, end = (parse_value(side.strip(), f"over {path}") for side in (low, high))
    made = Range(start, end, text.endswith(":log"))
    if not (_number(start) and _number(end)) or not start < end or (made.log and start <= 0):
        expected = "two numbers, the lower first, above 0 for log"
        raise BadOption("not a range", where=f"over {path}", found=repr(text), expected=expected)
    return full_path(path), made


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(text: str) -> list[str]:
    """What stands between commas that are in no bracket."""
    words, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            words.append("")
        else:
            words[-1] += letter
    return [word.strip() for word in words]


class Search(ABC):
    """Gives points one after the other."""

    @abstractmethod
    def ask(self) -> Point | None:
        """The next point; None if there is none."""

    @abstractmethod
    def tell(self, point: Point, value: float | None) -> None:
        """What a point reached, the mean over its seeds; None if nothing came of it."""


class Grid(Search):
    """Every combination, the last axis fastest.

    Raises:
        BadOption: an axis without values, with one twice, or a range of numbers that are not whole.

    >>> grid = Grid({"latent": (2, 5), "beta": Range(1, 2)})
    >>> [tuple(point.values()) for point in grid]
    [(2, 1), (2, 2), (5, 1), (5, 2)]
    """

    def __init__(self, space: Space) -> None:
        axes = [[(path, value) for value in _listed(path, values)] for path, values in space.items()]
        self.points = [dict(chosen) for chosen in product(*axes)]
        self.left = iter(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def ask(self) -> Point | None:
        return next(self.left, None)

    def tell(self, point: Point, value: float | None) -> None:
        """A grid does not listen."""


def _listed(path: str, values: Sequence[Any] | Range) -> list[Any]:
    if isinstance(values, Range):
        if not values.whole:
            raise BadOption("a grid needs values", where=f"over {path}", found=str(values), expected="A,B,...",
                            mend="List them, or search with optuna.")  # fmt: skip
        return list(range(int(values.low), int(values.high) + 1))
    found = list(values)
    if not found or len({repr(value) for value in found}) < len(found):
        raise BadOption("not an axis", where=f"over {path}", found=str(found), expected="values, each once")
    return found


class Optuna(Search):
    """A tree-structured Parzen estimator, from optuna: so many points, each where points so far were good.

    Args:
        space: lists are choices; ranges are numbers.
        count: of points.
        seed: of the first points and of the estimator.
        before: points that were tried when the sweep was run before: they come first, and are counted.

    Raises:
        MissingExtra: optuna is not installed. BadOption: fewer than one point.

    Source: Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for hyper-parameter optimization", NeurIPS.
    """

    def __init__(
        self, space: Space, count: int, seed: int, before: Sequence[Point] = ()
    ) -> None:  # fmt: skip
        try:
            import optuna
        except ImportError as error:
            raise MissingExtra("searching with optuna", "sweep") from error
        if count < 1:
            raise BadOption("not a number of trials", where="trials", found=str(count), expected="1 or more")
        self.optuna, self.count, self.asked = optuna, count, 0
        self.lists = {path: _listed(path, values) for path, values in space.items() if not isinstance(values, Range)}
        self.space = {path: self._distribution(path, values) for path, values in space.items()}
        said = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # it reports every study and point on stderr
        try:
            sampler = optuna.samplers.TPESampler(seed=seed + len(before))  # not the same first points again
            self.study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(said)
        self.open: list[tuple[Point, Any]] = []
        for point in before:
            if point.keys() == space.keys() and all(point[path] in some for path, some in self.lists.items()):
                numbers = {path: self.lists[path].index(value) for path, value in point.items() if path in self.lists}
                self.study.enqueue_trial({**point, **numbers})

    def ask(self) -> Point | None:
        if self.asked >= self.count:
            return None
        self.asked += 1
        trial = self.study.ask(self.space)
        point = {path: self._value(path, trial.params[path]) for path in self.space}
        self.open.append((point, trial))
        return point

    def tell(self, point: Point, value: float | None) -> None:
        at = next(i for i, (asked, _) in enumerate(self.open) if asked == point)
        state = self.optuna.trial.TrialState.FAIL if value is None else None
        self.study.tell(self.open.pop(at)[1], value, state=state)

    def _distribution(self, path: str, values: Sequence[Any] | Range) -> Any:
        kinds = self.optuna.distributions
        if not isinstance(values, Range):
            return kinds.CategoricalDistribution(range(len(self.lists[path])))  # numbers of values: these may be lists
        kind = kinds.IntDistribution if values.whole else kinds.FloatDistribution
        return kind(values.low, values.high, log=values.log)

    def _value(self, path: str, found: Any) -> Any:
        return self.lists[path][found] if path in self.lists else found
