"""``lowerbound disentangle``."""

from pathlib import Path
from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Force, Imports, RunFolder, Seed, counting, verb


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(disentangle)


def disentangle(
    run: RunFolder,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Known name or path [default: all rows of the run's data]")
    ] = None,
    *,
    factors: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|A,B,...|NAME=N,...",
            help="File (csv, npy, npz) with one row a row; names of columns; or, of pictures, rotation=8,scale=3,"
            "position=4: they are turned, scaled and moved [default: those of the data]",
        ),
    ] = None,
    measures: Annotated[str, typer.Option(metavar="A,B,...", help="Which [default: all that apply]")] = "",
    bins: Annotated[int, typer.Option(metavar="N", help="Of a code, for mutual information.", min=2)] = 20,
    rows: Annotated[int, typer.Option(metavar="N", help="That classifiers learn from, at most.", min=50)] = 10_000,
    pairs: Annotated[int, typer.Option(metavar="N", help="In a question or vote of the pair measures.", min=2)] = 64,
    trees: Annotated[str, typer.Option(metavar="forest|boosting", help="Of DCI; boosting is slow.")] = "forest",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the tables and the pictures.")
    ] = None,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Say whether codes stand for single factors.

    Every measure with its standard error, beside what the factors themselves score, what they score turned at random,
    and what noise does. DIR gets disentanglement.json and .csv, heat maps of mutual information and importances, and
    for pictures a path along each code.
    """
    from lowerbound.measures.disentanglement import Settings
    from lowerbound.run import open as open_run
    from lowerbound.tasks.disentangle import claim
    from lowerbound.tasks.disentangle import disentangle as task

    if out is not None:
        claim(out, force=force)
    chosen = [name.strip() for name in measures.split(",") if name.strip()]
    settings = Settings(bins=bins, rows=rows, pairs=pairs, trees=trees)
    found = task(open_run(run, imports=imports), data, factors, measures=chosen, settings=settings, seed=seed,
                 paths=out is not None, progress=counting("{} of {} groups of measures"))  # fmt: skip
    files = [] if out is None else [str(path) for path in found.save(out, force=force)]
    text = "\n".join([str(found), *(f"in {out}: " + ", ".join(Path(file).name for file in files) for _ in files[:1])])
    return Answer({**found.as_dict(), "out": files}, text)
