"""Files and folders that appear under their name only when they are whole."""

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from lowerbound.errors import CheckpointDamaged, OutputExists
from lowerbound.files import system
from lowerbound.files.checking import MANIFEST, manifest, manifest_text

LONGEST_NAME = 255  # bytes, on every common file system
TEMPORARY = re.compile(r"\.tmp-.+-(\d{1,18})-(\d{1,18})-[0-9a-f]{8}", re.DOTALL)


class Sink:
    """Where a writer puts the bytes of one file: written, counted and hashed on the way."""

    def __init__(self, handle: int) -> None:
        self._handle, self._digest, self._count = handle, hashlib.sha256(), 0

    def write(self, block: bytes) -> int:
        """Write the whole block."""
        rest = memoryview(block)
        while rest:
            rest = rest[system.disk.write(self._handle, rest) :]
        self._digest.update(block)
        self._count += len(block)
        return len(block)

    @property
    def entry(self) -> dict[str, Any]:
        """Length and checksum of what was written."""
        return {"bytes": self._count, "sha256": self._digest.hexdigest()}


Content = bytes | str | Callable[[Sink], object]


def write_whole(path: str | Path, content: Content) -> None:
    """Write a file that appears under its name only when it is complete and on the disk; what was there is replaced.

    Args:
        path: its folder must exist.
        content: bytes, text (written as UTF-8), or a function that writes to the ``Sink`` it is given.

    Raises:
        OutputExists: something other than a file is there, or a link that leads out of the folder.
        DiskError: it cannot be written; what was there is untouched, and nothing is left behind.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "whole")
    ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    with system.refused(Path(path)):
        path = inside(path)
        if path.exists() and not path.is_file():
            raise OutputExists("not a file", where=str(path), mend="Choose another name.")
        with _temporary_name(path) as temporary:
            _write(temporary, content)
            system.disk.rename(temporary, path)
            system.sync_folder(path.parent)


def write_together(folder: str | Path, contents: Mapping[str, Content]) -> None:
    """Write files of one folder that get their names, in the order given, only once all of them are on the disk.

    Args:
        folder: must exist.
        contents: file name to content, as for ``write_whole``.

    Raises:
        DiskError: one cannot be written; what was there is untouched, unless it was a name that could not be given.
    """
    folder = Path(folder)
    with system.refused(folder), ExitStack() as stack:
        names = {stack.enter_context(_temporary_name(folder / name)): folder / name for name in contents}
        for temporary, path in names.items():
            _write(temporary, contents[path.name])
        for temporary, path in names.items():
            system.disk.rename(temporary, path)
        system.sync_folder(folder)


def write_folder(parent: str | Path, name: str, contents: Mapping[str, Content]) -> Path:
    """Write a folder of files that appears under its name only when all of them are complete and on the disk.

    Beside the files it holds ``MANIFEST.json``, written last: bytes and SHA-256 of each. A folder of that name that
    holds the same files is replaced.

    Args:
        parent: made if it is not there.
        name: of the folder.
        contents: file name to content, as for ``write_whole``.

    Raises:
        OutputExists: a folder of that name holds other files as well, or it is no folder.
        DiskError: it cannot be written; what was there is untouched, and nothing is left behind.
    """
    final = Path(parent) / name
    with system.refused(final), _temporary_name(final) as temporary:
        make_folder(final.parent)
        system.disk.mkdir(temporary)
        table = {file: _write(temporary / file, content) for file, content in contents.items()}
        _write(temporary / MANIFEST, manifest_text(table))
        system.sync_folder(temporary)
        _put(temporary, final, contents)
    return final


def make_folder(path: str | Path) -> None:
    """Make a folder and those above it, on the disk when this returns.

    Raises:
        DiskError: it cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        return
    make_folder(path.parent)
    with system.refused(path):
        with suppress(FileExistsError):
            system.disk.mkdir(path)
        system.sync_folder(path.parent)


def inside(path: str | Path) -> Path:
    """The path; of a link, what it stands for.

    Raises:
        OutputExists: a link that leads out of its folder.
    """
    path = Path(path)
    if not path.is_symlink():
        return path
    real = path.resolve()
    if real.parent != path.parent.resolve():
        raise OutputExists("a link that leads out of its folder", where=str(path), found=str(real),
                           mend="Name the place itself, or choose another.")  # fmt: skip
    return path.parent / real.name


