"""More or less of an attribute: its vector, added to the codes of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lowerbound import figures
from lowerbound.data import Data
from lowerbound.errors import BadOption, DataError
from lowerbound.run import Run
from lowerbound.tasks.attributes import Direction, Judge, Question, direction, question
from lowerbound.tasks.columns import MEASURED, all_rows, column, columns, row_number
from lowerbound.tasks.latent import encode
from lowerbound.tasks.strips import Strips, decoded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEARNT = 4000  # training rows that vector and classifiers are learnt from
ANSWERED = 500  # rows that the vector is added to
PAIR = np.array([0.0, 1.0])
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Arithmetic(Strips):
    """Rows with more or less of an attribute; the strips are of some of them, evenly spread.

    Args:
        attribute: what is asked of a row.
        direction: the vector with its intervals.
        strengths: that it was multiplied with, (strengths,).
        numbers: of the rows it was added to, (rows,).
        response: probability of the attribute by a classifier of real rows, (rows, strengths).
        measured: what of the attribute can be measured of pixels, (rows, strengths), or None.
        unit: of it.
        judge: the classifier's ``mean`` accuracy on real rows that neither it nor the run learnt from, with ``se``, and
            the ``chance`` of guessing.
        leakage: of each other column, the share of rows ``changed``: told to be of another kind at strength 1 than
            at 0; and the ``judge`` that tells. None where kinds of real rows are told no better than by guessing.
    """

    attribute: str
    direction: Direction
    strengths: Array
    numbers: Array
    response: Array
    measured: Array | None
    unit: str
    judge: dict[str, float]
    leakage: dict[str, dict[str, Any] | None]

    @property
    def rise(self) -> float:
        """Median over rows of the probability at strength 1 less that at 0; NaN where these are no strengths."""
        return float(np.median(self._at(1.0) - self._at(0.0)))

    def _at(self, strength: float) -> Array:
        found = np.flatnonzero(np.isclose(self.strengths, strength))
        return self.response[:, found[0]] if len(found) else np.full(len(self.response), np.nan)

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        response = np.quantile(self.response, (0.25, 0.5, 0.75), axis=0).T
        measured = None if self.measured is None else np.median(self.measured, axis=0).tolist()
        rows = [
            {"strength": float(strength), "median": middle, "q25": low, "q75": high}
            for strength, (low, middle, high) in zip(self.strengths, response.tolist(), strict=True)
        ]
        return {
            "attribute": self.attribute, "rows": len(self.numbers), "rise": self.rise, "response": rows,
            "measured": measured, "unit": self.unit or None, "vector": self.direction.vector.tolist(),
            "low": self.direction.low.tolist(), "high": self.direction.high.tolist(),
            "cosine": self.direction.cosine, "judge": self.judge, "leakage": self.leakage,
        }  # fmt: skip

    def __str__(self) -> str:
        judge = f"told rightly of {self.judge['mean']:.1%} ± {self.judge['se']:.1%} of real rows, "
        lines = [
            f"{self.attribute}: {judge}{self.judge['chance']:.1%} by guessing",
            f"probability at strength 1 minus at 0: {self.rise:+.3f} (median of {len(self.numbers)} rows)",
            f"vector of length {np.linalg.norm(self.direction.vector):.3g}; cosine to it above "
            f"{self.direction.cosine:.3f} in 97.5 % of bootstrap draws",
        ]
        for name, found in self.leakage.items():
            told = "cannot be told" if found is None else f"changed in {found['changed']:.1%} of rows"
            lines.append(f"leakage into {name}: {told}")
        return "\n".join(lines)

    def figure(self) -> "Figure":
        """The strips above the curve of the answers."""
        strips = super().figure()
        answers, unit, limits = self.response, f"probability of {self.attribute}", (0.0, 1.0)
        note = f"classifier of real rows, right on {self.judge['mean']:.1%} of unseen ones"
        if self.measured is not None:
            answers, unit, limits, note = self.measured, f"{self.unit}, as measured", None, ""  # type: ignore[assignment]  # none
        curve = figures.response(
            self.strengths, answers, title=f"the answer of {len(answers)} rows", unit=unit, note=note, limits=limits,
            width=max(5.2, float(strips.get_size_inches()[0])),
        )  # fmt: skip
        return figures.beside(strips, curve, down=True)


def arithmetic(
    run: Run, attribute: Any, *, method: Literal["means", "probe"] = "means", within: str | None = None,
    strengths: Sequence[float] = STRENGTHS, rows: Sequence[int] | None = None, details: bool = False, show: int = 8,
    draws: int = 200, seed: int = 0, data: Data | None = None,
) -> Arithmetic:  # fmt: skip
    """Find an attribute's vector on training rows and add it to the codes of rows that the run has not seen.

    Args:
        run: trained.
        attribute: ``"COLUMN=VALUE"``; a column of two values, of which the larger is yes; one of more: above the
            median of the training rows; for images also ``thickness`` and ``slant`` of their strokes; or numbers,
            one for each of all rows.
        method: ``means``: difference of the mean codes. ``probe``: the normal of a logistic regression of the codes.
        within: column: compare only rows of the same value (``subject``: shots of one person).
        strengths: that the vector is multiplied with, ascending; 1 is the difference of the mean codes.
        rows: numbers of the rows to add it to, among all rows; the test rows without the attribute when left out.
        details: add to each row what its reconstruction misses, so that all else stays as sharp as it was.
        show: rows to make strips of.
        draws: of the bootstrap; it draws whole groups where ``within`` is given or the run was split by groups.
        seed: of the bootstrap.
        data: all rows, with their split; the run's when left out.

    Returns:
        Strips, answers of a classifier of real rows (learnt from the training rows alone) at each strength, interval
        of the vector, and leakage into other columns.

    Raises:
        UnknownName: no such column, value or method. DataShape: numbers of the wrong length.
        BadOption: no strengths, or strengths that do not ascend or are not finite; ``show`` or ``draws`` below 1.
        DataError: no such row; an attribute that all training rows have, or none; no rows to add it to.

    Sources: Larsen et al. 2016, arXiv:1512.09300; White 2016, arXiv:1609.04468.

    >>> from lowerbound.train import fit
    >>> found = arithmetic(fit("digits", latent=4, epochs=2, progress=False), "label=7", strengths=(0, 1), draws=9)
    >>> found.values.shape, found.response.shape[1]
    ((8, 2, 1, 8, 8), 2)
    """
    levels = _strengths(strengths, show, draws)
    everything = all_rows(run) if data is None else run.rows(data)
    if everything.split is None:
        raise DataError("rows without a split", where=everything.name, mend="Call data.with_split(...) first.")
    asked = question(everything, attribute, everything.split.train)
    train, test = (_known(asked, getattr(everything.split, part)) for part in ("train", "test"))
    chosen = _applied(everything, asked, test, rows)
    codes = encode(run, everything.take(train)).astype(np.float64)
    kinds, groups = _kinds(everything, run, within)
    found = direction(codes, asked.on[train], method=method, within=None if kinds is None else kinds[train],
                      groups=None if groups is None else groups[train], draws=draws, seed=seed)  # fmt: skip
    some = everything.take(chosen)
    made, moved = shifted(run, some, found.vector, levels, details=details)
    judge = Judge(everything.take(train), asked.on[train])
    measured, unit = _measured(asked, made)
    title = f"{run.summary['recipe']} on {run.facts['name']}: {asked.name}" + (", details kept" if details else "")
    shown = _spread(np.arange(len(chosen)), show)
    return Arithmetic(
        made[shown], moved[shown], tuple(f"row {row}" for row in chosen[shown]), tuple(map(_signed, levels)), title,
        tuple(run.facts["columns"]), run.schema, asked.name, found, levels, chosen,
        _each(made, judge.probabilities)[..., 1], measured, unit, judge.accuracy(everything.take(test), asked.on[test]),
        _leakage(everything, asked, train, shifted(run, some, found.vector, PAIR, details=details)[0]),
    )  # fmt: skip


def shifted(run: Run, rows: Data, vector: Array, strengths: Array, *, details: bool = False) -> tuple[Array, Array]:
    """Multiples of a vector added to the codes of rows, and decoded.

    Args:
        run: trained.
        rows: to start from.
        vector: (latent,).
        strengths: multiples, (strengths,).
        details: add to each row what its reconstruction misses.

    Returns:
        Means of p(x|z), (rows, strengths, *shape), and codes, (rows, strengths, latent).
    """
    origin = encode(run, rows).astype(np.float64)[:, None]
    codes = origin + np.asarray(strengths)[:, None] * vector
    made = decoded(run, codes)
    if details:
        made = rows.values()[:, None] + made - decoded(run, origin)
        made = made.clip(0, 1) if rows.is_image else made
    return made, codes


def _strengths(strengths: Sequence[float], show: int, draws: int) -> Array:
    levels = np.asarray(strengths, dtype=np.float64)
    if levels.ndim != 1 or not len(levels) or not np.isfinite(levels).all() or (np.diff(levels) <= 0).any():
        raise BadOption("not strengths", found=str(strengths), expected="one or more finite numbers, ascending")
    if show < 1 or draws < 1:
        raise BadOption("nothing to do", found=f"show {show}, draws {draws}", expected="1 or more of each")
    return levels


def _known(asked: Question, rows: Array) -> Array:
    """Those of some rows of which the answer is known, evenly thinned if they are very many."""
    return _spread(rows[np.isfinite(asked.on[rows])], LEARNT)


def _spread(numbers: Array, most: int) -> Array:
    """At most so many, evenly spread."""
    return numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), most)).astype(np.int64)]


def _applied(everything: Data, asked: Question, test: Array, rows: Sequence[int] | None) -> Array:
    """Numbers of the rows that the vector is added to."""
    if rows is not None:
        chosen = np.array([row_number(everything, row) for row in rows], dtype=np.int64)
    else:
        chosen = _spread(test[asked.on[test] == 0], ANSWERED)
    if not len(chosen) or not len(test):
        mend = "Name rows, or fit with more rows set aside."
        raise DataError("no rows to add the attribute to: no test rows lack it", where=asked.name, mend=mend)
    return chosen


def _kinds(everything: Data, run: Run, within: str | None) -> tuple[Array | None, Array | None]:
    """What rows are compared within, and which of them belong together: what the run was split by."""
    how = run.facts["split"]["how"]
    groups = column(everything, how.removeprefix("group:")).values if how.startswith("group:") else None
    return None if within is None else column(everything, within).values, groups


def _each(made: Array, answer: Any) -> Array:
    """An answer for each of (rows, strengths, *shape)."""
    rows, strengths = made.shape[:2]
    found: Array = answer(made.reshape(rows * strengths, *made.shape[2:]))
    return found.reshape(rows, strengths, *found.shape[1:])


def _measured(asked: Question, made: Array) -> tuple[Array | None, str]:
    if asked.measured is None:
        return None, ""
    measure, unit = MEASURED[asked.measured]
    return _each(made.clip(0), measure), f"{asked.measured} ({unit})"


def _signed(level: float) -> str:
    return f"{level:+g}".replace("-", "−") if level else "0"


def _leakage(everything: Data, asked: Question, train: Array, pair: Array) -> dict[str, dict[str, Any] | None]:
    """What the vector does to other columns; ``pair`` are rows at strength 0 and 1."""
    own = asked.name.split("=")[0].split(" > ")[0]
    names = [name for name in columns(everything) if name != own and name not in everything.columns]
    found: dict[str, dict[str, Any] | None] = {}
    for name in names:
        chosen = column(everything, name)
        known = train[chosen.known[train]]
        kinds = chosen.values if chosen.levels is not None else chosen.values > np.nanmedian(chosen.values[known])
        found[name] = _changed(everything, kinds, known, pair) if len(np.unique(kinds[known])) > 1 else None
    return found


def _changed(everything: Data, kinds: Array, known: Array, pair: Array) -> dict[str, Any] | None:
    """The share of rows told to be of another kind, if kinds can be told: by half of the rows, of the other half."""
    learnt, asked = known[::2], known[1::2]
    asked = asked[np.isin(kinds[asked], kinds[learnt])]
    if not len(asked) or len(np.unique(kinds[learnt])) < 2:
        return None
    judge = Judge(everything.take(learnt), kinds[learnt])
    accuracy = judge.accuracy(everything.take(asked), kinds[asked])
    if accuracy["mean"] <= accuracy["chance"] + 2 * accuracy["se"]:
        return None
    before, after = _each(pair, judge.told).T
    return {"changed": float((before != after).mean()), "judge": accuracy}
