"""An endpoint on a port of this machine, by uvicorn (extra ``serve``)."""

import asyncio
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any

from lowerbound.errors import BadOption, MissingExtra
from lowerbound.run import Run
from lowerbound.server.app import LIMITS, Endpoint, Limits
from lowerbound.server.guard import LOOPBACK
from lowerbound.server.http import App

VARIABLE = "LOWERBOUND_TOKEN"
SHORTEST = 16
CONNECTIONS = 512
HEADER_BYTES = 16_384
SILENCE = 10.0  # seconds until the first request is there
EXTRA = 30.0  # seconds beyond those of the request that a connection lives; it bears one request


def serve(
    run: Run, *, host: str = "127.0.0.1", port: int = 8000, names: Sequence[str] = (), secret: bool = True,
    limits: Limits = LIMITS, ready: Callable[[str, str | None], None] | None = None,
) -> None:  # fmt: skip
    """Serve a run until interrupted.

    Args:
        run: trained.
        host: address to listen at; other machines reach it only where this is not a loopback address.
        port: 0 for one that is free.
        names: further host names that it may be called by.
        secret: whether a token is asked for: the one in the environment variable LOWERBOUND_TOKEN, else a random one.
        limits: of a request.
        ready: called with the address and the token once it can be asked.

    Raises:
        MissingExtra: uvicorn is not installed.
        BadOption: no token at an address that other machines reach, a token that is too short, or an address that
            cannot be listened at.
    """
    listen(lambda token, known: Endpoint(run, token=token, names=known, limits=limits),
           host=host, port=port, names=names, secret=secret, limits=limits, ready=ready)  # fmt: skip


def listen(
    make: Callable[[str | None, Sequence[str]], App], *, host: str, port: int, names: Sequence[str], secret: bool,
    limits: Limits, ready: Callable[[str, str | None], None] | None,
) -> None:  # fmt: skip
    """Serve an application until interrupted; arguments and errors as of ``serve``.

    Args:
        make: the application, from the token that it is to ask for and the names that it may be called by.
        host: as of ``serve``, and so are all others.
    """
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("serving a run", "serve") from None
    token = _token(host, secret)
    with _listening(host, port) as listening:
        bound = listening.getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        server = uvicorn.Server(_config(make(token, [*LOOPBACK, shown, *names]), limits))
        if ready is not None:
            ready(f"http://{shown}:{bound[1]}", token)
        server.run(sockets=[listening])


def _config(app: App, limits: Limits) -> Any:
    import uvicorn

    life = limits.reading + limits.patience + EXTRA
    return uvicorn.Config(
        app, http=connection(life), ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )  # fmt: skip


def connection(life: float) -> Any:
    """The class of connections with an end."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Connection(H11Protocol):
        """A client that sends or reads slowly, or never, holds no place for long."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in its base
            super().connection_made(transport)
            self.ends = [self.loop.call_later(SILENCE, self.silent), self.loop.call_later(life, transport.abort)]

        def connection_lost(self, exc: Exception | None) -> None:
            for end in self.ends:
                end.cancel()
            super().connection_lost(exc)

        def silent(self) -> None:
            """Give up one that has asked nothing yet."""
            if self.cycle is None:
                self.transport.abort()

    return Connection


def _token(host: str, secret: bool) -> str | None:
    if not secret:
        if not _is_loopback(host):
            mend = "Leave out --no-token, or --host."
            raise BadOption("a server that others reach needs a token", where="host", found=host, mend=mend)
        return None
    token = os.environ.get(VARIABLE) or secrets.token_urlsafe(24)
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
        raise BadOption("not a token", where=VARIABLE, expected=f"{SHORTEST} or more letters and digits")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise BadOption("not a port", where="port", found=str(port), expected="0 to 65535")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise BadOption("cannot listen there", where="port", found=f"{host} {port}: {error}",
                        mend="Choose another: --port 0 takes one that is free.") from None  # fmt: skip
