"""What a conditional run is told, as a key of the bodies."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lowerbound.data.conditions import Condition
from lowerbound.run import Run
from lowerbound.server import schemas
from lowerbound.server.operations import Columns, Operation
from lowerbound.server.schemas import Schema, numbers

FAR = 1000.0  # standard deviations over the training rows that a number may lie from their mean


def asked(run: Run, operation: Operation) -> Operation:
    """The operation of a run that has to be told something: ``given`` says what, for all rows of a request.

    Args:
        run: conditioned, and not ``at`` anything.
        operation: of the run.
    """
    each = {} if run.conditions is None else {one.name: _schema(one) for one in run.conditions.members}
    given = {"given": schemas.table(each, list(each))}
    body = schemas.table({**operation.body["properties"], **given}, [*operation.body.get("required", []), "given"])

    def work(run: Run, rows: Any, options: Mapping[str, Any]) -> Columns:
        rest = {name: value for name, value in options.items() if name != "given"}
        return operation.work(run.at(options["given"]), rows, rest)

    return replace(operation, body=body, work=work)


def _schema(one: Condition) -> Schema:
    if one.values:
        return {"enum": list(one.values)}
    return numbers(one.shift - FAR * one.scale, one.shift + FAR * one.scale)
