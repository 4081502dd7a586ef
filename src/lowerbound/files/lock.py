"""One run at a time in a folder."""

import json
import os
import platform
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from lowerbound.errors import FolderLocked
from lowerbound.files import system

LOCK = ".lock"


class Lock:
    """One run at a time in a folder: ``with Lock(folder): …``.

    The system gives the lock back when its holder dies, however it dies. The file says who holds it, and decides
    alone where the file system has no locks.

    Args:
        folder: must exist.

    Raises:
        FolderLocked: another run holds it; names process and machine.
        DiskError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / LOCK
        self._handle = -1

    def __enter__(self) -> "Lock":
        with system.refused(self.path.parent):
            while self._handle < 0:
                self._handle = self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            system.disk.unlink(self.path)  # first: once it is closed, it may be another's
        with suppress(OSError):
            system.disk.close(self._handle)
        self._handle = -1

    def _take(self) -> int:
        """The handle of the file, held; negative if it was removed meanwhile."""
        handle = system.disk.open(self.path, os.O_RDWR | os.O_CREAT)
        try:
            self._hold(handle)
            if not _is_same(handle, self.path):
                system.disk.close(handle)
                return -1
            system.disk.truncate(handle)
            system.disk.write(handle, json.dumps(_identity()).encode())
        except BaseException:
            with suppress(OSError):
                system.disk.close(handle)
            raise
        return handle

    def _hold(self, handle: int) -> None:
        try:
            system.disk.lock(handle)
        except BlockingIOError:
            raise self._held() from None
        except OSError:  # no locks on this file system: believe what is written
            holder = self._holder()
            if holder and (holder["host"] != platform.node() or system.alive(holder["pid"], holder["start"])):
                raise self._held() from None

    def _held(self) -> FolderLocked:
        holder = self._holder()
        who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        mend = f"Wait for it, or choose another folder; if there is no such run, delete {LOCK} in it."
        return FolderLocked("another run writes here", where=str(self.path.parent), found=who, mend=mend)

    def _holder(self) -> dict[str, Any]:
        """Who the file says holds it; nothing if it says nothing that makes sense."""
        try:
            holder = json.loads(self.path.read_bytes()[:10_000])
            return {"pid": int(holder["pid"]), "start": int(holder["start"]), "host": str(holder["host"])}
        except (OSError, ValueError, TypeError, KeyError):
            return {}


def _identity() -> dict[str, Any]:
    return {"pid": os.getpid(), "start": system.start_time(os.getpid()), "host": platform.node()}


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
