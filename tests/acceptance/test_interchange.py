"""ONNX computes what torch does, for every recipe with a density."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.errors import DataRange
from lowerbound.recipes import RECIPES

pytestmark = pytest.mark.acceptance
WITHOUT = {"ae", "dae", "overcomplete-ae"}


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - WITHOUT))
def test_a_recipe(recipe: str, tmp_path: Path, record: Callable[..., None]) -> None:
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra onnx")
    from lowerbound.interchange.onnx import NEAR, export_onnx

    options: dict[str, Any] = {"recipe": recipe, "latent": 2, "epochs": 1, "progress": False}
    counts = np.random.default_rng(0).negative_binomial(2, 0.3, size=(200, 6)).astype(float)
    try:
        run = lb.fit(counts if recipe == "count-vae" else "digits", **options)
    except DataRange:  # of zeros and ones
        run = lb.fit("digits", **options, **{"data.binarize": "sample"})
    found = export_onnx(run, tmp_path / "out").difference
    assert found is not None
    record(f"ONNX of {recipe}: largest difference from torch", f"<= {NEAR:g}", f"{max(found.values()):.1e}")
    assert ("score" in found) == (run.config.data.binarize != "grey")
    assert max(found.values()) <= NEAR
