"""A run as ONNX files, one for each graph, each whole in itself (extra ``onnx``)."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.export import ExportedProgram

from lowerbound.batches import Batch
from lowerbound.errors import Incompatible, MissingExtra
from lowerbound.evaluation import evaluating
from lowerbound.interchange.graphs import Graph, claim, examples, graphs, harmless, traced, write
from lowerbound.run import Run

COMPARED = 64  # held-out rows that both are run on
DRAWS = 3
NEAR = 1e-5  # of the value, or of 1 where it is smaller
CHATTER = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Exported:
    """Files that were written.

    Args:
        folder: where.
        graphs: of each file its inputs and outputs.
        difference: of each file the largest from torch on held-out rows, relative to the value where that is above 1,
            of log densities to the largest one; None where onnxruntime is not installed.
    """

    folder: Path
    graphs: Mapping[str, Any]
    difference: Mapping[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"out": str(self.folder), "graphs": dict(self.graphs), "difference": self.difference}

    def __str__(self) -> str:
        told = "not compared with torch: onnxruntime is not installed"
        if self.difference is not None:
            told = f"at most {max(self.difference.values()):.1e} from torch on held-out rows"
        return f"{self.folder}: {', '.join(self.graphs)}; {told}"


def export_onnx(run: Run, folder: str | Path, *, force: bool = False) -> Exported:
    """Write encoder mean, decoder and score as ONNX files, for any number of rows.

    The score takes its noise as an input, (draws, rows, *noise), standard normal: so it is as deterministic as the
    encoder. Everything is in the units of the data.

    Args:
        run: trained.
        folder: of the files ``encoder.onnx``, ``decoder.onnx``, ``score.onnx`` and ``graphs.json``.
        force: write over what is there.

    Returns:
        What was written, and how far onnxruntime is from torch on the run's held-out rows, where both are at hand.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        Incompatible: a part that ONNX has no operations for, or a file that does not compute what the run does.
        OutputExists: the folder holds something, and ``force`` was not given.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtra("exporting to ONNX", "onnx") from None
    folder, offered = claim(folder, force), graphs(run)
    made = {graph.name: _converted(run, graph) for graph in offered}
    compared = {graph.name: difference(run, graph, made[graph.name]) for graph in offered}
    known = None if None in compared.values() else {name: float(value or 0.0) for name, value in compared.items()}
    if known is not None and not max(known.values()) <= NEAR:
        raise Incompatible("a graph does not compute what the run does", found=str(known), expected=f"{NEAR:g} at most")
    contents = {f"{name}.onnx": content for name, content in made.items()}
    return Exported(folder, write(run, folder, contents, offered), known)


def difference(run: Run, graph: Graph, content: bytes) -> float | None:
    """The largest difference between a file and torch on held-out rows; None without onnxruntime, or without rows."""
    try:
        import onnxruntime
    except ImportError:
        return None
    inputs = examples(run, _held_out(run), graph.inputs, DRAWS)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)})
    with evaluating(run.model):
        ours = graph.module(run.model)(*inputs)
    pairs = zip(found, (ours,) if isinstance(ours, Tensor) else ours, strict=True)
    return max(apart(theirs, mine.numpy(), graph) for theirs, mine in pairs)


def apart(a: Array, b: Array, graph: Graph) -> float:
    """The largest distance, in units of each value or 1; of log densities, whose terms cancel, of the largest one."""
    size = np.max(np.abs(b), initial=0.0) if graph.name == "score" else np.abs(b)
    return float(np.max(np.abs(a.astype(np.float64) - b) / np.maximum(1.0, size), initial=0.0))


def _held_out(run: Run) -> Batch:
    """Rows of the run's own data as the model sees them; without any, rows of what is harmless."""
    for part in ("test", "validation", "train"):
        if run.facts["split"][part]:
            data = run.rows(part=part)
            return next(run.resident(data.take(np.arange(min(COMPARED, data.rows)))).blocks(COMPARED))
    return harmless(run.model, 1)


def _converted(run: Run, graph: Graph) -> bytes:
    """A graph as the content of a file."""
    try:
        with _quiet():
            return _content(traced(run, graph), graph)
    except Exception as error:  # converters fail in every way
        what = f"{type(error).__name__}: {error.__cause__ or error}".splitlines()[0][:200]
        raise Incompatible(f"the {graph.name} of this run cannot be written as ONNX", found=what) from None


def _content(program: ExportedProgram, graph: Graph) -> bytes:
    from lowerbound.interchange.operators import translations

    made: Any = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=list(graph.inputs), output_names=list(graph.outputs),
        custom_translation_table=translations(),
    )  # fmt: skip
    content: bytes = made.model_proto.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that it does not need."""
    loggers = [logging.getLogger(name) for name in CHATTER]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.addFilter(_silent)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(_silent)


def _silent(record: logging.LogRecord) -> bool:
    return False
