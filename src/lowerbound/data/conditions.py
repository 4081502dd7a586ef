"""What a model is conditioned on: classes and numbers that are known of each row, and what stands for them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data.columns import Schema
from lowerbound.errors import BadOption, unknown

LABEL = "label"  # the name of what ``Data.labels`` hold

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Condition:
    """One of them.

    Args:
        name: ``label``, or of a column or factor.
        values: names of the classes; none of a number.
        shift: of a number, its mean over the training rows.
        scale: of a number, its standard deviation.
    """

    name: str
    values: tuple[str, ...] = ()
    shift: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        """How many numbers stand for it."""
        return len(self.values) or 1

    def numbers(self, raw: Array) -> Array:
        """Raw values (rows,) to (rows, width): one-hot, zeros where the class is unknown; or a scaled number."""
        if not self.values:
            return ((raw - self.shift) / self.scale)[:, None]
        found: Array = (raw[:, None] == np.arange(len(self.values))).astype(np.float64)
        return found

    def raw(self, value: object) -> float:
        """The raw value that someone means: the code of a class by its name, or a number.

        Raises:
            UnknownName: no such class. BadOption: not a number.

        >>> Condition("label", ("cat", "dog")).raw("dog"), Condition("age").raw("41.5")
        (1.0, 41.5)
        """
        if self.values:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            if text not in self.values:
                raise unknown(f"value of '{self.name}'", text, self.values, where="given")
            return float(self.values.index(text))
        try:
            found = float(value)  # type: ignore[arg-type]  # whatever it cannot read is refused
        except (TypeError, ValueError):
            found = np.nan
        if not np.isfinite(found):
            raise BadOption("not a number", where=f"given, '{self.name}'", found=repr(value), expected="as 3.5")
        return found

    def text(self, raw: float) -> str:
        """How people write a raw value."""
        return self.values[int(raw)] if self.values else f"{raw:g}"


@dataclass(frozen=True)
class Conditions:
    """All of them, in the order of the context's numbers.

    Args:
        members: what there is.
        table: the columns of the table they stand in, they themselves among them; None where there is none.

    >>> Conditions((Condition("label", ("a", "b")), Condition("age", (), 40.0, 10.0))).numbers(np.array([[1.0, 50.0]]))
    array([[0., 1., 1.]])
    """

    members: tuple[Condition, ...]
    table: Schema | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the conditions."""
        return tuple(one.name for one in self.members)

    @property
    def width(self) -> int:
        """How many numbers a context has."""
        return sum(one.width for one in self.members)

    def numbers(self, raw: Array) -> Array:
        """Raw values (rows, conditions) to contexts (rows, width)."""
        return np.concatenate([one.numbers(raw[:, i]) for i, one in enumerate(self.members)], axis=1)

    def values(self, numbers: Array) -> list[float]:
        """The raw values that a context (width,) stands for.

        >>> Conditions((Condition("label", ("a", "b")), Condition("age", (), 40.0, 10.0))).values(np.array([0, 1, 1]))
        [1.0, 50.0]
        """
        parts = np.split(numbers, np.cumsum([one.width for one in self.members])[:-1])
        each = zip(self.members, parts, strict=True)
        return [float(x.argmax() if one.values else one.shift + one.scale * x[0]) for one, x in each]

    def raw(self, given: Mapping[str, object]) -> dict[int, float]:
        """Raw values of what is given, by the place of the condition.

        Raises:
            UnknownName: a name or class that is not there. BadOption: not a number.
        """
        for name in given:
            if name not in self.names:
                raise unknown("condition", name, self.names, where="given")
        return {self.names.index(name): self.members[self.names.index(name)].raw(v) for name, v in given.items()}

    def measured(self, raw: Array) -> "Conditions":
        """The same with numbers scaled by the mean and standard deviation over these rows."""
        members = []
        for i, one in enumerate(self.members):
            known = raw[~np.isnan(raw[:, i]), i]
            scale = float(known.std()) or 1.0
            members.append(one if one.values else replace(one, shift=float(known.mean()), scale=scale))
        return replace(self, members=tuple(members))

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        table = {} if self.table is None else {"table": self.table.as_dict()}
        return {"members": [{**asdict(one), "values": list(one.values)} for one in self.members], **table}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "Conditions":
        """What `as_dict` gave."""
        members = tuple(Condition(**{**one, "values": tuple(one["values"])}) for one in table["members"])
        return cls(members, Schema.from_dict(table["table"]) if "table" in table else None)
