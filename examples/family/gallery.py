"""A small run of every recipe on real data: a picture and a number each, on one page.

    python examples/family/gallery.py --out runs/family

Budgets are small, so that all of it takes minutes: the numbers say that a recipe works, not how far it can go.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import lowerbound as lb
from lowerbound import figures
from lowerbound.data.counts import most_variable
from lowerbound.data.source import Split
from lowerbound.files import write_whole
from lowerbound.recipes import RECIPES

SHOWN, TRAINED, JUDGED = 12, 5000, 500  # pictures in a row; rows of MNIST
GENES = 300
SMALL = {"validation": 0, "test": 0, "split": "given", "patience": 0, "threads": 1}


@dataclass(frozen=True)
class Entry:
    """What is done with a recipe.

    Args:
        recipe: its name.
        data: a name of DATA.
        picture: a name of PICTURES.
        number: a name of NUMBERS.
        settings: beyond the recipe's own and those of SMALL.
    """

    recipe: str
    data: str
    picture: str
    number: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def _small(**more: Any) -> dict[str, Any]:
    """Nets with one hidden layer of 200, 20 epochs."""
    return {"encoder": "mlp:widths=[200]", "decoder": "mlp:widths=[200]", "epochs": 20, **more}


ENTRIES = (
    Entry("pca", "frey-face", "reconstructions", "log_p", {"latent": 10}),
    Entry("linear-vae", "frey-face", "reconstructions", "log_p", {"latent": 10, "epochs": 150, "rate": 5e-3}),
    Entry("ae", "mnist", "reconstructions", "error", _small()),
    Entry("overcomplete-ae", "mnist", "denoised", "error", _small()),
    Entry("dae", "mnist", "denoised", "error", _small()),
    Entry("vae", "mnist", "samples", "log_p", _small()),
    Entry("beta-vae", "mnist", "samples", "log_p", _small()),
    Entry("gaussian-vae", "frey-face", "reconstructions", "log_p", _small(latent=10, epochs=60)),
    Entry("sigma-vae", "frey-face", "reconstructions", "log_p", _small(latent=10, epochs=60)),
    Entry("classic-mnist", "mnist", "samples", "cross_entropy", {"epochs": 10}),
    Entry("aevb-mnist", "mnist", "manifold", "log_p", {"latent": 2, "epochs": 60}),
    Entry("aevb-frey", "frey-face", "reconstructions", "log_p", {"epochs": 300}),
    Entry("burda-1layer", "mnist", "samples", "log_p", {"epochs": 10}),
    Entry("iwae", "mnist", "samples", "log_p", _small()),
    Entry("dreg", "mnist", "samples", "log_p", _small()),
    Entry("stl", "mnist", "samples", "log_p", _small()),
    Entry("vamp-vae", "mnist", "samples", "log_p", _small(prior="vamp:components=100")),
    Entry("flow-prior-vae", "mnist", "samples", "log_p", _small()),
    Entry("info-vae", "mnist", "samples", "log_p", _small()),
    Entry("wae-mmd", "mnist", "reconstructions", "error", _small()),
    Entry("capacity-vae", "dsprites-grid", "traversal", "reached", _small(latent=10)),
    Entry("constrained-vae", "mnist", "traversal", "reached", _small()),
    Entry("geco", "frey-face", "traversal", "reached", _small(latent=10, epochs=60, objective__limit=5.0)),
    Entry("beta-tcvae", "dsprites-grid", "traversal", "mig", _small(latent=10)),
    Entry("factor-vae", "dsprites-grid", "traversal", "mig", _small(latent=10)),
    Entry("dip-vae-i", "dsprites-grid", "traversal", "mig", _small(latent=10)),
    Entry("dip-vae-ii", "dsprites-grid", "traversal", "mig", _small(latent=10)),
    Entry("count-vae", "sc-mixology", "map", "log_p", _small(epochs=60, batch=32)),
)


ELSEWHERE = ("cvae", "m1", "m1-m2", "m2", "not-miwae", "table-vae")
"""Recipes that are about labels or tables, which no picture here would show."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, draw and measure what is not there yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/family"))
    parser.add_argument("--recipes", default=",".join(entry.recipe for entry in ENTRIES), help="names, commas between")
    asked = parser.parse_args(arguments)
    chosen = [entry for entry in ENTRIES if entry.recipe in asked.recipes.split(",")]
    for entry in chosen:
        print(f"{entry.recipe}: {shown(entry, asked.out)}", flush=True)
    print(page(asked.out))


