"""The command line: thin verbs. Neither torch nor numpy is loaded before the arguments are parsed."""

import sys
from typing import Annotated

import typer

from lowerbound.__about__ import __version__
from lowerbound.cli import (
    checking,
    comparing,
    datasets,
    disentangling,
    explaining,
    exploring,
    exporting,
    filling,
    labels,
    latent,
    likelihoods,
    listing,
    refitting,
    serving,
    sweeping,
    training,
    using,
)
from lowerbound.cli.verbs import group

app = group("Variational autoencoders whose every printed number says what it is.")
for module in (
    training, using, latent, filling, refitting, comparing, sweeping, disentangling, labels, likelihoods, explaining,
    exporting, exploring, serving, datasets, listing, checking,
):  # fmt: skip
    module.attach(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lowerbound {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Variational autoencoders whose every printed number says what it is."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "±" shows "?"
    app(prog_name="lowerbound")
