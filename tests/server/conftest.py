"""An endpoint asked without a network, of small runs."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lowerbound as lb
from lowerbound.server.app import Endpoint

TOKEN = "a-token-of-the-tests"
HEADERS = {"host": "localhost:8000", "content-type": "application/json", "authorization": f"Bearer {TOKEN}"}


@dataclass
class Client:
    """Asks an application what a server would hand it."""

    app: Endpoint

    def ask(
        self, path: str, body: Any = None, *, method: str = "POST", pieces: Sequence[bytes] = (),
        headers: Mapping[str, str | None] | None = None,
    ) -> tuple[int, Any]:  # fmt: skip
        status, _, content = asyncio.run(self.asked(path, body, method, pieces, headers or {}))
        return status, json.loads(content)

    async def asked(
        self, path: str, body: Any = None, method: str = "POST", pieces: Sequence[bytes] = (),
        headers: Mapping[str, str | None] | None = None, pause: float = 0.0,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        sent: list[Any] = []
        left = list(pieces) or [json.dumps(body).encode()]
        lines = {**HEADERS, **(headers or {})}
        scope = {
            "type": "http", "path": path, "method": method,
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in lines.items() if v is not None],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(pause)
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        told = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return sent[0]["status"], told, sent[1]["body"]


@pytest.fixture(scope="session")
def run() -> lb.Run:
    return lb.fit("digits", latent=2, epochs=1, progress=False)


@pytest.fixture(scope="session")
def rows(run: lb.Run) -> Any:
    return run.rows().values()[:3]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> lb.Run:
    """Of a table with every kind of column that JSON writes in its own way, and holes."""
    path: Path = tmp_path_factory.mktemp("table") / "people.csv"
    colours = ("red", "=green", "</script>")
    lines = [f"{30 + i % 17},{colours[i % 3]},{i % 5},{'' if i % 7 == 0 else 0.5 * (i % 11) + 1}" for i in range(120)]
    path.write_text("\n".join(["age,colour,children,income", *lines]))
    return lb.fit(path, latent=2, epochs=1, progress=False)


@pytest.fixture(scope="session")
def serving() -> Callable[..., Client]:
    def make(run: lb.Run, **options: Any) -> Client:
        return Client(Endpoint(run, **{"token": TOKEN, **options}))

    return make


@pytest.fixture(scope="session")
def client(run: lb.Run, serving: Callable[..., Client]) -> Client:
    return serving(run)
