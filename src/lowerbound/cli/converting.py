"""``lowerbound data convert`` and ``data check``: rows that need not fit in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from lowerbound.cli.verbs import Answer, Force, counting, verb

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="That data convert wrote.")]


def attach(verbs: typer.Typer) -> None:
    """Add them to those of ``data``."""
    verb(verbs)(convert)
    verb(verbs)(check)


def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Path of a file or folder, or known name.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    *,
    labels: Annotated[str, typer.Option(metavar="COLUMN", help="Column of a table that holds the labels.")] = "",
    columns: Annotated[str, typer.Option(metavar="NAME=KIND;...", help="Kinds that are not to be inferred.")] = "",
    query: Annotated[str, typer.Option(metavar="SQL", help="Rows of a DuckDB or Parquet file.")] = "",
    key: Annotated[str, typer.Option(metavar="NAME", help="Which array of an npz or mat file.")] = "",
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether a text table begins with names.")
    ] = None,
    missing: Annotated[str, typer.Option(metavar="error|nan", help="What NaN is; auto: missing in tables.")] = "auto",
    dtype: Annotated[str, typer.Option("--type", metavar="TYPE", help="float32 or float64, not as read.")] = "",
    force: Force = False,
) -> Answer:
    """Write rows to a folder that fit maps, not reads.

    A block of rows is in memory at a time. The folder is there once all of it is on the disk; what breaks off leaves
    nothing, and is begun anew.
    """
    from lowerbound.data import convert as write

    data = write(
        source, out, missing=missing, labels=labels or None, columns=columns, query=query or None, key=key or None,
        header=header, dtype=dtype, force=force, progress=_bar(),
    )  # fmt: skip
    size = sum(file.stat().st_size for file in out.iterdir())
    facts = {"out": str(out), "rows": data.rows, "shape": list(data.shape), "stored": data.x.dtype.name,
             "missing": data.mask is not None, "bytes": size}  # fmt: skip
    return Answer(facts, f"{out}: {data.rows:,} rows of {facts['shape']} {facts['stored']}, {size / 1e6:,.1f} MB")


def check(folder: Folder) -> Answer:
    """Compare a converted folder with its checksums."""
    from lowerbound.data import check_shards

    facts = check_shards(folder)
    return Answer(facts, f"{folder}: {facts['files']} files, {facts['bytes']:,} bytes, as they were written")


def _bar() -> Callable[[int, int | None], None]:
    """Rows done of all; a running count where nobody knows how many come."""
    known, unknown = counting("{:,} of {:,} rows"), counting("{:,} rows")

    def show(done: int, rows: int | None) -> None:
        if rows is None:
            unknown(done, -1)
        else:
            known(done, rows)

    return show
