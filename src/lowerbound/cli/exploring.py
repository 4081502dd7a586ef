"""``lowerbound explore``: a run in the browser, with its encoder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowerbound.cli.serving import Host, Names, Port, conditioned
from lowerbound.cli.verbs import Answer, Given, Imports, tell, verb
from lowerbound.errors import BadOption

if TYPE_CHECKING:
    from lowerbound.run import Run

MARK = "model.json"


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(explore)


def explore(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that fit wrote, or still writes.")],
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", help="A second run beside it, or rows to show.")
    ] = None,
    *, rows: Annotated[int | None, typer.Option(metavar="N", help="On the map at most [default: 1500]")] = None,
    host: Host = "127.0.0.1", port: Port = 8000, names: Names = [], given: Given = [],  # noqa: B006
    no_token: Annotated[bool, typer.Option("--no-token", help="Ask for none; on this machine only.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: bool = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Look at a run in the browser, until Ctrl-C.

    The page of `export --html`, served to this machine, with what needs the encoder: a row or picture of your own on
    the map, holes filled in, scores and what makes a row strange, two runs beside each other. Of a run that is still
    training it shows the curves and samples as they come. The address holds a token; it goes nowhere else.
    """
    from lowerbound.explorer.live import explore as start
    from lowerbound.run import open

    second = other is not None and (Path(other) / MARK).is_file()
    if rows is not None and rows < 1:
        raise BadOption("not a number of rows", where="rows", found=str(rows), expected="1 or more")

    def opened(folder: str | Path) -> "Run":
        found = open(folder, imports=imports)
        return conditioned(found, given) if given else found

    def ready(address: str, token: str | None) -> None:
        page = f"{address}/" + ("" if token is None else f"#token={token}")
        if as_json:
            typer.echo(json.dumps({"address": address, "token": token, "page": page}))
        else:
            tell(f"explore at {page}")
        if open_browser:
            import webbrowser

            webbrowser.open(page)

    folders = [run, *([Path(other or "")] if second else [])]
    start(folders, opened, data=None if second else other, rows=rows, host=host, port=port, names=names,
          secret=not no_token, ready=ready)  # fmt: skip
    raise KeyboardInterrupt
