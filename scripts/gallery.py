"""Make the pictures that variational autoencoders are known by, on real data, and a page with a number for each.

Trained runs are kept beside the pictures and used again, so a second call only draws; one that was broken off goes on.
Needs MNIST, the Frey faces and the Olivetti faces. A few minutes on two cores.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import lowerbound as lb
from lowerbound import figures
from lowerbound.data.holes import hide
from lowerbound.errors import LowerboundError
from lowerbound.figures.filling import filling
from lowerbound.markup import Markup, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
Settings = Mapping[str, Any]

OUT = Path("runs/gallery")
KNOWN = 10_000  # training images that nearest ones are looked for among
PAIRS = ((3, 8), (1, 7), (4, 9), (0, 6), (2, 5))  # digits at the two ends of a path
STYLE = "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}img{max-width:100%}"

DIGITS = {"data": "mnist", "validation": 1000, "schedule": "cosine", "patience": 0}
PLANE = {**DIGITS, "latent": 2, "epochs": 15}
SPACE = {**DIGITS, "latent": 16, "epochs": 12}
FACES = {"scaling": "none", "test": 0.25, "validation": 0, "patience": 0}
WIDE = {"name": "mlp", "widths": [512]}
RUNS: dict[str, Settings] = {
    "digits-ae": {**PLANE, "recipe": "ae"},
    "digits-plane": {**PLANE, "recipe": "vae"},
    "digits-pca": {**SPACE, "recipe": "pca", "epochs": 0, "schedule": "constant"},
    "digits-vae": {**SPACE, "recipe": "vae"},
    "digits-beta": {**SPACE, "recipe": "beta-vae"},
    "frey": {"data": "frey-face", "recipe": "vae", "latent": 2, "scaling": "none", "split": "time", "epochs": 300,
             "likelihood": {"name": "gaussian", "scale": "fixed", "value": 0.1, "mean": "sigmoid"},
             "validation": 0, "test": 0.1, "schedule": "cosine", "patience": 0},
    "olivetti": {**FACES, "data": "olivetti", "recipe": "vae", "latent": 64, "encoder": WIDE, "decoder": WIDE,
                 "likelihood": {"name": "gaussian", "scale": "fixed", "value": 0.07}, "split": "group:subject",
                 "batch": 32, "epochs": 300},
}  # fmt: skip


class Runs:
    """Trained runs by name: trained when they are first asked for, kept in a folder, and taken from there after.

    Args:
        folder: that holds a folder for each.
        table: what ``fit`` is told for each.
    """

    def __init__(self, folder: Path, table: Mapping[str, Settings]) -> None:
        self.folder, self.table = folder, table
        self.open: dict[str, lb.Run] = {}

    def __getitem__(self, name: str) -> lb.Run:
        if name not in self.open:
            self.open[name] = lb.fit(out=self.folder / name, resume="auto", progress=False, **self.table[name])
        return self.open[name]


@dataclass(frozen=True)
class Shown:
    """Figures in rows, and the number that goes with them."""

    panels: Sequence[Sequence["Figure"]]
    number: str

    @property
    def figure(self) -> "Figure":
        return figures.beside(*(figures.beside(*row) for row in self.panels), down=True)


def holes(runs: Runs) -> Shown:
    """Where an autoencoder's codes lie, and a VAE's."""
    planes = [lb.manifold(runs[name], side=14) for name in ("digits-ae", "digits-plane")]
    number = (
        f"places of the grid without data: {planes[0].empty:.0%} of the autoencoder's (a normal fitted to its codes), "
        f"{planes[1].empty:.0%} of the VAE's (its prior)"
    )
    return Shown([[plane.figure()] for plane in planes], number)


def reconstructions(runs: Runs) -> Shown:
    """Test digits over what two and sixteen numbers keep of them."""
    names = {"PCA": "digits-pca", "autoencoder": "digits-ae", "VAE ": "digits-plane", "VAE": "digits-vae"}
    test = runs["digits-vae"].rows()
    x, lines, labels, errors = test.values(), [test.values(slice(0, 16))], ["original"], []
    for name, key in names.items():
        made = lb.reconstruct(runs[key])
        lines.append(made[:16])
        labels.append(f"{name.strip()}, {runs[key].model.latent} numbers")
        errors.append(f"{labels[-1]}: {np.mean((made - x) ** 2):.4f}")
    sheet = figures.traversal(_cut(np.stack(lines)), row_labels=labels, title="MNIST: test digits and reconstructions")
    return Shown([[sheet]], "mean squared error against the grey test digits: " + "; ".join(errors))


def digits_plane(runs: Runs) -> Shown:
    """Figure 4b of Kingma and Welling: digits from a plane."""
    return _plane(runs["digits-plane"])


def frey_plane(runs: Runs) -> Shown:
    """Figure 4a of Kingma and Welling: a face from a plane."""
    return _plane(runs["frey"])


def _plane(run: lb.Run) -> Shown:
    found = lb.manifold(run, side=20)
    scores = lb.score(run, samples=100)
    told = f"log p(x) of test images {scores.mean:.1f} ± {scores.mean_se:.1f} nats"
    number = f"{told}; {found.empty:.0%} of the prior holds no data"
    return Shown([[found.figure("images")]], number)


def interpolation(runs: Runs) -> Shown:
    """From digit to digit through the latent space, above the cross-fade of the pixels."""
    run = runs["digits-vae"]
    test = run.rows()
    ends = [[_typical(run, digit) for digit in side] for side in zip(*PAIRS, strict=True)]
    paths = _cut(lb.interpolate(run, *ends, steps=11, data=test).values)
    share = np.linspace(0, 1, 11).reshape(1, 11, 1, 1, 1)
    faded = (1 - share) * paths[:, :1] + share * paths[:, -1:]
    lines = np.stack([paths, faded], axis=1).reshape(-1, *paths.shape[1:])
    labels = [label for pair in PAIRS for label in ("{} → {}".format(*pair), "pixels")]
    sheet = figures.traversal(lines, row_labels=labels, title="MNIST: between test digits, by codes and by pixels")
    latent, pixels = (_nearest(run, middle[:, 5]) for middle in (paths, faded))
    number = (
        f"squared distance of the middle to the nearest training image: {latent:.1f} by codes, {pixels:.1f} by pixels"
    )
    return Shown([[sheet]], number)


def glasses(runs: Runs) -> Shown:
    """Glasses put on people whom neither model nor classifier has seen."""
    found = lb.arithmetic(runs["olivetti"], "glasses", details=True, show=6, strengths=(-1, -0.5, 0, 0.5, 1, 1.5))
    judged = f"a classifier right on {found.judge['mean']:.0%} of unseen faces"
    number = f"the probability of glasses rises by {found.rise:.2f} (median of {len(found.numbers)} faces; {judged})"
    return Shown([[found.figure()]], number)


def samples(runs: Runs) -> Shown:
    """Digits that nobody wrote, beside some that were written."""
    run = runs["digits-vae"]
    made, real = _cut(lb.sample(run, 100).values), run.rows().values(slice(0, 100))
    sheets = [figures.image_grid(x, columns=10, title=title)
              for x, title in ((made, "MNIST: from the prior"), (real, "test digits"))]  # fmt: skip
    near = [_nearest(run, x) for x in (made, real)]
    number = f"squared distance to the nearest training image: {near[0]:.1f}, of test digits {near[1]:.1f}"
    return Shown([sheets], number)


def beta(runs: Runs) -> Shown:
    """What single dimensions do, where the KL counts once and four times."""
    found = {"VAE": runs["digits-vae"], "β-VAE, β = 4": runs["digits-beta"]}
    panels, numbers = [], []
    for name, run in found.items():
        ways = lb.traverse(run, run.model.latent)
        best = _cut(ways.values[:8])
        strips = figures.traversal(
            best, row_labels=ways.rows[:8], column_labels=ways.steps, title=f"{name}: one dimension at a time"
        )
        order = np.argsort(ways.dimensions)
        bars = figures.kl_bars(ways.kl[order], title=f"{name}: KL of each dimension")
        panels.append(figures.beside(strips, bars, down=True))
        error = float(np.mean((lb.reconstruct(run) - run.rows().values()) ** 2))
        numbers.append(f"{name}: KL {ways.kl.sum():.1f} nats, {(ways.kl > 0.01).sum()} dimensions active, "
                       f"mean squared error {error:.4f}")  # fmt: skip
    return Shown([panels], "; ".join(numbers))


def inpainting(runs: Runs) -> Shown:
    """Half, a box, and random pixels filled in."""
    run = runs["digits-vae"]
    test = run.rows()
    some = test.take(np.array([_typical(run, digit) for digit in (3, 5, 8)]))
    x = some.values()
    panels, told = [], []
    for how, name in (("half", "half"), ("box:0.5", "a box"), ("random:0.8", "four pixels in five")):
        mask = hide(some, how).mask
        found = lb.impute(run, some, mask=mask, draws=4)
        panels.append(
            filling(x, mask, found.draws * some.unit, found.mean, complete=True, title=f"MNIST: {name} hidden")
        )
        told.append(f"{name} {np.mean((found.mean - x)[~mask] ** 2):.3f}")
    return Shown([[panel] for panel in panels], "mean squared error of the hidden pixels: " + ", ".join(told))


def _typical(run: lb.Run, digit: int) -> int:
    """Number of the test row whose code is nearest to the mean of its digit, among the first ones."""
    some = run.rows().take(slice(0, 2000))
    rows = np.flatnonzero(some.labels == digit)
    codes = lb.encode(run, some.take(rows))
    return int(rows[((codes - codes.mean(0)) ** 2).sum(1).argmin()])


def _cut(x: Array) -> Array:
    """Within what a screen can show."""
    return x.clip(0, 1)


def _nearest(run: lb.Run, x: Array) -> float:
    """Mean over rows of the squared distance to the nearest of the first training rows."""
    known = run.rows(part="train").values(slice(0, KNOWN)).reshape(-1, x[0].size)
    flat = x.reshape(len(x), -1)
    apart = (flat**2).sum(1)[:, None] - 2 * flat @ known.T + (known**2).sum(1)
    return float(apart.min(1).mean())


PICTURES: dict[str, Callable[[Runs], Shown]] = {
    picture.__name__.replace("_", "-"): picture
    for picture in (
        holes, reconstructions, digits_plane, frey_plane, interpolation, glasses, samples, beta, inpainting,
    )
}  # fmt: skip


def make(out: Path, names: Sequence[str], runs: Runs, tell: Callable[[str], None]) -> dict[str, str]:
    """Draw pictures into a folder and write its page; what was drawn before stays on it.

    Returns:
        Of each picture that could not be made, why.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "numbers.json"
    numbers: dict[str, str] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    failed: dict[str, str] = {}
    for name in names:
        start = time.perf_counter()
        try:
            shown = PICTURES[name](runs)
            figures.save(shown.figure, out / f"{name}.png", force=True)
            numbers[name] = shown.number
        except LowerboundError as error:
            failed[name] = str(error)
        tell(f"{name} ({time.perf_counter() - start:.0f} s): {failed.get(name, numbers.get(name))}")
    kept.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "index.html").write_text(page(numbers, failed), encoding="utf-8")
    return failed


