"""Rows and what is known of them, told apart: columns that a model is conditioned on are not among those it makes."""

from dataclasses import replace

import numpy as np

from lowerbound.data.columns import Schema
from lowerbound.data.conditions import LABEL, Condition, Conditions
from lowerbound.data.mapped import columns_of
from lowerbound.data.source import Array, Data, chunks
from lowerbound.errors import BadOption, DataError, DataMissing, DataRange, DataShape, Incompatible, unknown


def separate(data: Data, names: str, *, partial: bool = False) -> Data:
    """The rows with their context: ``names`` of it, separated by commas; the label, if among them, comes first.

    Args:
        data: rows.
        names: of what they are conditioned on.
        partial: whether the first of it may be missing in some rows, as the label always may.

    Raises:
        UnknownName: no such column. DataError: no labels. DataMissing: a cell of it is missing; a label may be.

    >>> data = separate(Data(np.array([[1.0, 5.0], [2.0, 7.0]]), columns=("age", "dose")), "dose")
    >>> data.x.tolist(), data.context.tolist()
    ([[1.0], [2.0]], [[5.0], [7.0]])
    """
    wanted = dict.fromkeys(name.strip() for name in names.split(",") if name.strip())
    if not wanted:
        return replace(data, context=None, conditions=None)
    if data.conditions is not None and set(data.conditions.names) == set(wanted):
        return data
    members = tuple(_condition(data, name) for name in sorted(wanted, key=lambda name: name != LABEL))
    return conditioned(data, Conditions(members, data.schema), partial=partial)


def conditioned(data: Data, conditions: Conditions, *, partial: bool = False) -> Data:
    """The rows with their context where the conditions are known already, as those of a run.

    Raises:
        As ``separate``. DataRange: a label that the conditions do not have.
    """
    if data.conditions is not None:
        return replace(data, conditions=conditions)
    context = np.stack([_raw(data, one, partial and not i) for i, one in enumerate(conditions.members)], axis=1)
    for place, one in enumerate(conditions.members):
        gone = np.flatnonzero(np.isnan(context[:, place]))
        if len(gone) and one.name != LABEL and not (partial and place == 0):
            where = f"{data.name}, row {gone[0]}, column '{one.name}'"
            raise DataMissing("what the model is conditioned on is missing", where=where)
    made = _without(data, conditions.names)
    if conditions.names[0] == LABEL:
        codes = np.where(np.isnan(context[:, 0]), -1, context[:, 0]).astype(np.int64)
        made = replace(made, labels=codes, label_names=conditions.members[0].values)
    return replace(made, context=context, conditions=conditions)


def labelled(conditions: Conditions) -> bool:
    """Whether the first of what rows are conditioned on is told by a classifier: the label, or a number."""
    first = conditions.members[0]
    return first.name == LABEL or not first.values


def label_prior(data: Data, how: str) -> list[float]:
    """p(label) of each class: ``frequencies`` of the labelled training rows, or ``given:`` numbers.

    Raises:
        Incompatible: rows that are not conditioned on classes. BadOption: numbers that cannot be read. DataMissing: a
        class without a row.

    >>> label_prior(separate(Data(np.zeros((3, 1)), labels=np.array([0, 1, 1])), "label"), "frequencies")
    [0.3333333333333333, 0.6666666666666666]
    """
    if data.conditions is None or data.conditions.names[0] != LABEL or data.labels is None:
        raise Incompatible("p(label) without labels", where="model.label_prior", found=how,
                           mend="Set data.context = label, or leave it at uniform.")  # fmt: skip
    names = data.conditions.members[0].values
    if how.startswith("given:"):
        return _numbers(how.removeprefix("given:"), len(names))
    labels = data.labels if data.split is None else data.labels[data.split.train]
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    if not counts.all():
        raise DataMissing("no training row of a class", where="model.label_prior", found=names[int(counts.argmin())],
                          mend="Give p(label): given:0.2,0.8.")  # fmt: skip
    found: list[float] = (counts / counts.sum()).tolist()
    return found


