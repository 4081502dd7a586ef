"""What every verb shares: ``--json``, ``--debug``, one line for a user's mistake, and exit codes."""

import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption

from lowerbound.errors import BadOption, LowerboundError
from lowerbound.markup import finite

INTERRUPTED = 130
DISK = 5
TOGETHER = ("fit",)  # what several processes started by torchrun do together
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"  # colours and moves; titles; the rest
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that fit wrote.")]
Rows = Annotated[str | None, typer.Argument(metavar="DATA", help="Known name or path [default: the test rows]")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it: .npy, .csv or .png.")]
Imports = Annotated[
    list[Path], typer.Option("--import", metavar="FILE.py", help="Parts of your own; may be given again.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over what is there.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the draws.", min=0)]
Samples = Annotated[int, typer.Option("--samples", metavar="K", help="Draws a row for log p(x).", min=1)]
Given = Annotated[
    list[str], typer.Option("--given", metavar="NAME=VALUE", help="What the run is conditioned on; may be given again.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True)
class Answer:
    """What a verb found: ``facts`` for ``--json``, ``text`` for people, and how the command ends."""

    facts: Mapping[str, Any]
    text: str
    code: int = 0


class Group(TyperGroup):
    """A set of verbs. Its --help is False, not None, when it is not given: to read None typer would load pydantic."""

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option


def group(about: str = "") -> typer.Typer:
    """An empty set of verbs."""
    return typer.Typer(
        cls=Group,
        help=about,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def verb(
    app: typer.Typer, name: str = "", options: Sequence[inspect.Parameter] = ()
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Make a verb of a function: its arguments are those of the command line, its answer is printed.

    Args:
        app: what the verb belongs to.
        name: if not the function's own.
        options: further ones, given to the function by name.
    """

    def register(function: Callable[..., Answer]) -> Callable[..., Answer]:
        signature = inspect.signature(function)
        own = [parameter for parameter in signature.parameters.values() if parameter.kind != parameter.VAR_KEYWORD]
        wants_json = "as_json" in signature.parameters

        def command(*, as_json: bool, debug: bool, **given: Any) -> None:
            with one_line(debug):
                if function.__name__ not in TOGETHER:
                    _refuse_many(name or function.__name__)
                answer = function(**given, as_json=as_json) if wants_json else function(**given)
                line = json.dumps(finite(answer.facts), default=str) if as_json else plain(answer.text)
            if not rank():
                typer.echo(line)
            raise typer.Exit(answer.code)

        shared = [_flag("as_json", Json), _flag("debug", Debug)]
        parameters = [*(parameter for parameter in own if parameter.name != "as_json"), *options, *shared]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
        command.__doc__ = function.__doc__
        app.command(name or function.__name__)(command)
        return function

    return register


def pairs(words: Sequence[str]) -> dict[str, str]:
    """What ``--given`` says, by name.

    >>> pairs(["label=7"])
    {'label': '7'}
    """
    found = {}
    for word in words:
        name, equals, value = (side.strip() for side in word.partition("="))
        if not (name and equals and value) or name in found:
            raise BadOption("not a condition", where="--given", found=repr(word), expected="NAME=VALUE, each name once")
        found[name] = value
    return found


def _flag(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)


@contextmanager
def one_line(debug: bool) -> Iterator[None]:
    """Turn what goes wrong inside into a line on stderr and an exit code."""
    try:
        yield
    except BrokenPipeError:  # whoever read the output has had enough
        raise
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc(file=sys.stderr)
        message, code = verdict(error)
        tell(f"rank {rank()}: {message}" if rank() else message)
        raise typer.Exit(code) from None


def _refuse_many(name: str) -> None:
    world = os.environ.get("WORLD_SIZE") or "1"
    if world != "1":
        raise BadOption(f"no verb for several processes: {name}", where="WORLD_SIZE", found=world, expected="1",
                        mend="Start it without torchrun.")  # fmt: skip


def rank() -> str:
    """The number of this process among those that torchrun started; empty for the first, and for one alone."""
    return os.environ.get("RANK", "").lstrip("0")


def verdict(error: BaseException) -> tuple[str, int]:
    """The line and the exit code of an error."""
    if isinstance(error, LowerboundError):
        return f"error {error.id}: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(error, OSError) and error.strerror:
        return f"error: {error.strerror}" + (f": {error.filename}" if error.filename else ""), DISK
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"error: {what}. This is a defect of lowerbound; --debug shows where.", 1


def tell(message: str) -> None:
    """Say something on stderr."""
    typer.echo(plain(message), err=True)


def counting(words: str) -> Callable[[int, int], None]:
    """A function of what is done and what there is to do that writes both over one line of a terminal's stderr."""
    terminal = sys.stderr.isatty()

    def show(done: int, of: int) -> None:
        if terminal:
            typer.echo(f"\r{words.format(done, of)}" + "\n" * (done == of), nl=False, err=True)

    return show


def plain(text: str) -> str:
    r"""Text without terminal codes and control characters, whatever the names in it hold.

    >>> plain("a\x1b[31mb\x07")
    'ab'
    """
    return CONTROL.sub("", text)


def table(rows: Iterable[Sequence[object]]) -> str:
    """Rows of texts in aligned columns.

    >>> print(table([("name", "rows"), ("mnist", 70000)]))
    name   rows
    mnist  70000
    """
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
