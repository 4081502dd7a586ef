"""Tables with holes: what is hidden, what is measured, and what the report says."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lowerbound.errors import DataNotFound

Example = Callable[[str], ModuleType]


@pytest.fixture
def holes(example: Example) -> Any:
    return example("tables/holes")


def test_tables_are_standardised_and_half_of_their_cells_hidden(holes: Any, data_folder: Path) -> None:
    shapes = {"banknote": (1372, 4), "concrete": (1030, 8), "red wine": (1599, 11), "white wine": (4898, 11),
              "yeast": (1484, 8)}  # fmt: skip
    for name, shape in shapes.items():
        x = holes.read(name)
        assert x.shape == shape
        np.testing.assert_allclose([x.mean(0), x.std(0)], [np.zeros(shape[1]), np.ones(shape[1])], atol=1e-9)
        assert np.isnan(holes.holed(x, 0)).sum() == x.size // 2


def test_the_error_is_that_of_the_hidden_cells(
    holes: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Filled with zeros, standardised cells have the error of their squares."""
    x = np.random.default_rng(0).normal(size=(40, 4))
    monkeypatch.setattr(holes, "read", lambda name: x)
    monkeypatch.setattr(holes, "fillers", lambda epochs, seed: {"mean": np.nan_to_num})
    gone = np.isnan(holes.holed(x, 0))
    assert holes.errors("yeast", 1, 0) == {"mean": [pytest.approx((x[gone] ** 2).mean())]}
    holes.main(["--tables", "yeast", "--masks", "2", "--out", str(tmp_path)])
    assert "| yeast | " in capsys.readouterr().out and " / 1.06 |" in (tmp_path / "holes.md").read_text()


def test_every_way_fills_every_hole(holes: Any) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[:, 1] += 3 * x[:, 0]
    found = {name: fill(holes.holed(x, 0)) for name, fill in holes.fillers(1, 0).items()}
    assert set(found) == {"mean", "kNN", "chained", "pPCA-EM", "Gaussian-EM", "miwae"}
    seen = ~np.isnan(holes.holed(x, 0))
    for made in found.values():
        assert np.isfinite(made).all()
        np.testing.assert_allclose(made[seen], x[seen], rtol=1e-6)


def test_a_table_that_is_not_there(holes: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="LOWERBOUND_DATA"):
        holes.read("yeast")
