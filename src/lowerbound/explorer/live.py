"""``explore``: the page of a run, served together with what needs its encoder. One run, two, or one in training."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lowerbound.errors import Incompatible, LowerboundError
from lowerbound.explorer.export import gather
from lowerbound.explorer.page import live
from lowerbound.explorer.watched import Watched
from lowerbound.markup import finite
from lowerbound.run import Run
from lowerbound.server import cells, http
from lowerbound.server.app import LIMITS, Endpoint, Limits
from lowerbound.server.guard import LOOPBACK, Guard
from lowerbound.server.http import Receive, Refusal, Scope, Send
from lowerbound.server.running import listen

SIDES = ("/first", "/second")
PAGE, TRAINING = "/page", "/training"
HIDDEN = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
SHOWN = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
}  # fmt: skip


class Explorer:
    """The page at ``GET /`` and its script and style, without a token: they hold nothing of a run.

    With it ``GET /page``, what the page shows; ``GET /training``, how far a run is; and under ``/first`` and
    ``/second`` the endpoints of the runs. An application for any ASGI server.

    Args:
        runs: one or two that hold rows of the same shape; none while ``watched`` is not finished.
        watched: the folder of a run in training, or None.
        opened: opens that run once it is finished.
        data: rows to show, as of ``export_html``.
        rows: how many at most.
        token: that everything but the page itself asks for.
        names: hosts that the server may be called.
        limits: of a request.

    Raises:
        Incompatible: two runs of rows of different shapes; or a table's decoder that the page has no code for.
        DataError: rows of a run are not at hand, and none were given.

    >>> from lowerbound.train import fit
    >>> app = Explorer([fit("digits", latent=2, epochs=1, progress=False)], token="t" * 16, rows=20)
    >>> sorted(app.shell), [side.offered.keys() >= {"/first/encode"} for side in app.sides]
    (['/', '/explorer.css', '/explorer.js'], [True])
    """

    def __init__(
        self, runs: Sequence[Run], *, token: str | None, names: Collection[str] = LOOPBACK, limits: Limits = LIMITS,
        watched: Watched | None = None, opened: Callable[[], Run] | None = None, data: Any = None,
        rows: int | None = None,
    ) -> None:  # fmt: skip
        self.guard, self.shell, self.watched, self.opened = Guard(token, names), live(), watched, opened
        self.sides: list[Endpoint] = []
        self.content = b""
        self._endpoint: Callable[..., Endpoint] = partial(Endpoint, token=token, names=names, limits=limits)
        self._shown = {"data": data, "rows": rows}
        self._opening = asyncio.Lock()
        if runs:
            self._show(runs)

    def _show(self, runs: Sequence[Run]) -> None:
        shapes = {run.model.shape for run in runs}
        if len(shapes) > 1:
            raise Incompatible("the runs hold rows of different shapes", found=" and ".join(map(str, shapes)),
                               expected="two runs of the same data")  # fmt: skip
        parts = [payload(run, at, **self._shown) for run, at in zip(runs, SIDES, strict=False)]
        self.content = json.dumps(finite({"state": "ready", "runs": parts}), separators=(",", ":")).encode()
        self.sides = [self._endpoint(run, at=at) for run, at in zip(runs, SIDES, strict=False)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        side = next((each for each in self.sides if scope["path"].startswith(f"{each.at}/")), None)
        if side is not None:
            await side(scope, receive, send)
            return
        try:
            kind, answer, headers = await self._answer(scope)
        except Refusal as refusal:
            await http.reply(send, refusal.body, refusal.status, refusal.headers)
        else:
            await http.reply(send, answer, headers={**headers, "content-type": kind})

    async def _answer(self, scope: Scope) -> tuple[str, bytes, dict[str, str]]:
        path = scope["path"]
        self.guard.check_page(scope) if path in self.shell else self.guard.check(scope)
        if path not in (*self.shell, PAGE, TRAINING):
            raise Refusal(404, "nothing is here")
        if scope["method"] != "GET":
            raise Refusal(405, "only GET is answered here", headers={"allow": "GET"})
        if path in self.shell:
            return *self.shell[path], SHOWN
        return "application/json", await (self._page() if path == PAGE else self._training()), HIDDEN

    async def _page(self) -> bytes:
        async with self._opening:
            if not self.content and self.watched is not None and self.watched.finished and self.opened is not None:
                try:
                    await asyncio.to_thread(lambda opened: self._show([opened()]), self.opened)
                except LowerboundError as error:
                    raise Refusal(422, str(error), error.id) from None
        return self.content or json.dumps({"state": "training"}).encode()

    async def _training(self) -> bytes:
        if self.watched is None:
            raise Refusal(404, "no run in training is shown here")
        return json.dumps(finite(await asyncio.to_thread(self.watched.told)), separators=(",", ":")).encode()


def payload(run: Run, at: str, data: Any = None, rows: int | None = None) -> dict[str, Any]:
    """What the page is told of a run: values and arrays as in an exported page, and how a row is written.

    Args:
        run: trained.
        at: what the addresses of its endpoint begin with.
        data: rows to show, as of ``export_html``.
        rows: how many at most.
    """
    facts, arrays = gather(run, data, rows=rows, far=True)
    return {
        "at": at, "name": run.path.name if run.path else "in memory", "facts": facts, "arrays": arrays,
        "row": cells.row_schema(run, holes=False), "holes": bool(run.facts["missing"]),
        "density": run.model.posterior_family.has_density,
        "fingerprint": run.facts["fingerprint"] if data is None else "",
    }  # fmt: skip


def explore(
    folders: Sequence[str | Path], opened: Callable[[str | Path], Run], *, data: Any = None, rows: int | None = None,
    host: str = "127.0.0.1", port: int = 8000, names: Sequence[str] = (), secret: bool = True, limits: Limits = LIMITS,
    ready: Callable[[str, str | None], None] | None = None,
) -> None:  # fmt: skip
    """Serve the page of one run or two until interrupted; a single run may still be in training.

    Args:
        folders: of the runs.
        opened: opens one.
        data: rows to show, as of ``export_html``.
        rows: how many at most.
        host: as of ``serve``, and so are ``port``, ``names``, ``secret``, ``limits`` and ``ready``.

    Raises:
        RunError: a folder that is no run's.
        MissingExtra, BadOption: as of ``serve``.
        Incompatible, DataError: as of ``Explorer``.
    """
    watched = Watched(folders[0]) if len(folders) == 1 else None
    in_training = watched is not None and not watched.finished
    runs = [] if in_training else [opened(folder) for folder in folders]

    def make(token: str | None, known: Sequence[str]) -> Explorer:
        return Explorer(runs, token=token, names=known, limits=limits, data=data, rows=rows,
                        watched=watched if in_training else None, opened=lambda: opened(folders[0]))  # fmt: skip

    listen(make, host=host, port=port, names=names, secret=secret, limits=limits, ready=ready)
