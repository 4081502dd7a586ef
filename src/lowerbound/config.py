# ruff: noqa: RUF009  (the calls in the classes below make dataclass fields)
"""A run's configuration: a frozen tree, TOML in and out, changes by dotted path, a format number and its migrations."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import tomli_w

from lowerbound import catalogue
from lowerbound.errors import BadOption, ConfigError, unknown
from lowerbound.settings import (
    LARGEST,
    Reader,
    Section,
    Setting,
    Table,
    number,
    part,
    plain_fault,
    rules,
    section,
    settings,
    shown,
    text,
    thawed,
)

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""For each old format, what makes a tree of it into one of the next."""
BIGGEST_FILE = 1_000_000


def newest() -> int:
    """The format that is written."""
    return max(MIGRATIONS, default=0) + 1


@dataclass(frozen=True)
class DataConfig(Section):
    """Which rows are read, and how."""

    name: str = text("", "known name or path of the data; empty for data given in memory")
    query: str = text("", "SQL that gives the rows, of a DuckDB or Parquet file")
    columns: str = text("", "kinds that are not to be inferred: age=count; share=bounded:low=0,high=1; note=drop")
    missing: str = text("auto", "what NaN is: an error, or a missing value; auto: the latter in tables", "error", "nan")
    binarize: str = text("auto", "how grey levels become 0 and 1", "none", "sample", "fixed", "threshold", "grey")
    scaling: str = text("auto", "how the encoder's input is scaled; log: counts", "none", "global", "columns", "log")
    context: str = text("", "what the model is conditioned on: label, or columns of a table: sex, age")
    split: str = text("auto", "how rows are set aside; auto: as published", "random", "time", "given", prefix="group:")
    shuffle: str = text("full", "order of an epoch; block:64: 64 MiB mixed at a time", "block", prefix="block:")
    validation: float = number(0.1, "share (below 1) or number of rows for early stopping", low=0)
    test: float = number(0.1, "share (below 1) or number of rows for evaluation", low=0)


@dataclass(frozen=True)
class ModelConfig(Section):
    """The parts of the three distributions."""

    latent: int = number(16, "dimension of z", low=1, high=LARGEST)
    encoder: Table = part("net", "mlp", "net from x to the posterior's numbers", high=LARGEST)
    posterior: Table = part("posterior", "gaussian", "family of q(z|x)")
    prior: Table = part("prior", "standard", "p(z)")
    decoder: Table = part("net", "mlp", "net from z to the likelihood's numbers", high=LARGEST)
    likelihood: Table = part("likelihood", "auto", "family of p(x|z)")
    classifier: Table | None = part("net", "", "net from x to q(y|x) for labels known of some rows", high=LARGEST)
    label_prior: str = text(
        "uniform", "p(label): even, as often as in the training rows, or given:0.2,0.8", "frequencies", prefix="given:"
    )
    corruption: Table | None = part("corruption", "", "what is done to x before the encoder; none for nothing")
    missingness: Table | None = part("missingness", "", "p(mask|x) of cells missing for a reason; none: at random")
    start: str = text("random", "first weights; closed_form: probabilistic PCA, for linear nets", "closed_form")


@dataclass(frozen=True)
class TrainConfig(Section):
    """How the weights are found."""

    epochs: int = number(200, "passes over the training rows, at most", low=0)
    batch: int = number(128, "rows a step", low=1)
    rate: float = number(1e-3, "the optimiser's step", low=0, above=True)
    optimizer: str = text("adam", "the optimiser", "adagrad", "sgd")
    schedule: str = text("constant", "course of the rate", "cosine")
    clip: float = number(0.0, "largest norm of the gradient; 0 for none", low=0)
    compile: str = text("off", "compiled steps; auto: where all epochs save more than compiling costs", "auto", "on")
    accumulate: int = number(1, "pieces a batch is split into where memory is short", low=1)
    average: float = number(
        0.0, "decay of an exponential moving average of the weights; 0 for none", low=0, high=0.999999
    )
    patience: int = number(20, "epochs without a better validation bound before stopping; 0 for never", low=0)
    weight_prior: float = number(0.0, "precision of a N(0, 1/precision) prior on the weights; 0 for none", low=0)
    init_scale: float = number(0.0, "standard deviation of normal first weights; 0 for the nets' own", low=0)
    device: str = text("auto", "where to compute", "cpu", "cuda", "mps")
    precision: str = text("fp32", "type of the numbers", "bf16", "fp64")
    threads: int = number(0, "CPU threads; 0 for torch's own choice", low=0)


