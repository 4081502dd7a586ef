"""``lowerbound data``: known sets, what a file holds, downloads."""

import sys
from typing import Annotated, Any

import typer

from lowerbound.cli.verbs import Answer, group, table, verb

Name = Annotated[str, typer.Argument(metavar="NAME", help="As data list shows it.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = group("Known data sets; what a file holds.")
    verb(verbs, "list")(list_known)
    verb(verbs)(show)
    verb(verbs)(fetch)
    app.add_typer(verbs, name="data")


def list_known() -> Answer:
    """List the data sets known by name."""
    from lowerbound.data.known import KNOWN, at_hand

    keys = ("rows", "licence", "citation")
    known = sorted(KNOWN.items())
    sets = [{"name": name, **{key: getattr(row, key) for key in keys}, "at_hand": at_hand(name)} for name, row in known]
    rows = [(row["name"], row["rows"], "yes" if row["at_hand"] else "no", row["licence"]) for row in sets]
    return Answer({"sets": sets}, table([("name", "rows", "here", "licence"), *rows]))


def show(data: Annotated[str, typer.Argument(metavar="DATA", help="Known name or path.")]) -> Answer:
    """Say what DATA holds.

    Rows, range, labels, share of missing cells (NaN), split, and the likelihoods that fit.
    """
    from lowerbound.catalogue import catalogue
    from lowerbound.data import describe, load

    supports = {name: str(part["facts"]["support"]) for name, part in catalogue()["likelihood"].items()}
    facts = describe(load(data, missing="nan"), supports)
    return Answer(facts, table((key, _short(value)) for key, value in facts.items() if value not in (None, [], {})))


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
