"""A run as graphs of tensors: encoder mean, decoder, and log p(x) with the noise as an input."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lowerbound.batches import Batch
from lowerbound.distributions import point
from lowerbound.errors import OutputExists
from lowerbound.evaluation import evaluating
from lowerbound.files import make_folder, write_together
from lowerbound.model import VAE
from lowerbound.randomness import Draw, fill, generator
from lowerbound.report import heading
from lowerbound.run import Run
from lowerbound.tasks.score import log_weight

TRACED_ROWS, TRACED_DRAWS = 3, 5  # other numbers than any size of the graph, so that none is taken for it


@dataclass(frozen=True)
class Graph:
    """One of them.

    Args:
        name: of its file.
        inputs: names, in order.
        outputs: names, in order.
        work: of the model and the inputs by name.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    work: Callable[..., Any]

    def module(self, model: VAE) -> nn.Module:
        """As a module of positional inputs."""
        return _Module(model, self)


class _Module(nn.Module):
    def __init__(self, model: VAE, graph: Graph) -> None:
        super().__init__()
        self.model, self.graph = model, graph

    def forward(self, *given: Tensor) -> Any:
        return self.graph.work(self.model, **dict(zip(self.graph.inputs, given, strict=True)))


def graphs(run: Run) -> list[Graph]:
    """What a run can be exported as; without a density there is no score."""
    context = ("context",) if run.model.context and run.model.fixed is None else ()
    seen = (*(("mask",) if run.facts["missing"] else ()), *context)
    every = [
        Graph("encoder", ("x", *seen), ("mean",), _encode), Graph("decoder", ("z", *context), ("x",), _decode)
    ]  # fmt: skip
    if run.model.posterior_family.noise_shape is not None and run.config.data.binarize != "grey":
        every.append(Graph("score", ("x", "eps", *seen), ("log_likelihood", "log_weight"), _score))
    return every


def examples(run: Run, batch: Batch, names: Sequence[str], draws: int) -> list[Tensor]:
    """Inputs by name for rows of the data, with seeded noise and codes.

    Args:
        run: trained.
        batch: the rows, with their context if the run has one.
        names: of the inputs.
        draws: of the noise.
    """
    x, rows = batch.x, len(batch.x)
    made = {"x": x, "mask": torch.ones(x.shape, dtype=torch.bool) if batch.mask is None else batch.mask}
    noise = run.model.posterior_family.noise_shape
    if noise is not None:
        flat = fill(Draw(noise), draws * rows, generator(0, "eps")).to(x)
        made["eps"] = flat.unflatten(0, (draws, rows))
    made["z"] = fill(Draw((run.model.latent,)), rows, generator(0, "z")).to(x)
    if batch.context is not None:
        made["context"] = batch.context
    return [made[name] for name in names]


def harmless(model: VAE, rows: int) -> Batch:
    """Rows in the support of the likelihood, with zeros as their context."""
    weight = next(model.parameters())
    x = torch.as_tensor(model.likelihood_family.fill).expand(rows, *model.shape).to(weight).contiguous()
    return Batch(x, None, torch.zeros(rows, model.context).to(weight))


def traced(run: Run, graph: Graph) -> ExportedProgram:
    """A graph by ``torch.export``, for any number of rows and draws.

    Args:
        run: trained.
        graph: one of ``graphs``.
    """
    rows, draws = Dim("rows"), Dim("draws")
    sizes = {"eps": {0: draws, 1: rows}}
    with evaluating(run.model):
        return torch.export.export(
            graph.module(run.model), tuple(examples(run, harmless(run.model, TRACED_ROWS), graph.inputs, TRACED_DRAWS)),
            dynamic_shapes=(tuple(sizes.get(name, {0: rows}) for name in graph.inputs),), strict=False,
        )  # fmt: skip


def export_torch(run: Run, folder: str | Path, *, force: bool = False) -> Mapping[str, Any]:
    """Write encoder mean, decoder and score as files of ``torch.export``, which torch runs without this package.

    Args:
        run: trained.
        folder: of the files ``encoder.pt2``, ``decoder.pt2``, ``score.pt2`` and ``graphs.json``.
        force: write over what is there.

    Returns:
        Of each file its inputs and outputs.

    Raises:
        Incompatible: a part that cannot be traced. OutputExists: there is something, and ``force`` was not given.
    """
    folder, offered, contents = claim(folder, force), graphs(run), {}
    for graph in offered:
        buffer = io.BytesIO()
        torch.export.save(traced(run, graph), buffer)
        contents[f"{graph.name}.pt2"] = buffer.getvalue()
    return write(run, folder, contents, offered)


def claim(folder: str | Path, force: bool) -> Path:
    """The folder, if graphs can be written there.

    Raises:
        OutputExists: there is something, and ``force`` was not given.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not force)):
        raise OutputExists("already there", where=str(folder), mend="Choose another name, or overwrite it with force.")
    return folder


def write(run: Run, folder: Path, contents: Mapping[str, bytes], offered: Sequence[Graph]) -> Mapping[str, Any]:
    """Write the files with what they are, in ``graphs.json``; of each its inputs and outputs."""
    told = {
        name: {"inputs": list(graph.inputs), "outputs": list(graph.outputs)}
        for name, graph in zip(contents, offered, strict=True)
    }
    noise = list(run.model.posterior_family.noise_shape or ())
    facts = {"run": heading(run), "shape": list(run.model.shape), "latent": run.model.latent, "eps": noise}
    make_folder(folder)
    write_together(folder, {**contents, "graphs.json": json.dumps({**facts, "graphs": told}, indent=1) + "\n"})
    return told


def _encode(model: VAE, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None) -> Tensor:
    mean: Tensor = model.posterior(x, context, mask).mean
    return mean


def _decode(model: VAE, z: Tensor, context: Tensor | None = None) -> Tensor:
    return point(model.likelihood(z, context))


def _score(
    model: VAE, x: Tensor, eps: Tensor, mask: Tensor | None = None, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    weights = log_weight(model, model.posterior(x, context, mask), eps, Batch(x, mask, context))
    return weights.logsumexp(0) - torch.ones_like(weights).sum(0).log(), weights
