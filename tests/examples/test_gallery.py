"""The gallery of the family, on a handful of rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.data.source import Data
from lowerbound.data.synthetic import factors
from lowerbound.recipes import RECIPES

Example = Callable[[str], ModuleType]
TINY = {"epochs": 1, "batch": 64, "encoder": "mlp:widths=[8]", "decoder": "mlp:widths=[8]", "latent": 2}


def greys() -> Data:
    x = np.random.default_rng(0).integers(0, 256, (120, 1, 8, 8), dtype=np.uint8)
    return Data(x, "greys", unit=1 / 255).with_split(0, 40)


def counts() -> Data:
    x = np.random.default_rng(0).poisson(3.0, (60, 12))
    return Data(x, "counts", labels=np.arange(60) % 2, label_names=("a", "b")).with_split(0, 20)


@pytest.fixture
def gallery(example: Example, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = example("family/gallery")
    makers = {"mnist": greys, "frey-face": greys, "sc-mixology": counts}
    makers["dsprites-grid"] = lambda: factors(size=12, positions=5).with_split(0, 50)
    monkeypatch.setattr(module, "DATA", makers)
    return module


def test_the_whole_family_is_there(gallery: Any) -> None:
    shown = [entry.recipe for entry in gallery.ENTRIES]
    assert len({*shown}) == len(shown) and {*shown} <= RECIPES.keys()
    assert RECIPES.keys() - {*shown} <= {*gallery.ELSEWHERE}


def test_one_of_each_kind(gallery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    kinds = {(entry.picture, entry.number): entry for entry in gallery.ENTRIES if entry.recipe != "pca"}
    some = [replace(entry, settings={**TINY, **_kept(entry)}) for entry in kinds.values()]
    assert {entry.picture for entry in some} == gallery.PICTURES.keys()
    assert {entry.number for entry in some} == gallery.NUMBERS.keys()
    monkeypatch.setattr(gallery, "ENTRIES", some)
    gallery.main(["--out", str(tmp_path)])
    page = (tmp_path / "gallery.md").read_text()
    for entry in some:
        assert f"({entry.recipe}/picture.png)" in page and (tmp_path / entry.recipe / "picture.png").stat().st_size
        assert gallery.shown(entry, tmp_path) in page
    first = capsys.readouterr().out
    monkeypatch.setattr(lb, "fit", lambda *given, **more: pytest.fail("trained again"))
    gallery.main(["--out", str(tmp_path)])
    assert capsys.readouterr().out == first


def _kept(entry: Any) -> dict[str, Any]:
    return {key: value for key, value in entry.settings.items() if key.startswith("objective")}
