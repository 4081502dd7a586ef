"""Fetch a file over http so that only whole, checked files ever bear its name."""

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lowerbound.errors import DownloadFailed

BLOCK = 1 << 20
Progress = Callable[[int, int | None], None]


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """``path``, downloaded from ``url`` unless it is there with the right checksum.

    What arrives goes to ``path`` + ``.part``, and a later call goes on from there if the server can. The name ``path``
    is given only to a file whose length and checksum are right.

    Args:
        url: http or https address.
        path: where the file goes; its folder is made.
        sha256: checksum in hex; or md5: the same, where only that was published.
        progress: called with the bytes so far and in all (None if the server does not say).
        timeout: seconds without an answer.

    Raises:
        DownloadFailed: no answer, fewer bytes than announced, or a wrong checksum; says both.
    """
    wanted = ("sha256", sha256) if sha256 else ("md5", md5)
    if path.exists() and (not wanted[1] or checksum(path, wanted[0]) == wanted[1]):
        return path
    if not url.startswith(("http://", "https://")):
        raise DownloadFailed("not an address to download from", where=url, expected="http:// or https://")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        total = _receive(url, part, progress, timeout)
    except urllib.error.HTTPError as error:
        raise DownloadFailed("the server refused", where=url, found=f"{error.code} {error.reason}") from error
    except OSError as error:
        raise DownloadFailed("no whole answer", where=url, found=str(error), mend="Try again: it resumes.") from error
    _verify(url, part, total, *wanted)
    os.replace(part, path)
    return path


def _receive(url: str, part: Path, progress: Progress | None, timeout: float) -> int | None:
    """Append the rest of ``url`` to ``part``; the length of the whole, if the server says it."""
    start = part.stat().st_size if part.exists() else 0
    with _ask(url, part, start, timeout) as answer, part.open("ab") as out:
        if _starts_at(answer) != start:  # the server sends all of it, or something else than was asked
            out.truncate(0)
            start = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        done = start
        while block := answer.read(BLOCK):
            out.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
        out.flush()
        os.fsync(out.fileno())
    return total


def _ask(url: str, part: Path, start: int, timeout: float) -> Any:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        error.close()  # nothing lies behind what we have: begin anew
        part.unlink()
        return urllib.request.urlopen(url, timeout=timeout)


def _starts_at(answer: Any) -> int:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
    return int(found[1]) if answer.status == 206 and found else 0


def _verify(url: str, part: Path, total: int | None, kind: str, wanted: str | None) -> None:
    size = part.stat().st_size
    if total is not None and size < total:
        raise DownloadFailed(
            "fewer bytes than announced", where=url, found=f"{size}", expected=f"{total}", mend="Try again: it resumes."
        )
    found = checksum(part, kind)
    if wanted and found != wanted:
        part.unlink()
        raise DownloadFailed(
            f"wrong {kind}",
            where=url,
            found=f"{found} ({size} bytes)",
            expected=wanted,
            mend="What arrived was deleted; try again.",
        )


def checksum(path: Path, kind: str = "sha256") -> str:
    """The ``sha256`` or ``md5`` of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
