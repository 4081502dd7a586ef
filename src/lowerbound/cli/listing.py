"""``lowerbound recipes`` and ``lowerbound parts``: what there is to choose from."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lowerbound import catalogue
from lowerbound.cli.verbs import Answer, table, verb
from lowerbound.methods import Recipe
from lowerbound.recipes import RECIPES, differences, recipe

RecipeName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one in full.")]
Kind = Annotated[str | None, typer.Argument(metavar="KIND", help=f"One of {', '.join(catalogue.KINDS)}.")]
PartName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show the options of this one.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    verb(app)(recipes)
    verb(app)(parts)


def recipes(name: RecipeName = None) -> Answer:
    """List methods from the literature.

    Of one, what it changes against vae, where it was published and which figure it must reproduce.
    """
    if name is not None:
        return _recipe(recipe(name))
    rows = [{"name": row.name, "title": row.title, "citation": _cited(row)} for row in RECIPES.values()]
    return Answer({"recipes": rows}, table((row["name"], row["title"], row["citation"]) for row in rows))


def parts(kind: Kind = None, name: PartName = None) -> Answer:
    """List what models are made of.

    Of one part, its options with type and default.
    """
    if kind is not None and name is not None:
        return _part(kind, name)
    kinds = catalogue.KINDS if kind is None else (kind,)
    found = [(one, part) for one in kinds for part in catalogue.names(one)]
    rows = [{"kind": one, "name": part, "summary": catalogue.catalogue()[one][part]["summary"]} for one, part in found]
    return Answer({"parts": rows}, table(row.values() for row in rows))  # type: ignore[misc]  # values come in order


def _recipe(row: Recipe) -> Answer:
    changes = differences(row.name)
    facts = {
        "name": row.name, "title": row.title, "changes": changes, "citation": vars(row.citation),
        "target": None if row.target is None else vars(row.target), "note": row.note,
    }  # fmt: skip
    lines = [
        f"{row.name}: {row.title}",
        table((f"  {path}", _written(value)) for path, value in changes.items()) if changes else "  as vae",
        f"{_cited(row)}, {row.citation.where}, {row.citation.link}",
        "no figure to reproduce" if row.target is None else f"to reproduce: {row.target}",
        row.note,
    ]
    return Answer(facts, "\n".join(lines))


def _part(kind: str, name: str) -> Answer:
    options = catalogue.options(kind, name)
    row = catalogue.catalogue()[kind][name]
    types = {option: " | ".join(map(str, about.get("choices", [about["type"]]))) for option, about in options.items()}
    rows = [(f"  {option}", types[option], _written(options[option].get("default", "required"))) for option in options]
    listed = table([("  option", "type", "default"), *rows]) if rows else "  no options"
    text = f"{kind} {name}: {row['summary']}\n{listed}"
    return Answer({"kind": kind, "name": name, **row}, text)


def _cited(row: Recipe) -> str:
    return f"{row.citation.authors} {row.citation.year}"


def _written(value: Any) -> str:
    """A value as it is written after --set."""
    if isinstance(value, Mapping) and "name" not in value:
        return "{" + ", ".join(f"{key} = {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Mapping):
        options = ",".join(f"{key}={_written(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']}:{options}" if options else str(value["name"])
    return str(value).lower() if isinstance(value, bool) else str(value)
