"""The figures of a run folder: how training went, what the model makes, what its latent space looks like."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.data import Data
from lowerbound.errors import LowerboundError, MissingExtra
from lowerbound.files import make_folder, write_whole
from lowerbound.run import Run
from lowerbound.tasks.evaluate import bound_terms
from lowerbound.tasks.generate import sample
from lowerbound.tasks.latent import reconstruct

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Terms = Mapping[str, npt.NDArray[Any]]

SAMPLES = 64
COMPARED = 16
ROWS = 1000  # on the map and in the bars: enough to see, and quick


def draw(run: Run, folder: str | Path) -> list[str]:
    """Draw the figures of a run into a folder, over those that are there.

    Args:
        run: trained, with its rows at hand.
        folder: is made if it is not there.

    Returns:
        One line for each figure that could not be drawn.
    """
    drawn, missing = pictures(run)
    keep(drawn, folder)
    return missing


def pictures(run: Run) -> tuple[dict[str, bytes], list[str]]:
    """The figures of a run as PNG, by name, and one line for each that could not be drawn.

    Args:
        run: trained, with its rows at hand.
    """
    rows, drawn, missing = held_out(run)[0], {}, []
    terms = bound_terms(run, run.resident(rows), 0)
    for name, figure in FIGURES.items():
        try:
            made = figure(run, rows, terms)
            if made is not None:
                drawn[name] = figures.png(made)
        except MissingExtra as error:
            return {}, [f"no figures: {error}"]
        except LowerboundError as error:
            missing.append(f"no figure {name}: {error}")
    return drawn, missing


def keep(drawn: Mapping[str, bytes], folder: str | Path) -> None:
    """Write figures as PNG files into a folder, over those that are there; those of other runs go."""
    folder = Path(folder)
    make_folder(folder)
    for name in FIGURES:
        (folder / f"{name}.png").unlink(missing_ok=True)
    for name, content in drawn.items():
        write_whole(folder / f"{name}.png", content)


def training(run: Run, rows: Data, terms: Terms) -> "Figure | None":
    """The reported value by epoch."""
    if not run.history:
        return None
    reports = next(key.removeprefix("train_") for key in run.history[0] if key.startswith("train_"))
    found = {part: [line.get(f"{part}_{reports}") for line in run.history] for part in ("train", "validation")}
    seen = {part: values for part, values in found.items() if None not in values}
    return figures.training_curves(seen, title=heading(run), quantity=f"{reports.replace('_', ' ')} per row")


def samples(run: Run, rows: Data, terms: Terms) -> "Figure | None":
    """Images: means of p(x|z) of z from the prior. Tables: draws from p(x|z) beside the data, column by column."""
    if not run.model.posterior_family.has_density:  # its codes were not fitted to the prior
        return None
    if rows.is_image:
        made = sample(run, SAMPLES).values.clip(0, 1)
        return figures.image_grid(made, title=f"{heading(run)}: samples, mean of p(x|z)")
    x = rows.values() if rows.mask is None else np.where(rows.mask, rows.values(), np.nan)
    names = rows.columns or tuple(f"x{i + 1}" for i in range(x.shape[1]))
    made = sample(run, ROWS, kind="draw").values
    return figures.table_histograms(x, made, names, title=f"{heading(run)}: samples")


def reconstructions(run: Run, rows: Data, terms: Terms) -> "Figure | None":
    """Images above what the model makes of them."""
    if not rows.is_image:
        return None
    some = rows.take(slice(0, COMPARED))
    return figures.reconstructions(some.values().clip(0, 1), reconstruct(run, some).clip(0, 1), title=heading(run))


def latent(run: Run, rows: Data, terms: Terms) -> "Figure | None":
    """Posterior means in the two dimensions that the model uses most, coloured by label."""
    if run.model.latent < 2:
        return None
    mean, divergence = terms["mean"], terms.get("kl_per_dimension")
    use = mean.var(0) if divergence is None or divergence.ndim == 1 else divergence.mean(0)
    chosen = np.sort(np.argsort(-use, kind="stable")[:2])
    names = (f"z{chosen[0] + 1}", f"z{chosen[1] + 1}")
    title = f"{heading(run)}: posterior means"
    return figures.latent_map(mean[:, chosen], rows.labels, rows.label_names, title=title, axis_labels=names)


def kl(run: Run, rows: Data, terms: Terms) -> "Figure | None":
    """KL(q || p) of each dimension."""
    found = terms.get("kl_per_dimension")
    return None if found is None or found.ndim == 1 else figures.kl_bars(found.mean(0), title=heading(run))


FIGURES: dict[str, Callable[[Run, Data, Terms], "Figure | None"]] = {
    "training": training, "samples": samples, "reconstructions": reconstructions, "latent": latent, "kl": kl,
}  # fmt: skip


def held_out(run: Run) -> tuple[Data, str]:
    """At most ``ROWS`` rows that the model was not trained on, else training rows; and which part they are of."""
    split = run.facts["split"]
    part = next((part for part in ("test", "validation") if split[part]), "train")
    return run.rows(part=part).take(slice(0, ROWS)), part


def heading(run: Run) -> str:
    """What a run is called."""
    return f"{run.summary['recipe']} on {run.facts['name']}"
