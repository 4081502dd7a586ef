"""The JSON endpoint of a run, as an ASGI application."""

import asyncio
import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from lowerbound.errors import LowerboundError
from lowerbound.run import Run
from lowerbound.server import http
from lowerbound.server.description import about, describe
from lowerbound.server.desk import Busy, Desk
from lowerbound.server.given import asked
from lowerbound.server.guard import LOOPBACK, Guard
from lowerbound.server.http import Receive, Refusal, Scope, Send
from lowerbound.server.operations import Operation, operations
from lowerbound.server.schemas import check

LOG = logging.getLogger("lowerbound.server")


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Args:
        body: bytes of it.
        reading: seconds it may take to arrive.
        patience: seconds it may take to be answered.
        waiting: requests that may wait.
    """

    body: int = 1_000_000
    reading: float = 10.0
    patience: float = 60.0
    waiting: int = 64


LIMITS = Limits()


class Endpoint:
    """``POST /encode``, ``/decode``, ``/sample``, ``/score``, … of a run; ``GET /`` and ``/openapi.json``.

    An application for any ASGI server. Addresses are looked up in a table: none is taken for a path.

    Args:
        run: trained.
        token: that every request must bear; None: none is asked for.
        names: hosts that the server may be called.
        limits: of a request.
        at: what its addresses begin with.

    >>> from lowerbound.train import fit
    >>> sorted(Endpoint(fit("digits", latent=2, epochs=1, progress=False), token="t" * 16).offered)
    ['/decode', '/encode', '/explain', '/impute', '/sample', '/score']
    """

    def __init__(
        self, run: Run, *, token: str | None, names: Collection[str] = LOOPBACK, limits: Limits = LIMITS, at: str = ""
    ) -> None:  # fmt: skip
        alone = run.conditions is None or run.model.fixed is not None
        offered = operations(run) if alone else [asked(run, each) for each in operations(run)]
        pages = {"/": about(run, offered), "/openapi.json": describe(run, offered, limits.body, at)}
        self.at, self.run, self.guard, self.limits = at, run, Guard(token, names), limits
        self.desk = Desk(run, limits.waiting, limits.patience)
        self.offered = {f"{at}/{each.name}": each for each in offered}
        self.pages = {at + path: json.dumps(page).encode() for path, page in pages.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            self.guard.check(scope)
            answer = await self._answer(scope, receive)
        except Refusal as refusal:
            await http.reply(send, refusal.body, refusal.status, refusal.headers)
        else:
            await http.reply(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        path, method = scope["path"], scope["method"]
        if path not in self.pages and path not in self.offered:
            raise Refusal(404, "nothing is here; GET / says what is")
        allowed = "GET" if path in self.pages else "POST"
        if method != allowed:
            raise Refusal(405, f"only {allowed} is answered here", headers={"allow": allowed})
        if path in self.pages:
            return self.pages[path]
        content = await http.read(scope, receive, self.limits.body, self.limits.reading)
        return await self._asked(self.offered[path], content)

    async def _asked(self, operation: Operation, content: bytes) -> bytes:
        try:
            rows, options = await asyncio.to_thread(self._understood, operation, content)
            return await self.desk.ask(operation, rows, options)
        except Refusal:
            raise
        except LowerboundError as error:
            raise Refusal(422, str(error), error.id) from None
        except TimeoutError:
            raise Refusal(504, "the answer took too long") from None
        except Busy:
            raise Refusal(503, "too many requests wait", headers={"retry-after": "1"}) from None
        except Exception:
            LOG.exception("%s went wrong", operation.name)
            raise Refusal(500, "it went wrong; the server's log says how") from None

    def _understood(self, operation: Operation, content: bytes) -> tuple[Any, dict[str, Any]]:
        """Rows and options of a body."""
        body = http.parse(content)
        check(operation.body, body)
        return operation.read(self.run, body), operation.options(body)
