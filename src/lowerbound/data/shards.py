"""A folder of mapped arrays, with a manifest that says what they are: rows that need not fit in memory."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.columns import Schema
from lowerbound.data.mapped import Array, Lazy, Mapped, Summary, stays
from lowerbound.data.source import Data, Split
from lowerbound.errors import BadOption, CheckpointDamaged, DataFormat, DataMissing
from lowerbound.files import MANIFEST, Sink, manifest, verify, write_folder

FORMAT = 1
FACTS = "data.json"
LARGEST = 1 << 26  # bytes of facts: names of columns and categories
PARTS = ("train", "validation", "test")
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Stream:
    """Rows on their way to a folder.

    Args:
        name: for messages.
        blocks: (rows, *shape) of one type, a block at a time; NaN where missing.
        rows: how many there are in all, if that is known before.
        unit: a value is stored * unit; None: 1/255 for 8-bit pictures with a value above 1.
        facts: what else is known of them, by the name of the field of ``Data``: plain values.
        schema: of a table; its blocks have been checked against it.
        beside: further arrays of as many rows, ``labels``, ``factors`` and ``split``; asked for after the blocks.
    """

    name: str
    blocks: Iterator[Array]
    rows: int | None = None
    unit: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    schema: Schema | None = None
    beside: Mapping[str, Callable[[], tuple[Array, Mapping[str, Any]]]] = field(default_factory=dict)


class _Writer:
    """Writes the files of a stream and keeps what is to be said of them."""

    def __init__(self, stream: Stream, progress: Progress | None) -> None:
        self.stream, self.progress = stream, progress
        self.arrays: dict[str, dict[str, Any]] = {}
        self.facts = dict(stream.facts)
        self.summary, self.missing = Summary(), 0

    def contents(self) -> dict[str, Callable[[Sink], object]]:
        """What the folder holds, in the order in which it is written: what says what it is comes last."""
        beside = {f"{name}.bin": self._beside(name) for name in self.stream.beside}
        return {"x.bin": self._blocks, **beside, FACTS: self._describe}

    def _blocks(self, sink: Sink) -> None:
        done, like = 0, np.empty(0)
        for like in self.stream.blocks:
            sink.write(_plain(like).tobytes())
            gone = np.isnan(like) if like.dtype.kind == "f" else np.zeros((), bool)
            self.missing += int(gone.sum())
            self.summary = self.summary.add(like[~gone] if gone.any() else like)
            done += len(like)
            if self.progress is not None:
                self.progress(done, self.stream.rows)
        if not self.summary.cells:
            raise DataMissing("no values", where=self.stream.name, expected="at least one row with a value")
        self.arrays["x"] = _entry(like, done)

    def _beside(self, name: str) -> Callable[[Sink], None]:
        def write(sink: Sink) -> None:
            array, facts = self.stream.beside[name]()
            sink.write(_plain(array).tobytes())
            self.arrays[name] = _entry(array, len(array))
            self.facts.update(facts)

        return write

    def _describe(self, sink: Sink) -> None:
        unit, x = self.stream.unit, self.arrays["x"]
        if unit is None:
            pictures = x["type"] == "|u1" and len(x["shape"]) == 4
            unit = 1 / 255 if pictures and self.summary.high > 1 else 1.0
        known = {key: getattr(self.summary, key) for key in ("low", "high", "whole", "zeros", "cells")}
        schema = self.stream.schema
        facts = {
            "format": FORMAT, "name": self.stream.name, "rows": x["shape"][0], "unit": unit, "arrays": self.arrays,
            "missing": self.missing, "summary": known, **self.facts,
            **({} if schema is None else {"columns": list(schema.names), "schema": schema.as_dict()}),
        }  # fmt: skip
        sink.write((json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())


def write_shards(stream: Stream, out: Path, progress: Progress | None = None) -> None:
    """Write rows to a folder, which appears under its name when all of it is on the disk.

    Args:
        stream: the rows; one block of them is in memory at a time.
        out: the folder; one of the same make is replaced.
        progress: called after each block with the rows that are done and all of them, if that is known.

    Raises:
        DiskError: it cannot be written; nothing is left behind. OutputExists: something else is there.
    """
    write_folder(out.parent, out.name, _Writer(stream, progress).contents())


def is_shards(folder: Path) -> bool:
    """Whether a folder is one of mapped arrays, whole or not."""
    return (folder / FACTS).is_file() or (folder / "x.bin").is_file()


def open_shards(folder: Path, missing: str = "auto") -> Data:
    """The rows of a folder that ``write_shards`` wrote; large arrays stay on disk.

    Lengths are compared with the manifest's, contents are not: see `check_shards`.

    Raises:
        DataFormat: no manifest, a file that is missing, cut or foreign, or a newer format; names the file.
        DataMissing: missing cells where ``missing`` is ``error``.
    """
    facts, files = _facts(folder)
    arrays = {
        name: _mapped(folder / f"{name}.bin", entry, files[f"{name}.bin"]) for name, entry in facts["arrays"].items()
    }
    schema = None if "schema" not in facts else Schema.from_dict(facts["schema"])
    x, mask = _with_mask(arrays["x"], facts, schema, folder if missing == "error" else None)
    labels, factors, split = (arrays.get(name) for name in ("labels", "factors", "split"))
    names: dict[str, Any] = {key: tuple(facts.get(key, ())) for key in ("label_names", "factor_names", "columns")}
    return Data(
        x, facts["name"], str(folder), facts["unit"], mask, None if labels is None else np.array(labels),
        factors=None if factors is None else np.array(factors), **names,
        split=None if split is None else _split(np.asarray(split), facts), schema=schema,
    )  # fmt: skip


def check_shards(folder: Path) -> dict[str, Any]:
    """Compare every file with its SHA-256.

    Returns:
        ``{"rows", "files", "bytes"}``.

    Raises:
        DataFormat: a file is not as it was written; names each.
    """
    facts, files = _facts(folder)
    if faults := verify(folder):
        raise _damaged(folder, "; ".join(faults))
    return {"rows": facts["rows"], "files": len(files), "bytes": sum(entry["bytes"] for entry in files.values())}


def split_column(split: Split, rows: int) -> tuple[Array, dict[str, Any]]:
    """A split as a number a row, 0 where it is in no part."""
    column = np.zeros(rows, np.uint8)
    for number, part in enumerate(PARTS, 1):
        column[getattr(split, part)] = number
    return column, {"split": {"how": split.how, "seed": split.seed}}


def _split(column: Array, facts: Mapping[str, Any]) -> Split:
    train, validation, test = (np.flatnonzero(column == number) for number in range(1, 4))
    return Split(train, validation, test, facts["split"]["how"], facts["split"]["seed"])


def _with_mask(x: Mapped, facts: Mapping[str, Any], schema: Schema | None, refuse: Path | None) -> tuple[Any, Any]:
    """x with 0 for NaN, and what is observed of it."""
    x.summary = Summary(**facts["summary"], schema=schema)
    if not facts["missing"]:
        return x, None
    if refuse is not None:
        raise DataMissing("values are missing", where=str(refuse), found=f"{facts['missing']:,} cells",
                          mend="Set missing = 'nan'.")  # fmt: skip
    if stays(x):
        return Lazy(x, turn=_filled), Lazy(x, turn=_seen)
    return _filled(np.asarray(x)), _seen(np.asarray(x))


def _filled(x: Array) -> Array:
    return np.where(np.isnan(x), x.dtype.type(0), x)


def _seen(x: Array) -> Array:
    seen: Array = ~np.isnan(x)
    return seen


def _facts(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What a folder says of its arrays, and the lengths and checksums of its files."""
    try:
        files = manifest(folder)
    except CheckpointDamaged as error:
        raise _damaged(folder, error.found, "Convert the source again.") from error
    if faults := verify(folder, hashes=False):
        raise _damaged(folder, "; ".join(faults))
    path = folder / FACTS
    if path.stat().st_size > LARGEST or hashlib.sha256(text := path.read_bytes()).hexdigest() != files[FACTS]["sha256"]:
        raise _damaged(folder, f"{FACTS}: other contents")
    facts: dict[str, Any] = json.loads(text)
    if facts["format"] > FORMAT:
        raise DataFormat("of a newer format", where=str(path), found=str(facts["format"]),
                         expected=f"at most {FORMAT}", mend="Upgrade lowerbound.")  # fmt: skip
    return facts, files


