"""The study of disentanglement: one seed of vae against beta-tcvae, run again; minutes."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
METHODS = "vae", "beta-tcvae"


def test_a_weight_on_the_total_correlation_disentangles(
    data_folder: Path, example: Callable[[str], ModuleType], tmp_path: Path, record: Callable[[str, str, str], None]
) -> None:
    """The protocol of the study on all 46,080 pictures, seed 0."""
    study = example("disentanglement/study")
    found = {method: study.one(tmp_path, method, 0, study.Protocol()) for method in METHODS}
    said = "; ".join(f"{name} {' and '.join(f'{row[name]:.3f}' for row in found.values())}" for name in study.SHOWN)
    record("dSprites grid, study, seed 0: vae and beta-tcvae", "the MIG of beta-tcvae is higher", said)
    assert found["beta-tcvae"]["mig"] > found["vae"]["mig"]
    assert 0 < found["beta-tcvae"]["sharpness"] < found["vae"]["sharpness"] < 1
