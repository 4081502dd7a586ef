"""``lowerbound predict``, ``analogies`` and ``independence``: labels told, changed, and kept out of the codes."""

from pathlib import Path
from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Force, Imports, Rows, RunFolder, Seed, verb


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    for function in (predict, analogies, independence):
        verb(app)(function)


def predict(
    run: RunFolder, data: Rows = None, *,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Labels and probabilities, .csv or .npy.")] =
        None,
    by: Annotated[
        str, typer.Option(metavar="auto|model|bayes|logistic|spreading", help="What tells them.")
    ] = "auto",
    force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Tell the classes of rows.

    model: the run's own classifier. bayes: the class under which the row is most probable, of a run that is conditioned
    on it. logistic, spreading: a rule on codes, learnt on the labelled training rows. Rows that have labels are judged.
    """
    from lowerbound.outputs import writable
    from lowerbound.run import open
    from lowerbound.tasks.labels import predict as task

    if out is not None:
        writable(out, force=force, endings=(".csv", ".npy"))
    found = task(open(run, imports=imports), data, by=by)  # type: ignore[arg-type]  # checked there
    if out is not None:
        found.save(out, force=force)
    text = str(found) if out is None else f"{found}\n{out}"
    return Answer({"out": None if out is None else str(out), **found.as_dict()}, text)


def analogies(
    run: RunFolder, data: Rows = None, *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Picture .png, animation .gif, or .npy, .csv.")],
    rows: Annotated[int, typer.Option("-n", metavar="N", help="Styles: of the first rows.")] = 8,
    over: Annotated[str | None, typer.Option(metavar="NAME", help="What changes [default: the first one]")] = None,
    force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Hold the style of rows and change their label."""
    from lowerbound.outputs import writable
    from lowerbound.run import open
    from lowerbound.tasks.analogies import analogies as task

    writable(out, force=force, endings=(".png", ".gif", ".npy", ".csv"))
    found = task(open(run, imports=imports), rows, over=over, data=data)
    found.save(out, force=force)
    return Answer(
        {"out": str(out), "rows": list(found.rows), "over": found.over, "values": list(found.steps)}, str(out)
    )


def independence(
    run: RunFolder, data: Rows = None, *,
    beside: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Another run to compare with, one without labels, say.")
    ] = None,
    of: Annotated[str, typer.Option(metavar="mean|draw", help="Of q(z|x).")] = "mean",
    seed: Seed = 0, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Say how well the label can be told from the codes.

    By the best of logistic regression, neighbours and boosted trees. Where the model is told the label, chance is the
    goal.
    """
    from lowerbound.run import open
    from lowerbound.tasks.independence import independence as task

    other = None if beside is None else open(beside, imports=imports)
    found = task(open(run, imports=imports), data, beside=other, of=of, seed=seed)  # type: ignore[arg-type]  # checked
    return Answer(found.as_dict(), str(found))
