"""What can be asked of a run: each operation with the schema of its body, of its answer, and what answers it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.data import Data
from lowerbound.errors import DataError, Incompatible
from lowerbound.run import Run
from lowerbound.server import cells, schemas
from lowerbound.server.schemas import Schema, array, numbers
from lowerbound.tasks.anomaly import contributions
from lowerbound.tasks.columns import all_rows
from lowerbound.tasks.generate import sample
from lowerbound.tasks.impute import METHODS, impute
from lowerbound.tasks.latent import decode, encode
from lowerbound.tasks.score import refuse, score

ROWS = 1024  # in one request
ANSWER = 1 << 18  # cells in one answer
SCORED, EXPLAINED, FILLED = 256, 32, 32  # rows whose log p(x), its parts, or missing cells are found in one request
OTHERS, OF_OTHERS = 64, 50  # rows that say what a cell usually adds, and draws of each
DRAWS, SAMPLES, SWEEPS = 8, 5000, 100  # of one row at most
FARTHEST = 1000.0  # of a code from 0, in any dimension

Array = npt.NDArray[Any]
Options = Mapping[str, Any]
Columns = dict[str, Array]


@dataclass(frozen=True)
class Operation:
    """One of them.

    Args:
        name: last part of its address.
        about: a sentence.
        body: schema of what is sent.
        answer: schema of what comes back.
        rows: key of the rows in the body; empty where there are none. Requests that wait for the same work on rows are
            answered by one pass of the model.
        most: rows in one pass.
        work: from the run, the rows (checked) and the other keys to arrays with a first axis of rows.
        write: from these arrays to plain values.
    """

    name: str
    about: str
    body: Schema
    answer: Schema
    rows: str
    most: int
    work: Callable[[Run, Any, Options], Columns]
    write: Callable[[Run, str, Array], list[Any]]

    def options(self, body: Options) -> dict[str, Any]:
        """Everything but the rows, with defaults, whole numbers as such."""
        found = {}
        for key, schema in self.body["properties"].items():
            if key != self.rows:
                value = body[key] if key in body else schema["default"]
                found[key] = int(value) if schema.get("type") == "integer" else value
        return found

    def read(self, run: Run, body: Options) -> Any:
        """The rows of a body as data of the run, or as codes.

        Raises:
            DataError: rows that the run cannot use.
        """
        if self.rows == "x":
            told = run.at(body["given"]) if "given" in body else run
            return told.rows(cells.read(told, body["x"]))
        return np.array(body["z"], dtype=np.float64) if self.rows else None


def operations(run: Run) -> list[Operation]:
    """What a run can be asked for: without a density there is nothing to sample, score or impute."""
    every = [_encode(run), _decode(run)]
    if run.model.posterior_family.has_density:
        every.append(_sample(run))
    try:
        refuse(run, 1)
    except Incompatible:
        return every
    return [*every, _score(run), _explain(run), _impute(run)]


def _encode(run: Run) -> Operation:
    body = {"x": _rows(run, ROWS), "variance": _default({"type": "boolean"}, False)}
    return Operation(
        "encode", "The mean of q(z|x) of each row, or its variance.", schemas.table(body, ["x"]), _answer("z"), "x",
        _most(run, ROWS), lambda run, rows, options: {"z": encode(run, rows, **options)}, _plainly,
    )  # fmt: skip


def _decode(run: Run) -> Operation:
    code = array(numbers(-FARTHEST, FARTHEST), run.model.latent, run.model.latent)
    body = {"z": array(code, 1, _most(run, ROWS))}
    return Operation(
        "decode", "The mean of p(x|z) of each code.", schemas.table(body, ["z"]), _answer("x"), "z", _most(run, ROWS),
        lambda run, codes, options: {"x": decode(run, codes)}, _in_cells,
    )  # fmt: skip


def _sample(run: Run) -> Operation:
    body = {
        "rows": _default(numbers(1, _most(run, ROWS), kind="integer"), 1),
        "kind": _default({"enum": ["auto", "mean", "draw"]}, "auto"),
        "temperature": _default(numbers(0.01, 10), 1.0), "seed": _seed(),
    }  # fmt: skip
    return Operation(
        "sample", "New rows: z from the prior, decoded.", schemas.table(body, []), _answer("x", "z"), "", 1,
        _sampled, _in_cells,
    )  # fmt: skip


def _score(run: Run) -> Operation:
    names = ("log_likelihood", "se", "ess", "pareto_k", "reliable")
    body = {
        "x": _rows(run, SCORED), "samples": _default(numbers(1, SAMPLES, kind="integer"), 200), "seed": _seed(),
    }  # fmt: skip
    return Operation(
        "score", "log p(x) of each row in nats, by importance sampling, with its standard error.",
        schemas.table(body, ["x"]), _answer(*names), "x", _most(run, SCORED), _scored, _plainly,
    )  # fmt: skip


def _explain(run: Run) -> Operation:
    names = ("nats", "usual", "code", "usual_code")
    body = {
        "x": _rows(run, EXPLAINED), "samples": _default(numbers(1, SAMPLES, kind="integer"), 200), "seed": _seed(),
    }  # fmt: skip
    usual = cache(lambda: _usual(run))

    def explained(run: Run, rows: Data, options: Options) -> Columns:
        (nats, code), (cells, rest) = contributions(run, rows, **options), usual()
        return {"nats": nats, "usual": np.broadcast_to(cells, nats.shape), "code": code,
                "usual_code": np.full(len(code), rest)}  # fmt: skip

    return Operation(
        "explain", "What each cell and the code add to -log p(x) of each row, beside what they add to other rows.",
        schemas.table(body, ["x"]), _answer(*names), "x", _most(run, EXPLAINED), explained, _plainly,
    )  # fmt: skip


def _usual(run: Run) -> tuple[Array, float]:
    """What cells, (*shape,), and the code add on average to rows of the run; NaN where these are not at hand."""
    try:
        rows = all_rows(run)
    except DataError:
        return np.full(run.model.shape, np.nan), np.nan
    others = rows.take(np.unique(np.linspace(0, rows.rows - 1, OTHERS).astype(np.int64)))
    nats, code = contributions(run, others, OF_OTHERS)
    return nats.mean(0), float(code.mean())


def _impute(run: Run) -> Operation:
    names = ("values", "lower", "upper", "draws", "method", "ess", "doubtful")
    body = {
        "x": _rows(run, FILLED, holes=True), "draws": _default(numbers(1, DRAWS, kind="integer"), 1),
        "method": _default({"enum": list(METHODS)}, "auto"), "interval": _default(numbers(0.01, 0.99), 0.9),
        "samples": _default(numbers(1, SAMPLES, kind="integer"), 1000),
        "sweeps": _default(numbers(1, SWEEPS, kind="integer"), 20), "seed": _seed(),
    }  # fmt: skip
    return Operation(
        "impute", "Missing cells (null) filled in: mean, bounds of an interval, and draws, for each row.",
        schemas.table(body, ["x"]), _answer(*names), "x", _most(run, FILLED), _imputed, _in_cells,
    )  # fmt: skip


def _sampled(run: Run, _: Any, options: Options) -> Columns:
    made = sample(run, **options)
    return {"x": made.values, "z": made.codes}


def _scored(run: Run, rows: Data, options: Options) -> Columns:
    found = score(run, rows, **options)
    names = ("log_likelihood", "se", "ess", "pareto_k", "reliable")
    return {name: getattr(found, name) for name in names}


def _imputed(run: Run, rows: Data, options: Options) -> Columns:
    found = impute(run, rows, **options)
    names = ("values", "lower", "upper", "method", "ess", "doubtful")
    return {"draws": found.draws.swapaxes(0, 1), **{name: getattr(found, name) for name in names}}


def _rows(run: Run, most: int, holes: bool = False) -> Schema:
    return array(cells.row_schema(run, holes or run.facts["missing"]), 1, _most(run, most))


def _most(run: Run, rows: int) -> int:
    """Rows in one request: fewer of large ones, so that the answer stays small."""
    draws = DRAWS if rows == FILLED else 1
    return max(1, min(rows, ANSWER // (draws * int(np.prod(run.model.shape)))))


def _seed() -> Schema:
    return _default(numbers(0, 2**31 - 1, kind="integer"), 0)


def _default(schema: Schema, value: Any) -> Schema:
    return {**schema, "default": value}


def _answer(*names: str) -> Schema:
    return schemas.table({name: {"type": "array", "description": _MEANING[name]} for name in names}, names)


def _plainly(run: Run, name: str, values: Array) -> list[Any]:
    return cells.plain(values)


def _in_cells(run: Run, name: str, values: Array) -> list[Any]:
    return cells.written(run, values) if name in _CELLS else cells.plain(values)


_CELLS = {"x", "values", "lower", "upper", "draws"}
_MEANING = {
    "x": "rows, in the units of the data", "z": "codes, one list a row", "log_likelihood": "nats, one a row",
    "se": "standard error, nats", "ess": "effective sample size", "reliable": "whether the error can be believed",
    "pareto_k": "tail of the weights; above 0.7 the error is larger than it says; null where there is none",
    "values": "rows, observed cells as they came", "lower": "lower bounds", "upper": "upper bounds",
    "nats": "what each cell adds to -log p(x); 0 where it is missing", "code": "what the code adds, nats",
    "usual": "the mean of that over other rows; null where none are at hand", "usual_code": "the same of the code",
    "draws": "of each row some completed copies", "method": "how each row was filled in",
    "doubtful": "whether a row's draws are too few or too alike to be believed",
}  # fmt: skip


def parts(columns: Columns, sizes: list[int]) -> Iterator[Columns]:
    """The arrays of each request, of those of all that were answered together."""
    first = 0
    for size in sizes:
        yield {name: values[first : first + size] for name, values in columns.items()}
        first += size
