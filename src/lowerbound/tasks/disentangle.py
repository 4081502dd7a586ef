"""How the codes of a run and the factors of its rows belong together, with pictures."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound import figures
from lowerbound.data import Data, load
from lowerbound.data.variations import parse_generators, variations
from lowerbound.errors import DataError, DataShape, OutputExists
from lowerbound.files import make_folder, write_whole
from lowerbound.markup import finite
from lowerbound.measures.disentanglement import LABELS, Score, Scores, Settings, disentanglement
from lowerbound.run import Run
from lowerbound.tasks.columns import all_rows, column
from lowerbound.tasks.latent import encode
from lowerbound.tasks.strips import Strips
from lowerbound.tasks.traverse import traverse

FILES = ("disentanglement.json", "disentanglement.csv", "information.png", "importances.png", "traversal.png")
SHOWN = 16  # codes in pictures at most
GAUSSIAN = ("gaussian", "full")  # posteriors whose single dimensions are normal


@dataclass(frozen=True)
class Disentanglement:
    """What ``disentangle`` found.

    Args:
        scores: the measures, what they were made with, notes, and the matrices behind them.
        paths: decoded, one a code, or None where rows are not images.
    """

    scores: Scores
    paths: Strips | None = None

    @property
    def measures(self) -> Mapping[str, Score]:
        """By name."""
        return self.scores.measures

    def as_dict(self) -> dict[str, Any]:
        """One object a measure, None for those not asked for; ``about``, ``notes``, and the matrices as lists."""
        found = self.scores
        matter = None if found.importances is None else found.importances.tolist()
        return {
            **{name: found.measures[name].as_dict() if name in found.measures else None for name in LABELS},
            "about": dict(found.about), "notes": list(found.notes), "information": found.information.tolist(),
            "importances": matter,
        }  # fmt: skip

    def __str__(self) -> str:
        return "\n".join(_lines(self.scores))

    @property
    def table(self) -> str:
        """One line a measure, comma-separated."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = ("value", "se", "perfect", "rotation", "chance")
        writer.writerow(["measure", *columns])
        for name, score in self.measures.items():
            writer.writerow([name, *("" if np.isnan(getattr(score, key)) else getattr(score, key) for key in columns)])
        return text.getvalue()

    def pictures(self) -> Iterator[tuple[str, Any]]:
        """File name and figure: mutual information, importances, paths."""
        names = [one["name"] for one in self.scores.about["factors"]]
        matrices = {
            "information.png": (self.scores.information, "Mutual information of code and factor", "nats"),
            "importances.png": (self.scores.importances, "Importance of code for factor (DCI)", "share"),
        }
        for file, (matrix, title, unit) in matrices.items():
            if matrix is not None:
                labels = [f"z{j + 1}" for j in range(len(matrix))]
                yield file, figures.heat_map(matrix, labels, names, title=title, colour_label=unit)
        if self.paths is not None:
            yield "traversal.png", self.paths.figure()

    def save(self, folder: str | Path, *, force: bool = False) -> list[Path]:
        """Write the measures (json, csv) and the pictures; gives the files.

        Raises:
            OutputExists: one of them is there, and ``force`` was not given.
        """
        folder = claim(folder, force=force)
        make_folder(folder)
        write_whole(folder / FILES[0], json.dumps(finite(self.as_dict()), indent=1, default=str) + "\n")
        write_whole(folder / FILES[1], self.table)
        drawn = [figures.save(figure, folder / name, force=force) for name, figure in self.pictures()]
        return [folder / FILES[0], folder / FILES[1], *drawn]


def claim(folder: str | Path, *, force: bool = False) -> Path:
    """The folder, if results can be written there.

    Raises:
        OutputExists: some are there, and ``force`` was not given.
    """
    there = [name for name in FILES if (Path(folder) / name).exists()]
    if there and not force:
        mend = "Choose another place, or overwrite it with force."
        raise OutputExists("already there", where=str(Path(folder) / there[0]), mend=mend)
    return Path(folder)


def disentangle(
    run: Run, data: Any = None, factors: Any = None, *, measures: Sequence[str] = (), settings: Settings | None = None,
    seed: int = 0, paths: bool = True, progress: Callable[[int, int], None] | None = None,
) -> Disentanglement:  # fmt: skip
    """Measure disentanglement: do single codes stand for single factors of the rows?

    Args:
        run: trained.
        data: rows as ``load`` takes them; all rows of the run's data when left out, whatever part they are of.
        factors: those that the data came with when left out. Else names of factors or columns (``"x,y"`` or a
            sequence; columns that the run was not trained on are taken out of the rows); the path of a file with one
            row a row; an array (rows, factors) of numbers or texts; or generators, ``"rotation=8,scale=3,position=4"``
            or a mapping: the pictures are turned, scaled and moved, and these are the factors.
        measures: names; none means all that apply. ``mig_chen`` needs normal posteriors.
        settings: bins, rows that classifiers learn from, pairs, trees.
        seed: of all draws.
        paths: decode a path along each code, for the picture.
        progress: called with steps done and in all.

    Returns:
        Every measure with its standard error, beside the same of the factors themselves (``perfect``), of a rotation of
        them, and of noise (``chance``).

    Raises:
        DataError: no factors, or such that cannot be used: of another length, with one value only, with gaps.
        UnknownName: an unknown measure, column or generator.

    Sources: Locatello et al. 2019, "Challenging common assumptions in the unsupervised learning of disentangled
    representations", arXiv:1811.12359; each measure's own in ``lowerbound.measures.disentanglement``.

    >>> from lowerbound.data.synthetic import factors
    >>> from lowerbound.train import fit
    >>> run = fit(factors(size=12, positions=5), latent=2, epochs=1, progress=False)
    >>> found = disentangle(run, measures=["mig", "sap_continuous"])
    >>> list(found.measures), found.scores.information.shape
    (['mig', 'sap_continuous'], (2, 4))
    """
    rows = with_factors(run, data, factors)
    codes, variance = encode(run, rows), None
    if run.model.posterior_family.name in GAUSSIAN and ("mig_chen" in measures or not measures):
        variance = encode(run, rows, variance=True)
    table: Any = rows.factors
    found = disentanglement(codes, table, variance=variance, names=rows.factor_names, measures=measures,
                            settings=settings, seed=seed, progress=progress)  # fmt: skip
    return Disentanglement(found, _paths(run, rows, codes, found) if paths and rows.is_image else None)


