"""Parts: the kinds a model and its training are composed of, and the rule that a signature is its schema.

``def __init__(self, <what the data decides>, *, <what you decide>)``: names before the star come from ``GIVEN`` and are
injected by name; names after it are the options, at once config keys, command-line paths and rows of the docs.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from torch import nn

from lowerbound.errors import BadOption, ConfigError, UnknownName, unknown

GIVEN = ("shape", "latent", "context", "inputs", "outputs", "classes", "columns")

Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]

REGISTRY: dict[str, dict[str, type["Part"]]] = {}
FOREIGN: dict[type["Part"], tuple[str, str]] = {}


class _PartType(type):
    """Checks options against the signature before ``__init__`` runs, and remembers them resolved."""

    def __call__(cls, *given: Any, **named: Any) -> Any:
        options = {key: value for key, value in named.items() if key not in GIVEN}
        checked = check_options(cls, options)  # type: ignore[arg-type]  # cls is a Part; the metaclass cannot say so
        part = super().__call__(*given, **{key: named[key] for key in named if key in GIVEN}, **checked)
        part.options = checked
        return part


class Part(nn.Module, metaclass=_PartType):
    """Base of every part. A subclass with ``kind=`` opens a kind, one with ``name=`` registers a final member of it."""

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    couples_rows: bool = False
    gathers: bool = False  # whether what couples rows is gathered from all processes that train together
    options: dict[str, Any]

    def __init_subclass__(cls, *, kind: str = "", name: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if kind:
            cls.kind = kind
            REGISTRY[kind] = {}
        _refuse_heirs(cls)
        if name:
            _register(cls, name)

    def start_from(self, sample: torch.Tensor) -> None:
        """Set weights from a sample of training rows, once, before step 0 (nothing by default)."""

    @property
    def title(self) -> str:
        """Kind and name, as messages call the part."""
        return f"{self.kind} '{self.name}'"


def _refuse_heirs(cls: type[Part]) -> None:
    parent = next((base for base in cls.__mro__[1:] if getattr(base, "name", "")), None)
    if parent is not None:
        what = f"{cls.__name__} extends {parent.__name__}, a final part"
        raise ConfigError(what, where=cls.__module__, mend="Wrap it or compose it instead.")


def _register(cls: type[Part], name: str) -> None:
    where = f"{cls.__module__}, {cls.__name__}.__init__"
    for given in _given(cls):
        if given not in GIVEN:
            raise ConfigError(f"'{given}' stands before the star", where=where, expected="one of " + ", ".join(GIVEN))
    for option in _chosen(cls):
        if option.annotation is option.empty:
            raise ConfigError(f"option '{option.name}' has no type", where=where, mend="Annotate it: it is its schema.")
    known = REGISTRY[cls.kind].get(name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ConfigError(f"{cls.kind} '{name}' is registered twice", found=f"{known.__module__} and {cls.__module__}")
    cls.name = name
    REGISTRY[cls.kind][name] = cls


def _parameters(cls: type[Part]) -> list[inspect.Parameter]:
    return list(inspect.signature(cls.__init__).parameters.values())[1:]


def _given(cls: type[Part]) -> list[str]:
    return [p.name for p in _parameters(cls) if p.kind is p.POSITIONAL_OR_KEYWORD]


def _chosen(cls: type[Part]) -> list[inspect.Parameter]:
    return [p for p in _parameters(cls) if p.kind is p.KEYWORD_ONLY]


def _schema(cls: type[Part]) -> type[BaseModel]:
    """The pydantic model of a part's options, read off its signature."""
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in _chosen(cls)}
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def check_options(cls: type[Part], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options resolved: every one present, of the annotated type.

    Raises:
        UnknownName: an option that the part does not have.
        BadOption: a value of the wrong type or range, or a required option left out.
    """
    schema = _schema(cls)
    for option in options:
        if option not in schema.model_fields:
            raise unknown("option", option, schema.model_fields, where=f"{cls.kind} '{cls.name}'")
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    try:
        return schema(**plain).model_dump()
    except ValidationError as error:
        first = max(error.errors(), key=lambda fault: len(fault["loc"]))  # of alternatives, the one that fits furthest
        where = f"{cls.kind} '{cls.name}', option '{_dotted(first['loc'])}'"
        raise BadOption("not accepted", where=where, found=repr(first["input"]), expected=first["msg"]) from None


def _dotted(place: tuple[int | str, ...]) -> str:
    """``beta.over``, ``widths.1``: pydantic puts the name of a table's type between."""
    inner = [str(key) for key in place[1:] if isinstance(key, int) or len(place) > 2]
    return ".".join([str(place[0]), *inner[-1:]])


def find(kind: str, name: str) -> type[Part]:
    """The registered class, or an error with the names that exist."""
    if name not in REGISTRY[kind]:
        raise unknown(kind, name, REGISTRY[kind])
    return REGISTRY[kind][name]


def build(kind: str, table: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Make a part from its config table, injecting what the data decides.

    Args:
        kind: ``net``, ``posterior``, ``prior``, ``likelihood``, ``objective``, ``corruption`` or ``missingness``.
        table: ``{"name": ..., option: value, ...}``.
        given: at least the names that the part asks for before the star.

    Raises:
        UnknownName: a name or option that does not exist.
        BadOption: an option of the wrong type or range.
    """
    if "name" not in table:
        raise UnknownName(f"a {kind} needs a name", expected="one of " + ", ".join(sorted(REGISTRY[kind])))
    cls = find(kind, table["name"])
    options = {key: value for key, value in table.items() if key != "name"}
    return cls(**{name: given[name] for name in _given(cls)}, **options)


def spec(part: Part) -> dict[str, Any]:
    """The config table that ``build`` makes the same part from."""
    return {"name": part.name, **part.options}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a user's file.

    Raises:
        ConfigError: the file is not there.
    """
    if not Path(path).is_file():
        raise ConfigError("no such file", where=str(path), mend="Give the path of a Python file with parts in it.")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def import_file(path: str | Path) -> list[type[Part]]:
    """Run a user's file and return the parts that it registers; the run that uses them records name and SHA-256.

    Raises:
        ConfigError: the file is not there, cannot be run or registers nothing.
    """
    path, digest = Path(path), file_digest(path)
    name = f"lowerbound_import_{path.stem}_{digest[:12]}"
    found = [cls for cls in FOREIGN if cls.__module__ == name]
    if found:
        return found
    loading = importlib.util.spec_from_file_location(name, path)
    if loading is None or loading.loader is None:
        raise ConfigError("not a Python file", where=str(path), expected="a name that ends in .py")
    module = importlib.util.module_from_spec(loading)
    sys.modules[name] = module
    try:
        loading.loader.exec_module(module)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError("cannot be run", where=str(path), found=f"{type(error).__name__}: {error}") from error
    new = [cls for names in REGISTRY.values() for cls in names.values() if cls.__module__ == name]
    if not new:
        raise ConfigError("registers no part", where=str(path), expected="such as: class Heavy(Prior, name='heavy')")
    FOREIGN.update(dict.fromkeys(new, (path.name, digest)))
    return new


def describe(kind: str, name: str) -> dict[str, Any]:
    """Summary, options and declared facts of a part, as ``catalogue.json`` keeps them for the floors below."""
    cls = find(kind, name)
    fields = _schema(cls).model_json_schema().get("properties", {})
    doc = (inspect.getdoc(cls) or "").splitlines()
    return {
        "summary": doc[0] if doc else "",
        "options": {option: _row(field) for option, field in fields.items()},
        "facts": {key: value for key, value in _facts(cls).items() if isinstance(value, bool | str | list)},
    }


def _row(field: dict[str, Any]) -> dict[str, Any]:
    kinds = [_type_name(choice) for choice in field.get("anyOf", [field])]
    row: dict[str, Any] = {"type": " | ".join(kinds)}
    if "enum" in field:
        row["choices"] = field["enum"]
    if "default" in field:
        row["default"] = field["default"]
    return row


def _type_name(field: dict[str, Any]) -> str:
    if field.get("type") == "array":
        return f"list of {_type_name(field['items'])}"
    return str(field.get("type", "table" if "$ref" in field else "any"))


def _facts(cls: type[Part]) -> dict[str, Any]:
    declared: Callable[[str], Any] = lambda key: getattr(cls, key, None)  # noqa: E731  # a one-line local reader
    facts = {key: declared(key) for key in ("support", "discrete", "has_density", "couples_rows", "needs_density")}
    return {key: value for key, value in facts.items() if value is not None}
