"""``lowerbound sweep``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lowerbound.cli.training import assignment, settings
from lowerbound.cli.verbs import Answer, Samples, tell, verb
from lowerbound.config import full_path
from lowerbound.errors import BadOption


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app, options=[option for option in settings() if option.name not in ("seed", "threads")])(sweep)


def sweep(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Known name (lowerbound data list) or path.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the table, the picture and the runs.")],
    over: Annotated[
        list[str], typer.Option(metavar="KEY=A,B,...", help="What is varied, or KEY=LOW..HIGH[:log]; or again.")
    ],
    seeds: Annotated[str, typer.Option(metavar="N|A..B", help="How many from 0, or from which to which.")] = "1",
    recipe: Annotated[str, typer.Option(metavar="NAME", help="A row of lowerbound recipes.")] = "vae",
    search: Annotated[
        str, typer.Option(metavar="grid|optuna", help="All combinations, or where it was good.")
    ] = "grid",
    trials: Annotated[int | None, typer.Option(metavar="N", help="Points of optuna.", min=1)] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes side by side [default: the cores]", min=1)
    ] = None,
    samples: Samples = 200,
    changes: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="For all trials; may be given again.")
    ] = [],  # noqa: B006  # read only
    retry: Annotated[bool, typer.Option("--retry", help="Train again what failed, diverged or was killed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train again what is there with other settings.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch a known set that is not here.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    **named: Any,
) -> Answer:  # fmt: skip
    """Try many settings side by side and choose the best.

    Each trial is trained in a process of its own with one thread. The best is the one with the highest log p(x) of the
    validation rows, and what is not told apart from it is said. DIR gets sweep.csv, sweep.md, sweep.json, sweep.png and
    the runs, in trials. The same command again goes on with what is not done; a trial that fails does not stop the
    others.
    """
    from lowerbound.tasks.sweep import sweep as task

    given = dict(assignment(change) for change in changes)
    given |= {full_path(name): value for name, value in named.items() if value is not None}
    found = task(data, over, out=out, seeds=_seeds(seeds), recipe=recipe, search=search,  # type: ignore[arg-type]
                 trials=trials, workers=workers, samples=samples, retry=retry, force=force,
                 progress=None if quiet else _line, download=download, **given)  # fmt: skip
    if not quiet:
        tell(f"in {out}: sweep.csv, sweep.md, sweep.json, sweep.png")
    return Answer({"out": str(out), **found.as_dict()}, str(found))


def _seeds(written: str) -> int | list[int]:
    """How many seeds, or which.

    >>> _seeds("3"), _seeds("2..4"), _seeds("1,5")
    (3, [2, 3, 4], [1, 5])
    """
    low, dots, high = written.partition("..")
    words = [low, high] if dots else written.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise BadOption("not seeds", where="--seeds", found=repr(written), expected="3, 0..4 or 1,5")
    numbers = [int(word) for word in words]
    if dots:
        return list(range(numbers[0], numbers[1] + 1))
    return numbers if len(numbers) > 1 else numbers[0]


def _line(row: dict[str, Any], done: int, of: int | None) -> None:
    """Say what came of a trial."""
    from lowerbound.tasks.choosing import name_of

    found = row["log_likelihood"]
    reached = (
        f"{row['state']}: {row['reason']}" if found is None else f"log p(x) {found['mean']:.2f} ± {found['se']:.2f}"
    )
    tell(f"{done}{'' if of is None else f' of {of}'}: {name_of(row['point'])}, seed {row['seed']}: {reached}")