def page(numbers: Mapping[str, str], failed: Mapping[str, str]) -> Markup:
    """Every picture with its number, and what was in the way of others."""
    title = "Pictures of variational autoencoders on real data"
    parts = []
    for name in PICTURES:
        if name in failed:
            parts += [tag("h2", name), tag("p", f"not made: {failed[name]}")]
        elif name in numbers:
            says = _says(PICTURES[name])
            image = tag("img", src=f"{name}.png", alt=says)
            parts += [tag("h2", f"{name}: {says}"), tag("p", numbers[name]), image]
    head = tag("head", tag("meta", charset="utf-8"), tag("title", title), tag("style", Markup(STYLE)))
    return Markup("<!doctype html>\n" + tag("html", head, tag("body", tag("h1", title), *parts), lang="en"))


def _says(picture: Callable[[Runs], Shown]) -> str:
    return (picture.__doc__ or "").rstrip(".")


def main() -> int:
    """Make them from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="PICTURE", help=f"all when left out: {', '.join(PICTURES)}")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (%(default)s)")
    chosen = parser.parse_args()
    if strange := [name for name in chosen.names if name not in PICTURES]:
        parser.error(f"no picture '{strange[0]}': {', '.join(PICTURES)}")
    runs = Runs(chosen.out / "runs", RUNS)
    failed = make(chosen.out, chosen.names or list(PICTURES), runs, lambda line: print(line, flush=True))  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
