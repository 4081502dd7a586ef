"""``lowerbound explain``."""

from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Imports, Rows, RunFolder, Seed, verb


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(explain)


def explain(
    run: RunFolder, row: Annotated[int, typer.Argument(metavar="ROW", help="Number of the row, from 0.")],
    data: Rows = None, *,
    samples: Annotated[int, typer.Option("--samples", metavar="K", help="Draws of z a row.", min=1)] = 1000,
    seed: Seed = 0, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Say what each column of a row adds to -log p(x).

    ROW counts in DATA, else in all rows of the run's own data. Beside it stands what the column usually adds.
    """
    from lowerbound.run import open as open_run
    from lowerbound.tasks.explain import explain as task

    found = task(open_run(run, imports=imports), row, data, samples=samples, seed=seed)
    return Answer(found.as_dict(), str(found))
