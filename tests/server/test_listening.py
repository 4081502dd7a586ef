"""The endpoint on a port: a real server, asked over real connections."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.errors import BadOption, MissingExtra
from lowerbound.server.running import serve

ROOT = Path(__file__).parents[2]
Served = tuple[str, str]


@pytest.fixture(scope="module")
def folder(run: lb.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run.save(tmp_path_factory.mktemp("served") / "run")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """Address and token of ``lowerbound serve``; it ends by Ctrl-C."""
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    words = [sys.executable, "-m", "lowerbound", "serve", str(folder), "--port", "0", "--json"]
    environment = environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        yield facts["address"], facts["token"]
        process.send_signal(2)
        assert process.wait(20) == 130


def ask(served: Served, path: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {served[1]}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(served[0] + path, content, headers), timeout=20) as answer:
        return json.load(answer)


def raw(served: Served) -> socket.socket:
    host, _, port = served[0].removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_it_answers(served: Served, run: lb.Run) -> None:
    assert served[0].startswith("http://127.0.0.1:")
    assert len(served[1]) >= 32
    assert ask(served, "/")["latent"] == 2
    np.testing.assert_allclose(ask(served, "/decode", {"z": [[0, 0]]})["x"], lb.decode(run, [[0, 0]]), atol=1e-6)


def test_slow_clients_do_not_stop_it(served: Served) -> None:
    """Neither those that say nothing, nor those that stop in the header, in the body, or never read."""
    begun = [b"", b"POST /deco", b"POST /decode HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"]
    token = f"Authorization: Bearer {served[1]}\r\n".encode()
    begun.append(begun[2].replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n" + token + b"\r\n"))
    begun.append(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n" + token + b"\r\n")
    slow = [raw(served) for _ in range(20) for _ in begun]
    try:
        for number, each in enumerate(slow):
            each.sendall(begun[number % len(begun)])
        assert len(ask(served, "/decode", {"z": [[0, 0]]})["x"]) == 1
    finally:
        for each in slow:
            each.close()


def test_what_is_no_http_is_refused_and_a_connection_bears_one_request(served: Served) -> None:
    with raw(served) as line:
        line.sendall(b"\x16\x03\x01nonsense\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    with raw(served) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"connection: close" in answer


def test_one_that_says_nothing_is_given_up(run: lb.Run) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    from lowerbound.server.running import connection

    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

        def get_extra_info(self, name: str) -> None:
            return None

    class Loop:
        calls: list[Any] = []

        def call_later(self, seconds: float, call: Any) -> Any:
            self.calls.append((seconds, call))
            return type("Handle", (), {"cancel": lambda self: None})()

    uvicorn = pytest.importorskip("uvicorn")
    from uvicorn.server import ServerState

    loop, transport = Loop(), Transport()
    made = connection(100.0)(uvicorn.Config(lambda: None, log_config=None), ServerState(), {}, loop)
    made.connection_made(transport)
    (first, silent), (second, abort) = loop.calls
    assert (first, second, transport.aborted) == (10.0, 100.0, False)
    silent()
    assert transport.aborted
    assert abort == transport.abort


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "0.0.0.0", "secret": False}, "needs a token"),
        ({"host": "example.org", "secret": False}, "needs a token"),
        ({"host": "256.1.1.1"}, "cannot listen"), ({"port": 70000}, "not a port"),
    ],
)  # fmt: skip
def test_addresses_that_are_refused(run: lb.Run, options: dict[str, Any], words: str) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    with pytest.raises(BadOption, match=words):
        serve(run, **options)


def test_a_short_token_and_a_missing_extra(run: lb.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match="serve"):
        serve(run)
    monkeypatch.undo()
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    monkeypatch.setenv("LOWERBOUND_TOKEN", "short")
    with pytest.raises(BadOption, match="LOWERBOUND_TOKEN"):
        serve(run, port=0)


def test_a_run_with_a_condition_is_told_it_at_the_start_or_by_each_request(run: lb.Run, tmp_path: Path) -> None:
    from lowerbound.cli.serving import conditioned

    told = lb.fit("digits", recipe="cvae", latent=2, epochs=0, progress=False)
    assert conditioned(told, []) is told
    assert conditioned(told, ["label=7"]).told == [7.0]
    with pytest.raises(BadOption, match="given"):
        conditioned(run, ["label=7"])
