"""The real data sets, and the guard of everything global."""

import csv
import importlib.util
import os
import random
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rich.style  # noqa: F401  # draws from random once, when it is first imported

Snapshot = Callable[[], dict[str, object]]
TOKEN = "a-token-of-the-tests"
HOSTILE = "</script><script>document.title='caught'</script>"


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


@pytest.fixture(scope="session")
def explored() -> Iterator[Callable[..., str]]:
    """Serves the page of some runs on a port of this machine, and says its address with the token in it."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra serve")
    from lowerbound.explorer.live import Explorer

    servers = []

    def start(*runs: Any, **options: Any) -> str:
        config = uvicorn.Config(Explorer(runs, token=TOKEN, **options), log_config=None, lifespan="off", ws="none")
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        servers.append((server, thread, listening))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/#token={TOKEN}"

    yield start
    for server, thread, listening in servers:
        server.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A csv of 300 rows with a column of every kind and family, spikes, holes, hostile names; and what to say of it."""
    made = np.random.default_rng(0)
    (a, b), e = made.normal(size=(2, 300)), made.normal(size=(12, 300))
    words, sizes, at = np.array(["red", "=green", "</script>", "blue"]), np.array(["S", "M", "L"]), np.datetime64
    values = {
        "age": np.clip(40 + 12 * a + 3 * e[0], 17, 90).round(), "t": (5 * a + made.standard_t(3, 300)).round(2),
        "income": np.exp(3 + 0.7 * b + 0.2 * e[1]).round(2), "share": (1 / (1 + np.exp(b - a + e[2] / 3))).round(3),
        "visits": np.where(e[3] > 0.2, made.poisson(np.exp(1 + a / 2)), 0), "calls": made.poisson(np.exp(1 + 0.4 * b)),
        "gains": np.where(e[4] < 0.5, 0, np.exp(7 + a + e[5] / 2).round()), "sex": np.where(a + e[6] > 0, "f", "m"),
        HOSTILE: words[np.clip(1.5 + a + e[7] / 3, 0, 3).round().astype(int)],
        "size": sizes[np.clip(1 + b + e[8] / 3, 0, 2).round().astype(int)],
        "day": at("2020-01-01") + (400 * (a + 3)).astype(int),
        "when": at("2021-03-01T10:30") + (14400 * (b + 3)).astype(int),
    }  # fmt: skip
    path, gone = tmp_path_factory.mktemp("kinds") / "kinds.csv", made.random((300, len(values))) < 0.08
    gone[:, [0, 9]] = False  # age and size are known of all
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(values)
        for row, holes in zip(zip(*values.values(), strict=True), gone, strict=True):
            writer.writerow("" if hole else str(cell).replace("T", " ") for cell, hole in zip(row, holes, strict=True))
    said = "t=real:family=student_t; calls=count:family=poisson; size=ordinal:order=['S','M','L']"
    return path, said + "; share=bounded:low=0,high=1; when=date:family=student_t"


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
