"""Verbs on a trained run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.cli.verbs import (
    Answer,
    Force,
    Given,
    Imports,
    Out,
    Rows,
    RunFolder,
    Samples,
    Seed,
    counting,
    pairs,
    verb,
)

if TYPE_CHECKING:
    from lowerbound.data.columns import Schema
    from lowerbound.run import Run

COMPARED = 16  # images side by side in a picture of reconstructions


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    for function in (evaluate, score, anomaly, generation, reconstruct, sample, encode, decode):
        verb(app)(function)


def evaluate(
    run: RunFolder, data: Rows = None, *, samples: Samples = 1000, seed: Seed = 0, imports: Imports = [],  # noqa: B006
    baselines: Annotated[
        str, typer.Option(metavar="fast|all", help="all: train an autoencoder and a denoising one as well.")
    ] = "fast",
    report: Annotated[bool, typer.Option("--report", help="Write RUN/report.html anew.")] = False,
) -> Answer:  # fmt: skip
    """Say what a run is worth on rows that it was not trained on.

    ELBO and log p(x) in nats with error bars, KL per dimension, active units, baselines on the same rows, labels told
    from the codes, what is wrong with the latent space and how to change it, a verdict.
    """
    from lowerbound.tasks.evaluate import evaluate as task

    opened, page = _open(run, imports), None
    found = task(opened, data, samples=samples, seed=seed, against=baselines)  # type: ignore[arg-type]  # checked there
    if report:
        from lowerbound.page import write

        page = str(write(opened, found, run, "test" if data is None else "given"))
    text = str(found) if page is None else f"{found}\n{page}"
    return Answer({**found.as_dict(), "report": page}, text)


def score(
    run: RunFolder, data: Rows = None, *, out: Out, samples: Samples = 1000, seed: Seed = 0, force: Force = False,
    tolerance: Annotated[
        float | None, typer.Option(metavar="NATS", help="Double a row's draws until its error is at most this.")
    ] = None,
    most: Annotated[int, typer.Option(metavar="K", help="Draws a row that a tolerance may ask for.", min=1)] = 100_000,
    imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Estimate log p(x) of each row.

    By importance sampling, in nats, with standard error, effective sample size, and Pareto k: above 0.7 the error is
    larger than it says. The p-value is the share of the run's held-out rows that are as unlikely.
    """
    import numpy as np

    from lowerbound.tasks.anomaly import p_values
    from lowerbound.tasks.score import score as task

    _claim(out, force)
    opened, options = _open(run, imports), {"samples": samples, "seed": seed, "tolerance": tolerance, "most": most}
    found = task(opened, data, **options, progress=counting("{} of {} rows"))  # type: ignore[arg-type]  # of their names
    columns = {
        "log_likelihood": found.log_likelihood, "se": found.se, "ess": found.ess, "pareto_k": found.pareto_k,
        "samples": found.samples_per_row,
    }  # fmt: skip
    columns["p_value"] = p_values(opened, found.log_likelihood, data is not None, **options)
    answer = _write(np.stack(list(columns.values()), 1), out, force, tuple(columns))
    ess = float(np.median(found.ess))
    mean = {"mean": found.mean, "se": found.mean_se, "samples": found.samples, "ess_median": ess}
    facts = {**answer.facts, "log_likelihood": mean, "unsettled": found.unsettled.tolist(), "warnings": found.warnings}
    return Answer(facts, "\n".join([str(found), *(f"- {line}" for line in found.warnings), answer.text]))


def anomaly(
    run: RunFolder, data: Rows = None, *, out: Out, samples: Samples = 1000, seed: Seed = 0, force: Force = False,
    background: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run that knows what is common [default: independent cells]")
    ] = None,
    imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Say how strange rows are.

    By -log p(x), by typicality, which finds rows that are too likely as well, by the ratio to a background, and beside
    them by squared length, probabilistic PCA and neighbours; p-values against held-out rows of the run; what each
    column adds.
    """
    from lowerbound.tasks.anomaly import anomaly as task

    _claim(out, force)
    against = None if background is None else _open(background, imports)
    found = task(_open(run, imports), data, samples=samples, background=against, seed=seed)
    names, values = found.table()
    answer = _write(values, out, force, names)
    return Answer({**answer.facts, **found.as_dict()}, f"{found}\n{answer.text}")


def generation(
    run: RunFolder, data: Rows = None, *,
    rows: Annotated[int, typer.Option("-n", metavar="N", help="Rows of each kind, at most.")] = 1000,
    kind: Annotated[str, typer.Option(metavar="draw|mean", help="Draws from p(x|z), or its means.")] = "draw",
    seed: Seed = 0, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Compare samples with rows that the run was not trained on.

    Each measure beside what perfect samples score, and such that know each cell alone.
    """
    from lowerbound.tasks.generation import generation as task

    found = task(_open(run, imports), data, rows=rows, kind=kind, seed=seed)  # type: ignore[arg-type]  # checked there
    return Answer(found.as_dict(), str(found))


