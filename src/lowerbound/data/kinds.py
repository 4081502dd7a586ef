"""Kinds of columns inferred from their cells, where nobody said what they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from lowerbound.data.columns import CODED, KINDS, Array, Column, Schema, check_names, unseen
from lowerbound.errors import DataFormat, DataMissing, DataShape, unknown

EMPTY = frozenset(["", "?", "na", "n/a", "nan", "null", "none"])  # cells that hold no value, in small letters
SPIKE = 0.2  # share of rows from which one value of a measured column has a probability of its own
DIGITS = 6  # decimals up to which a resolution is looked for
COUNTS = 1000  # whole numbers beyond it are measured, not counted
FAMILIAR = 10  # different values up to which none is a spike: a density has to have something beside it
LARGEST = 1000  # categories a column may have
ID_SHARE = 0.5  # of the rows: text with more different values than this names the rows
ID_ROWS = 20
DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # which may as well be decimals
OTHERWISE = re.compile(r"[+-]?\d[\d ,'_.]*")


@dataclass(frozen=True)
class Raw:
    """A column as it was read: texts by code (-1 = missing), or numbers (NaN = missing), or days since 1970.

    Args:
        name: of the column.
        codes: (rows,) numbers of ``texts``; None if it is of ``values``.
        texts: the different texts.
        values: (rows,) float64.
        date: whether values are days since 1970.
    """

    name: str
    codes: Array | None = None
    texts: tuple[str, ...] = ()
    values: Array | None = None
    date: bool = False


@dataclass(frozen=True)
class RawTable:
    """Columns as they were read; ``lines`` are their line numbers in a file, if it has any.

    Args:
        name: of file or frame.
        columns: of the same length.
        lines: (rows,) or None.
        comma: whether numbers may have a decimal comma.
        labels: texts of the column that holds labels.
    """

    name: str
    columns: tuple[Raw, ...]
    lines: Any = None
    comma: bool = False
    labels: Any = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def where(self, row: int, column: str) -> str:
        """Where a cell is, for people."""
        if self.lines is None:
            return f"{self.name}, row {row}, column '{column}'"
        return f"{self.name}:{self.lines[row]}:{column}"


def known(column: Column, values: Array) -> Raw:
    """A column as it would be read, from its numbers, NaN where missing."""
    if column.coded:
        return Raw(column.name, np.where(np.isnan(values), -1, values).astype(np.int64), column.categories)
    if not column.origin:
        return Raw(column.name, values=values)
    return Raw(column.name, values=values + _day(column.origin), date=True)


def _day(origin: str) -> float:
    """Days from 1970 to a moment in ISO format."""
    return (datetime.fromisoformat(origin) - datetime(1970, 1, 1)) / timedelta(days=1)


def encode(table: RawTable, given: Mapping[str, Mapping[str, Any]], schema: Schema | None) -> tuple[Array, Schema]:
    """Numbers (rows, columns), NaN where missing, and what the columns are.

    Args:
        table: as read.
        given: what was said of columns, by `choices`.
        schema: of the table that these rows go with; None: it is found out.

    Raises:
        DataFormat, DataMissing, DataRange, DataShape: naming file, line and column.
    """
    if not table.columns or not _rows(table.columns[0]):
        raise DataShape("no values", where=table.name, expected="at least one row and one column")
    names = [raw.name for raw in table.columns]
    if schema is not None:
        check_names(names, schema, table.name)
        raws = {raw.name: raw for raw in table.columns}
        found = [(column, _values(table, raws[column.name], column)) for column in schema]
    else:
        if strangers := [name for name in given if name not in names]:
            raise unknown("column", strangers[0], names, where="data.columns")
        schema, found = _inferred(table, given)
    return np.stack([values for _, values in found], axis=1), schema


def _inferred(table: RawTable, given: Mapping[str, Any]) -> tuple[Schema, list[tuple[Column, Array]]]:
    found, dropped = [], dict(table.notes)
    for raw in table.columns:
        wanted = given.get(raw.name, {})
        why = "as asked" if wanted.get("kind") == "drop" else "" if wanted else _useless(table, raw)
        if why:
            dropped[raw.name] = why
            continue
        found.append(infer(table, raw, wanted))
    if not found:
        raise DataShape("no column can be used", where=table.name, found=str(dropped))
    return Schema(tuple(column for column, _ in found), dropped), found


def infer(table: RawTable, raw: Raw, wanted: Mapping[str, Any]) -> tuple[Column, Array]:
    """A column and its numbers; what is said of it in ``wanted`` holds, the rest is seen from the cells."""
    missing = str(wanted.get("missing", ""))
    kind = wanted.get("kind", "")
    values = None if kind in CODED else _numbers(table, raw, missing)
    if values is None and kind not in ("", *CODED):
        values = _refuse_text(table, raw, missing)
    if values is None or kind in CODED or (not kind and _two(values)):
        return _coded(table, raw, kind, wanted, missing)
    seen = values[~np.isnan(values)]
    if not len(seen):
        raise DataMissing("a column without a value", where=f"{table.name}, column '{raw.name}'",
                          mend=f"Leave it out: data.columns = \"{raw.name}=drop\".")  # fmt: skip
    return _numeric(raw, values, seen, kind, wanted, missing)


def _numeric(
    raw: Raw, values: Array, seen: Array, kind: str, wanted: Mapping[str, Any], missing: str
) -> tuple[Column, Array]:
    date, origin = raw.date or _dated(raw), ""
    if date:
        start = np.datetime64(0, "s") + np.timedelta64(round(float(seen.min()) * 86400), "s")
        origin = str(start).replace("T", " ") if (seen % 1 != 0).any() else str(start)[:10]
        values, seen, kind = values - _day(origin), seen - _day(origin), kind or "date"
    step = float(wanted.get("resolution", resolution(seen)))
    kind = kind or _kind(seen, step)
    spikes = tuple(map(float, wanted["spikes"])) if "spikes" in wanted else _spikes(seen)
    low, high = float(wanted.get("low", seen.min())), float(wanted.get("high", seen.max()))
    if kind == "bounded" and "low" not in wanted and "high" not in wanted and 0 <= low <= high <= 1:
        low, high = 0.0, 1.0
    family = wanted.get("family", KINDS[kind][0])
    note = "constant" if seen.min() == seen.max() else "more digits than float32 has" if _long(seen, step) else ""
    column = Column(raw.name, kind, family, low, high, step, spikes if note != "constant" else (), (),
                    float(wanted.get("weight", 1.0)), origin, missing, note)  # fmt: skip
    return column, values


def _kind(seen: Array, step: float) -> str:
    """Of the kinds that could have given the values, spikes apart, the likelier one."""
    rest = seen[~np.isin(seen, _spikes(seen))]
    rest = rest if len(rest) else seen
    if step >= 1 and (seen == np.floor(seen)).all() and seen.min() in (0, 1) and seen.max() <= COUNTS:
        return "count"  # counts begin at 0 or 1: a height in centimetres is as real as one in metres
    if rest.min() == rest.max():
        return "real"
    scores = {"real": _normal(rest)}
    if rest.min() > 0:
        scores["positive"] = _normal(np.log(rest)) - float(np.log(rest).mean())
    if rest.min() >= 0 and rest.max() <= 1:
        half = step / 2 or 1e-6
        inner = (rest + half) / (1 + 2 * half)
        scores["bounded"] = _normal(np.log(inner) - np.log1p(-inner)) - float(np.log(inner * (1 - inner)).mean())
    return max(scores, key=lambda kind: scores[kind])


def _normal(values: Array) -> float:
    """The mean log-density of values under the normal distribution that fits them best, up to a constant."""
    return -float(np.log(values.std() + 1e-300))


def resolution(seen: Array) -> float:
    """The largest step such that all values are multiples of it apart, 0 if none of at most 6 decimals is seen.

    >>> resolution(np.array([1.5, 2.0, 4.0])), resolution(np.array([170.0, 182.0, 171.0])), resolution(np.array([0.1]))
    (0.5, 1.0, 0.1)
    """
    different = np.unique(seen)
    for digits in range(DIGITS + 1):
        scaled = different * 10.0**digits
        whole = np.round(scaled)
        if np.abs(scaled).max() < 2**53 and (np.abs(scaled - whole) <= 1e-9 * np.maximum(np.abs(scaled), 1)).all():
            gaps = np.diff(whole).astype(np.int64)
            step = int(np.gcd.reduce(gaps)) if len(gaps) else 1
            return float(step / 10**digits)
    return 0.0


def _spikes(seen: Array) -> tuple[float, ...]:
    different, counts = np.unique(seen, return_counts=True)
    return tuple(different[counts > SPIKE * len(seen)].tolist()) if len(different) > FAMILIAR else ()


def _long(seen: Array, step: float) -> bool:
    """Whether float32 cannot tell neighbours apart."""
    return step > 0 and float(np.abs(seen).max()) / step > 2**24


def _two(values: Array) -> bool:
    """Whether the numbers are 0 and 1: others would change if they were coded."""
    return np.array_equal(np.unique(values[~np.isnan(values)]), [0.0, 1.0])


def _useless(table: RawTable, raw: Raw) -> str:
    """Why a column that nothing was said of is left out, if it is."""
    rows = _rows(raw)
    if raw.codes is not None and _numbers(table, raw, "") is None:
        different = len(raw.texts)
        names_rows = rows >= ID_ROWS and different > ID_SHARE * rows
        return f"like an id: {different} different texts in {rows} rows" if names_rows or different > LARGEST else ""
    values = _numbers(table, raw, "")
    steps = np.diff(values) if values is not None and rows >= ID_ROWS else np.zeros(1)
    return "like an id: it counts the rows" if (steps == 1).all() and not raw.date and not _dated(raw) else ""


def _rows(raw: Raw) -> int:
    found = raw.codes if raw.codes is not None else raw.values
    return 0 if found is None else len(found)


def _coded(table: RawTable, raw: Raw, kind: str, wanted: Mapping[str, Any], missing: str) -> tuple[Column, Array]:
    raw = _as_texts(raw)
    gone = [text.lower() in EMPTY or text == missing for text in raw.texts]
    used = sorted((text for text, out in zip(raw.texts, gone, strict=True) if not out), key=_order)
    categories = tuple(map(str, wanted.get("order", used)))
    if not categories:
        raise DataMissing("a column without a value", where=f"{table.name}, column '{raw.name}'",
                          mend=f"Leave it out: data.columns = \"{raw.name}=drop\".")  # fmt: skip
    kind = kind or ("binary" if len(categories) == 2 else "categorical")
    if len(categories) > LARGEST or (kind == "binary" and len(categories) != 2):
        expected = "2" if kind == "binary" else f"at most {LARGEST}"
        raise DataShape(f"{len(categories)} categories", where=f"{table.name}, column '{raw.name}'", expected=expected)
    note = "constant" if len(categories) == 1 else ""
    column = Column(raw.name, kind, KINDS[kind][0], 0.0, len(categories) - 1.0, 0.0, (), categories,
                    float(wanted.get("weight", 1.0)), "", missing, note)  # fmt: skip
    return column, _values(table, raw, column)


def _order(text: str) -> tuple[float, str]:
    """Numbers by size, then texts by letters."""
    value = number(text)
    return (np.inf if value is None else value, text)


def _values(table: RawTable, raw: Raw, column: Column) -> Array:
    """The numbers of a column that is known."""
    if not column.coded:
        read = _numbers(table, raw, column.missing)
        numbers = _refuse_text(table, raw, column.missing) if read is None else read
        return numbers - _day(column.origin) if column.origin else numbers
    raw, known = _as_texts(raw), {text: float(code) for code, text in enumerate(column.categories)}
    by_text = np.full(len(raw.texts) + 1, np.nan)  # the last is for the code -1
    for i, text in enumerate(raw.texts):
        if text in known:
            by_text[i] = known[text]
        elif text.lower() not in EMPTY and text != column.missing:
            row = int(np.flatnonzero(raw.codes == i)[0])
            mend = "Leave the cell empty to have it counted as missing."
            raise unseen(column, text, table.where(row, raw.name), mend)
    values: Array = by_text[raw.codes]
    return values


def _as_texts(raw: Raw) -> Raw:
    """A column of numbers as one of texts."""
    if raw.values is None:
        return raw
    different, codes = np.unique(raw.values, return_inverse=True)
    texts = tuple(
        "" if v != v else str(int(v)) if v == np.floor(v) and abs(v) < 2**53 else repr(v) for v in different.tolist()
    )
    return replace(raw, codes=codes, texts=texts, values=None)


def _written(value: float) -> str:
    """A number as text; NaN is empty."""
    return "" if value != value else str(int(value)) if value == np.floor(value) and abs(value) < 2**53 else repr(value)


def number(cell: str, comma: bool = False) -> float | None:
    """The number in a cell, None if there is none; a written NaN is no number, and 1_2 is not 12.

    >>> number("1.5"), number("1,5"), number("1,5", comma=True), number("1_2"), number("nan")
    (1.5, None, 1.5, None, None)
    """
    try:
        value = float(cell.replace(",", ".") if comma and cell.count(",") == 1 and "." not in cell else cell)
    except ValueError:
        return None
    return None if value != value or "_" in cell else value


def _dated(raw: Raw) -> bool:
    texts = [text for text in raw.texts if text.lower() not in EMPTY]
    return bool(texts) and all(map(DATE.fullmatch, texts))


def _numbers(table: RawTable, raw: Raw, missing: str) -> Array | None:
    """The numbers of a column, days of one of dates; None for one of texts.

    Raises:
        DataFormat: a text among numbers, or numbers written in a way that is not read.
    """
    if raw.values is not None:
        return raw.values
    texts = [None if text.lower() in EMPTY or (missing and text == missing) else text for text in raw.texts]
    if _dated(raw):
        moments = np.array(["NaT" if t is None else t.replace(" ", "T") for t in texts] + ["NaT"], "M8[ms]")
        days = (moments - np.datetime64(0, "ms")) / np.timedelta64(86_400_000, "ms")
        return np.asarray(days[raw.codes], np.float64)
    parsed = [np.nan if text is None else number(text, table.comma) for text in texts]
    strange = [i for i, value in enumerate(parsed) if value is None]
    if strange and _is_text(raw, texts, strange):
        return None
    if strange:
        raise _not_a_number(table, raw, strange)
    commas = [text for text in texts if text and "," in text]
    if table.comma and commas and all(map(THOUSANDS.fullmatch, commas)):
        where = f"{table.name}, column '{raw.name}'"
        mend = "Write decimals with a point."
        raise DataFormat("thousands or decimals?", where=where, found=repr(commas[0]), mend=mend)
    by_text = np.array([*parsed, np.nan], np.float64)
    return by_text[raw.codes]


def _is_text(raw: Raw, texts: list[str | None], strange: list[int]) -> bool:
    """Whether a column is of texts, and not of numbers with a few slips."""
    codes = np.zeros(0, np.int64) if raw.codes is None else raw.codes
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    odd = sum(int(counts[i]) for i in strange)
    all_seen = sum(int(counts[i]) for i, text in enumerate(texts) if text is not None)
    looks = all(OTHERWISE.fullmatch(texts[i] or "") or "\x00" in (texts[i] or "") for i in strange)
    return 2 * odd > all_seen and not looks


def _refuse_text(table: RawTable, raw: Raw, missing: str) -> Array:
    strange = [
        i for i, t in enumerate(raw.texts) if number(t, table.comma) is None and t.lower() not in EMPTY and t != missing
    ]
    raise _not_a_number(table, raw, strange)


def _not_a_number(table: RawTable, raw: Raw, strange: list[int]) -> DataFormat:
    codes = np.zeros(0, np.int64) if raw.codes is None else raw.codes
    row = int(np.flatnonzero(np.isin(codes, strange))[0])
    text = raw.texts[codes[row]]
    mend = "Write 1000, not 1,000 or 1_000; and 1.5, not 1,5." if OTHERWISE.fullmatch(text) else (
        f"If these are categories, say so: data.columns = \"{raw.name}=categorical\".")  # fmt: skip
    return DataFormat(
        "not a number", where=table.where(row, raw.name), found=repr(text), expected="a number", mend=mend
    )
