"""``lowerbound interpolate``, ``traverse``, ``manifold``, ``arithmetic`` and ``embed``: the latent space in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowerbound.cli.verbs import Answer, Force, Given, Imports, Rows, RunFolder, Seed, pairs, verb

if TYPE_CHECKING:
    from lowerbound.run import Run

STRIPS = (".png", ".gif", ".npy", ".csv")
SHEETS = (".png", ".npy", ".csv")
OVER = {"prior": "prior", "codes": "normal fitted to the codes"}

Strip = Annotated[Path, typer.Option("--out", metavar="FILE", help="Strips .png, animation .gif, or .npy, .csv.")]
Sheet = Annotated[Path, typer.Option("--out", metavar="FILE", help="Picture .png, or .npy, .csv.")]
AllRows = Annotated[
    str | None, typer.Argument(metavar="DATA", help="Known name or path [default: all rows of the run]")
]
Steps = Annotated[int, typer.Option(metavar="N", help="Steps of a path.")]
Row = Annotated[int | None, typer.Option("--row", metavar="ROW", help="Number of the row to start from.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    for function in (interpolate, traverse, manifold, arithmetic, embed):
        verb(app)(function)


def interpolate(
    run: RunFolder,
    start: Annotated[str, typer.Argument(metavar="START", help="A row's number or COLUMN=VALUE; several: a,b,...")],
    end: Annotated[str, typer.Argument(metavar="END", help="The same, as many.")],
    data: AllRows = None, *, out: Strip, steps: Steps = 9,
    path: Annotated[str, typer.Option(metavar="linear|spherical|density", help="Which way.")] = "linear",
    given: Given = [], force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Decode what lies between rows or groups.

    COLUMN=VALUE is the mean code of a group of rows. density is the way of least length where steps cost the more the
    less dense the prior is.
    """
    from lowerbound.tasks.interpolate import interpolate as task

    opened = _open(run, imports, out, STRIPS, force, given)
    ends = [[_end(word) for word in words.split(",")] for words in (start, end)]
    found = task(opened, *ends, steps=steps, path=path, data=data)  # type: ignore[arg-type]  # checked there
    found.save(out, force=force)
    return Answer({"out": str(out), "paths": list(found.rows), "steps": steps, "path": path}, _lines(out, found.rows))


