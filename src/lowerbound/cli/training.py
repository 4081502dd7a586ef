"""``lowerbound fit``."""

from collections.abc import Iterator, Mapping
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from lowerbound.cli.verbs import DISK, INTERRUPTED, Answer, Force, Imports, rank, tell, verb
from lowerbound.config import PARTS, SETTINGS, Config, check_parts, full_path, override, parse_value, read_toml
from lowerbound.errors import BadOption, ConfigError, DiskError
from lowerbound.recipes import resolve

ENDED = {"interrupted": INTERRUPTED, "terminated": 143}
NAMED = (
    "latent", "epochs", "batch", "seed", "device", "precision", "threads", "encoder", "posterior", "prior", "decoder",
    "likelihood", "objective", "corruption", "binarize", "query", "columns",
)  # fmt: skip
"""Settings that have an option of their own; all others are reached by ``--set``."""


def settings() -> Iterator[Parameter]:
    """The option of each named setting, as the configuration describes it."""
    defaults = Config().as_dict()
    for name in NAMED:
        path = full_path(name)
        rule, default = SETTINGS[path], _at(defaults, path)
        kind = str if path in PARTS else rule.kind
        shown = "NAME[:K=V,...]" if path in PARTS else "|".join(rule.choices) or "N"
        default = "none" if default is None else default["name"] if path in PARTS else default
        about = f"{_sentence(rule.about)} [default: {default}]"
        option = typer.Option(f"--{name}", metavar=shown, help=about)
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    verb(app, options=list(settings()))(fit)


def fit(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Known name (lowerbound data list) or path.")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="Folder to write [default: runs/DATA-RECIPE]")
    ] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME", help="A row of lowerbound recipes.")] = "vae",
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings laid over the recipe.")] = None,
    changes: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="As train.rate=1e-3; may be given again.")
    ] = [],  # noqa: B006  # read only
    imports: Imports = [],  # noqa: B006
    force: Force = False,
    resume: Annotated[
        str, typer.Option(metavar="auto|never", help="Go on from the last checkpoint in RUN, if there is one.")
    ] = "never",
    time_budget: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds after which training stops and is kept.", min=0)
    ] = None,
    rank_timeout: Annotated[
        float, typer.Option(metavar="S", help="Under torchrun: seconds until a silent process counts as lost.", min=1)
    ] = 600.0,
    init: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Start from the weights of another run of the same make.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a known set that is not here.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    **named: Any,
) -> Answer:
    """Train a model and write a run folder.

    A setting is taken from the recipe, then --config, then --set, then the options named after settings; the defaults
    shown are those of the recipe vae. The folder holds the model, its configuration and history, figures, and a page
    that tells of it (report.html). Ctrl-C
    ends the training and keeps the model as it is; --resume auto goes on from there, to the same bits. Started by
    torchrun, several processes share the rows of every batch.
    """
    chosen = settle(recipe, config, changes, named, foreign=bool(imports))
    folder = out or Path("runs") / f"{Path(data).resolve().stem}-{recipe}"
    from lowerbound import page
    from lowerbound.train import FINISHED
    from lowerbound.train import fit as train

    run = train(
        data, recipe=recipe, config=chosen, out=folder, imports=imports, force=force, progress=not quiet,
        download=download, resume=resume, time_budget=time_budget, init=init, rank_timeout=rank_timeout,  # type: ignore[arg-type]  # checked there
    )  # fmt: skip
    if rank():
        return Answer({}, "", ENDED.get(run.summary["stopped"], 0))
    facts = {"run": str(folder), "resumed": None, "notes": [], "not_saved": None, **run.summary}
    code = ENDED.get(facts["stopped"], 0)
    if facts["not_saved"]:
        tell(f"error {DiskError.id}: {facts['not_saved']}")
        code = DISK
    untouched = facts["stopped"].startswith(FINISHED) and (folder / "figures").is_dir()
    for note in [] if code or untouched else page.leave(run, folder):
        tell(note)
    return Answer(facts, _text(data, facts), code)


def settle(
    recipe: str, config: Path | None, changes: list[str], named: Mapping[str, Any], *, foreign: bool = False
) -> Config:
    """The configuration that a command line asks for, checked as far as that needs no data.

    Raises:
        ConfigError: every setting that cannot be used.
    """
    fragment = {} if config is None else read_toml(_text_of(config), str(config))
    base = resolve(recipe, fragment=fragment, where=str(config))
    given = dict(assignment(change) for change in changes)
    given |= {full_path(name): value for name, value in named.items() if value is not None}
    return check_parts(override(base, given, "command line"), foreign=foreign, where="command line")


def assignment(written: str) -> tuple[str, Any]:
    """The path and the value of ``--set PATH=VALUE``.

    >>> assignment("latent=8")
    ('model.latent', 8)

    Raises:
        BadOption: no ``=``.
    """
    path, equals, value = written.partition("=")
    if not equals or not path.strip():
        raise BadOption("not a setting", where="--set", found=f"'{written}'", expected="KEY=VALUE, as train.rate=1e-3")
    return full_path(path.strip()), parse_value(value.strip(), f"--set {path}")


def _sentence(about: str) -> str:
    return about if about.startswith("p(") else f"{about[0].upper()}{about[1:]}."


def _text_of(path: Path) -> bytes:
    if not path.is_file():
        raise ConfigError("no such file", where=f"--config {path}", mend="Give the path of a TOML file.")
    return path.read_bytes()


def _at(tree: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key)  # type: ignore[assignment]  # a leaf at the end
    return tree


def _text(data: str, facts: Mapping[str, Any]) -> str:
    from lowerbound.audit import held_to

    best = facts["best"] or {}
    value = next((f", {name.replace('_', ' ')} {best[name]:.2f} nats" for name in best if name != "epoch"), "")
    epoch = f" at epoch {best['epoch']}" if best else ""
    line = f"{facts['recipe']} on {data}: {facts['epochs']} epochs in {facts['seconds']:.1f} s{value}{epoch}"
    held = f"\n{held_to(facts['reached'])}" if "reached" in facts else ""
    return f"{line} ({facts['stopped']}){held}\n{facts['run']}"
