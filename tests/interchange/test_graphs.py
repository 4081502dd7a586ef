"""A run as graphs: other programs find what the run finds."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.errors import Incompatible, MissingExtra, OutputExists
from lowerbound.interchange.graphs import export_torch, graphs, traced
from lowerbound.interchange.onnx import apart, export_onnx
from lowerbound.randomness import Draw, row_digests, row_noise

K = 7


@pytest.fixture(scope="module")
def run() -> lb.Run:
    return lb.fit("digits", latent=2, epochs=1, progress=False)


def noise(rows: Any) -> torch.Tensor:
    """What ``score`` draws for rows."""
    return row_noise(0, "importance", row_digests(torch.as_tensor(rows)), Draw((2,)), 0, K)


def test_files_of_torch(run: lb.Run, tmp_path: Path) -> None:
    """Read back without the run, for another number of rows and draws than they were traced with."""
    told = export_torch(run, tmp_path / "out")
    assert {name: each["inputs"] for name, each in told.items()} == {
        "encoder.pt2": ["x"], "decoder.pt2": ["z"], "score.pt2": ["x", "eps"],
    }  # fmt: skip
    facts = json.loads((tmp_path / "out/graphs.json").read_text())
    assert (facts["shape"], facts["eps"], facts["graphs"]) == ([1, 8, 8], [2], dict(told))
    rows = run.rows().values()[:11]
    read = {name: torch.export.load(tmp_path / "out" / name).module() for name in told}
    with torch.no_grad():
        codes = read["encoder.pt2"](torch.as_tensor(rows))
        np.testing.assert_allclose(codes, lb.encode(run, rows), atol=1e-6)
        np.testing.assert_allclose(read["decoder.pt2"](codes), lb.decode(run, codes), atol=1e-6)
        found, weights = read["score.pt2"](torch.as_tensor(rows), noise(rows))
    np.testing.assert_allclose(found, lb.score(run, rows, samples=K).log_likelihood, rtol=1e-5)
    assert weights.shape == (K, 11)
    with pytest.raises(OutputExists):
        export_torch(run, tmp_path / "out")


def test_files_of_onnx(run: lb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The score has the decoder in it; all three are compared for every recipe where figures are reproduced."""
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx-check")
    monkeypatch.setattr("lowerbound.interchange.onnx.graphs", lambda run: graphs(run)[::2])
    made = export_onnx(run, tmp_path / "out")
    assert sorted(made.graphs) == ["encoder.onnx", "score.onnx"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*made.graphs, "graphs.json"])
    assert made.difference is not None
    assert max(made.difference.values()) < 1e-5
    rows = run.rows().values()[:11]

    def ask(name: str, **inputs: Any) -> Any:
        session = runtime.InferenceSession(tmp_path / "out" / name, providers=["CPUExecutionProvider"])
        return session.run(None, inputs)

    (codes,) = ask("encoder.onnx", x=rows)
    assert codes.std() > 0.01
    np.testing.assert_allclose(codes, lb.encode(run, rows), atol=1e-5)
    assert (ask("encoder.onnx", x=rows)[0] == codes).all()
    found, _ = ask("score.onnx", x=rows, eps=noise(rows).numpy())
    np.testing.assert_allclose(found, lb.score(run, rows, samples=K).log_likelihood, rtol=1e-5)


def test_the_gamma_function(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx-check")
    from lowerbound.interchange.graphs import Graph
    from lowerbound.interchange.onnx import _content, _quiet

    class Gamma(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.lgamma()

    with _quiet():
        program = torch.export.export(Gamma(), (torch.ones(5),), dynamic_shapes=({0: torch.export.Dim("rows")},))
        content = _content(program, Graph("gamma", ("x",), ("y",), torch.lgamma))
    x = np.geomspace(1e-4, 1e6, 200).astype(np.float32)
    (found,) = runtime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    exact = torch.lgamma(torch.as_tensor(x, dtype=torch.float64)).numpy()
    assert (np.abs(found - exact) <= 4e-6 * np.maximum(1, np.abs(exact))).all()


def test_a_graph_that_computes_something_else_is_refused(
    run: lb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason="needs the extra onnx")
    monkeypatch.setattr("lowerbound.interchange.onnx._converted", lambda run, graph: b"")
    monkeypatch.setattr("lowerbound.interchange.onnx.difference", lambda run, graph, content: 2e-5)
    with pytest.raises(Incompatible, match="does not compute what the run does"):
        export_onnx(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_density_there_is_no_score() -> None:
    plain = lb.fit("digits", recipe="ae", latent=2, epochs=0, progress=False)
    assert [graph.name for graph in graphs(plain)] == ["encoder", "decoder"]


def test_a_table_of_every_kind_that_is_told_some_columns(every_kind: tuple[Path, str]) -> None:
    """Graphs of torch find what the tasks find for rows with holes and for what the model is told."""
    path, said = every_kind
    run = lb.fit(path, latent=2, epochs=1, progress=False, prior="conditional",
                 **{"data.columns": said, "data.context": "size, age"})  # fmt: skip
    assert graphs(run)[2].inputs == ("x", "eps", "mask", "context")
    rows = run.rows()
    assert rows.mask is not None and not rows.mask.all()
    batch = next(run.resident(rows).blocks(100))
    assert batch.mask is not None and batch.context is not None
    encoder, decoder, score = (traced(run, graph).module() for graph in graphs(run))
    eps = row_noise(0, "importance", run.model.embedding.digests(batch.x, batch.mask), Draw((2,)), 0, K)
    with torch.no_grad():
        codes = encoder(batch.x, batch.mask, batch.context)
        back = decoder(codes, batch.context)
        found, _ = score(batch.x, eps, batch.mask, batch.context)
    np.testing.assert_allclose(codes, lb.encode(run, rows), atol=1e-6)
    np.testing.assert_allclose(back, lb.reconstruct(run, rows), rtol=1e-5)
    np.testing.assert_allclose(found, lb.score(run, rows, samples=K).log_likelihood, rtol=1e-5)


def test_log_densities_are_compared_in_units_of_the_largest(run: lb.Run) -> None:
    encoder, _, score = graphs(run)
    a, b = np.array([0.0, 1000.0]), np.array([1e-3, 1000.0])
    assert apart(a, b, encoder) == pytest.approx(1e-3)
    assert apart(a, b, score) == pytest.approx(1e-6)
    assert apart(a, a, score) == 0


def test_holes_and_context_are_inputs() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    rows[::4, 1] = np.nan
    run = lb.fit(lb.load(rows, missing="nan"), latent=1, epochs=0, progress=False)
    encoder = graphs(run)[0]
    assert encoder.inputs == ("x", "mask")
    with torch.no_grad():
        found = traced(run, encoder).module()(
            torch.as_tensor(np.nan_to_num(rows)).float(), ~torch.isnan(torch.as_tensor(rows))
        )
    np.testing.assert_allclose(found, lb.encode(run, lb.load(rows, missing="nan")), atol=1e-6)
    labelled = lb.fit("digits", recipe="cvae", latent=2, epochs=0, progress=False)
    assert graphs(labelled)[1].inputs == ("z", "context")
    assert graphs(labelled.at({"label": "7"}))[1].inputs == ("z",)


def test_a_missing_extra(run: lb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match="onnx"):
        export_onnx(run, tmp_path / "out")
