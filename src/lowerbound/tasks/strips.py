"""Paths through the latent space, decoded: what interpolations, traversals and attribute vectors have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.data.columns import Schema
from lowerbound.errors import DataShape
from lowerbound.files import write_whole
from lowerbound.outputs import writable, write_array
from lowerbound.run import Run
from lowerbound.tasks.latent import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Strips:
    """Codes along paths, and what they decode to: means of p(x|z).

    Args:
        values: (paths, steps, *shape), in the units of the data.
        codes: (paths, steps, latent).
        rows: a text for each path.
        steps: a text for each step.
        title: of the picture.
        columns: names, for tables.
        schema: what the columns are, for tables.
    """

    values: Array
    codes: Array
    rows: tuple[str, ...]
    steps: tuple[str, ...]
    title: str
    columns: tuple[str, ...]
    schema: Schema | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_image(self) -> bool:
        """Whether the steps are images, of which pictures can be made."""
        return self.values.ndim == 5

    def figure(self) -> "Figure":
        """A picture: one strip a path.

        Raises:
            DataShape: the steps are not images.
        """
        return figures.traversal(self._images(), row_labels=self.rows, column_labels=self.steps, title=self.title)

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write strips (png), an animation (gif), an array (npy) or a table with a line for each step (csv).

        Raises:
            OutputExists: the file is there, and ``force`` was not given. BadOption: another ending.
            DataShape: a picture of what is not an image.
        """
        path = writable(path, force=force, endings=(".png", ".gif", ".npy", ".csv"))
        kind = path.suffix.lower()
        if kind == ".png":
            return figures.save(self.figure(), path, force=force)
        if kind == ".gif":
            write_whole(path, figures.gif(self._images()))
            return path
        values = self.values.reshape(-1, *self.values.shape[2:]) if kind == ".csv" else self.values
        return write_array(values, path, columns=self.columns, schema=self.schema, force=force)

    def _images(self) -> Array:
        if not self.is_image:
            found, mend = f"rows of shape {self.values.shape[2:]}", "Write a table: .csv or .npy."
            raise DataShape("not images", found=found, expected="(channels, height, width)", mend=mend)
        return np.clip(self.values, 0, 1)


def decoded(run: Run, codes: Array) -> Array:
    """Codes (paths, steps, latent) to means of p(x|z), (paths, steps, *shape)."""
    paths, steps, latent = codes.shape
    return decode(run, codes.reshape(-1, latent)).reshape(paths, steps, *run.model.shape)


def share_texts(steps: int) -> tuple[str, ...]:
    """Of how far each step is along a path."""
    return tuple(f"{share:.2f}".rstrip("0").rstrip(".") for share in np.linspace(0, 1, steps))


Maker = Callable[[Array, Array, int, Run], Array]


def between(run: Run, ends: Sequence[tuple[Array, Array]], steps: int, path: Maker) -> Array:
    """Codes on the paths between pairs of codes, (pairs, steps, latent)."""
    return np.stack([path(start, end, steps, run) for start, end in ends])
