"""Files that appear under their name only when they are whole, folders that can prove it, and who may write there."""

from lowerbound.files.checking import MANIFEST, manifest, read_verified, verify
from lowerbound.files.lock import LOCK, Lock
from lowerbound.files.system import Disk, free_space
from lowerbound.files.writing import (
    TEMPORARY,
    Sink,
    inside,
    make_folder,
    purge_temporaries,
    remove_folder,
    scratch_folder,
    set_aside,
    write_folder,
    write_together,
    write_whole,
)

__all__ = [
    "LOCK",
    "MANIFEST",
    "Disk",
    "Lock",
    "Sink",
    "TEMPORARY",
    "free_space",
    "inside",
    "make_folder",
    "manifest",
    "purge_temporaries",
    "read_verified",
    "remove_folder",
    "scratch_folder",
    "set_aside",
    "verify",
    "write_folder",
    "write_together",
    "write_whole",
]