@dataclass(frozen=True)
class Config(Section):
    """The whole configuration of a run; sizes are not in it, they come from the data.

    >>> Config(seed=3).seed
    3

    Raises:
        ConfigError: a value out of its limits.
    """

    format: int = number(newest(), "number of this file format", low=1)
    seed: int = number(0, "everything random derives from it", low=0)
    data: DataConfig = section(DataConfig)
    model: ModelConfig = section(ModelConfig)
    objective: Table = part("objective", "elbo", "what is maximised")
    train: TrainConfig = section(TrainConfig)

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], where: str = "config") -> "Config":
        """The configuration of nested dictionaries; what they leave out has its default.

        Raises:
            ConfigError: every fault of the tree, each with its path.
        """
        reader = Reader(where, ALIASES)
        values = reader.section(cls, merge(Config().as_dict(), tree), "")
        reader.finish()
        return cls(**values)

    @classmethod
    def from_toml(cls, text: str | bytes, where: str = "config.toml") -> "Config":
        r"""The configuration of a TOML text.

        Raises:
            ConfigError: not TOML, of a newer format, or every fault of its values, each with its path.

        >>> Config.from_toml("[model]\nlatent = 8").model.latent
        8
        """
        return cls.from_tree(read_toml(text, where), where)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries that share nothing with it; an absent part is left out."""
        found: dict[str, Any] = thawed(self)
        return found

    def to_toml(self) -> str:
        """The TOML text with every setting written out, always in the same order."""
        return tomli_w.dumps(self.as_dict())


SETTINGS: dict[str, Setting] = dict(settings(Config))
"""Every key by its dotted path."""
PARTS = {path: setting.part for path, setting in SETTINGS.items() if setting.part}
"""The kind of each part by its dotted path."""
ALIASES = {path.split(".")[1]: path for path in SETTINGS if "." in path and path != "data.name"}
"""The short name of each key, as the command line and ``fit`` take it: ``latent`` for ``model.latent``."""


def read_toml(text: str | bytes, where: str = "config.toml") -> dict[str, Any]:
    """The tree of a TOML text, brought to the newest format but not checked otherwise.

    Raises:
        ConfigError: not UTF-8, not TOML, or of a newer format.
    """
    text = _decoded(text, where) if isinstance(text, bytes) else text
    if text.startswith("\ufeff"):
        raise ConfigError("starts with a byte order mark", where=where, mend="Save it as UTF-8 without one.")
    if len(text) > BIGGEST_FILE:
        raise ConfigError("too long", where=where, found=f"{len(text)} characters", expected=f"at most {BIGGEST_FILE}")
    try:
        tree = tomllib.loads(text + "\n")  # so that a fault on the last line has its place
    except RecursionError:
        raise ConfigError("nested too deeply", where=where) from None
    except ValueError as error:
        raise _toml_fault(str(error), where) from None
    return _migrated(tree, where)


def _decoded(text: bytes, where: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{text[error.start]:02x} on line {line}"
        raise ConfigError("not UTF-8", where=where, found=found, mend="Save it as UTF-8.") from None


def _toml_fault(message: str, where: str) -> ConfigError:
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if place:
        message = message[: place.start()]
        where += f":{place[1]}:{place[2]}" if place[1] else ": end of document"
    if message.startswith(("Cannot ", "Duplicate")):
        return ConfigError("a key or table is written twice", where=where, mend="Keep one of the two.")
    return ConfigError("not TOML", where=where, found=message, mend='Texts are written in quotes: name = "mnist".')


def _migrated(tree: dict[str, Any], where: str) -> dict[str, Any]:
    version = tree.get("format", newest())
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadOption("not a format", where=f"{where}: format", found=shown(version), expected=f"1 to {newest()}")
    if version > newest():
        mend = "It was written by a newer version of lowerbound: upgrade."
        known = f"at most {newest()}"
        raise ConfigError("newer than known", where=f"{where}: format", found=str(version), expected=known, mend=mend)
    for old in range(version, newest()):
        tree = MIGRATIONS[old](tree) | {"format": old + 1}
    return tree


def _is_section(rule: object) -> TypeGuard[type[Section]]:
    return isinstance(rule, type)


def merge(base: Mapping[str, Any], fragment: Mapping[str, Any], cls: type[Section] = Config) -> dict[str, Any]:
    """A tree with a fragment laid over it; a part of another name replaces the old one whole, else options are added.

    >>> merge({"objective": {"name": "elbo", "beta": 4}}, {"objective": {"name": "iwae"}})
    {'objective': {'name': 'iwae'}}
    """
    known, tree = rules(cls), dict(base)
    for key, value in fragment.items():
        old, rule = tree.get(key), known.get(key)
        if not isinstance(old, Mapping) or not isinstance(value, Mapping):
            tree[key] = value
        elif _is_section(rule):
            tree[key] = merge(old, value, rule)
        else:
            same = value.get("name", old.get("name")) == old.get("name")
            tree[key] = {**old, **value} if same else dict(value)
    return tree


def override(config: Config, changes: Mapping[str, Any], where: str = "override") -> Config:
    """The configuration with settings changed, by dotted path or short name; a part may be written as text.

    >>> override(Config(), {"latent": 8, "objective": "elbo:beta=4", "train.rate": 0.01}).objective["beta"]
    4

    Raises:
        ConfigError: an unknown path, or a value that does not fit; all faults at once.
    """
    full = [(full_path(path), value) for path, value in changes.items()]
    tree = config.as_dict()
    for path, value in sorted(full, key=lambda change: change[0].count(".")):  # a part before its options
        if [other for other, _ in full].count(path) > 1:
            raise ConfigError("given twice", where=f"{where}: {path}", mend="Give one of the two.")
        value = parse_part(value) if path in PARTS and isinstance(value, str) else value
        tree = _put(tree, path.split("."), value, Config)
    return Config.from_tree(tree, where)


def full_path(path: str) -> str:
    """The dotted path of a key that may be written by its short name.

    >>> full_path("latent"), full_path("prior.freedom")
    ('model.latent', 'model.prior.freedom')
    """
    head, dot, rest = path.partition(".")
    return ALIASES.get(head, head) + dot + rest


def _put(tree: Mapping[str, Any], keys: list[str], value: Any, cls: type[Section]) -> dict[str, Any]:
    (head, *rest), rule = keys, rules(cls).get(keys[0])
    found = tree.get(head)
    old = found if isinstance(found, Mapping) else {}
    if rest and _is_section(rule):
        return {**tree, head: _put(old, rest, value, rule)}
    if len(rest) > 1:  # a key of an option that is itself a table
        inner = old.get(rest[0])
        value = {**(inner if isinstance(inner, Mapping) else {}), ".".join(rest[1:]): value}
    return merge(tree, {head: {rest[0]: value} if rest else value}, cls)


def dotted(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments as dotted paths.

    >>> dotted({"train__rate": 0.01, "weight_prior": 1.0})
    {'train.rate': 0.01, 'weight_prior': 1.0}
    """
    return {path.replace("__", "."): value for path, value in changes.items()}