def _damaged(folder: Path, found: str, mend: str = "Restore a copy, or convert the source again.") -> DataFormat:
    return DataFormat("not as it was written", where=str(folder), found=found, expected=f"as {MANIFEST} says",
                      mend=mend)  # fmt: skip


def _mapped(path: Path, entry: Mapping[str, Any], file: Mapping[str, Any]) -> Mapped:
    dtype, shape = np.dtype(entry["type"]), tuple(map(int, entry["shape"]))
    need = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.kind not in "buif" or dtype.itemsize > 8 or min(shape) < 1 or need != file["bytes"]:
        raise DataFormat("length and shape disagree", where=str(path), found=f"{file['bytes']:,} bytes",
                         expected=f"{need:,} bytes for shape {shape} of {dtype}")  # fmt: skip
    return Mapped(path, dtype, shape, file["sha256"])


def _plain(array: Array) -> Array:
    """In the byte order that is written."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _entry(like: Array, rows: int) -> dict[str, Any]:
    return {"type": like.dtype.newbyteorder("<").str, "shape": [rows, *like.shape[1:]]}


def refuse_inside(source: object, out: Path) -> None:
    """Refuse to replace the folder that the rows come from.

    Raises:
        BadOption: they are the same.
    """
    if str(source) and Path(str(source)).resolve() == out.resolve():
        raise BadOption("a folder cannot be converted into itself", where=str(out), mend="Choose another place.")
