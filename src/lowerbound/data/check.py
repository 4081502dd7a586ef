"""Values are checked once, at the door: whether a likelihood can give them a probability, and what else could."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowerbound.data.arrays import refuse_cells
from lowerbound.data.columns import Schema
from lowerbound.data.mapped import Summary
from lowerbound.data.source import Array, Data, cell_name, chunks, first_cell
from lowerbound.errors import DataRange, unknown


@dataclass(frozen=True)
class Support:
    """A set of values: how people call it, and which entries of (values, stored values) lie in it."""

    what: str
    holds: Callable[[Array, Array], Array]


SUPPORTS = {
    "binary": Support("0 or 1", lambda value, stored: (value == 0) | (value == 1)),
    "unit": Support("0 to 1", lambda value, stored: (value >= 0) & (value <= 1)),
    "open-unit": Support("between 0 and 1, both excluded", lambda value, stored: (value > 0) & (value < 1)),
    "real": Support("finite numbers", lambda value, stored: np.isfinite(value)),
    "positive": Support("numbers above 0", lambda value, stored: value > 0),
    "count": Support("whole numbers from 0", lambda value, stored: (value >= 0) & (value == np.floor(value))),
    "byte": Support("0, 1/255, 2/255, ..., 1, the grey levels of 8-bit images", lambda value, stored: _is_byte(value)),
    "codes": Support("whole numbers from 0", lambda value, stored: (value >= 0) & (value == np.floor(value))),
}
_NEAR = 1e-4  # of a level: what single precision leaves of k / 255
_GREY = ("sample", "fixed", "threshold", "grey")  # ways of making grey values fit a binary likelihood


@dataclass
class _Range:
    """Smallest and largest value so far."""

    low: float = np.inf
    high: float = -np.inf

    def see(self, value: Array) -> None:
        if value.size:
            self.low, self.high = min(self.low, float(value.min())), max(self.high, float(value.max()))


def check_values(
    data: Data, likelihood: str, support: str, *, binarize: str = "none", supports: Mapping[str, str] | None = None
) -> None:
    """Check that every observed value of ``data`` lies in ``support``, in one pass of bounded memory.

    Args:
        data: any rows.
        likelihood: its name, for the message.
        support: a key of `SUPPORTS`, or ``codes:K`` for whole numbers below K.
        binarize: with ``sample``, ``fixed``, ``threshold`` or ``grey``, ``binary`` is relaxed to ``unit``.
        supports: likelihood name -> support, to say which would fit.

    Raises:
        DataMissing: for NaN that is not masked. DataRange: for infinite values and values outside the support, naming
            the first, how many there are, smallest and largest, and the likelihoods that fit.
    """
    effective = "unit" if support == "binary" and binarize in _GREY else support
    wanted = _support(effective)
    if known_to_fit(data, effective):
        return
    count, first, found, seen = 0, None, 0.0, _Range()
    for part, value, stored, observed in _passes(data):
        refuse_cells(~np.isfinite(value) & observed, value, part.start, data.name, data.columns)
        bad = ~wanted.holds(value, stored) & observed
        seen.see(value[observed])
        if first is None and bad.any():
            first, found = first_cell(bad, part.start), float(value[bad][0])
        count += int(bad.sum())
    if first is not None:
        raise DataRange(
            f"{likelihood} gives this value no probability",
            where=f"{data.name}, {cell_name(first, data.columns)}",
            found=f"{found:g} ({count:,} such values; smallest {seen.low:g}, largest {seen.high:g})",
            expected=wanted.what,
            mend=_mend(data, support, effective, seen, supports or {}),
        )


def known_to_fit(data: Data, support: str) -> bool:
    """Whether the summary that a mapped file came with says that all observed values lie in a support."""
    summary: Summary | None = getattr(data.x, "summary", None)
    if summary is None:
        return False
    low, high, whole = summary.low * data.unit, summary.high * data.unit, summary.whole and data.unit == 1.0
    holds = {
        "real": True, "unit": low >= 0 and high <= 1, "open-unit": low > 0 and high < 1, "positive": low > 0,
        "binary": whole and low >= 0 and high <= 1, "count": whole and low >= 0, "codes": whole and low >= 0,
    }  # fmt: skip
    kind, _, most = support.partition(":")
    return holds.get(kind, False) and (not most or high < int(most))


def fitting(data: Data, supports: Mapping[str, str]) -> tuple[str, ...]:
    """The likelihoods of ``supports`` (name -> support) that could have given every observed value, sorted.

    >>> fitting(Data(np.array([[0.5, 2.0]])), {"gaussian": "real", "bernoulli": "binary", "gamma": "positive"})
    ('gamma', 'gaussian')
    """
    possible = set(supports.values())
    if all(known_to_fit(data, name) for name in possible):
        return tuple(sorted(supports))
    for _, value, stored, observed in _passes(data):
        possible = {name for name in possible if (SUPPORTS[name].holds(value, stored) | ~observed).all()}
    return tuple(sorted(name for name, support in supports.items() if support in possible))


def describe(data: Data, supports: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What ``lowerbound data show`` says of ``data``: plain values that JSON can hold.

    Args:
        data: any rows.
        supports: likelihood name -> support, for the entry ``fitting``.
    """
    seen, total, zeros, count = _Range(), 0.0, 0, 0
    for _, value, _, observed in _passes(data):
        value = value[observed]
        seen.see(value)
        total, zeros, count = total + float(value.sum()), zeros + int((value == 0).sum()), count + value.size
    split = data.split
    parts = {} if split is None else {part: len(getattr(split, part)) for part in ("train", "validation", "test")}
    return {
        "name": data.name,
        "rows": data.rows,
        "shape": list(data.shape),
        "stored": data.x.dtype.name,
        "unit": data.unit,
        "min": seen.low if count else None,
        "max": seen.high if count else None,
        "mean": total / count if count else None,
        "zeros": zeros / count if count else None,
        "missing": 1 - count / data.x.size if data.x.size else 0.0,
        "columns": list(data.columns),
        "labels": _label_counts(data),
        "factors": _factor_counts(data),
        "split": parts and {"how": split.how if split else "", **parts},
        "fingerprint": data.fingerprint,
        "fitting": [*([] if data.schema is None else ["columns"]), *_of_numbers(data, supports or {})],
        "kinds": [] if data.schema is None else column_rows(data.schema),
        "dropped": {} if data.schema is None else dict(data.schema.dropped),
    }


