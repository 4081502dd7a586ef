"""Rows and what is known of them, told apart: columns that a model is conditioned on are not among those it makes."""

from dataclasses import replace

import numpy as np

from lowerbound.data.columns import Schema
from lowerbound.data.conditions import LABEL, Condition, Conditions
from lowerbound.data.source import Array, Data
from lowerbound.errors import DataError, DataMissing, DataRange, DataShape, unknown


def separate(data: Data, names: str) -> Data:
    """The rows with their context: ``names`` of it, separated by commas; the label, if among them, comes first.

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
    return conditioned(data, Conditions(members, data.schema))


def conditioned(data: Data, conditions: Conditions) -> Data:
    """The rows with their context where the conditions are known already, as those of a run.

    Raises:
        As ``separate``. DataRange: a label that the conditions do not have.
    """
    if data.conditions is not None:
        return replace(data, conditions=conditions)
    context = np.stack([_raw(data, one) for one in conditions.members], axis=1)
    for place, one in enumerate(conditions.members):
        gone = np.flatnonzero(np.isnan(context[:, place]))
        if len(gone) and one.name != LABEL:
            where = f"{data.name}, row {gone[0]}, column '{one.name}'"
            raise DataMissing("what the model is conditioned on is missing", where=where)
    made = _without(data, conditions.names)
    if conditions.names[0] == LABEL:
        codes = np.where(np.isnan(context[:, 0]), -1, context[:, 0]).astype(np.int64)
        made = replace(made, labels=codes, label_names=conditions.members[0].values)
    return replace(made, context=context, conditions=conditions)


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


def _raw(data: Data, one: Condition) -> Array:
    """Raw values of a condition, (rows,) float64, NaN where unknown."""
    if one.name == LABEL:
        return _codes(data, one)
    if one.name in data.factor_names and data.factors is not None:
        return data.factors[:, data.factor_names.index(one.name)].astype(np.float64)
    if one.name not in data.columns:
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
    mask = None if data.mask is None else data.mask[:, keep]
    mask = None if mask is None or mask.all() else mask
    return replace(data, x=data.x[:, keep], mask=mask, columns=tuple(data.columns[i] for i in keep), schema=schema)
