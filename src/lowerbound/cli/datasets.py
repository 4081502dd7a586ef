"""``lowerbound data``: known sets, what a file holds, downloads, folders to map."""

import sys
from typing import Annotated, Any

import typer

from lowerbound.cli import converting
from lowerbound.cli.verbs import Answer, group, table, verb

SHOWN = 4  # categories
Name = Annotated[str, typer.Argument(metavar="NAME", help="As data list shows it.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = group("Known data sets; what a file holds; folders to map.")
    verb(verbs, "list")(list_known)
    verb(verbs)(show)
    verb(verbs)(fetch)
    converting.attach(verbs)
    app.add_typer(verbs, name="data")


def list_known() -> Answer:
    """List the data sets known by name."""
    from lowerbound.data.known import KNOWN, at_hand

    keys = ("rows", "licence", "citation")
    known = sorted(KNOWN.items())
    sets = [{"name": name, **{key: getattr(row, key) for key in keys}, "at_hand": at_hand(name)} for name, row in known]
    rows = [(row["name"], row["rows"], "yes" if row["at_hand"] else "no", row["licence"]) for row in sets]
    return Answer({"sets": sets}, table([("name", "rows", "here", "licence"), *rows]))


def show(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Known name or path.")],
    *,
    query: Annotated[str, typer.Option(metavar="SQL", help="Rows of a DuckDB or Parquet file.")] = "",
    columns: Annotated[str, typer.Option(metavar="NAME=KIND;...", help="Kinds that are not to be inferred.")] = "",
) -> Answer:
    """Say what DATA holds.

    Rows, range, labels, share of missing cells (NaN), split, the likelihoods that fit; of a table the kind of each
    column, to be confirmed or changed before fit.
    """
    from lowerbound.catalogue import catalogue
    from lowerbound.data import describe, load

    supports = {name: str(part["facts"]["support"]) for name, part in catalogue()["likelihood"].items()}
    del supports["columns"]  # fits every table, and nothing else
    facts = describe(load(data, missing="nan", query=query or None, columns=columns), supports)
    plain = {key: value for key, value in facts.items() if key != "kinds" and value not in (None, [], {})}
    lines = [table((key, _short(value)) for key, value in plain.items()), *_kinds(facts.get("kinds", []))]
    return Answer(facts, "\n".join(lines))


def _kinds(rows: list[dict[str, Any]]) -> list[str]:
    """The columns of a table, and how another kind is said."""
    if not rows:
        return []
    shown = [(row["name"], row["kind"], row["family"], _range(row), _odd(row)) for row in rows]
    change = f'Another kind: --columns "{rows[0]["name"]}=real"; left out: --columns "{rows[0]["name"]}=drop".'
    return ["", table([("column", "kind", "family", "values", ""), *shown]), change]


def _range(row: dict[str, Any]) -> str:
    if row["categories"]:
        some = ", ".join(row["categories"][:SHOWN]) + (", …" if len(row["categories"]) > SHOWN else "")
        return f"{len(row['categories'])}: {some}"
    return f"{row['low']:g} to {row['high']:g}" + (f" by {row['resolution']:g}" if row["resolution"] else "")


def _odd(row: dict[str, Any]) -> str:
    spikes = "often " + ", ".join(f"{value:g}" for value in row["spikes"]) if row["spikes"] else ""
    return "; ".join(filter(None, [spikes, row["note"]]))


def fetch(name: Name) -> Answer:
    """Download a known data set, unless it is here, and check it."""
    from lowerbound.data.known import KNOWN, open_known
    from lowerbound.errors import unknown

    if name not in KNOWN:
        raise unknown("data set", name, KNOWN)
    data = open_known(name, download=True, progress=_progress if sys.stderr.isatty() else None)
    return Answer({"name": name, "rows": data.rows, "shape": list(data.shape)}, f"{name}: {data.rows} rows are at hand")


def _progress(done: int, total: int | None) -> None:
    of = "" if total is None else f" of {total / 1e6:.1f}"
    typer.echo(f"\r{done / 1e6:.1f}{of} MB" + "\n" * (done == total), nl=False, err=True)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
