"""Rows to files: a picture, an array or a table, by the ending of the path."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.data.columns import Schema
from lowerbound.data.engine import parquet
from lowerbound.errors import BadOption, DataShape, OutputExists
from lowerbound.files import write_whole

Array = npt.NDArray[Any]
ENDINGS = (".npy", ".csv", ".parquet", ".png")


def write_array(
    values: Array, path: str | Path, *, columns: tuple[str, ...] = (), schema: Schema | None = None, force: bool = False
) -> Path:
    """Write rows (rows, ...) to ``path``.

    ``.npy`` keeps shape and type, ``.csv`` and ``.parquet`` one line a row (NaN is an empty cell; categories and
    dates of a table with a schema are written as text), ``.png`` a grid of images.

    Raises:
        OutputExists: the file is there, and ``force`` was not given.
        BadOption: another ending.
        DataShape: a picture of rows that are not images.
        MissingExtra: Parquet without the extra ``tables``.
    """
    path = writable(path, force=force)
    kind = path.suffix.lower()
    if kind == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        write_whole(path, buffer.getvalue())
    elif kind in (".csv", ".parquet"):
        flat = values.reshape(len(values), -1)
        names = columns if len(columns) == flat.shape[1] else tuple(f"x{i}" for i in range(flat.shape[1]))
        text = _table(flat, names, schema)
        write_whole(path, text if kind == ".csv" else parquet(text, _kinds(flat, names, schema)))
    else:
        if values.ndim != 4:
            raise DataShape(
                "not images", where=str(path), found=str(values.shape), expected="(rows, channels, height, width)"
            )
        figures.save(figures.image_grid(np.clip(values, 0, 1)), path, force=force)
    return path


def writable(path: str | Path, *, force: bool = False, endings: tuple[str, ...] = ENDINGS) -> Path:
    """The path, if rows can be written there; its folder is made.

    Args:
        path: of the file.
        force: write over what is there.
        endings: that can be written.

    Raises:
        OutputExists: the file is there, and ``force`` was not given.
        BadOption: an ending that is not written.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        expected = " or ".join(endings)
        raise BadOption("an ending that is not written", where=str(path), found=f"'{path.suffix}'", expected=expected)
    if path.is_dir() or (path.exists() and not force):
        raise OutputExists("already there", where=str(path), mend="Choose another name, or overwrite it with force.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _table(values: Array, columns: tuple[str, ...], schema: Schema | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    rows = values.tolist() if schema is None else schema.cells(values)
    writer.writerows(["" if cell != cell else cell for cell in row] for row in rows)
    return text.getvalue()


def _kinds(values: Array, columns: tuple[str, ...], schema: Schema | None) -> dict[str, str]:
    """Column -> type in a Parquet file."""
    if schema is None:
        return dict.fromkeys(columns, "DOUBLE" if values.dtype.kind == "f" else "BIGINT")
    return {column.name: "VARCHAR" if column.coded or column.origin else "DOUBLE" for column in schema}