def parse_value(value: str, where: str = "value") -> Any:
    """What a word of the command line means: a TOML value if it is one, else the text itself.

    >>> parse_value("1e-3"), parse_value("[400, 400]"), parse_value("true"), parse_value("heavy")
    (0.001, [400, 400], True, 'heavy')

    Raises:
        ConfigError: it starts like a list, a table or a quoted text but is none.
    """
    try:  # in an inline table no line can end, so nothing can follow the value
        tree = tomllib.loads(f"value = {{ of = {value} }}")
    except (ValueError, RecursionError):
        tree = {}
    inner = tree.get("value", {})
    if tree.keys() == {"value"} and inner.keys() == {"of"} and not plain_fault(inner["of"], depth=2):
        return inner["of"]
    if value.lstrip().startswith(("[", "{", '"', "'")):
        mend = 'Texts inside lists and tables are written in quotes: ["a", "b"].'
        raise ConfigError("not a TOML value", where=where, found=shown(value), mend=mend)
    return value


def parse_part(written: str) -> dict[str, Any]:
    """The table of a part written as ``name:option=value,option=value``.

    >>> parse_part("heavy:freedom=3,scale=learned")
    {'name': 'heavy', 'freedom': 3, 'scale': 'learned'}

    Raises:
        ConfigError: an option without a name or a value, or written twice.
    """
    name, colon, rest = written.partition(":")
    found: dict[str, Any] = {"name": name.strip()}
    for piece in _pieces(rest) if colon else []:
        option, equals, value = (side.strip() for side in piece.partition("="))
        if not option.isidentifier() or not equals or not value:
            expected = "name:option=value,option=value"
            raise ConfigError("not an option", where=written, found=shown(piece), expected=expected)
        if option in found:
            raise ConfigError(f"option '{option}' is given twice", where=written)
        found[option] = parse_value(value, written)
    return found


