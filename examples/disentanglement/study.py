"""VAE, beta-VAE, capacity, beta-TC, FactorVAE and DIP on the grid of dSprites: train, measure, tabulate, draw.

README.md beside this file says what it found and how it compares with the literature.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import lowerbound as lb
from lowerbound import figures
from lowerbound.errors import Incompatible
from lowerbound.figures.canvas import PALETTE, QUIET, TEXT, chart, finish, name_axes
from lowerbound.files import write_whole

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "vae": ("vae", {}),
    "beta-vae-2": ("beta-vae", {"objective__beta": 2.0}),
    "beta-vae-4": ("beta-vae", {"objective__beta": 4.0}),
    "beta-vae-8": ("beta-vae", {"objective__beta": 8.0}),
    "capacity-vae": ("capacity-vae", {}),
    "beta-tcvae": ("beta-tcvae", {}),
    "factor-vae": ("factor-vae", {}),
    "dip-vae-i": ("dip-vae-i", {}),
    "dip-vae-ii": ("dip-vae-ii", {}),
}
"""A recipe and what is changed in it, by the name of the method; beta-VAE with beta 1 is vae."""
MEASURES = ("mig", "factor_vae", "beta_vae", "sap_continuous", "modularity")
SHOWN = {
    "mig": "MIG", "factor_vae": "FactorVAE metric", "beta_vae": "beta-VAE metric", "sap_continuous": "SAP, correlation",
    "modularity": "modularity", "sharpness": "sharpness", "kl": "KL (nats)", "elbo": "ELBO (nats)",
}  # fmt: skip
BETAS = ("vae", "beta-vae-2", "beta-vae-4", "beta-vae-8")
LITERATURE = {
    "mig": (0.102, 0.180), "factor_vae": (0.660, 0.736), "beta_vae": (0.823, 0.864), "modularity": (0.822, 0.852)
}  # fmt: skip
"""Medians of beta-VAE and beta-TCVAE over strengths and seeds: Locatello et al. 2020, arXiv:2002.02886."""
STOPPED = ("interrupted", "terminated")
STRIDE = 7  # of the rows that sharpness is measured on; it divides no side of the grid


@dataclass(frozen=True)
class Protocol:
    """How every run is trained.

    Args:
        epochs: passes over the rows; there is no early stopping and no held-out part.
        outer: units of the hidden layer beside the pictures, of either net.
        inner: of the one beside the codes.
        batch: rows a step.
        rate: of Adam.
        every: of the orientations and places, each one (1), each other (2), and so on.
    """

    epochs: int = 16
    outer: int = 128
    inner: int = 256
    batch: int = 64
    rate: float = 1e-3
    every: int = 1

    @property
    def widths(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of the encoder and of the decoder."""
        return (self.outer, self.inner), (self.inner, self.outer)