def reconstruct(
    run: RunFolder, data: Rows = None, *, out: Out,
    show: Annotated[str, typer.Option(metavar="first|worst|best", help="Rows by their squared error.")] = "first",
    rows: Annotated[
        int | None, typer.Option("-n", metavar="N", help="How many [default: 16 in a picture, else all]")
    ] = None,
    corruption: Annotated[
        str | None, typer.Option(metavar="NAME[:K=V,...]", help="What is done to the encoder's input.")
    ] = None,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Take rows through the latent space and back.

    A picture shows rows above what the model makes of them, and under what the encoder saw where that was corrupted.
    """
    from lowerbound.tasks.reconstructions import reconstructions as task

    picture = _claim(out, force).suffix.lower() == ".png"
    wanted = COMPARED if rows is None and picture else rows
    found = task(_open(run, imports), data, show=show, rows=wanted, corruption=corruption, seed=seed)  # type: ignore[arg-type]  # checked there
    found.save(out, force=force)
    answer = _written(out, len(found))
    return Answer({**answer.facts, "mse": float(found.error.mean())}, answer.text)


def sample(
    run: RunFolder, *, out: Out, rows: Annotated[int, typer.Option("-n", metavar="N", help="How many.")] = 64,
    kind: Annotated[
        str, typer.Option(metavar="auto|mean|draw", help="Mean of p(x|z), or a draw from it; auto: of tables a draw.")
    ] = "auto",
    temperature: Annotated[float, typer.Option(metavar="T", help="Factor on distances from the prior's mean.")] = 1.0,
    given: Given = [],  # noqa: B006
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Make new rows: z from the prior, decoded.

    Of a run that is conditioned, what --given leaves out is drawn from the training rows. Of a table that is not,
    --given age=40..50 or education=Masters is met by weighting draws, and how many of them count is said.
    """
    from lowerbound.tasks.generate import sample as task

    _claim(out, force)
    known = pairs(given) or None
    made = task(_open(run, imports), rows, kind=kind, temperature=temperature, seed=seed, given=known)  # type: ignore[arg-type]  # checked there
    answer = _write(made.values, out, force, made.columns, made.schema)
    if made.ess != made.ess:
        return answer
    text = f"{answer.text}; effective sample size of what is given: {made.ess:.0f}"
    return Answer({**answer.facts, "ess": made.ess}, text)


def encode(
    run: RunFolder, data: Rows = None, *, out: Out, force: Force = False, imports: Imports = [],  # noqa: B006
    variance: Annotated[bool, typer.Option("--variance", help="The posterior's variance instead of its mean.")] = False,
) -> Answer:  # fmt: skip
    """Take rows into the latent space: posterior means."""
    from lowerbound.tasks.latent import encode as task

    _claim(out, force)
    codes = task(_open(run, imports), data, variance=variance)
    return _write(codes, out, force, tuple(f"z{i + 1}" for i in range(codes.shape[1])))


def decode(
    run: RunFolder,
    codes: Annotated[str, typer.Argument(metavar="CODES", help="File of latents, as encode writes them.")],
    *, out: Out, given: Given = [], force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Take latents back to rows: means of p(x|z)."""
    from lowerbound.data import load
    from lowerbound.tasks.latent import decode as task

    _claim(out, force)
    opened = _open(run, imports)
    opened = opened.at(pairs(given)) if given else opened
    return _write(task(opened, load(codes).values()), out, force, tuple(opened.facts["columns"]), opened.schema)


def _open(path: Path, imports: list[Path]) -> "Run":
    from lowerbound.run import open

    return open(path, imports=imports)


def _claim(out: Path, force: bool) -> Path:
    """The path, if it can be written: asked before the work is done."""
    from lowerbound.outputs import writable

    return writable(out, force=force)


def _write(values: Any, out: Path, force: bool, columns: tuple[str, ...], schema: "Schema | None" = None) -> Answer:
    from lowerbound.outputs import write_array

    write_array(values, out, columns=columns, schema=schema, force=force)
    return _written(out, len(values))


def _written(out: Path, rows: int) -> Answer:
    return Answer({"out": str(out), "rows": rows}, f"{rows} rows in {out}")
