"""``lowerbound check`` and ``lowerbound selftest``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowerbound.cli.verbs import Answer, plain, verb

if TYPE_CHECKING:
    from lowerbound.checks import Check


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    verb(app)(check)
    verb(app)(selftest)


def check(file: Annotated[Path, typer.Argument(metavar="FILE.py", help="With parts of your own.")]) -> Answer:
    """Try what the parts of a file promise.

    Ends with 1 if a promise is not kept.
    """
    from lowerbound.checks import check as task

    found = task(file)
    return _answer(found, [_line(one) for one in found])


def selftest(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Only these, or what begins so; else all.")] = [],  # noqa: B006
    *, as_json: bool,
) -> Answer:  # fmt: skip
    """Compare results with exact answers on this machine.

    Ends with 1 if one is off.
    """
    from lowerbound.selftests import selftest as task

    def show(one: "Check") -> None:
        typer.echo(plain(_line(one)), err=as_json)

    return _answer(task(names or None, show).checks, [])


def _answer(found: "Sequence[Check]", lines: list[str]) -> Answer:
    passed = sum(one.passed for one in found)
    failed = len(found) - passed
    facts = {"passed": passed, "failed": failed, "checks": [asdict(one) for one in found]}
    return Answer(facts, "\n".join([*lines, f"{passed} passed, {failed} failed"]), int(failed > 0))


def _line(one: "Check") -> str:
    about = f" ± {one.tolerance:g}" if one.tolerance else ""
    where = f"  ({one.detail})" if one.detail else ""
    found = f"{_short(one.value)}, expected {_short(one.expected)}{about}"
    return f"{'ok' if one.passed else 'FAILED':<6}  {one.name}: {found}{where}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.8g}"
