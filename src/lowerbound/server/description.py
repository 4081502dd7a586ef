"""The endpoint in OpenAPI, and what it says of its run."""

from collections.abc import Mapping, Sequence
from typing import Any

from lowerbound import audit
from lowerbound.__about__ import __version__
from lowerbound.report import heading
from lowerbound.run import Run
from lowerbound.server import schemas
from lowerbound.server.operations import Operation

REFUSALS = {
    "400": "not JSON", "401": "no token, or a wrong one", "403": "a foreign Host or Origin",
    "408": "the body came too slowly", "413": "the body is too large", "415": "not application/json",
    "422": "not as the schema says, or rows that the run cannot use", "500": "it went wrong",
    "503": "too many requests wait", "504": "it took too long",
}  # fmt: skip
ASKED = ("401", "403")  # refusals of what has no body
ERROR = schemas.table({"error": schemas.table({"id": {"type": "string"}, "message": {"type": "string"}},
                                              ["id", "message"])}, ["error"])  # fmt: skip


def about(run: Run, offered: Sequence[Operation]) -> dict[str, Any]:
    """What ``GET /`` says: whose codes and rows these are."""
    return {
        "lowerbound": __version__, "run": heading(run), "recipe": run.summary["recipe"], "data": run.facts["name"],
        "shape": list(run.model.shape), "latent": run.model.latent, "columns": list(run.facts["columns"]),
        "loss": audit.line(run.loss), "operations": [each.name for each in offered],
    }  # fmt: skip


def describe(run: Run, offered: Sequence[Operation], body: int, at: str = "") -> dict[str, Any]:
    """The OpenAPI description of the endpoint of a run.

    Args:
        run: trained.
        offered: what can be asked.
        body: bytes that one may have.
        at: what its addresses begin with.
    """
    paths = {f"/{each.name}": {"post": _asked(each)} for each in offered}
    facts: dict[str, schemas.Schema] = {name: {} for name in about(run, offered)}
    told = {"/": ("about", "What is served.", schemas.table(facts, list(facts))),
            "/openapi.json": ("description", "This description.", {"type": "object"})}  # fmt: skip
    pages = {path: {"get": _told(*words)} for path, words in told.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": heading(run), "version": __version__,
                 "description": f"A variational autoencoder; bodies of at most {body} bytes."},
        "servers": [{"url": at or "/"}], "paths": {**pages, **paths}, "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": {"Error": ERROR}
        },
    }  # fmt: skip


def _asked(operation: Operation) -> dict[str, Any]:
    content = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return {**_told(operation.name, operation.about, operation.answer, REFUSALS), "requestBody": content}


def _told(name: str, summary: str, answer: schemas.Schema, refusals: Sequence[str] | Mapping[str, str] = ASKED) -> Any:
    responses = {code: _content(REFUSALS[code], {"$ref": "#/components/schemas/Error"}) for code in refusals}
    return {"operationId": name, "summary": summary, "responses": {"200": _content(summary, answer), **responses}}


def _content(words: str, schema: schemas.Schema) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": schema}}}
