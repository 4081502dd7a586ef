"""``lowerbound estimate`` and ``lowerbound gap``."""

from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Imports, Rows, RunFolder, Samples, Seed, counting, verb

First = Annotated[int, typer.Option(metavar="N", help="Only the first so many rows.", min=1)]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    verb(app)(estimate)
    verb(app)(gap)


def estimate(
    run: RunFolder, data: Rows = None, *, samples: Samples = 1000, rows: First = 50,
    methods: Annotated[
        str, typer.Option(metavar="A,B,...", help="Of exact, iwae, importance, prior, ais and bdmc.")
    ] = "exact,iwae,importance,prior,ais,bdmc",
    temperatures: Annotated[int, typer.Option(metavar="N", help="Steps of annealing.", min=1)] = 500,
    chains: Annotated[int, typer.Option(metavar="N", help="Annealed chains a row.", min=1)] = 16,
    seed: Seed = 0, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Estimate log p(x) in several ways, side by side.

    The exact value of a linear model, the importance-weighted bound for growing K from the ELBO on, importance sampling
    from q(z|x) and from the prior, annealed importance sampling; and for rows that the model makes, bounds from both
    sides.
    """
    from lowerbound.run import open
    from lowerbound.tasks.annealing import Annealing
    from lowerbound.tasks.estimators import estimate as task

    found = task(
        open(run, imports=imports), data, methods=methods.split(","), samples=samples, rows=rows,
        annealing=Annealing(temperatures, chains), seed=seed,
        progress=lambda method, done, of: counting(f"{method}: {{}} of {{}}")(done, of),
    )  # fmt: skip
    return Answer(found.as_dict(), str(found))


def gap(
    run: RunFolder, data: Rows = None, *, samples: Samples = 5000, rows: First = 50, seed: Seed = 0,
    imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Say how far the ELBO is below log p(x), and why.

    The part that no posterior of the family could close, and the part that the encoder leaves.
    """
    from lowerbound.run import open
    from lowerbound.tasks.gaps import gap as task

    found = task(open(run, imports=imports), data, samples=samples, rows=rows, seed=seed,
                 progress=counting("{} of {} rows"))  # fmt: skip
    return Answer(found.as_dict(), str(found))
