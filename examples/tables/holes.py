"""Half of the cells of five public tables hidden, then filled in by MIWAE and by what needs no net.

    python examples/tables/holes.py --out runs/holes

LOWERBOUND_DATA names the folder that holds ``tables/``. Every column is standardised, half of all cells are hidden at
random, and the mean squared error over the hidden cells is measured, as in Mattei & Frellsen 2019, arXiv:1812.02633.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lowerbound as lb
from lowerbound.errors import DataNotFound
from lowerbound.files import write_whole
from lowerbound.measures.imputation import fill_chained, fill_gaussian, fill_mean, fill_neighbours, fill_principal

Array = np.ndarray[Any, Any]
TABLES = {
    "banknote": ("banknote.csv", ",", slice(0, 4)), "concrete": ("concrete.csv", ",", slice(0, 8)),
    "red wine": ("winequality-red.csv", ";", slice(0, 11)), "white wine": ("winequality-white.csv", ";", slice(0, 11)),
    "yeast": ("yeast.csv", ",", slice(1, 9)),
}  # fmt: skip
"""File, what parts its cells, and the columns that are filled in: all numbers but the target."""
PUBLISHED = {
    "miwae": (0.446, 0.501, 0.643, 0.735, 0.964), "kNN": (0.744, 0.962, 0.981, 0.929, 1.17),
    "mean": (1.02, 1.01, 1.00, 1.00, 1.06), "pPCA-EM": (0.682, 0.938, 0.890, 0.865, 1.05),
}  # fmt: skip
LATENT, SAMPLES = 10, 20


def read(name: str) -> Array:
    """The table's numbers, standardised, (rows, columns).

    Raises:
        DataNotFound: it is not there.
    """
    file, delimiter, columns = TABLES[name]
    path = Path(os.environ.get("LOWERBOUND_DATA", "."), "tables", file)
    if not path.is_file():
        raise DataNotFound("no such table", where=str(path), mend="Set LOWERBOUND_DATA to the folder of the data sets.")
    cells = np.genfromtxt(path, delimiter=delimiter, skip_header=1, dtype=str)[:, columns]
    x = np.char.strip(cells, '"').astype(np.float64)
    return np.asarray((x - x.mean(0)) / x.std(0))


def holed(x: Array, seed: int) -> Array:
    """With half of the cells NaN; a row may lose all of them, as in the paper."""
    hidden = np.random.default_rng(seed).permutation(x.size)[: x.size // 2]
    made = x.copy()
    made.ravel()[hidden] = np.nan
    return made


def fill_miwae(x: Array, epochs: int, seed: int) -> Array:
    """By the nets of the paper: 3 x 128 tanh, Student's t, 20 draws of z in training."""
    net = {"name": "mlp", "widths": [128] * 3, "activation": "tanh"}
    run = lb.fit(x, missing="nan", scaling="none", latent=LATENT, likelihood="student_t:scale=predicted", epochs=epochs,
                 objective=f"iwae:samples={SAMPLES}", encoder=net, decoder=net, batch=64, rate=1e-3, validation=0,
                 test=0, patience=0, progress=False, seed=seed)  # fmt: skip
    return np.asarray(lb.impute(run, x, method="importance", samples=1000).mean)


def fillers(epochs: int, seed: int) -> Mapping[str, Callable[[Array], Array]]:
    """Ways to fill in, by name; no epochs: without MIWAE."""
    found: dict[str, Callable[[Array], Array]] = {
        "mean": lambda x: fill_mean(x, x), "kNN": lambda x: fill_neighbours(x, x),
        "chained": lambda x: fill_chained(x, x), "pPCA-EM": lambda x: fill_principal(x, x, max(1, x.shape[1] // 2)),
        "Gaussian-EM": lambda x: fill_gaussian(x, x),
    }  # fmt: skip
    return {**found, **({"miwae": lambda x: fill_miwae(x, epochs, seed)} if epochs else {})}


def errors(name: str, masks: int, epochs: int) -> dict[str, list[float]]:
    """Mean squared errors over the hidden cells of one table, in units of its variances, one a mask."""
    x, found = read(name), dict[str, list[float]]()
    for seed in range(masks):
        holes = holed(x, seed)
        for filler, fill in fillers(epochs, seed).items():
            gone = np.isnan(holes)
            found.setdefault(filler, []).append(float(((fill(holes) - x)[gone] ** 2).mean()))
    return found


def line(name: str, found: Mapping[str, Sequence[float]]) -> str:
    """A row of the report: means over the masks, deviations in brackets, published means after a stroke."""
    place, cells = list(TABLES).index(name), []
    for filler, values in found.items():
        known = f" / {PUBLISHED[filler][place]:.3g}" if filler in PUBLISHED else ""
        cells.append(f"{np.mean(values):.3f} ({np.std(values):.3f}){known}")
    return f"| {name} | " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/holes"))
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=300, help="of MIWAE; 0 to leave it out")
    asked, lines = parser.parse_args(arguments), list[str]()
    for name in asked.tables.split(","):
        start, found = time.process_time(), errors(name, asked.masks, asked.epochs)
        head = ["| table | " + " | ".join(found) + " |", "|---" * (1 + len(found)) + "|"]
        lines += [*([] if lines else head), line(name, found)]
        print(f"{lines[-1]} {time.process_time() - start:.0f} s", flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    write_whole(asked.out / "holes.md", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
