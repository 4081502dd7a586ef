"""``lowerbound compare`` and ``lowerbound similar``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lowerbound.cli.training import assignment, settings
from lowerbound.cli.verbs import Answer, Force, Imports, Rows, RunFolder, Samples, tell, verb
from lowerbound.config import full_path


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    verb(app, options=list(settings()))(compare)
    verb(app)(similar)


def compare(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Known name (lowerbound data list) or path.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for table, picture and runs.")],
    recipes: Annotated[str, typer.Option(metavar="A,B,...", help="Rows of lowerbound recipes; with settings "
                                                       "of their own: beta-vae:objective.beta=8.")] =
        "pca,ae,dae,vae,beta-vae",
    seeds: Annotated[int, typer.Option(metavar="N", help="Runs of each recipe, counted from --seed.", min=1)] = 3,
    samples: Samples = 1000,
    measures: Annotated[
        str, typer.Option(metavar="A,B,...", help="Of disentanglement, on all rows, as mig,sap [default: none]")
    ] = "",
    changes: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="For all recipes; may be given again.")
    ] = [],  # noqa: B006  # read only
    force: Annotated[bool, typer.Option("--force", help="Train again what is there with other settings.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch a known set that is not here.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    **named: Any,
) -> Answer:  # fmt: skip
    """Compare recipes and seeds on one split.

    DIR gets comparison.csv (one line a run), comparison.json, comparison.png (every measure with median and quartiles,
    latent spaces with their holes, samples) and the runs. Runs that are finished there are used as they are, so that a
    comparison that was broken off goes on. Options named after settings hold for all recipes, with their own defaults.
    """
    from lowerbound.tasks.compare import compare as task

    given = dict(assignment(change) for change in changes)
    given |= {full_path(name): value for name, value in named.items() if value is not None}
    chosen = [name.strip() for name in recipes.split(",") if name.strip()]
    asked = [name.strip() for name in measures.split(",") if name.strip()]
    found = task(data, chosen, seeds=seeds, out=out, samples=samples, measures=asked, force=force, progress=not quiet,
                 download=download, **given)  # fmt: skip
    if not quiet:
        tell(f"in {out}: comparison.csv, comparison.json, comparison.png")
    return Answer({"out": str(out), **found.as_dict()}, str(found))


def similar(
    run: RunFolder,
    row: Annotated[int, typer.Argument(metavar="ROW", help="Number of the row, from 0.")],
    data: Rows = None,
    *,
    n: Annotated[int, typer.Option("-n", metavar="N", help="How many neighbours.", min=1)] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The row and its neighbours: .png, .npy or .csv.")
    ] = None,
    force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Find the rows nearest to a row in the latent space.

    ROW counts in DATA, else in all rows of the run's own data.
    """
    from lowerbound.outputs import writable
    from lowerbound.run import open as open_run
    from lowerbound.tasks.similar import similar as task

    if out is not None:
        writable(out, force=force)
    found = task(open_run(run, imports=imports), row, n, data)
    if out is not None:
        found.save(out, force=force)
    return Answer({**found.as_dict(), "out": None if out is None else str(out)}, str(found))
