"""The study of disentanglement, on squares that move."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.data.synthetic import factors
from lowerbound.errors import Incompatible
from lowerbound.recipes import recipe

Example = Callable[[str], ModuleType]


@pytest.fixture
def study(example: Example, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = example("disentanglement/study")
    monkeypatch.setattr(module, "grid", lambda every=1: factors(size=12, positions=5))
    monkeypatch.setattr(module, "QUICK", module.Protocol(epochs=1, outer=8, inner=4))
    return module


def test_a_study_goes_on_and_says_what_it_found(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[str] = []
    fit = lb.fit
    monkeypatch.setattr(lb, "fit", lambda *given, **more: trained.append(more["recipe"]) or fit(*given, **more))
    asked = ["--quick", "--workers", "1", "--out", str(tmp_path), "--methods"]
    with monkeypatch.context() as patch:
        patch.setattr(study, "draw", lambda *given: [])
        study.main([*asked, "vae", "--seeds", "1"])
    first = json.loads((tmp_path / "study.json").read_text())
    study.main([*asked, "vae,beta-tcvae", "--seeds", "1"])
    assert trained == ["vae", "beta-tcvae"]
    both = json.loads((tmp_path / "study.json").read_text())
    assert both[:1] == first and len(both) == 2
    pictures = {f"{method}-{name}.png" for method in ("vae", "beta-tcvae") for name in ("information", "traversal")}
    assert {path.name for path in tmp_path.glob("*.png")} == {"measures.png", "trade.png", *pictures}


def test_a_report_trains_nothing(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for seed in range(2):
        row = dict.fromkeys(study.SHOWN, 0.25 + seed / 2) | {"method": "vae", "seed": seed, "notes": []}
        file = tmp_path / f"runs/vae-{seed}/measures.json"
        file.parent.mkdir(parents=True)
        protocol, rotation = asdict(study.QUICK), dict.fromkeys(study.MEASURES, 0.5)
        file.write_text(json.dumps(row | {"protocol": protocol, "rotation": rotation}))
    monkeypatch.setattr(study, "draw", lambda *given: [])
    study.main(["--quick", "--report", "--workers", "1", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert "| vae | 2 | 0.500 (0.375 to 0.625) |" in said and "0 of 2 runs are above 0.95" in said
    assert (tmp_path / "study.md").read_text() in said


def test_runs_of_another_protocol_are_refused(study: Any, tmp_path: Path) -> None:
    study.one(tmp_path, "vae", 0, study.QUICK)
    with pytest.raises(Incompatible, match="trained in another way"):
        study.one(tmp_path, "vae", 0, replace(study.QUICK, rate=1.0))


def test_the_middle_of_the_seeds(study: Any) -> None:
    row = dict.fromkeys(study.SHOWN, 0.0) | {"rotation": dict.fromkeys(study.MEASURES, 0.5), "notes": []}
    rows = [row | {"method": "vae", "seed": seed, "mig": value} for seed, value in enumerate((0.9, 0.1, 0.2, 0.3, 0.4))]
    assert "| 0.300 (0.200 to 0.400) |" in "\n".join(study.table(rows))


def test_sharpness_of_known_pictures(study: Any) -> None:
    half = np.zeros((3, 1, 4, 6))
    half[..., 3:] = 1.0
    assert study.gradient_energy(half) == 4.0  # an edge of 4 pixels
    assert study.gradient_energy(half / 2) == 1.0
    assert study.gradient_energy(np.ones((2, 1, 5, 5))) == 0.0


def test_every_method_is_a_recipe(study: Any) -> None:
    assert all(recipe(name) for name, _ in study.METHODS.values())
    assert {*study.BETAS} <= study.METHODS.keys() and study.LITERATURE.keys() <= study.SHOWN.keys()
