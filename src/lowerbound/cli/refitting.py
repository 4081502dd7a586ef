"""``lowerbound refit``."""

from pathlib import Path
from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Force, Imports, Rows, RunFolder, Seed, verb


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(refit)


def refit(
    run: RunFolder,
    data: Rows = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="RUN2", help="Folder to write the refitted run to.")],
    prior: Annotated[str, typer.Option(metavar="NAME[:K=V,...]", help="The prior to fit.")] = "mixture",
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of Adam, at most.", min=1)] = 5000,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Fit another prior to the codes of a trained run.

    Encoder and decoder stay as they are. The codes are those of the training rows, or of DATA.
    """
    from lowerbound.run import open as open_run
    from lowerbound.run import refuse_existing
    from lowerbound.tasks.refit import refit_prior

    refuse_existing(out, force)
    made = refit_prior(open_run(run, imports=imports), prior, data, steps=steps, seed=seed)
    made.save(out, force=force)
    told = made.summary["refitted"]
    before, after = told["log_prior"]["before"], told["log_prior"]["after"]
    text = f"mean log p(z) of held-out codes: {before:.3f} before, {after:.3f} nats with {prior}; the run is in {out}"
    return Answer({"run": str(out), **told}, text)
