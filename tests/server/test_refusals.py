"""What the endpoint refuses: strangers, what is no JSON, what its description does not allow."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lowerbound as lb
from lowerbound.errors import BadOption
from lowerbound.server import http, schemas
from lowerbound.server.app import Limits

CODE = {"z": [[0.0, 0.0]]}
STRANGERS: list[tuple[int, dict[str, str | None]]] = [
    (403, {"host": "evil.example"}), (403, {"host": None}), (403, {"host": "localhost.evil.example:8000"}),
    (403, {"host": "127.0.0.1@evil.example"}), (403, {"origin": "http://evil.example"}), (403, {"origin": "null"}),
    (403, {"origin": "http://localhost:9999"}), (401, {"authorization": None}),
    (401, {"authorization": "Bearer wrong"}), (401, {"authorization": "Basic YTpi"}),
    (401, {"authorization": "Bearer ü"}), (415, {"content-type": "text/plain"}),
    (415, {"content-type": None}), (413, {"content-length": "1000001"}),
    (413, {"content-length": "-1"}), (413, {"content-length": "9" * 30}),
]  # fmt: skip
BROKEN = [
    b"", b"{", b"nonsense", b'{"z": [[NaN, 0]]}', b'{"z": [[Infinity, 0]]}', b'{"z": [[0, 0]], "z": [[0, 0]]}',
    b"\xff\xfe", b'\xef\xbb\xbf{"z": [[0, 0]]}', b"[" * 100_000, b'{"z": [[' + b"9" * 5000 + b", 0]]}",
]  # fmt: skip
NOT_ALLOWED: list[tuple[Any, str]] = [
    ({"z": [[1e999, 0]]}, ""), ({"z": [[1e30, 0]]}, "body.z[0][0]"), ({"z": [[10**400, 0]]}, "too large"),
    ({"z": [[0]]}, "1 items"), ({"z": [[0, 0, 0]]}, "3 items"), ({"z": []}, "0 items"), ({"z": [[0, "0"]]}, "number"),
    ({"z": [[True, 0]]}, "number"), ({"z": [[None, 0]]}, "number"), ({"z": 3}, "array"), ({}, "'z'"), ([], "object"),
    (None, "object"), ({**CODE, "path": "/etc/passwd"}, "one of z"), ({**CODE, "\ud800\x1b[31m": 1}, "ud800"),
    ({"z": [[0, 0]] * 1025}, "1025 items"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "headers"), STRANGERS)
def test_strangers(client: Any, status: int, headers: dict[str, str | None]) -> None:
    found, body = client.ask("/decode", CODE, headers=headers)
    assert (found, list(body), body["error"]["id"]) == (status, ["error"], f"E-HTTP-{status}")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_its_own_names_and_pages(client: Any, host: str) -> None:
    assert client.ask("/decode", CODE, headers={"host": host, "origin": f"http://{host}"})[0] == 200


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/decode", "/nothing"])
def test_nothing_is_said_without_the_token(client: Any, path: str) -> None:
    assert client.ask(path, method="GET", headers={"authorization": None})[0] == 401


def test_the_token_is_compared_in_constant_time(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or False)
    assert client.ask("/decode", CODE)[0] == 401
    assert len(compared) == 1


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_json(client: Any, content: bytes) -> None:
    assert client.ask("/decode", pieces=[content])[0] == 400


@pytest.mark.parametrize(("body", "words"), NOT_ALLOWED, ids=range(len(NOT_ALLOWED)))
def test_what_the_description_does_not_allow(client: Any, body: Any, words: str) -> None:
    content = json.dumps(body).replace("Infinity", "1e999").encode()
    status, found = client.ask("/decode", pieces=[content])
    assert (status, found["error"]["id"]) == (422, "E-CONFIG-OPTION")
    assert words in found["error"]["message"]
    assert len(found["error"]["message"]) < 250


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/etc/passwd", "/%2e%2e/x", "//decode", "/decode/", "/favicon.ico", ""]
)
def test_no_path_is_taken_from_a_request(client: Any, path: str) -> None:
    assert client.ask(path, CODE)[0] == 404


@pytest.mark.parametrize(("path", "method", "allowed"), [("/decode", "GET", "POST"), ("/", "DELETE", "GET")])
def test_other_methods(client: Any, path: str, method: str, allowed: str) -> None:
    status, headers, _ = asyncio.run(client.asked(path, CODE, method))
    assert (status, headers["allow"]) == (405, allowed)


def test_a_large_body_is_refused_while_it_arrives(client: Any) -> None:
    pieces = [b" " * 300_000] * 50
    taken = iter(pieces)
    assert client.ask("/decode", pieces=list(taken))[0] == 413


def test_a_body_that_comes_too_slowly_or_breaks_off(run: lb.Run, serving: Callable[..., Any]) -> None:
    client = serving(run, limits=Limits(reading=0.05))
    assert asyncio.run(client.asked("/decode", CODE, pause=0.2))[0] == 408

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(http.Refusal, match="ended early"):
        asyncio.run(http.read({"headers": [(b"content-type", b"application/json")]}, gone, 100, 1.0))


def test_every_answer_bears_the_headers_of_caution(client: Any) -> None:
    for headers in ({}, {"host": "evil.example"}):
        _, told, _ = asyncio.run(client.asked("/decode", CODE, headers=headers))
        assert told["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in told["content-security-policy"]
        assert "access-control-allow-origin" not in told


def test_a_defect_says_nothing_of_itself(client: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr("lowerbound.server.operations.decode", broken)
    status, found = client.ask("/decode", CODE)
    assert status == 500
    assert "secret" not in json.dumps(found)
    assert "/secret/path" in caplog.text


def test_without_a_token_none_is_asked_for(run: lb.Run, serving: Callable[..., Any]) -> None:
    assert serving(run, token=None).ask("/decode", CODE, headers={"authorization": None})[0] == 200


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["z", "x", "rows", "seed", "é"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/encode", "/decode", "/sample", "/score", "/impute"]), body=ANY)
def test_anything_at_all_gets_an_answer(client: Any, path: str, body: Any) -> None:
    status, found = client.ask(path, body)
    assert status in (200, 400, 422)
    assert (list(found) == ["error"]) == (status != 200)


def drawn(schema: Any) -> st.SearchStrategy[Any]:
    """Values that a schema describes, its corners among them."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if kinds[0] == "array":
        if "prefixItems" in schema:
            return st.tuples(*map(drawn, schema["prefixItems"])).map(list)
        return st.lists(
            drawn(schema["items"]),
            min_size=schema["minItems"],
            max_size=min(schema["maxItems"], schema["minItems"] + 2),
        )
    if kinds[0] == "object":
        must = schema.get("required", [])
        return st.fixed_dictionaries(
            {key: drawn(each) for key, each in schema["properties"].items() if key in must},
            optional={key: drawn(each) for key, each in schema["properties"].items() if key not in must},
        )
    if kinds[0] == "boolean":
        return st.booleans()
    low, high = schema.get("exclusiveMinimum", schema.get("minimum")), schema["maximum"]
    number = st.integers(int(low), int(high)) if kinds[0] == "integer" else st.floats(
        low, high, exclude_min="exclusiveMinimum" in schema)  # fmt: skip
    return number | st.none() if "null" in kinds else number