def shown(entry: Entry, out: Path) -> str:
    """The number of an entry; its picture stands beside it."""
    folder = out / entry.recipe
    kept = folder / "number.json"
    if not kept.is_file():
        settings = {**SMALL, **entry.settings}
        run = lb.fit(
            rows(entry.data), recipe=entry.recipe, out=folder, resume="auto", progress=False, **settings
        )  # fmt: skip
        figures.save(PICTURES[entry.picture](run), folder / "picture.png", force=True)
        write_whole(kept, json.dumps({"number": NUMBERS[entry.number](run)}) + "\n")
    return str(json.loads(kept.read_text("utf-8"))["number"])


def rows(name: str) -> lb.Data:
    """Rows of a data set, with a split that every recipe shares."""
    data = DATA[name]()
    assert data.split is not None
    return replace(data, split=replace(data.split, how="given"))


def page(out: Path) -> Path:
    """Write the page of all that is there."""
    parts = ["# The family\n"]
    for entry in ENTRIES:
        if (out / entry.recipe / "number.json").is_file():
            known, own = RECIPES[entry.recipe], ", ".join(f"{key} = {value}" for key, value in entry.settings.items())
            link = f"[{known.citation.authors} {known.citation.year}]({known.citation.link})"
            parts.append(
                f"## {entry.recipe}\n\n{known.title}. {link}\n\n{shown(entry, out)}\n\n"
                f"![{entry.picture}]({entry.recipe}/picture.png)\n\nOn {entry.data} with {own}.\n"
            )
    write_whole(out / "gallery.md", "\n".join(parts))
    return out / "gallery.md"


def _mnist() -> lb.Data:
    """The first rows of either part."""
    data = lb.load("mnist").take(np.r_[:TRAINED, 60_000 : 60_000 + JUDGED])
    train, test = np.arange(TRAINED), np.arange(TRAINED, data.rows)
    return replace(data, split=Split(train, train[:0], test, "given", 0))


def _sprites() -> lb.Data:
    """Each seventh picture: 7 divides no side of the grid."""
    data = lb.load("dsprites-grid")
    return data.take(np.arange(0, data.rows, 7)).with_split(0, JUDGED)


def _cells() -> lb.Data:
    """The genes that vary most among the cells of the training part."""
    data = lb.load("sc-mixology").with_split(0, 0.2)
    return most_variable(data, GENES, of=data.train)


DATA: dict[str, Callable[[], lb.Data]] = {
    "mnist": _mnist,
    "frey-face": lambda: lb.load("frey-face").with_split(0, JUDGED, how="time"),
    "dsprites-grid": _sprites,
    "sc-mixology": _cells,
}


def _samples(run: lb.Run) -> Any:
    images = lb.sample(run, 4 * SHOWN).values.clip(0, 1)
    title = f"{run.summary['recipe']} on {run.facts['name']}: means of p(x|z), z from the prior"
    return figures.image_grid(images, columns=SHOWN, title=title)


PICTURES: dict[str, Callable[[lb.Run], Any]] = {
    "reconstructions": lambda run: lb.reconstructions(run, rows=SHOWN).figure(),
    "denoised": lambda run: lb.reconstructions(run, rows=SHOWN, corruption="gaussian:scale=0.3").figure(),
    "samples": _samples,
    "manifold": lambda run: lb.manifold(run).figure("images"),
    "traversal": lambda run: lb.traverse(run, 8).figure(),
    "map": lambda run: lb.embed(run, run.data).figure(),
}


def _log_p(run: lb.Run) -> str:
    found = lb.score(run, samples=100)
    return f"log p(x) of {len(found.log_likelihood)} test rows: {found.mean:.1f} ± {found.mean_se:.1f} nats"


def _error(run: lb.Run) -> str:
    test = run.rows()
    error = np.mean((lb.reconstruct(run, test) - test.values()) ** 2)
    return f"squared error of {test.rows} test rows: {error:.4f} a cell"


def _cross_entropy(run: lb.Run) -> str:
    found = lb.evaluate(run, samples=1).as_dict()["cross_entropy_bound"]
    return f"cross-entropy + KL of the test rows: {found['mean']:.1f} ± {found['se']:.1f} nats"


def _reached(run: lb.Run) -> str:
    found = run.summary["reached"].items()
    return ", ".join(f"{name.replace('_', ' ')} {_aimed(value)}" for name, value in found)


def _aimed(value: Any) -> str:
    return f"{value['reached']:.2f}, asked {value['aim']:g}" if isinstance(value, Mapping) else f"{value:.2f}"


def _mig(run: lb.Run) -> str:
    found = lb.disentangle(run, measures=["mig", "factor_vae"], paths=False).measures
    return "; ".join(f"{name}: {score}" for name, score in found.items())


NUMBERS: dict[str, Callable[[lb.Run], str]] = {
    "log_p": _log_p, "error": _error, "cross_entropy": _cross_entropy, "reached": _reached, "mig": _mig,
}  # fmt: skip

if __name__ == "__main__":
    main()
