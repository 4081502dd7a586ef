"""Arrays as one text that a page can hold: little-endian, gzip, base64."""

import base64
import gzip
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KINDS = {"f4": "<f4", "i2": "<i2", "i4": "<i4", "u1": "u1"}
ALIGN = 4  # bytes: every array starts where a browser may look at it as 32-bit numbers


class Blob:
    """Arrays one after the other. A page refers to each by its place in ``index``.

    >>> blob = Blob()
    >>> blob.add(np.ones(3), "f4"), blob.add(np.zeros(2), "u1"), blob.index
    (0, 1, [['f4', 3], ['u1', 2]])
    """

    def __init__(self) -> None:
        self.index: list[list[str | int]] = []
        self._parts: list[bytes] = []

    def add(self, values: Any, kind: str) -> int:
        """Put an array in, flattened, and return its place.

        Args:
            values: any shape.
            kind: ``f4``, ``i4``, ``u1``, or ``i2``, whose low bytes all come before the high ones: this packs better.
        """
        flat = np.ascontiguousarray(values, dtype=KINDS[kind]).reshape(-1)
        content = (flat.view("u1").reshape(-1, 2).T if kind == "i2" else flat).tobytes()
        self._parts.append(content + b"\0" * (-len(content) % ALIGN))
        self.index.append([kind, len(flat)])
        return len(self.index) - 1

    @property
    def text(self) -> str:
        """All arrays; the same bytes every time."""
        return base64.b64encode(gzip.compress(b"".join(self._parts), 9, mtime=0)).decode()