def _pieces(rest: str) -> list[str]:
    """Splits at the commas that are in no bracket and no quotes."""
    pieces, depth, quote = [""], 0, ""
    for letter in rest:
        if letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
        depth += 0 if quote else (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quote:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces


def check_parts(config: Config, *, foreign: bool = False, where: str = "config") -> Config:
    """The configuration with every option of its parts written out, checked against the catalogue.

    With ``foreign`` a part that the catalogue lacks passes as it is; it is checked when it is built.

    Raises:
        ConfigError: an unknown part or option, a required option that is missing, a value not permitted; all at once.
    """
    reader, full = Reader(where), {}
    for path, kind in PARTS.items():
        table = config.objective if path == "objective" else getattr(config.model, path.removeprefix("model."))
        if table is not None:
            full[path] = _completed(reader, kind, table, path, foreign)
    reader.finish()
    return override(config, full)


def _completed(reader: Reader, kind: str, table: Table, path: str, foreign: bool) -> dict[str, Any]:
    name, given = table["name"], {key: value for key, value in table.items() if key != "name"}
    auto = kind == "likelihood" and name == "auto"  # chosen when the data are seen
    if not auto and name not in catalogue.names(kind):
        if not foreign:
            reader.faults.append(unknown(kind, name, catalogue.names(kind), where=reader.at(path)))
        return dict(table)
    known = {} if auto else catalogue.options(kind, name)
    owner = f"option of {kind} '{name}'"
    reader.faults += [unknown(owner, key, known, where=reader.at(path)) for key in given if key not in known]
    for key, option in known.items():
        if key in given:
            _check_option(reader, option, given[key], f"{path}.{key}")
        elif "default" not in option:
            reader.bad(f"{kind} '{name}' needs it", f"{path}.{key}", None, option["type"])
    defaults = {key: option["default"] for key, option in known.items() if option.get("default") is not None}
    return {"name": name, **defaults, **given}


def _check_option(reader: Reader, option: Mapping[str, Any], value: object, path: str) -> None:
    kind = {"integer": int, "number": float, "string": str, "boolean": bool}.get(option["type"])
    choices = tuple(option.get("choices", ()))
    if kind and (kind is str or not choices):
        reader.setting(Setting(kind, "", choices=choices), value, path)
    elif choices and value not in choices:
        reader.bad("not permitted", path, value, "one of " + ", ".join(map(shown, choices)))
