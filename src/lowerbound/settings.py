"""What one key of a configuration may hold, and the reader that lists every fault of a tree at once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, NoReturn

from lowerbound.errors import BadOption, ConfigError, UnknownName, unknown

LARGEST = 1_000_000  # the widest layer and the largest latent: a short file must not ask for terabytes
WHOLE = 2**63 - 1  # the largest whole number of a TOML file
NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


class Table(dict[str, Any]):
    """A part as written in a configuration, ``{"name": ..., option: value}``; it cannot be changed.

    >>> Table(name="mlp")["name"]
    'mlp'
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a configuration is frozen; use lowerbound.config.override to make a changed one")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> tuple[type["Table"], tuple[dict[str, Any]]]:
        return Table, (dict(self),)


@dataclass(frozen=True)
class Setting:
    """One key: its ``kind`` (int, float, str or Table), what it is ``about``, and its limits.

    ``low`` itself is permitted unless ``above``. A text is one of ``choices``, or starts with ``prefix``, or is free
    when there are none. For a part, ``part`` is its kind in the catalogue and ``optional`` says that it may be absent.
    """

    kind: type
    about: str
    low: float = -inf
    high: float = inf
    above: bool = False
    choices: tuple[str, ...] = ()
    prefix: str = ""
    part: str = ""
    optional: bool = False

    def expected(self) -> str:
        """What the key accepts, in words."""
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            shown = [f'"{choice}"' for choice in self.choices] + ([f'"{self.prefix}..."'] if self.prefix else [])
            return "one of " + ", ".join(shown) if shown else "text"
        noun = "a whole number" if self.kind is int else "a number"
        low = f" above {self.low:g}" if self.above else f" of {self.low:g} or more"
        high = f", at most {self.high}" if self.high < inf else ""
        return noun + (low if self.low > -inf else "") + high

    def read(self, value: object) -> Any:
        """The value in its own type; ValueError where it does not fit."""
        value = thawed(value)
        if self.kind is float and type(value) is int and abs(value) <= WHOLE:
            value = float(value)
        fault = plain_fault(value) if type(value) is self.kind else self.expected()
        if fault or not self._permits(value):
            raise ValueError(fault or self.expected())
        return value

    def _permits(self, value: Any) -> bool:
        if self.kind is str:
            begun = self.prefix != "" and value.startswith(self.prefix) and value != self.prefix
            return begun or value in self.choices or not (self.choices or self.prefix)
        return bool((value > self.low if self.above else value >= self.low) and value <= self.high)


def number(default: float, about: str, **limits: Any) -> Any:
    """A dataclass field that holds a number of the type of its default."""
    return field(default=default, metadata={"rule": Setting(type(default), about, **limits)})


def text(default: str, about: str, *others: str, prefix: str = "") -> Any:
    """A dataclass field that holds one of the given texts, or any text when only the default is given."""
    choices = (default, *others) if others else ()
    return field(default=default, metadata={"rule": Setting(str, about, choices=choices, prefix=prefix)})


def part(kind: str, name: str, about: str, high: float = WHOLE) -> Any:
    """A dataclass field that holds the table of a part; without a name it may be absent."""
    rule = Setting(Table, about, high=high, part=kind, optional=not name)
    return field(default_factory=lambda: Table(name=name) if name else None, metadata={"rule": rule})


def section(cls: type["Section"]) -> Any:
    """A dataclass field that holds a table of settings."""
    return field(default_factory=cls, metadata={"rule": cls})


def rules(cls: type["Section"]) -> dict[str, Any]:
    """The rule of each key: a Setting, or the class of a section."""
    return {entry.name: entry.metadata["rule"] for entry in fields(cls)}  # type: ignore[arg-type]


def settings(cls: type["Section"], path: str = "") -> Iterator[tuple[str, Setting]]:
    """Every key of a tree with its dotted path, in the order in which it is written."""
    for key, rule in rules(cls).items():
        if isinstance(rule, Setting):
            yield path + key, rule
        else:
            yield from settings(rule, f"{path}{key}.")


class Section:
    """A table of settings: a frozen dataclass that refuses values out of their limits."""

    def __post_init__(self) -> None:
        reader = Reader(type(self).__name__)
        for key, value in reader.section(type(self), vars(self), "").items():
            object.__setattr__(self, key, value)
        reader.finish()


