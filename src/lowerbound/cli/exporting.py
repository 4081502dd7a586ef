"""``lowerbound export``: a run for those who do not have this package."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowerbound.cli.verbs import Answer, Force, Imports, Rows, RunFolder, Seed, verb
from lowerbound.errors import BadOption

if TYPE_CHECKING:
    from lowerbound.run import Run


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app)(export)


def export(
    run: RunFolder, data: Rows = None, *,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="A page for a browser.")] = None,
    onnx: Annotated[Path | None, typer.Option("--onnx", metavar="DIR", help="ONNX files.")] = None,
    torch: Annotated[Path | None, typer.Option("--torch", metavar="DIR", help="Files of torch.export.")] = None,
    hub: Annotated[Path | None, typer.Option("--hub", metavar="DIR", help="Layout of the Hugging Face Hub.")] = None,
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Rows in the page at most [default: 1500, fewer of large ones]")
    ] = None,
    seed: Seed = 0, force: Force = False, imports: Imports = [],  # noqa: B006
) -> Answer:  # fmt: skip
    """Write a run for a browser or other programs.

    The page (`--html`) shows the latent space in any browser, with no network: a map of the rows, every point of which
    decodes at once, sliders, ways between rows, attributes, samples and reconstructions. It holds the decoder and the
    rows that it shows; without DATA these are rows of all parts of the run's own data. `--onnx` and `--torch` write
    encoder mean, decoder and score, whose noise is an input, as graphs.
    """
    from lowerbound.run import open

    wanted = [kind for kind, path in {"html": html, "onnx": onnx, "torch": torch, "hub": hub}.items() if path]
    if len(wanted) != 1 or (not html and (data or rows)):
        mend = "Give one of --html, --onnx, --torch and --hub; rows go with --html only."
        raise BadOption("not one thing to write", where="export", found=", ".join(wanted) or "none", mend=mend)
    opened = open(run, imports=imports)
    if html:
        from lowerbound.explorer.export import export_html

        page = export_html(opened, html, data, rows=rows, seed=seed, force=force)
        return Answer(page.as_dict(), str(page))
    if onnx:
        from lowerbound.interchange.onnx import export_onnx

        files = export_onnx(opened, onnx, force=force)
        return Answer(files.as_dict(), str(files))
    return _other(opened, torch, hub, force)


def _other(run: "Run", torch: Path | None, hub: Path | None, force: bool) -> Answer:
    if torch:
        from lowerbound.interchange.graphs import export_torch

        files = export_torch(run, torch, force=force)
        return Answer({"out": str(torch), "graphs": files, "difference": None}, f"{torch}: {', '.join(files)}")
    from lowerbound.interchange.hub import save_pretrained

    path = save_pretrained(run, hub or Path(), force=force)
    return Answer({"out": str(path)}, f"{path}: a model for the Hub")
