"""The rows whose codes lie nearest to a row's code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.errors import BadOption
from lowerbound.outputs import write_array
from lowerbound.run import Run
from lowerbound.tasks.columns import all_rows, row_number
from lowerbound.tasks.latent import encode

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Neighbours:
    """Rows near a row, nearest first.

    Args:
        query: number of the row asked about.
        rows: numbers of its neighbours, (n,).
        distances: between posterior means, (n,), in units of the latent space.
        labels: their labels, (n,) texts, empty where there are none.
        label: of the row asked about.
        values: the row asked about and its neighbours, (1 + n, *shape), in the units of the data.
        columns: names, for tables.
    """

    query: int
    rows: Array
    distances: Array
    labels: tuple[str, ...]
    label: str
    values: Array
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def agreement(self) -> float | None:
        """Share of the neighbours that have the row's label; None without labels."""
        return None if not self.label else float(np.mean([label == self.label for label in self.labels]))

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        found = zip(self.rows.tolist(), self.distances.tolist(), self.labels, strict=True)
        near = [{"row": row, "distance": distance, "label": label or None} for row, distance, label in found]
        return {"row": self.query, "label": self.label or None, "neighbours": near, "agreement": self.agreement}

    def __str__(self) -> str:
        head = f"row {self.query}" + (f" ({self.label})" if self.label else "") + ": nearest in the latent space"
        lines = [
            f"{row:>8}  {distance:.4f}  {label}".rstrip()
            for row, distance, label in zip(self.rows, self.distances, self.labels, strict=True)
        ]
        return "\n".join([head, *lines])

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the row and its neighbours as a picture (png), an array (npy) or a table (csv)."""
        return write_array(self.values, path, columns=self.columns, force=force)


def similar(run: Run, row: int, n: int = 10, data: Any = None) -> Neighbours:
    """Find the rows that a run encodes nearest to a row.

    Args:
        run: trained.
        row: number of the row in the data, from 0; negative numbers count from the end.
        n: how many neighbours.
        data: rows as ``load`` takes them; all rows of the run's data when left out, whatever part they are of.

    Returns:
        Neighbours by Euclidean distance of posterior means; of equal ones the first comes first.

    Raises:
        DataError: no such row, or the run's data are not at hand.
        BadOption: n < 1.

    Source: Cover & Hart 1967, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 13.

    >>> from lowerbound.train import fit
    >>> found = similar(fit("digits", latent=2, epochs=1, progress=False), 3, n=2)
    >>> found.query, len(found), found.values.shape
    (3, 2, (3, 1, 8, 8))
    """
    if n < 1:
        raise BadOption("not a number of neighbours", where="n", found=str(n), expected="1 or more")
    rows = all_rows(run) if data is None else run.rows(data)
    query = row_number(rows, row)
    codes = encode(run, rows).astype(np.float64)
    distances = np.sqrt(((codes - codes[query]) ** 2).sum(1))
    order = np.argsort(distances, kind="stable")
    chosen = order[order != query][:n]
    texts = ["" if rows.labels is None else _name(rows, int(rows.labels[i])) for i in (query, *chosen)]
    shown = rows.values(np.concatenate([[query], chosen]))
    return Neighbours(query, chosen, distances[chosen], tuple(texts[1:]), texts[0], shown, rows.columns)


def _name(rows: Data, code: int) -> str:
    if code < 0:
        return ""
    return rows.label_names[code] if code < len(rows.label_names) else str(code)
