"""Folders that can prove that they are as they were written."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowerbound.errors import CheckpointDamaged

MANIFEST = "MANIFEST.json"
LARGEST_MANIFEST = 1 << 20


def manifest(folder: str | Path) -> dict[str, dict[str, Any]]:
    """File name to ``{"bytes": …, "sha256": …}``, as ``write_folder`` recorded them.

    Raises:
        CheckpointDamaged: it is missing, or is not what was written.
    """
    path = Path(folder) / MANIFEST
    if not _is_plain(path) or path.stat().st_size > LARGEST_MANIFEST:
        raise _damaged(folder, f"{MANIFEST}: missing")
    try:
        text = path.read_bytes()
        table: dict[str, dict[str, Any]] = json.loads(text)
        sound = manifest_text(table) == text and all(map(_is_entry, table, table.values()))
    except (ValueError, AttributeError, TypeError, RecursionError, OSError):
        sound = False
    if not sound:
        raise _damaged(folder, f"{MANIFEST}: not as it was written")
    return table


def verify(folder: str | Path, *, hashes: bool = True) -> list[str]:
    """What is wrong with a folder that ``write_folder`` wrote, one line a file; other files in it do not matter.

    Args:
        folder: of the files and their manifest.
        hashes: compare contents too, not sizes only.
    """
    try:
        table = manifest(folder)
    except CheckpointDamaged as error:
        return [error.found]
    return [
        f"{name}: {fault}" for name, entry in table.items() if (fault := _fault(Path(folder) / name, entry, hashes))
    ]


def read_verified(folder: str | Path) -> dict[str, bytes]:
    """The files of a folder that ``write_folder`` wrote, each exactly as it was written.

    Raises:
        CheckpointDamaged: the manifest or a file is missing, or not what was written; names all of them.
    """
    folder = Path(folder)
    if faults := verify(folder, hashes=False):
        raise _damaged(folder, "; ".join(faults))
    contents: dict[str, bytes] = {}
    for name, entry in manifest(folder).items():
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise _damaged(folder, f"{name}: {error.strerror}") from error
        if hashlib.sha256(contents[name]).hexdigest() != entry["sha256"]:
            faults.append(f"{name}: other contents")
    if faults:
        raise _damaged(folder, "; ".join(faults))
    return contents


def manifest_text(table: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The text of a manifest: the same for the same table, so that every other text is a damaged one."""
    return (json.dumps(table, indent=1) + "\n").encode()


def _damaged(folder: str | Path, found: str) -> CheckpointDamaged:
    return CheckpointDamaged("damaged", where=str(folder), found=found)


def _is_entry(name: str, entry: Mapping[str, Any]) -> bool:
    plain = name not in ("", ".", "..", MANIFEST) and not set(name) & {"/", "\\", "\0"}
    return (
        plain and set(entry) == {"bytes", "sha256"} and type(entry["bytes"]) is int and isinstance(entry["sha256"], str)
    )


def _is_plain(path: Path) -> bool:
    """Whether a path is a file itself: no link, no device."""
    return os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode)


def _fault(path: Path, entry: Mapping[str, Any], hashes: bool) -> str:
    """What is wrong with a file; nothing if it is as recorded."""
    try:
        if not _is_plain(path):
            return "not a file" if os.path.lexists(path) else "missing"
        if (size := path.stat().st_size) != entry["bytes"]:
            return f"{size} bytes instead of {entry['bytes']}"
        with path.open("rb") as stream:
            same = not hashes or hashlib.file_digest(stream, "sha256").hexdigest() == entry["sha256"]
        return "" if same else "other contents"
    except OSError as error:
        return error.strerror or str(error)
