"""``lowerbound serve``: a run behind an address."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from lowerbound.cli.training import assignment
from lowerbound.cli.verbs import Answer, Imports, RunFolder, tell, verb

if TYPE_CHECKING:
    from lowerbound.run import Run

Host = Annotated[
    str, typer.Option(metavar="ADDRESS", help="To listen at; 0.0.0.0: other machines reach it, by a --name.")
]
Port = Annotated[int, typer.Option(metavar="N", help="0 for one that is free.", min=0, max=65535)]
Names = Annotated[list[str], typer.Option("--name", metavar="HOST", help="A further name of it; may be given again.")]
Given = Annotated[
    list[str], typer.Option("--given", metavar="K=V", help="What the run is conditioned on; may be given again.")
]


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(serve)


def serve(
    run: RunFolder, *, host: Host = "127.0.0.1", port: Port = 8000, names: Names = [], given: Given = [],  # noqa: B006
    no_token: Annotated[bool, typer.Option("--no-token", help="Ask for none; on this machine only.")] = False,
    body: Annotated[int, typer.Option(metavar="BYTES", help="Of one request at most.", min=1000)] = 1_000_000,
    patience: Annotated[int, typer.Option(metavar="SECONDS", help="That an answer may take.", min=1)] = 60,
    as_json: bool = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Answer as JSON over HTTP, until Ctrl-C.

    On this machine only unless told otherwise, and with a token: that in the variable LOWERBOUND_TOKEN, else a random
    one, said at the start. `/openapi.json` describes what can be asked.
    """
    from lowerbound.run import open
    from lowerbound.server.app import Limits
    from lowerbound.server.running import serve as start

    def ready(address: str, token: str | None) -> None:
        if as_json:
            typer.echo(json.dumps({"address": address, "token": token}))
            return
        tell(f"{run} is served at {address}" + ("" if token is None else f" with the token {token}"))
        if host not in ("127.0.0.1", "localhost", "::1"):
            tell("warning: other machines reach it, and what they send and get is not encrypted")

    opened, limits = conditioned(open(run, imports=imports), given), Limits(body=body, patience=float(patience))
    start(opened, host=host, port=port, names=names, secret=not no_token, limits=limits, ready=ready)
    raise KeyboardInterrupt


def conditioned(run: "Run", given: list[str]) -> "Run":
    """The run at what it is conditioned on, if that is said."""
    return run.at(dict(assignment(each) for each in given)) if given else run