@pytest.mark.parametrize("which", ["digits", "table"])
def test_what_the_description_allows_is_answered(
    run: lb.Run, table: lb.Run, serving: Callable[..., Any], which: str
) -> None:
    client = serving(run if which == "digits" else table)
    paths = client.ask("/openapi.json", method="GET")[1]["paths"]

    @settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(data=st.data())
    def allowed(data: Any) -> None:
        for path, each in paths.items():
            if "post" in each:
                schema = each["post"]["requestBody"]["content"]["application/json"]["schema"]
                few = {key: {**part, "maximum": 20} if key in ("samples", "sweeps", "rows") else part
                       for key, part in schema["properties"].items() if key != "method"}  # fmt: skip
                body = data.draw(drawn({**schema, "properties": few}))
                if path == "/impute":
                    body["method"] = "importance"
                status, found = client.ask(path, body)
                assert status == 200, (path, body, found)
                assert list(found) and set(found) == set(
                    each["post"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
                )

    allowed()


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (schemas.numbers(0, 1), [0, 1, 0.5], [-0.1, 1.1, True, None, "0", [0]]),
        (schemas.numbers(0, 9, kind="integer"), [0, 9, 3.0], [0.5, 10, float("inf"), False]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, [1e-9, 1], [0, -1, 2]),
        (schemas.nullable(schemas.numbers(0, 1)), [None, 1], [2, "", []]),
        (schemas.nullable({"enum": [0, 1]}), [0, 1, None, 1.0], [2, True, "0"]),
        (schemas.cells([schemas.numbers(0, 1), {"enum": ["a"]}]), [[0, "a"]], [[0], [0, "b"], ["a", 0], [0, "a", 0]]),
        (schemas.table({"a": schemas.numbers(0, 1)}, ["a"]), [{"a": 1}], [{}, {"a": 1, "b": 1}, {"a": None}, []]),
    ],
)  # fmt: skip
def test_the_check_is_the_schema(schema: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        schemas.check(schema, value)
    for value in bad:
        with pytest.raises(BadOption):
            schemas.check(schema, value)
