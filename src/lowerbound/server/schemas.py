"""JSON Schema of what may come in, and the check against it: what the description says is what is enforced."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lowerbound.errors import BadOption

LARGEST = 1e15  # of a whole number that is written out in a message
SHOWN = 60  # characters of an offending value

Schema = Mapping[str, Any]


def numbers(low: float, high: float, *, kind: str = "number", **more: Any) -> dict[str, Any]:
    """A number from ``low`` to ``high``."""
    return {"type": kind, "minimum": low, "maximum": high, **more}


def array(items: Schema, least: int, most: int, **more: Any) -> dict[str, Any]:
    """A list of ``least`` to ``most`` items."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most, **more}


def nested(items: Schema, shape: Sequence[int]) -> Schema:
    """Lists in lists of exactly this shape.

    >>> nested({"type": "number"}, (2,))["maxItems"]
    2
    """
    for size in reversed(shape):
        items = array(items, size, size)
    return items


def cells(columns: Sequence[Schema]) -> dict[str, Any]:
    """A list with a schema for each place."""
    size = len(columns)
    return {"type": "array", "prefixItems": list(columns), "items": False, "minItems": size, "maxItems": size}


def nullable(schema: Schema) -> dict[str, Any]:
    """The same, or null."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def table(properties: Mapping[str, Schema], required: Sequence[str]) -> dict[str, Any]:
    """An object with these keys and no others."""
    made = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**made, "required": list(required)} if required else made


def check(schema: Schema, value: Any, where: str = "body") -> None:
    """Refuse a value that a schema does not describe.

    Args:
        schema: of the keywords that the functions here write.
        value: from JSON, NaN and infinities refused there.
        where: it stands, for the message.

    Raises:
        BadOption: naming the place, what was found and what was expected.

    >>> check(array(numbers(0, 1), 1, 3), [0.5, 2])
    Traceback (most recent call last):
    lowerbound.errors.BadOption: body[1]: not allowed: found 2, expected number from 0 to 1
    """
    if "enum" in schema:
        if not any(value is known or (value == known and isinstance(value, bool) == isinstance(known, bool))
                   for known in schema["enum"]):  # fmt: skip
            raise _fault(where, value, "one of " + _short(schema["enum"]))
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_IS[kind](value) for kind in kinds):
        raise _fault(where, value, " or ".join(kinds))
    if value is not None and kinds[0] in _INSIDE:
        _INSIDE[kinds[0]](schema, value, where)


def _range(schema: Schema, value: float, where: str) -> None:
    least = schema.get("exclusiveMinimum", schema.get("minimum"))
    if not schema.get("minimum", value) <= value <= schema["maximum"] or value <= schema.get(
        "exclusiveMinimum", -1e300
    ):
        edge = "above" if "exclusiveMinimum" in schema else "from"
        raise _fault(where, value, f"{schema['type']} {edge} {least:g} to {schema['maximum']:g}")


def _items(schema: Schema, value: list[Any], where: str) -> None:
    if not schema["minItems"] <= len(value) <= schema["maxItems"]:
        found, expected = f"{len(value)} items", f"{schema['minItems']} to {schema['maxItems']}"
        raise BadOption("a list of another length", where=where, found=found, expected=expected)
    for i, (each, item) in enumerate(zip(_schemas(schema), value, strict=False)):
        check(each, item, f"{where}[{i}]")


def _schemas(schema: Schema) -> Iterator[Schema]:
    if "prefixItems" in schema:
        yield from schema["prefixItems"]
        return
    while True:
        yield schema["items"]


def _keys(schema: Schema, value: Mapping[str, Any], where: str) -> None:
    known = schema["properties"]
    for key in schema.get("required", ()):
        if key not in value:
            raise BadOption("a key is missing", where=where, expected=f"'{key}'")
    for key, item in value.items():
        if key not in known:
            raise BadOption("an unknown key", where=where, found=_short(key), expected="one of " + ", ".join(known))
        check(known[key], item, f"{where}.{key}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_IS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "number": _number,
    "integer": lambda value: _number(value) and value == value // 1,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_INSIDE: Mapping[str, Callable[[Schema, Any, str], None]] = {
    "object": _keys, "array": _items, "number": _range, "integer": _range
}  # fmt: skip


def _fault(where: str, value: Any, expected: str) -> BadOption:
    return BadOption("not allowed", where=where, found=_short(value), expected=expected)


def _short(value: Any) -> str:
    """The beginning of a value as JSON; what is large is not written out for it."""
    if isinstance(value, list | dict) and len(value) > SHOWN:
        return f"a {'list' if isinstance(value, list) else 'table'} of {len(value)}"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number too large"
    text = json.dumps(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
