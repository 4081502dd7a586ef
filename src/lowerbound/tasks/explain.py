"""What makes a row as strange as it is, column by column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.run import Run
from lowerbound.tasks.anomaly import contributions
from lowerbound.tasks.columns import all_rows, row_number
from lowerbound.tasks.score import refuse

OTHERS = 256  # rows that say what a column usually adds
SHOWN = 12

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """What the columns and the code of a row add to -log p(x), in nats.

    Args:
        row: its number.
        names: of the columns, (columns,).
        values: as they are written, (columns,); empty where a cell is missing.
        nats: (columns,), -log p(x_j|z) expected under p(z|x); 0 where a cell is missing.
        usual: (columns,), the mean of that over other rows.
        code: what the code adds, KL(p(z|x) || p(z)).
        usual_code: the mean of that over other rows.
    """

    row: int
    names: tuple[str, ...]
    values: tuple[str, ...]
    nats: Array
    usual: Array
    code: float
    usual_code: float

    @property
    def score(self) -> float:
        """-log p(x) in nats, which columns and code add up to but for the error of sampling."""
        return float(self.nats.sum()) + self.code

    @property
    def order(self) -> Array:
        """Numbers of the columns, those first that add the most beyond what they usually do."""
        return np.argsort(self.usual - self.nats, kind="stable")

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        columns = [
            {"column": self.names[i], "value": self.values[i], **_both(self.nats[i], self.usual[i])} for i in self.order
        ]
        code = _both(self.code, self.usual_code)
        return {"row": self.row, "score": self.score, "unit": "nats", "columns": columns, "code": code}

    def __str__(self) -> str:
        told = [(self.names[i], self.values[i], self.nats[i], self.usual[i]) for i in self.order[:SHOWN]]
        told.append(("(code)", "", self.code, self.usual_code))
        wide = max(len(name) for name, *_ in told)
        head = f"row {self.row}: -log p(x) = {self.score:.2f} nats, of which (usual in brackets)"
        return "\n".join([head, *(f"{n:>{wide}}  {x:8.2f} ({u:.2f})  {text}".rstrip() for n, text, x, u in told)])


def explain(run: Run, row: int, data: Any = None, *, samples: int = 1000, seed: int = 0) -> Explanation:
    """Say what each column of a row adds to its score, beside what the column usually adds.

    Args:
        run: trained.
        row: number of the row in the data, from 0; negative numbers count from the end.
        data: rows as ``load`` takes them; all rows of the run's data when left out.
        samples: draws of z a row.
        seed: of the draws.

    Returns:
        Contributions in nats, of the row and on average over at most 256 others, evenly spread.

    Raises:
        DataError: no such row, or the run's data are not at hand.
        Incompatible: a posterior without a density, or cross-entropy on grey levels, which is no likelihood.
        BadOption: fewer than one sample.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519 (the weights).

    >>> from lowerbound.train import fit
    >>> found = explain(fit([[0.0, 1.0], [1.0, 3.0], [2.0, 5.5]], latent=1, epochs=1, progress=False), 0, samples=8)
    >>> sorted(found.names), found.values
    (['x0', 'x1'], ('0.0', '1.0'))
    """
    refuse(run, samples)
    rows = all_rows(run) if data is None else run.rows(data)
    at = row_number(rows, row)
    others = np.setdiff1d(np.linspace(0, rows.rows - 1, OTHERS).round().astype(np.int64), [at])
    nats, code = contributions(run, rows.take(np.concatenate([[at], others])), samples, seed)
    cells = nats.reshape(len(nats), -1)
    usual = cells[1:].mean(0) if len(others) else np.full(cells.shape[1], np.nan)
    usual_code = float(code[1:].mean()) if len(others) else np.nan
    names = rows.columns or tuple(f"x{j}" for j in range(cells.shape[1]))
    return Explanation(at, names, _texts(rows, at), cells[0], usual, float(code[0]), usual_code)


def _both(nats: float, usual: float) -> dict[str, float | None]:
    """A contribution beside the usual one, null where there is none."""
    return {"nats": float(nats), "usual": float(usual) if usual == usual else None}


def _texts(rows: Data, at: int) -> tuple[str, ...]:
    """The cells of a row as they are written."""
    values = rows.values([at], np.float64).reshape(1, -1)
    if rows.mask is not None:
        values = np.where(rows.mask[at].reshape(1, -1), values, np.nan)
    if rows.schema is not None:
        return tuple(rows.schema.cells(values)[0])
    return tuple("" if value != value else f"{value:.6}" for value in values[0].tolist())
