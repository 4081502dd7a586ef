"""``lowerbound export``: a run as something to open without this package."""

from pathlib import Path
from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Force, Imports, Rows, RunFolder, Seed, verb


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(export)


def export(
    run: RunFolder, data: Rows = None, *,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="The page.")],
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Rows in the page at most [default: 1500, fewer of large ones]")
    ] = None,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Write one page that shows the latent space in any browser, with no network.

    A map of the rows, every point of which decodes at once, sliders, ways between rows, attributes, samples and
    reconstructions. The page holds the decoder and the rows that it shows; without DATA these are rows of all parts of
    the run's own data.
    """
    from lowerbound.explorer.export import export_html
    from lowerbound.run import open

    found = export_html(open(run, imports=imports), html, data, rows=rows, seed=seed, force=force)
    return Answer(found.as_dict(), str(found))
