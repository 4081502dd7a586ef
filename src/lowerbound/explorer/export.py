"""``export_html``: a run as one page to open or to mail."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lowerbound import audit
from lowerbound.__about__ import __version__
from lowerbound.errors import BadOption, Incompatible, OutputExists
from lowerbound.explorer import decoder, shown, told
from lowerbound.explorer.blob import Blob
from lowerbound.explorer.page import page
from lowerbound.files import write_whole
from lowerbound.report import heading
from lowerbound.run import Run

DRAWS = 240  # from the prior
FORMAT = 1
MANY = 20_000_000  # weights that a browser is not sent
FAR = {"far": True, "weights": 32}  # instead of a decoder that is computed elsewhere


@dataclass(frozen=True)
class Exported:
    """A page that was written.

    Args:
        path: where.
        size: bytes.
        rows: of the data that it holds.
        weights: bits of each: 16 where these do as well, else 32.
    """

    path: Path
    size: int
    rows: int
    weights: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"out": str(self.path), "bytes": self.size, "rows": self.rows, "weights": self.weights}

    def __str__(self) -> str:
        return f"{self.path}: {self.size / 1e6:.2f} MB, with {self.rows} rows of the data in it"


def export_html(
    run: Run, path: str | Path, data: Any = None, *, rows: int | None = None, seed: int = 0, force: bool = False
) -> Exported:
    """Write a page that shows a run's latent space in any browser, with no network and nothing installed.

    It holds the decoder, the codes and the values of some rows, and draws from the prior: whoever gets the page gets
    these rows.

    Args:
        run: trained.
        path: of the page.
        data: rows to show, as ``load`` takes them; all rows of the run's own data, evenly spread, when left out.
        rows: how many at most; as many as the page carries easily when left out, 1500 for small images.
        seed: of the draws.
        force: write over what is there.

    Raises:
        Incompatible: the page has no code for a part of the model, by its name.
        DataError: the run's rows are not at hand and none were given.
        BadOption: fewer than one row.
        OutputExists: the file is there, and ``force`` was not given.
        DiskError: it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from lowerbound.train import fit
    >>> with TemporaryDirectory() as folder:
    ...     export_html(fit("digits", latent=2, epochs=1, progress=False), f"{folder}/page.html", rows=50).rows
    50
    """
    path = claim(path, force)
    if rows is not None and rows < 1:
        raise BadOption("not a number of rows", where="rows", found=str(rows), expected="1 or more")
    content, facts = render(run, data, rows=rows, seed=seed)
    write_whole(path, content)
    return Exported(path, path.stat().st_size, facts["rows"]["count"], facts["decoder"]["weights"])


def claim(path: str | Path, force: bool) -> Path:
    """The path, if the page can be written there; its folder is made."""
    path = Path(path)
    if path.is_dir() or (path.exists() and not force):
        raise OutputExists("already there", where=str(path), mend="Choose another name, or overwrite it with force.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def render(run: Run, data: Any = None, *, rows: int | None = None, seed: int = 0) -> tuple[str, dict[str, Any]]:
    """The page as HTML, and the plain values in it; arguments as of ``export_html``."""
    facts, arrays = gather(run, data, rows=rows, seed=seed)
    return page(facts, arrays), facts


def gather(
    run: Run, data: Any = None, *, rows: int | None = None, seed: int = 0, far: bool = False
) -> tuple[dict[str, Any], str]:
    """The plain values of a page and its arrays as one text; arguments as of ``export_html``.

    Args:
        run: trained.
        data: rows to show.
        rows: how many at most.
        seed: of the draws.
        far: whether a decoder that the page has no code for, or that is very large, may be left out, since a server
            computes it.
    """
    blob, weight = Blob(), next(run.model.parameters())
    chosen = shown.choose(run, data, rows, seed)
    draws = told.draws(run, DRAWS, seed)
    where = told.inputs(run, torch.as_tensor(chosen.codes).to(weight), draws, chosen.told)
    facts = {
        "format": FORMAT, "version": __version__, "title": heading(run), "audit": audit.line(run.loss),
        "about": _about(run, chosen), "shape": list(run.model.shape), "image": chosen.data.is_image,
        "columns": list(chosen.data.columns), "latents": shown.latents(chosen),
        "decoder": _decoder(run, where, blob, far), "rows": shown.describe(run, chosen, blob),
        "conditions": told.describe(run, chosen.told), "given": run.told, "prior": told.prior(run, blob),
        "draws": None if draws is None else blob.add(draws.cpu(), "f4"),
    }  # fmt: skip
    facts["arrays"] = blob.index
    return facts, blob.text


def _decoder(run: Run, where: torch.Tensor, blob: Blob, far: bool) -> dict[str, Any]:
    apart = far and run.schema is None and not run.model.context
    if apart and sum(weight.numel() for weight in run.model.decoder.parameters()) > MANY:
        return FAR
    try:
        return decoder.describe(run.model, where, blob)
    except Incompatible:
        if not apart:
            raise
        return FAR


def _about(run: Run, chosen: shown.Shown) -> list[list[str]]:
    """What to know of the run, as pairs of texts."""
    of = run.facts["rows"] if chosen.parts is not None else chosen.data.name
    best = (run.summary.get("best") or {}).get("epoch")
    return [
        ["data", f"{run.facts['name']}, rows of {' × '.join(map(str, run.model.shape))}"],
        ["on the map", f"{len(chosen.numbers)} rows of {of}"],
        ["trained", f"{run.summary['epochs']} epochs" + (f", best epoch {best}" if best else "")],
        ["latent dimensions", str(run.model.latent)],
        ["weights of the decoder", f"{sum(weight.numel() for weight in run.model.decoder.parameters())}"],
    ]
