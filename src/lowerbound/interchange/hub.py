"""A run in the layout of the Hugging Face Hub: ``config.json``, ``model.safetensors``, and a card of its numbers."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import torch

from lowerbound import audit
from lowerbound.__about__ import __version__
from lowerbound.errors import BadOption, MissingExtra, RunError
from lowerbound.files import write_together
from lowerbound.model import assemble
from lowerbound.report import heading
from lowerbound.run import Run, open

FILES = ("config.toml", "history.jsonl", "environment.json", "split.npz", "model.safetensors", "model.json",
         "config.json", "README.md")  # fmt: skip
COMMIT = re.compile("[0-9a-f]{40}")
LARGEST = 1 << 20  # bytes of model.json


def save_pretrained(run: Run, folder: str | Path, *, force: bool = False) -> Path:
    """Write a run as the Hub keeps models; ``from_pretrained`` and ``open`` read it.

    Neither rows nor the path that they came from are in it; the split of a set that is known by name is.

    Args:
        run: trained.
        folder: to write.
        force: write over what is there.

    Raises:
        OutputExists: there is something, and ``force`` was not given.

    >>> from tempfile import TemporaryDirectory
    >>> from lowerbound.train import fit
    >>> with TemporaryDirectory() as folder:
    ...     path = save_pretrained(fit("digits", latent=2, epochs=1, progress=False), f"{folder}/model")
    ...     from_pretrained(path).model.latent
    2
    """
    known = run.facts["known"]
    facts = {**run.facts, "source": run.facts["source"] if known else ""}
    settings = run.config if known else replace(run.config, data=replace(run.config.data, name=run.facts["name"]))
    shared = replace(run, config=settings, facts=facts, data=run.data if known else None, path=None)
    path = shared.save(folder, force=force)
    config = {"library_name": "lowerbound", "lowerbound_version": __version__, "model_type": "vae", **run.model.spec}
    write_together(path, {"config.json": json.dumps(config, indent=1) + "\n", "README.md": card(run)})
    return path


def from_pretrained(name: str | Path, *, revision: str = "", imports: Sequence[str | Path] = ()) -> Run:
    """Read a run that ``save_pretrained`` wrote, from a folder or from the Hub. Nothing in it is run as code.

    Args:
        name: of a folder, or of a model on the Hub.
        revision: the commit, all 40 digits of it: what a name stands for may change. Not of a folder.
        imports: files with parts of your own.

    Raises:
        BadOption: a model on the Hub without its commit. MissingExtra: huggingface_hub is not installed.
        RunError: not a run, damaged, or weights that are not those of its configuration.
    """
    folder = Path(name) if Path(name).is_dir() else Path(_download(str(name), revision))
    _check_size(folder)
    return open(folder, imports=imports)


def push_to_hub(run: Run, name: str, *, private: bool = True, token: str | None = None) -> str:
    """Put a run on the Hub, with its card.

    Args:
        run: trained.
        name: of the model there, ``user/model``.
        private: whether others cannot see it.
        token: of the user; that of ``hf auth login`` when left out.

    Returns:
        The address of the commit.

    Raises:
        MissingExtra: huggingface_hub is not installed.
    """
    from tempfile import TemporaryDirectory

    interface = _hub().HfApi(token=token)
    interface.create_repo(name, private=private, exist_ok=True)
    with TemporaryDirectory() as folder:
        path = save_pretrained(run, Path(folder) / "model")
        return str(interface.upload_folder(repo_id=name, folder_path=path, allow_patterns=list(FILES)))


def card(run: Run) -> str:
    """What to know of a run before using it, made from its own numbers."""
    held = run.history[-1] if run.history else {}
    figures = {key: value for key, value in held.items() if key.startswith("validation_")}
    rows = [f"| {key.removeprefix('validation_')} | {value:.4g} |" for key, value in figures.items()]
    table = ["| on validation rows, last epoch | nats per row |", "|---|---|", *rows] if rows else []
    shape = " × ".join(map(str, run.model.shape))
    name = re.sub(r"[^\w .,-]", "_", heading(run))
    return "\n".join([
        "---", "library_name: lowerbound", "tags:", "- variational-autoencoder", "---", "", f"# {name}", "",
        f"- rows of {shape}, latent dimension {run.model.latent}, {run.facts['rows']} rows in all",
        f"- {audit.line(run.loss)}",
        f"- {run.summary['epochs']} epochs, stopped: {run.summary['stopped']}", "", *table, "",
        "```python", "from lowerbound.interchange.hub import from_pretrained", "",
        'run = from_pretrained("user/model", revision="the commit, 40 digits")', "```", "",
    ])  # fmt: skip


def _check_size(folder: Path) -> None:
    """Refuse weights that are not those of the configuration, before anything of their size is made."""
    facts, weights = folder / "model.json", folder / "model.safetensors"
    if not facts.is_file() or not weights.is_file() or facts.stat().st_size > LARGEST:
        raise RunError("not a run", where=str(folder), expected="model.json and model.safetensors")
    try:
        spec = json.loads(facts.read_text("utf-8"))["spec"]
        with safetensors.safe_open(weights, "pt") as file:
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        with torch.device("meta"):
            wanted = {name: tuple(value.shape) for name, value in assemble(spec).state_dict().items()}
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise RunError("cannot be read", where=str(folder), found=str(error)[:200]) from None
    if held != wanted:
        odd = sorted(name for name in held.keys() | wanted.keys() if held.get(name) != wanted.get(name))
        raise RunError("weights that are not those of the configuration", where=str(folder), found=", ".join(odd[:3]))


def _download(name: str, revision: str) -> str:
    if not COMMIT.fullmatch(revision):
        raise BadOption("no commit", where="revision", found=repr(revision), expected="all 40 digits of one",
                        mend="What a name stands for may change; the Hub shows the commits of a model.")  # fmt: skip
    return str(_hub().snapshot_download(name, revision=revision, allow_patterns=list(FILES)))


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra("the Hugging Face Hub", "hub") from None
    return huggingface_hub
