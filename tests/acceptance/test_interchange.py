"""ONNX and torch.export compute what torch does: for every recipe, for tables, and for what models are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import DataRange
from lowerbound.recipes import RECIPES

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
PLAIN: dict[str, Any] = {"latent": 2, "epochs": 2, "progress": False}
TABLES: dict[str, dict[str, Any]] = {
    "with a column of every kind": {}, "with one sigma a column": {"likelihood": "columns:scale=learned"},
    "told two of its columns": {"data.context": "size, age", "prior": "conditional"},
}  # fmt: skip
Record = Callable[[str, str, str], None]


def judged(run: lb.Run, folder: Path) -> dict[str, float]:
    """Of each file of ONNX and of torch.export, how far from torch on held-out rows."""
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra onnx")
    from lowerbound.interchange.graphs import export_torch, graphs
    from lowerbound.interchange.onnx import DRAWS, _held_out, apart, examples, export_onnx

    compared = export_onnx(run, folder / "onnx").difference
    assert compared is not None
    found = dict(compared)
    export_torch(run, folder / "torch")
    for graph in graphs(run):
        inputs, file = examples(run, _held_out(run), graph.inputs, DRAWS), f"{graph.name}.pt2"
        ours, theirs = graph.module(run.model), torch.export.load(folder / "torch" / file).module()
        with torch.no_grad():
            pairs = [torch.utils._pytree.tree_leaves(work(*inputs)) for work in (ours, theirs, theirs)]
        found[file] = max(apart(a.numpy(), b.numpy(), graph) for b, a, _ in zip(*pairs, strict=True))
        assert all(torch.equal(a, b) for _, a, b in zip(*pairs, strict=True)), "not the same again"
    return found


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_recipe(recipe: str, tmp_path: Path, record: Record) -> None:
    noise = np.random.default_rng(0)
    own: dict[str, Any] = {"count-vae": noise.negative_binomial(2, 0.3, size=(200, 6)).astype(float)}
    own["not-miwae"] = np.where(noise.random((200, 6)) < 0.2, np.nan, noise.normal(size=(200, 6)))
    try:
        run = lb.fit(own.get(recipe, "digits"), recipe=recipe, **PLAIN)
    except DataRange:  # of zeros and ones
        run = lb.fit("digits", recipe=recipe, **PLAIN, **{"data.binarize": "sample"})
    found = judged(run, tmp_path)
    record(f"graphs of {recipe}: largest difference from torch", "<= 1e-05", f"{max(found.values()):.1e}")
    density = run.model.posterior_family.has_density and run.config.data.binarize != "grey"
    assert ("score" in found) == density
    assert max(found.values()) <= 1e-5


@pytest.mark.parametrize("which", TABLES)
def test_a_table(which: str, every_kind: tuple[Path, str], tmp_path: Path, record: Record) -> None:
    path, said = every_kind
    run = lb.fit(path, **PLAIN, **{"data.columns": said}, **TABLES[which])
    found = judged(run, tmp_path)
    record(f"graphs of a table {which}: largest difference from torch", "<= 1e-05", f"{max(found.values()):.1e}")
    assert "score" in found
    assert max(found.values()) <= 1e-5
