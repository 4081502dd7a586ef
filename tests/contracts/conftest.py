"""A registry that tests may add to, and the parts of the package."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lowerbound import parts
from lowerbound.checks import KINDS
from lowerbound.model import VAE, assemble

NAMES = [(kind, name) for kind in KINDS for name in parts.REGISTRY[kind]]

Composer = Callable[..., VAE]


@pytest.fixture
def registry() -> Iterator[dict[str, dict[str, type[parts.Part]]]]:
    """The registry, as it was before once the test is over."""
    before = {kind: dict(names) for kind, names in parts.REGISTRY.items()}
    foreign = dict(parts.FOREIGN)
    yield parts.REGISTRY
    parts.REGISTRY.clear()
    parts.REGISTRY.update(before)
    parts.FOREIGN.clear()
    parts.FOREIGN.update(foreign)


@pytest.fixture(scope="session")
def compose() -> Composer:
    """Assemble a model of linear nets and plain families, but for what is given."""

    def made(shape: tuple[int, ...] = (3,), *, seed: int = 0, **changes: Any) -> VAE:
        table: dict[str, Any] = {
            "shape": list(shape), "latent": 2, "encoder": {"name": "linear"}, "posterior": {"name": "gaussian"},
            "prior": {"name": "standard"}, "decoder": {"name": "linear"}, "likelihood": {"name": "gaussian"},
        }  # fmt: skip
        return assemble({**table, **changes}, seed=seed)

    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a file of parts."""

    def written(code: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text("import torch\nfrom lowerbound.priors import Prior\nfrom lowerbound.parts import *\n" + code)
        return path

    return written


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with ``kind`` and ``name`` runs for every part."""
    if {"kind", "name"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("kind", "name"), NAMES)
