"""The little of HTTP that an endpoint of JSON needs, on the interface that servers share (ASGI)."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-type": "application/json", "cache-control": "no-store", "connection": "close",
    "referrer-policy": "no-referrer", "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}  # fmt: skip


class Refusal(Exception):
    """A request that is not answered, with the status that says why.

    Args:
        status: of HTTP.
        message: for people.
        kind: id of the error; that of the status when left out.
        headers: further ones.
    """

    def __init__(self, status: int, message: str, kind: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind or f"E-HTTP-{status}", dict(headers or {})

    @property
    def body(self) -> bytes:
        """As JSON."""
        return json.dumps({"error": {"id": self.kind, "message": str(self)}}).encode()


async def reply(send: Send, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """Send an answer whole."""
    made = {**HEADERS, **(headers or {}), "content-length": str(len(body))}
    lines = [(name.encode(), value.encode()) for name, value in made.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def values(scope: Scope, name: str) -> list[str]:
    """What the request's headers of a name, in small letters, say."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name.encode()]


async def read(scope: Scope, receive: Receive, most: int, seconds: float) -> bytes:
    """The body of a request.

    Args:
        scope: of the request.
        receive: gives the body in pieces.
        most: bytes.
        seconds: it may take.

    Raises:
        Refusal: not JSON by its header, too large, too slow, or broken off.
    """
    kind = "".join(values(scope, "content-type")).partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "the body is not application/json")
    length = "".join(values(scope, "content-length")) or "0"
    if not length.isdecimal() or len(length) > 18 or int(length) > most:
        raise Refusal(413, f"the body is longer than {most} bytes")
    try:
        async with asyncio.timeout(seconds):
            return await _whole(receive, most)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {seconds:g} s") from None


async def _whole(receive: Receive, most: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "the body ended early")
        part, more = message.get("body", b""), message.get("more_body", False)
        parts.append(part)
        size += len(part)
        if size > most:
            raise Refusal(413, f"the body is longer than {most} bytes")
    return b"".join(parts)


def parse(content: bytes) -> Any:
    """JSON, strictly: no NaN, no key twice.

    Raises:
        Refusal: it is not.

    >>> parse(b'{"z": [1.5]}')
    {'z': [1.5]}
    """
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        what = "the body is not JSON; NaN, Infinity, a key given twice and deep nesting are not either"
        raise Refusal(400, what) from None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found
