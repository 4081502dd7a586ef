"""Verbs on missing cells: ``impute`` and ``imputation``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.cli.verbs import Answer, Force, Imports, Out, Rows, RunFolder, Seed, counting, verb

if TYPE_CHECKING:
    from lowerbound.data import Data
    from lowerbound.tasks.impute import Imputed

DRAWN, LINES = 5, 8  # draws and images in a picture
How = Annotated[str, typer.Option(metavar="auto|importance|metropolis|gibbs", help="How to draw missing cells.")]
Samples = Annotated[int, typer.Option("--samples", metavar="K", help="Draws of z a row for importance.", min=1)]
Sweeps = Annotated[int, typer.Option("--sweeps", metavar="N", help="Of each chain that count.", min=1)]
Interval = Annotated[float, typer.Option("--interval", metavar="SHARE", help="Share that an interval holds.")]
Hide = Annotated[str, typer.Option(metavar="random|half|box[:WHICH]", help="Cells to hide: random:0.3, half:top.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    for function in (impute, imputation):
        verb(app)(function)


def impute(
    run: RunFolder, data: Rows = None, *, out: Out, force: Force = False,
    draws: Annotated[int, typer.Option(metavar="M", help="Completed copies instead of the mean.", min=0)] = 0,
    method: How = "auto", interval: Interval = 0.9, samples: Samples = 1000, sweeps: Sweeps = 20,
    intervals: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Where to write mean and bounds of each missing cell.")
    ] = None,
    hide: Hide = "", seed: Seed = 0, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Fill in missing cells.

    By their conditional mean, or by M draws, one copy of the rows under the other in a csv, with the number of the draw
    as a first column. All other cells of a csv stay as they are, to the byte. A picture shows what was given, draws,
    and the mean.
    """
    from lowerbound.outputs import writable
    from lowerbound.run import open as open_run
    from lowerbound.tasks.impute import holed
    from lowerbound.tasks.impute import impute as task

    writable(out, force=force)
    if intervals is not None:
        writable(intervals, force=force, endings=(".csv",))
    opened = open_run(run, imports=imports)
    rows = whole = holed(opened, data)
    picture = out.suffix.lower() == ".png" and whole.is_image
    rows = whole = whole.take(slice(0, LINES)) if picture else whole
    if hide:
        from lowerbound.data.holes import hide as hidden

        rows = hidden(whole, hide, seed)
    told = counting("{} of {} rows")
    options: dict[str, Any] = {"method": method, "interval": interval, "samples": samples, "sweeps": sweeps}
    found = task(opened, rows, draws=draws or DRAWN, seed=seed, progress=told, **options)
    if picture:
        _picture(whole, found, bool(hide), out, force)
    else:
        _write(rows, found, draws, None if hide else data, out, force)
    if intervals is not None:
        _intervals(found, intervals, force)
    files = {"out": str(out), "intervals": None if intervals is None else str(intervals)}
    facts = {**found.as_dict(), **files, "rows": len(found.values)}
    return Answer(facts, f"{found}\n{len(found.values)} rows in {out}")


def imputation(
    run: RunFolder, data: Rows = None, *, hide: Hide = "random", method: How = "auto", interval: Interval = 0.9,
    samples: Samples = 1000, sweeps: Sweeps = 20, seed: Seed = 0, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Hide known cells, fill them in, and compare.

    Mean squared error beside the mean, nearest rows, chained regressions, probabilistic PCA and a Gaussian fitted by
    EM, on the same cells, of a table in units of each column's standard deviation; the share of categories that are
    wrong; and how many of the values lie in the intervals.
    """
    from lowerbound.run import open as open_run
    from lowerbound.tasks.imputation import imputation as task

    options: dict[str, Any] = {"method": method, "interval": interval, "samples": samples, "sweeps": sweeps}
    found = task(open_run(run, imports=imports), data, hidden=hide, seed=seed, **options)
    return Answer(found.as_dict(), str(found))


def _picture(whole: "Data", found: "Imputed", complete: bool, out: Path, force: bool) -> None:
    from lowerbound import figures
    from lowerbound.figures.filling import filling

    x, unit = whole.values(dtype="float64").clip(0, 1), whole.unit
    drawn = (found.draws[:DRAWN] * unit).clip(0, 1)
    complete = complete and whole.mask is None
    figures.save(filling(x, found.mask, drawn, found.mean.clip(0, 1), complete=complete), out, force=force)


def _write(rows: "Data", found: "Imputed", draws: int, source: str | None, out: Path, force: bool) -> None:
    """The mean, or copies; of a csv file into a csv file what was there stays as it was written."""
    import numpy as np

    from lowerbound.data.refill import refilled
    from lowerbound.files import write_whole
    from lowerbound.outputs import write_array

    if not draws and source and rows.columns and out.suffix.lower() == ".csv" and _is_text(Path(source)):
        write_whole(out, refilled(Path(source), dict(_texts(rows, found)), len(found.values)))
    elif not draws:
        write_array(found.values, out, columns=rows.columns, schema=rows.schema, force=force)
    elif out.suffix.lower() == ".csv":
        flat = found.draws.reshape(-1, *found.draws.shape[2:]).reshape(draws * len(found.values), -1)
        number = np.repeat(np.arange(1, draws + 1), len(found.values))
        write_whole(out, _copies(rows, flat, number.tolist()))
    else:
        write_array(found.draws, out, force=force)


def _is_text(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".txt")) and path.is_file()


def _texts(rows: "Data", found: "Imputed") -> Any:
    """What to write into each missing cell, by row and column."""
    import numpy as np

    for at, name in enumerate(rows.columns):
        holes = np.flatnonzero(~found.mask[:, at])
        values = found.values[holes, at].astype(np.float64)
        texts = list(map(repr, values.tolist())) if rows.schema is None else rows.schema.columns[at].texts(values)
        yield from (((int(row), name), text) for row, text in zip(holes, texts, strict=True))


def _copies(rows: "Data", flat: Any, number: list[int]) -> str:
    import csv
    import io

    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(["draw", *(rows.columns or (f"x{i}" for i in range(flat.shape[1])))])
    cells = flat.tolist() if rows.schema is None else rows.schema.cells(flat)
    writer.writerows([draw, *row] for draw, row in zip(number, cells, strict=True))
    return made.getvalue()


def _intervals(found: "Imputed", path: Path, force: bool) -> None:
    """One line for each missing cell: row and cell from 0, mean, lower and upper bound."""
    import numpy as np

    from lowerbound.outputs import write_array

    flat = found.mask.reshape(len(found.mask), -1)
    row, cell = np.nonzero(~flat)
    parts = [part.reshape(flat.shape)[row, cell] for part in (found.mean, found.lower, found.upper)]
    write_array(np.stack([row, cell, *parts], 1), path, columns=("row", "cell", "mean", "lower", "upper"), force=force)