class Reader:
    """Reads a tree key by key and keeps every fault it meets, each with its path.

    ``belongs`` tells where a key that stands in the wrong table should be written.
    """

    def __init__(self, where: str, belongs: Mapping[str, str] | None = None) -> None:
        self.where, self.belongs, self.faults = where, belongs or {}, list[ConfigError]()

    def finish(self) -> None:
        """Raise the one fault met, or a ConfigError that lists them all."""
        if len(self.faults) == 1:
            raise self.faults[0]
        if self.faults:
            lines = "".join(f"\n  {fault}" for fault in self.faults)
            raise ConfigError(f"{len(self.faults)} settings cannot be used:{lines}")

    def bad(self, what: str, path: str, value: object, expected: str, mend: str = "") -> None:
        """Keep a fault about a value."""
        self.faults.append(BadOption(what, where=self.at(path), found=shown(value), expected=expected, mend=mend))

    def at(self, path: str) -> str:
        """The file and the key."""
        return f"{self.where}: {path}" if path else self.where

    def section(self, cls: type[Section], tree: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The values of a table of settings."""
        known = rules(cls)
        self.faults += [self._stray(str(key), path, known) for key in tree if key not in known]
        stem = f"{path}." if path else ""
        return {key: self.value(known[key], tree[key], stem + key) for key in known if key in tree}

    def _stray(self, key: str, path: str, known: Mapping[str, Any]) -> ConfigError:
        home = self.belongs.get(key)
        if home:
            return UnknownName(f"unknown key '{key}'", where=self.at(path), mend=f"It belongs at {home}.")
        return unknown("key", key, known, where=self.at(path))

    def value(self, rule: Any, value: object, path: str) -> Any:
        """One value: of a setting, a part or a section."""
        if isinstance(rule, Setting):
            return self.part(rule, value, path) if rule.part else self.setting(rule, value, path)
        if isinstance(value, rule):
            return value
        if not isinstance(value, Mapping):
            return self.bad("not a table of settings", path, value, f"a table [{path}]")
        before, values = len(self.faults), self.section(rule, value, path)
        return rule(**values) if len(self.faults) == before else None

    def setting(self, rule: Setting, value: object, path: str) -> Any:
        """The value of a setting."""
        try:
            return rule.read(value)
        except ValueError as fault:
            self.bad("not permitted", path, value, str(fault), self._nearest(rule, value))

    def _nearest(self, rule: Setting, value: object) -> str:
        close = get_close_matches(str(value), rule.choices, n=1)
        return f"Did you mean '{close[0]}'?" if close else ""

    def part(self, rule: Setting, value: object, path: str) -> Table | None:
        """The table of a part: a name and options that TOML can hold."""
        named = value.get("name") if isinstance(value, Mapping) else value
        if rule.optional and named in (None, "none"):
            return None
        if not isinstance(value, Mapping):
            mend = f"Write {{ name = {toml_text(value)} }}." if isinstance(value, str) else ""
            return self.bad("not a part", path, value, 'a table { name = "...", option = value }', mend)  # type: ignore[func-returns-value]
        name = value.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self.bad("a part needs a name", path, name, 'name = "..." of letters, digits, "_", "-" and "."')
        for option, given in value.items():
            fault = plain_fault(given, rule.high, depth=2) if str(option).isidentifier() else "a name as its key"
            if fault:
                self.bad("not an option", f"{path}.{option}", given, fault)
        return frozen(value)


def plain_fault(value: object, high: float = WHOLE, depth: int = 0) -> str:
    """What was expected where a value cannot be written in TOML or is out of all measure, else nothing.

    At depth 0 it is a single value, at 1 it may be a list of those, at 2 a table of these.

    >>> plain_fault(0.5), plain_fault(float("nan"))
    ('', 'a finite number')
    """
    if isinstance(value, str):
        return "text that UTF-8 can hold" if re.search("[\ud800-\udfff]", value) else ""
    if isinstance(value, Integral):
        return "" if -WHOLE <= int(value) <= high else f"a whole number, at most {high}"
    if isinstance(value, Real):
        return "" if isfinite(value) else "a finite number"
    if isinstance(value, list | tuple) and depth >= 1:
        return next(filter(None, (plain_fault(item, high) for item in value)), "")
    if isinstance(value, Mapping) and depth >= 2:
        named = all(str(key).isidentifier() for key in value)
        faults = (plain_fault(item, high, 1) for item in value.values())
        return next(filter(None, faults), "") if named else "names as keys"
    return "a number, a text, true or false, a list of these, or a table of these"


def frozen(table: Mapping[str, Any]) -> Table:
    """A copy of a part's table that cannot be changed and shares nothing."""
    return Table((str(key), frozen(item) if isinstance(item, Mapping) else thawed(item)) for key, item in table.items())


def thawed(value: Any) -> Any:
    """A plain copy: dictionaries, lists, and Python's own numbers for numpy's; what is absent is left out."""
    if isinstance(value, Section):
        return {key: thawed(getattr(value, key)) for key in rules(type(value)) if getattr(value, key) is not None}
    if isinstance(value, Mapping):
        return {str(key): thawed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thawed(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def shown(value: object) -> str:
    """A value as a message shows it: on one line and not too long."""
    line = str(value).lower() if isinstance(value, bool) else "nothing" if value is None else repr(value)
    return line if len(line) <= 80 else line[:77] + "..."


def toml_text(value: str) -> str:
    """A short text in TOML's double quotes."""
    return '"' + shown(value)[1:-1].replace('"', '\\"') + '"'