def with_factors(run: Run, data: Any = None, factors: Any = None) -> Data:
    """Rows that fit the run, with the factors that were asked for; see ``disentangle``."""
    rows = _rows(run, data)
    if isinstance(factors, str) and "=" in factors and not Path(factors).exists():
        factors = parse_generators(factors)
    if isinstance(factors, Mapping):
        return run.rows(variations(rows, factors))
    if factors is None and rows.factors is None:
        mend = "Name columns, give a file or an array, or for pictures generators: rotation=8,scale=3,position=4."
        raise DataError("the rows have no factors", where=rows.name, mend=mend)
    if factors is not None:
        table, names = _table(rows, factors)
        if table.ndim != 2 or len(table) != rows.rows:
            found, expected = f"{table.shape}", f"({rows.rows}, factors)"
            raise DataShape("factors do not fit the rows", where=rows.name, found=found, expected=expected)
        rows = replace(rows, factors=table, factor_names=names)
    return run.rows(_modelled(run, rows))


def _rows(run: Run, data: Any) -> Data:
    if data is None:
        return all_rows(run)
    return data if isinstance(data, Data) else load(data, missing=run.config.data.missing)


def _table(rows: Data, factors: Any) -> tuple[Any, tuple[str, ...]]:
    """Values and names of the factors given."""
    if isinstance(factors, os.PathLike) or (isinstance(factors, str) and Path(factors).is_file()):
        file = load(factors, missing="nan")
        values = file.x if file.mask is None else np.where(file.mask, file.x, np.nan)
        return values, file.columns or tuple(f"factor {k + 1}" for k in range(values.shape[-1]))
    names = factors.split(",") if isinstance(factors, str) else factors
    if isinstance(names, Sequence) and all(isinstance(name, str) for name in names):
        names = [name.strip() for name in names]
        return np.stack([column(rows, name).values for name in names], 1), tuple(names)
    values = np.asarray(factors)
    values = values[:, None] if values.ndim == 1 else values
    return values, tuple(f"factor {k + 1}" for k in range(values.shape[-1]))


def _modelled(run: Run, rows: Data) -> Data:
    """Without the columns that the run was not trained on."""
    wanted = tuple(run.facts["columns"])
    if not wanted or not rows.columns or rows.columns == wanted or not {*wanted} <= {*rows.columns}:
        return rows
    places = [rows.columns.index(name) for name in wanted]
    mask = None if rows.mask is None else rows.mask[:, places]
    schema = rows.schema and replace(rows.schema, columns=tuple(rows.schema.columns[i] for i in places))
    return replace(rows, x=rows.x[:, places], mask=mask, columns=wanted, schema=schema)


def _paths(run: Run, rows: Data, codes: Any, found: Scores) -> Strips:
    """A path along each code, named by the factor that it informs of most."""
    order = np.argsort(-codes.var(0), kind="stable")[:SHOWN]
    names, matrix = [one["name"] for one in found.about["factors"]], found.information
    texts = [f"z{j + 1}\n{names[int(matrix[j].argmax())]} {matrix[j].max():.2f} nats" for j in order]
    heading = [f"{LABELS[name]} {score.value:.3f}" for name, score in found.measures.items()][:4]
    made = traverse(run, order.tolist(), data=rows)
    return replace(made, rows=tuple(texts), title="; ".join(heading))


def _lines(found: Scores) -> Iterator[str]:
    about = found.about
    kinds = ", ".join(f"{one['name']} ({one['classes']})" for one in about["factors"])
    yield f"{about['rows']} rows, {about['codes']} codes, {about['active_codes']} of them active; factors: {kinds}"
    yield f"{'':<34}{'found':>9} {'s.e.':>8} {'perfect':>9} {'rotation':>9} {'chance':>9}"
    for name, one in found.measures.items():
        numbers = (one.value, one.perfect, one.rotation, one.chance)
        value, *rest = (f"{number:>9.3f}" for number in numbers)
        yield f"{LABELS[name]:<34}{value} {one.se:>8.2g} {' '.join(rest)}"
    yield "perfect: the factors themselves; rotation: these, turned at random; chance: noise, as many codes"
    yield from (f"- {note}" for note in found.notes)
