"""Pages of small runs in a browser without a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb

DESK = {"viewport": {"width": 1280, "height": 900}}
EVIL = ("</script><script>document.title='caught'</script>", '<img src=x onerror="document.title=1">', "=1+1", 'a,"b"')


@dataclass
class Opened:
    """A page in the browser, and what it asked for and complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, code: str, *values: Any) -> Any:
        """What an expression in the page is worth."""
        return self.page.evaluate(code, *values)

    @property
    def z(self) -> list[float]:
        """The code that the page shows."""
        found: list[float] = self.ask("explorer.point.z")
        return found

    def until(self, code: str) -> None:
        """Once an expression is true. The page's policy forbids the browser to look by itself."""
        for _ in range(100):
            if self.ask(code):
                return
            self.page.wait_for_timeout(30)
        raise AssertionError(f"never true: {code}")

    def settled(self) -> None:
        """Once the point has come to rest."""
        self.page.wait_for_timeout(250)


Open = Callable[..., Opened]


@pytest.fixture
def show(browser: Any) -> Iterator[Open]:
    """Opens a file offline; at the end of the test no page may have asked for anything else or complained."""
    opened: list[Opened] = []

    def start(path: Path, mark: str = "", **options: Any) -> Opened:
        context = browser.new_context(offline=True, accept_downloads=True, **({**DESK, **options}))
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(path.as_uri() + mark)
        found.page.wait_for_selector("body.ready")
        opened.append(found)
        return found

    yield start
    for found in opened:
        others = [url for url in found.requests if not url.startswith(("file:", "blob:"))]
        assert (others, found.complaints) == ([], [])
        assert len({url.split("#")[0] for url in found.requests if url.startswith("file:")}) == 1
        found.page.context.close()


@pytest.fixture(scope="session")
def images() -> lb.Run:
    """A run of small images with labels."""
    return lb.fit("digits", latent=4, epochs=3, recipe="sigma-vae", progress=False)


@pytest.fixture(scope="session")
def evil() -> tuple[str, ...]:
    """Names of columns."""
    return EVIL


@pytest.fixture(scope="session")
def table() -> lb.Run:
    """A run of a table with holes whose column names are an attack."""
    rng = np.random.default_rng(0)
    rows = 100 + 10 * (rng.normal(size=(120, 2)) @ rng.normal(size=(2, 4)) + 0.2 * rng.normal(size=(120, 4)))
    mask = rng.random(rows.shape) > 0.1
    data = lb.Data(rows, name="<b>bold</b>.csv", columns=EVIL, mask=mask)
    return lb.fit(data, latent=2, epochs=2, likelihood="gaussian:scale=predicted", progress=False)


@pytest.fixture(scope="session")
def typed(every_kind: tuple[Path, str]) -> lb.Run:
    """A run of a table with a column of every kind, holes and hostile names."""
    path, said = every_kind
    return lb.fit(path, latent=3, epochs=4, progress=False, **{"data.columns": said})


@pytest.fixture(scope="session")
def told() -> lb.Run:
    """A run of images that is told their labels."""
    return lb.fit("digits", recipe="cvae", latent=3, epochs=3, progress=False)


@pytest.fixture(scope="session")
def image_page(images: lb.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lb.export_html(images, tmp_path_factory.mktemp("pages") / "images.html", rows=300).path


@pytest.fixture(scope="session")
def table_page(table: lb.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lb.export_html(table, tmp_path_factory.mktemp("pages") / "table.html").path


@pytest.fixture(scope="session")
def typed_page(typed: lb.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lb.export_html(typed, tmp_path_factory.mktemp("pages") / "typed.html").path


@pytest.fixture(scope="session")
def told_page(told: lb.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lb.export_html(told, tmp_path_factory.mktemp("pages") / "told.html", rows=200).path
