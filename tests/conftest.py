"""The real data sets, and the guard of everything global."""

import importlib.util
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rich.style  # noqa: F401  # draws from random once, when it is first imported

Snapshot = Callable[[], dict[str, object]]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the real data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("LOWERBOUND_DATA")
    if not folder:
        pytest.skip("needs the real data sets: LOWERBOUND_DATA is not set")
    if not Path(folder).is_dir():
        pytest.skip(f"needs the real data sets: LOWERBOUND_DATA is no folder: {folder}")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; tests that need it are skipped where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser: the extra browser-test")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs a browser: no chromium is installed")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def example() -> Iterator[Callable[[str], ModuleType]]:
    """Loads a script of the examples, ``disentanglement/study`` or its like, as a module."""
    names: list[str] = []

    def load(path: str) -> ModuleType:
        file = Path(__file__).parents[1] / "examples" / f"{path}.py"
        names.append("example_" + path.replace("/", "_"))
        spec = importlib.util.spec_from_file_location(names[-1], file)
        assert spec is not None and spec.loader is not None
        sys.modules[names[-1]] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in names:
        del sys.modules[name]


def _snapshot() -> dict[str, object]:
    """What no test may change. A library that nobody has imported yet is not imported for this."""
    states: dict[str, object] = {"random": random.getstate()}
    if numpy_random := sys.modules.get("numpy.random"):
        _, key, *rest = numpy_random.get_state()
        states["numpy.random"] = key.tobytes(), rest
    if torch := sys.modules.get("torch"):
        states["torch random state"] = torch.get_rng_state().numpy().tobytes()
        states["torch default dtype"] = torch.get_default_dtype()
        states["torch threads"] = torch.get_num_threads()
        states["torch grad mode"] = torch.is_grad_enabled()
        states["torch deterministic"] = torch.are_deterministic_algorithms_enabled()
    if distribution := sys.modules.get("torch.distributions.distribution"):
        states["torch.distributions validation"] = distribution.Distribution._validate_args
    return states


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    """The function that reads the global state."""
    return _snapshot


@pytest.fixture(autouse=True)
def nothing_global_changes(snapshot: Snapshot) -> Iterator[None]:
    before = snapshot()
    yield
    after = snapshot()
    changed = [name for name, state in before.items() if after[name] != state]
    assert not changed, f"the test changed global state: {', '.join(changed)}"
