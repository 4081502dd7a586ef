"""The calls of the operating system that change a disk, in one place that a test may replace."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowerbound.errors import DiskError

if sys.platform != "win32":
    import fcntl

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)  # some network file systems do not offer it
MEND = {
    errno.ENOSPC: "The disk is full: make room, or choose another place.",
    errno.EDQUOT: "The quota is used up: make room, or choose another place.",
    errno.EFBIG: "The limit on the size of a file is reached: raise it, or choose another place.",
    errno.EROFS: "The file system is read-only: choose another place.",
    errno.EACCES: "There is no permission to write there: choose another place.",
    errno.EPERM: "There is no permission to write there: choose another place.",
}


class Disk:
    """The calls of the operating system that change a disk, one method each."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0), 0o666)  # less the umask

    def write(self, handle: int, block: bytes | memoryview) -> int:
        return os.write(handle, block)

    def truncate(self, handle: int) -> None:
        os.ftruncate(handle, 0)

    def fsync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def mkdir(self, path: Path) -> None:
        os.mkdir(path)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def rmdir(self, path: Path) -> None:
        os.rmdir(path)

    def lock(self, handle: int) -> None:
        """Hold a file until it is closed or the process dies; BlockingIOError if another holds it."""
        if sys.platform == "win32":
            raise OSError(errno.ENOTSUP, "no such locks here")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


disk = Disk()


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    if not hasattr(os, "O_DIRECTORY"):  # no such thing on this system
        return
    handle = disk.open(path.resolve(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        disk.close(handle)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Say of what could not be written where, why, and what to do."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise DiskError(
            "cannot be written", where=str(path), found=reason, mend=MEND.get(error.errno or 0, "")
        ) from error


def free_space(path: str | Path) -> int:
    """Bytes that may still be written where ``path`` is or will be."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def start_time(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; 0 where that is not told; None if there is none."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # its name may hold anything
        return None if state in (b"Z", b"X") else int(rest[18])
    except OSError:
        pass
    if os.name == "posix":
        try:
            os.kill(pid, 0)  # sends nothing
        except (ProcessLookupError, OverflowError):
            return None
        except PermissionError:
            pass
    return 0


def alive(pid: int, start: int) -> bool:
    """Whether the process that began at ``start`` is still there; numbers of processes are given out again."""
    now = start_time(pid)
    return now is not None and (0 in (now, start) or now == start)