def traverse(
    run: RunFolder, data: AllRows = None, *, out: Strip, steps: Steps = 9,
    dimensions: Annotated[
        str, typer.Option(metavar="N|z1,z2,...", help="How many, those of the largest KL first; or which.")
    ] = "10",
    over: Annotated[
        str | None, typer.Option(metavar="prior|codes", help="Whose range [default: the prior's, if there is one]")
    ] = None,
    share: Annotated[float, typer.Option(metavar="S", help="Of the range.")] = 0.98,
    row: Row = None, given: Given = [], force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Move one latent dimension at a time and decode."""
    from lowerbound.tasks.traverse import traverse as task

    opened = _open(run, imports, out, STRIPS, force, given)
    chosen = int(dimensions) if dimensions.isdigit() else _dimensions(dimensions)
    found = task(opened, chosen, steps=steps, over=over, share=share, row=row, data=data)  # type: ignore[arg-type]  # checked there
    found.save(out, force=force)
    rows = [
        {"dimension": f"z{z + 1}", "kl": float(kl), "low": float(p[0]), "high": float(p[-1]), "name": name or None}
        for z, kl, p, name in zip(found.dimensions, found.kl, found.points, found.names, strict=True)
    ]  # fmt: skip
    return Answer({"out": str(out), "dimensions": rows}, _lines(out, [text.replace("\n", "  ") for text in found.rows]))


def manifold(
    run: RunFolder, data: AllRows = None, *, out: Sheet,
    side: Annotated[int, typer.Option(metavar="N", help="Places along each axis.")] = 20,
    plane: Annotated[
        str, typer.Option(metavar="dimensions|principal", help="Of two dimensions, or where the codes vary most.")
    ] = "dimensions",
    dimensions: Annotated[
        str | None, typer.Option(metavar="z1,z2", help="Which two [default: those of the largest KL]")
    ] = None,
    show: Annotated[str, typer.Option(metavar="both|images|map", help="In the picture.")] = "both",
    row: Row = None, given: Given = [], force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Decode a grid over a plane of the latent space.

    Each place of the grid holds the same share of the prior; those without data are pale.
    """
    from lowerbound import figures
    from lowerbound.tasks.manifold import manifold as task

    opened = _open(run, imports, out, SHEETS, force, given)
    two = None if dimensions is None else tuple(_dimensions(dimensions))
    found = task(opened, side=side, plane=plane, dimensions=two, row=row, data=data)  # type: ignore[arg-type]  # checked there
    if out.suffix.lower() == ".png":
        figures.save(found.figure(show), out, force=force)  # type: ignore[arg-type]  # checked there
    else:
        found.save(out, force=force)
    facts = {"out": str(out), "axes": list(found.names), "side": side, "over": found.over, "empty": found.empty}
    text = f"{found.names[0]} and {found.names[1]}: no data on {found.empty:.1%} of the {OVER[found.over]}"
    return Answer(facts, _lines(out, [text]))


def arithmetic(
    run: RunFolder,
    attribute: Annotated[str, typer.Argument(metavar="ATTRIBUTE", help="COLUMN or COLUMN=VALUE; thickness, slant.")],
    *, out: Strip,
    method: Annotated[
        str, typer.Option(metavar="means|probe", help="Difference of means, or across a linear rule's border.")
    ] = "means",
    within: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Compare only rows of the same value of this column.")
    ] = None,
    strengths: Annotated[str, typer.Option(metavar="A,B,...", help="Multiples of the vector, ascending.")] =
        "-1,-0.5,0,0.5,1,1.5,2",
    rows: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Of the run's data [default: test rows without it]")
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="Keep what reconstructions miss of each row.")] = False,
    show: Annotated[int, typer.Option(metavar="N", help="Strips in the picture.")] = 8,
    draws: Annotated[int, typer.Option(metavar="N", help="Of the bootstrap.")] = 200,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Give rows more or less of an attribute.

    Its vector is learnt on the run's training rows. A classifier of real rows says how far it worked and what else
    changed. A column of more than two values asks whether it is above the median.
    """
    from lowerbound.tasks.arithmetic import arithmetic as task

    opened = _open(run, imports, out, STRIPS, force)
    chosen = None if rows is None else [_whole(word) for word in rows.split(",")]
    found = task(
        opened, attribute, method=method, within=within, strengths=_numbers(strengths), rows=chosen,  # type: ignore[arg-type]  # checked there
        details=details, show=show, draws=draws, seed=seed,
    )  # fmt: skip
    found.save(out, force=force)
    return Answer({"out": str(out), **found.as_dict()}, _lines(out, [str(found)]))


def embed(
    run: RunFolder, data: Rows = None, *, out: Sheet,
    method: Annotated[str, typer.Option(metavar="pca|tsne", help="Of the map.")] = "pca",
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="To colour by [default: label]")] = None,
    perplexity: Annotated[float, typer.Option(metavar="N", help="Neighbours that t-SNE keeps, about.")] = 30.0,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Lay codes out on a map, in two dimensions."""
    from lowerbound.tasks.embed import embed as task

    opened = _open(run, imports, out, SHEETS, force)
    found = task(opened, data, method=method, by=by, perplexity=perplexity, seed=seed)  # type: ignore[arg-type]  # checked there
    found.save(out, force=force)
    explained = None if found.explained is None else list(found.explained)
    facts = {"out": str(out), "rows": len(found), "method": method, "explained": explained}
    return Answer(facts, f"{len(found)} rows in {out}")


def _open(
    path: Path, imports: list[Path], out: Path, endings: tuple[str, ...], force: bool, given: Sequence[str] = ()
) -> "Run":
    """The run, if its answer can be written: asked before the work is done."""
    from lowerbound.outputs import writable
    from lowerbound.run import open

    writable(out, force=force, endings=endings)
    opened = open(path, imports=imports)
    return opened.at(pairs(given)) if given else opened


def _lines(out: Path, lines: Any) -> str:
    return "\n".join([*lines, str(out)])


def _end(word: str) -> int | str:
    return word if "=" in word else _whole(word)


def _whole(word: str) -> int:
    from lowerbound.errors import BadOption

    try:
        return int(word)
    except ValueError:
        raise BadOption("not the number of a row", found=repr(word)) from None


def _numbers(words: str) -> list[float]:
    from lowerbound.errors import BadOption

    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        raise BadOption("not numbers", where="--strengths", found=repr(words), expected="as 0,0.5,1") from None


def _dimensions(words: str) -> list[int]:
    """``z1,z3`` to 0 and 2."""
    from lowerbound.errors import BadOption

    found = [word.strip().removeprefix("z") for word in words.split(",")]
    if not all(word.isdigit() for word in found):
        raise BadOption("not latent dimensions", where="--dimensions", found=repr(words), expected="as z1,z2")
    return [int(word) - 1 for word in found]