def _support(name: str) -> Support:
    kind, _, most = name.partition(":")
    if kind not in SUPPORTS or (most and kind != "codes"):
        raise unknown("support", name, SUPPORTS)
    if not most:
        return SUPPORTS[kind]
    codes = np.arange(int(most))
    return Support(f"whole numbers 0 to {int(most) - 1}", lambda value, stored: np.isin(value, codes))


def _is_byte(value: Array) -> Array:
    level = 255 * value
    near: Array = np.abs(level - np.round(level)) < _NEAR
    return near & (value >= 0) & (value <= 1)


def _passes(data: Data) -> Iterator[tuple[slice, Array, Array, Array]]:
    """Rows, values in float64, stored values and what is observed, a chunk at a time."""
    for part in chunks(data.x):
        stored = data.x[part]
        observed = np.ones(stored.shape, bool) if data.mask is None else data.mask[part]
        yield part, data.values(part, np.float64), stored, observed


def _mend(data: Data, support: str, effective: str, seen: _Range, supports: Mapping[str, str]) -> str:
    advice = []
    if effective in ("binary", "unit", "open-unit", "byte") and 0 <= seen.low and 1 < seen.high <= 255:
        advice.append("This looks like 0..255; divide by 255.")
    if effective == "binary" and 0 <= seen.low and seen.high <= 1:
        advice.append("Set binarize = 'sample' to draw 0 or 1 with these as probabilities.")
    if fits := fitting(data, supports):
        advice.append("Likelihoods that fit: " + ", ".join(fits) + ".")
    return " ".join(advice)


def _of_numbers(data: Data, supports: Mapping[str, str]) -> tuple[str, ...]:
    """The likelihoods that fit, of values that are numbers: codes of texts are none."""
    return () if any(column.named for column in data.schema or ()) else fitting(data, supports)


def column_rows(schema: Schema) -> list[dict[str, Any]]:
    """What ``lowerbound data show`` says of each column of a table: plain values that JSON can hold."""
    keys = ("name", "kind", "family", "low", "high", "resolution", "spikes", "categories", "note")
    return [{key: list(v) if isinstance(v := getattr(c, key), tuple) else v for key in keys} for c in schema]


def _label_counts(data: Data) -> dict[str, int]:
    if data.labels is None:
        return {}
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(data.label_names))
    return dict(zip(data.label_names, counts.tolist(), strict=True))


def _factor_counts(data: Data) -> dict[str, int]:
    """How many different values each factor takes."""
    if data.factors is None:
        return {}
    return {name: len(np.unique(data.factors[:, i])) for i, name in enumerate(data.factor_names)}