def _numbers(text: str, count: int) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise BadOption("not a probability for each class", where="model.label_prior", found=text,
                        expected=f"{count} numbers with commas between them")  # fmt: skip
    return found


def complete(data: Data) -> Data:
    """The rows, if what they are conditioned on is known of all of them.

    Raises:
        DataMissing: a row has no label.
    """
    known = np.zeros((data.rows, 0)) if data.context is None else data.context
    gone = np.flatnonzero(np.isnan(known).any(1))
    if len(gone):
        raise DataMissing(
            "a row has no label, which the model is conditioned on", where=f"{data.name}, row {gone[0]}",
            found=f"{len(gone)} such rows", mend="Leave them out, or train with the recipe 'm2', which needs some.",
        )  # fmt: skip
    return data


def _condition(data: Data, name: str) -> Condition:
    if name == LABEL:
        return Condition(LABEL, _label_names(data))
    if name in data.columns and data.schema is not None:
        column = data.schema.columns[data.columns.index(name)]
        return Condition(name, column.categories if column.coded else ())
    if name in data.columns or name in data.factor_names:
        return Condition(name)
    have = (*(() if data.labels is None else (LABEL,)), *data.factor_names, *data.columns)
    raise unknown("column", name, have, where="data.context")


def _label_names(data: Data) -> tuple[str, ...]:
    if data.labels is None:
        mend = "Give them: load(source, labels=...); or name a column of the table in data.context."
        raise DataError("there are no labels to condition on", where=data.name, mend=mend)
    found = tuple(data.label_names) or tuple(map(str, range(int(data.labels.max(initial=-1)) + 1)))
    if len(found) < 2:
        raise DataShape("labels of fewer than two classes", where=data.name, found=str(list(found)))
    return found


def _raw(data: Data, one: Condition, unknown_yet: bool = False) -> Array:
    """Raw values of a condition, (rows,) float64, NaN where unknown, as a whole column may be."""
    if one.name == LABEL:
        return _codes(data, one)
    if one.name in data.factor_names and data.factors is not None:
        return data.factors[:, data.factor_names.index(one.name)].astype(np.float64)
    if one.name not in data.columns:
        if unknown_yet:
            return np.full(data.rows, np.nan)
        raise unknown("column", one.name, data.columns, where=data.name)
    place = data.columns.index(one.name)
    values: Array = data.x[:, place] * np.float64(data.unit)
    return values if data.mask is None else np.where(data.mask[:, place], values, np.nan)


def _codes(data: Data, one: Condition) -> Array:
    """The condition's codes of labels that other rows may number otherwise."""
    if data.labels is None:
        mend = "Give them: load(source, labels=...); or say one for all rows: --given label=7."
        raise DataError("the model is conditioned on the label; these rows have none", where=data.name, mend=mend)
    codes = np.full(len(data.labels), np.nan)
    names = data.label_names or tuple(map(str, range(int(data.labels.max(initial=-1)) + 1)))
    for code, name in enumerate(names):
        rows = data.labels == code
        if rows.any() and name not in one.values:
            known = ", ".join(one.values)
            raise DataRange("an unknown label", where=f"{data.name}, row {rows.argmax()}", found=name, expected=known)
        codes[rows] = one.values.index(name) if name in one.values else np.nan
    return codes


def _without(data: Data, names: tuple[str, ...]) -> Data:
    """The rows without those columns."""
    keep = [i for i, name in enumerate(data.columns) if name not in names]
    if len(keep) == len(data.columns):
        return data
    if not keep:
        raise DataShape("no column is left to model", where=data.name, found=f"context {', '.join(names)}")
    schema = None if data.schema is None else Schema(tuple(data.schema.columns[i] for i in keep), data.schema.dropped)
    mask = None if data.mask is None else columns_of(data.mask, keep)
    mask = None if mask is None or all(mask[part].all() for part in chunks(mask)) else mask
    x, names = columns_of(data.x, keep), tuple(data.columns[i] for i in keep)
    return replace(data, x=x, mask=mask, columns=names, schema=schema)