def remove_folder(folder: str | Path) -> bool:
    """Remove a folder that ``write_folder`` wrote; one that holds anything else is left as it is.

    Returns:
        Whether it was removed.
    """
    folder = Path(folder)
    try:
        if folder.is_symlink() or _strangers(folder, ()):
            return False
        away = _temporary(folder)  # a crash from here on leaves something that is known to be rubbish
        system.disk.rename(folder, away)
    except OSError:
        return False
    with suppress(OSError):
        system.sync_folder(folder.parent)
    _discard(away)
    return True


def set_aside(path: str | Path) -> Path:
    """Give a file or folder another name beside its own, ``set-aside-…``; returns it.

    Raises:
        DiskError: it cannot be renamed.
    """
    path = Path(path)
    away = path.with_name(f"set-aside-{path.name}-{secrets.token_hex(4)}")
    with system.refused(path):
        system.disk.rename(path, away)
        system.sync_folder(path.parent)
    return away


def purge_temporaries(parent: str | Path, *, own: bool = False, name: str = "") -> list[Path]:
    """Remove what writers that are dead have left behind: only names of the form that is used here.

    Call it with the folder's ``Lock`` held: a writer on another machine counts as dead.

    Args:
        parent: folder to look in, not below.
        own: remove those of this process too; for the only thread that writes there.
        name: of the file or folder whose temporaries are meant; none: of all.
    """
    dead = []
    for path in sorted(Path(parent).glob(".tmp-*")):
        meant = not name or path.name.startswith(f".tmp-{name}-")
        if meant and (match := TEMPORARY.fullmatch(path.name)) and not path.is_symlink():
            pid, start = int(match[1]), int(match[2])
            if (own and pid == os.getpid()) or not system.alive(pid, start):
                _discard(path)
                dead.append(path)
    return dead


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A folder beside a path for files that nobody needs after the block."""
    folder = _temporary(beside)
    with system.refused(folder):
        system.disk.mkdir(folder)
    try:
        yield folder
    finally:
        _discard(folder)


def _temporary(path: Path) -> Path:
    """A name beside ``path`` that says who writes it."""
    tail = f"-{os.getpid()}-{system.start_time(os.getpid())}-{secrets.token_hex(4)}"
    room = LONGEST_NAME - len(".tmp-") - len(tail)
    return path.with_name(f".tmp-{os.fsencode(path.name)[:room].decode('utf-8', 'ignore') or 'x'}{tail}")


def _write(path: Path, content: Content) -> dict[str, Any]:
    """Write a new file to the disk; its length and checksum."""
    handle = system.disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    sink = Sink(handle)
    try:
        if callable(content):
            content(sink)
        else:
            sink.write(content.encode() if isinstance(content, str) else content)
        system.disk.fsync(handle)
    except BaseException:
        with suppress(OSError):
            system.disk.close(handle)
        raise
    system.disk.close(handle)  # here, too, a file system may say that it has failed
    return sink.entry


def _put(temporary: Path, final: Path, names: Iterable[str]) -> None:
    """Give a complete folder its name, and remove the one that had it."""
    away = None
    if os.path.lexists(final):
        if not final.is_dir() or final.is_symlink() or _strangers(final, names):
            raise OutputExists("holds what is not ours", where=str(final), mend="Move it away.")
        away = _temporary(final)
        system.disk.rename(final, away)
    try:
        system.disk.rename(temporary, final)
    except BaseException:
        if away:
            system.disk.rename(away, final)
        raise
    try:
        system.sync_folder(final.parent)
    finally:
        if away:
            _discard(away)


def _strangers(folder: Path, names: Iterable[str]) -> set[str]:
    """What a folder holds beside its manifest, the files that names, and those given."""
    own = {MANIFEST, *names}
    with suppress(CheckpointDamaged):
        own |= set(manifest(folder))
    return set(os.listdir(folder)) - own


def _discard(path: Path) -> None:
    """Remove a temporary file or folder, as far as that is possible: a later purge finds the rest."""
    with suppress(OSError):
        if path.is_dir():
            for inner in path.iterdir():
                with suppress(OSError):
                    system.disk.unlink(inner)
            system.disk.rmdir(path)
        else:
            system.disk.unlink(path)


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    """A temporary name for a block; after an error nothing bears it any more."""
    temporary = _temporary(path)
    try:
        yield temporary
    except BaseException:
        _discard(temporary)
        raise