QUICK = Protocol(epochs=4, every=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not there yet, then write the table and the pictures of all that is."""
    asked = _parser().parse_args(arguments)
    protocol = QUICK if asked.quick else Protocol(epochs=asked.epochs)
    jobs = [(asked.out, method, seed, protocol) for seed in range(asked.seeds) for method in asked.methods.split(",")]
    jobs = [job for job in jobs if not asked.report or _measures(*job[:3]).is_file()]
    found: list[dict[str, Any]] = []
    try:
        for row in _all(jobs, asked.workers):
            found.append(row)
            print(f"{len(found)} of {len(jobs)}: {row['method']}, seed {row['seed']}, MIG {row['mig']:.3f}", flush=True)
    except KeyboardInterrupt:
        print("broken off; the same command goes on from here", flush=True)
    if found:
        print(report(asked.out, found))
        draw(asked.out, found, grid(protocol.every))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/disentanglement"))
    parser.add_argument("--methods", default=",".join(METHODS), help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=Protocol.epochs)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    parser.add_argument("--quick", action="store_true", help="an eighth of the rows and 4 epochs: to see that it works")
    parser.add_argument("--report", action="store_true", help="train nothing: table and pictures of what is there")
    return parser


def _measures(folder: Path, method: str, seed: int) -> Path:
    """The file that says that a run is done."""
    return folder / "runs" / f"{method}-{seed}" / "measures.json"


def _all(jobs: Sequence[tuple[Path, str, int, Protocol]], workers: int) -> Iterator[dict[str, Any]]:
    """What the runs reach, as they are done."""
    if workers == 1:
        yield from (one(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from (done.result() for done in as_completed([pool.submit(one, *job) for job in jobs]))


def grid(every: int = 1) -> lb.Data:
    """The 46,080 pictures; with ``every`` a thinner grid of orientations and places."""
    data = lb.load("dsprites-grid")
    places = [np.unique(column, return_inverse=True)[1] for column in np.asarray(data.factors)[:, 2:].T]
    kept = np.all([place % every == 0 for place in places], axis=0)
    return data if kept.all() else data.take(np.flatnonzero(kept))


def one(folder: Path, method: str, seed: int, protocol: Protocol) -> dict[str, Any]:
    """What one run reaches: trained, or gone on with, unless its measures are there already."""
    kept, asked = _measures(folder, method, seed), {"method": method, "seed": seed, "protocol": asdict(protocol)}
    if kept.is_file():
        there: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        if there["protocol"] != asked["protocol"]:
            mend = "Choose another folder with --out."
            raise Incompatible(
                "trained in another way", where=str(kept.parent), found=str(there["protocol"]), mend=mend
            )
        return there
    data = grid(protocol.every)
    row = {**asked, **measured(train(data, kept.parent, method, seed, protocol), data)}
    write_whole(kept, json.dumps(row, indent=1) + "\n")
    return row


def train(data: lb.Data, out: Path | None, method: str, seed: int, protocol: Protocol) -> lb.Run:
    """The trained run; one that was broken off in ``out`` goes on from its last checkpoint."""
    recipe, own = METHODS[method]
    inwards, outwards = (f"mlp:widths={list(sizes)}" for sizes in protocol.widths)
    run = lb.fit(
        data, recipe=recipe, seed=seed, out=out, resume="auto" if out else "never", progress=False, latent=10,
        encoder=inwards, decoder=outwards, epochs=protocol.epochs, batch=protocol.batch, rate=protocol.rate, patience=0,
        validation=0, test=0, threads=1, **own,
    )  # fmt: skip
    if run.summary["stopped"] in STOPPED:
        raise KeyboardInterrupt  # the next call goes on from there
    return run


def measured(run: lb.Run, data: lb.Data) -> dict[str, Any]:
    """Measures with what a rotation of the factors scores, sharpness, and the bound at the end of training."""
    found = lb.disentangle(run, data, measures=MEASURES, paths=False)
    some, last = data.take(np.arange(0, data.rows, STRIDE)), run.history[-1]
    sharpness = gradient_energy(lb.reconstruct(run, some)) / gradient_energy(some.values())
    return {
        **{name: found.measures[name].value for name in MEASURES}, "sharpness": sharpness, "kl": last["train_kl"],
        "elbo": last["train_elbo"], "rotation": {name: found.measures[name].rotation for name in MEASURES},
        "notes": list(found.scores.notes), "seconds": run.summary["seconds"],
    }  # fmt: skip


def gradient_energy(images: Any) -> float:
    """The squared differences of neighbouring pixels, down and across, summed over a picture; the mean of pictures.

    >>> gradient_energy(np.eye(2)[None, None])
    4.0
    """
    x = np.asarray(images, dtype=np.float64)
    return float(sum((np.diff(x, axis=axis) ** 2).sum() for axis in (2, 3)) / len(x))


def report(folder: Path, found: Sequence[Mapping[str, Any]]) -> str:
    """Write and give the table, and what must be said beside it."""
    text = "\n".join([*table(found), "", *(f"- {note}" for note in _notes(found))]) + "\n"
    write_whole(folder / "study.md", text)
    write_whole(folder / "study.json", json.dumps(list(found), indent=1) + "\n")
    return text


def table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Medians and quartiles over the seeds, and published ones."""
    yield "| method | seeds | " + " | ".join(SHOWN.values()) + " |"
    yield "|---" * (2 + len(SHOWN)) + "|"
    for method, rows in gathered(found).items():
        cells = [_quartiles([row[name] for row in rows]) for name in SHOWN]
        yield f"| {method} | {len(rows)} | " + " | ".join(cells) + " |"
    for place, name in enumerate(("beta-VAE, published", "beta-TCVAE, published")):
        cells = [f"{LITERATURE[key][place]:.3f}" if key in LITERATURE else "" for key in SHOWN]
        yield f"| {name} | | " + " | ".join(cells) + " |"


def gathered(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The runs of each method, by seed; methods without runs are left out."""
    order = sorted(found, key=lambda row: int(row["seed"]))
    by_method = {method: [row for row in order if row["method"] == method] for method in METHODS}
    return {method: rows for method, rows in by_method.items() if rows}


def _quartiles(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    digits = 3 if abs(middle) < 10 else 1
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _notes(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the numbers do not say themselves."""
    saturated = sum(row["beta_vae"] > 0.95 for row in found)
    turned = {name: np.median([row["rotation"][name] for row in found]) for name in ("mig", "factor_vae", "beta_vae")}
    yield (f"the beta-VAE metric saturates: {saturated} of {len(found)} runs are above 0.95, and a rotation of the "
           f"factors, which is not disentangled at all, scores {turned['beta_vae']:.3f}")  # fmt: skip
    yield f"that rotation has a FactorVAE metric of {turned['factor_vae']:.3f} and a MIG of {turned['mig']:.3f}"
    yield "sharpness: gradient energy of the reconstructions, as a ratio to that of the pictures"
    yield from sorted({note for row in found for note in row["notes"] if "perfect code" in note})


def draw(folder: Path, found: Sequence[Mapping[str, Any]], data: lb.Data) -> list[Path]:
    """Every measure by method, sharpness against MIG, and the codes of the run with the median MIG of each method."""
    by_method = gathered(found)
    panels = {
        label: {method: [row[name] for row in rows] for method, rows in by_method.items()}
        for name, label in SHOWN.items()
    }
    title = f"dSprites, {data.rows} pictures: medians and quartiles over seeds"
    made = {"measures.png": figures.comparison(panels, title=title), "trade.png": _trade(by_method)}
    for method, rows in by_method.items():
        middle = sorted(rows, key=lambda row: float(row["mig"]))[len(rows) // 2]
        run = lb.open(folder / "runs" / f"{method}-{middle['seed']}")
        pictures = lb.disentangle(run, data, measures=["mig", "sap_continuous"]).pictures()
        made |= {f"{method}-{name}": figure for name, figure in pictures}
    return [figures.save(figure, folder / name, force=True) for name, figure in made.items()]


def _trade(by_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    """Sharpness against MIG: a dot a run, and a line through the medians of beta-VAE."""
    figure, axes = chart(6.4, 4.2, "What disentanglement costs", "a dot a run; line: medians of beta 1, 2, 4, 8")
    found = {method: np.array([(row["sharpness"], row["mig"]) for row in rows]) for method, rows in by_method.items()}
    path = np.array([np.median(found[method], axis=0) for method in BETAS if method in found])
    if len(path) > 1:
        axes.plot(*path.T, color=QUIET, linewidth=1, zorder=1)
    for colour, (method, places) in zip(PALETTE, found.items(), strict=False):
        axes.plot(*places.T, color=colour, label=method, marker="o", markersize=4.5, linestyle="none")
    axes.legend(frameon=False, fontsize=TEXT, labelcolor=QUIET, loc="center left", bbox_to_anchor=(1.0, 0.5))
    name_axes(axes, "sharpness of reconstructions: their gradient energy, as a ratio to that of the data", "MIG")
    return finish(figure)


if __name__ == "__main__":
    main()
