"""Downloads from a server on this machine: whole, broken off, resumed, short, wrong, refused."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from lowerbound.data import load
from lowerbound.data.download import fetch
from lowerbound.data.known import KNOWN, File
from lowerbound.errors import DownloadFailed

BODY = bytes(range(256)) * 4096
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """``/whole`` knows ranges, ``/plain`` does not, ``/short`` breaks off, ``/unsized`` gives no length."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Handler.asked.append(self.headers.get("Range") or "")
        kind = self.path.strip("/").split("/")[0]
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if kind != "plain" else 0
        if kind == "lost" or start >= len(BODY):
            return self.send_error(404 if kind == "lost" else 416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        if kind != "unsized":
            self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        self.wfile.write(BODY[start : start + 1000] if kind == "short" else BODY[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    Handler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.bin"


def part(target: Path) -> Path:
    return target.with_name("file.bin.part")


@pytest.mark.parametrize("kind", ["whole", "plain", "unsized"])
def test_a_whole_download(server: str, target: Path, kind: str) -> None:
    seen: list[tuple[int, int | None]] = []
    assert fetch(f"{server}/{kind}", target, sha256=SHA, progress=lambda *at: seen.append(at)) == target
    assert target.read_bytes() == BODY
    assert not part(target).exists()
    assert seen[-1] == (len(BODY), None if kind == "unsized" else len(BODY))


def test_a_file_that_is_there_is_not_fetched_again(server: str, target: Path) -> None:
    fetch(f"{server}/whole", target, sha256=SHA)
    fetch(f"{server}/whole", target, md5=hashlib.md5(BODY, usedforsecurity=False).hexdigest())
    assert len(Handler.asked) == 1
    target.write_bytes(b"damaged")
    fetch(f"{server}/whole", target, sha256=SHA)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("have", [1, 5000, len(BODY) - 1, len(BODY), len(BODY) + 5])
@pytest.mark.parametrize("kind", ["whole", "plain"])
def test_what_broke_off_goes_on(server: str, target: Path, kind: str, have: int) -> None:
    target.parent.mkdir()
    part(target).write_bytes((BODY + b"-----")[:have])
    fetch(f"{server}/{kind}", target, sha256=SHA)
    assert target.read_bytes() == BODY
    assert Handler.asked[0] == f"bytes={have}-"


def test_a_short_body_is_never_whole_and_a_later_call_goes_on(server: str, target: Path) -> None:
    with pytest.raises(DownloadFailed, match=f"found 1000, expected {len(BODY)}"):
        fetch(f"{server}/short", target, sha256=SHA)
    assert not target.exists()
    assert part(target).read_bytes() == BODY[:1000]
    fetch(f"{server}/whole", target, sha256=SHA)
    assert Handler.asked[-1] == "bytes=1000-"
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_checksum(server: str, target: Path, kind: str) -> None:
    with pytest.raises(DownloadFailed, match=rf"wrong {kind}: found \w+ \({len(BODY)} bytes\), expected 00ff"):
        fetch(f"{server}/whole", target, **{kind: "00ff"})  # type: ignore[arg-type]
    assert list(target.parent.iterdir()) == []


def test_a_refusal_and_a_dead_server(server: str, target: Path) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        fetch(f"{server}/lost", target, sha256=SHA)
    with pytest.raises(DownloadFailed, match="no whole answer"):
        fetch("http://127.0.0.1:9/x", target, timeout=2)
    with pytest.raises(DownloadFailed, match="http://"):
        fetch("file:///etc/hostname", target)
    assert list(target.parent.iterdir()) == []


def test_a_known_set_is_fetched_only_if_asked(
    server: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOWERBOUND_DATA", str(tmp_path))
    file = File("frey/face.bin", sha256=SHA, folder=f"{server}/whole/")
    monkeypatch.setitem(
        KNOWN, "frey-face", replace(KNOWN["frey-face"], files=(file,), read=lambda paths: load([[1.0]]))
    )
    with pytest.raises(ValueError, match="download=True"):
        load("frey-face")
    assert Handler.asked == []
    assert load("frey-face", download=True).name == "frey-face"
    assert (cache / "frey/face.bin").read_bytes() == BODY
    assert load("frey-face").x.tolist() == [[1.0]]
