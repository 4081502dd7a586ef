"""What the endpoint answers is what the tasks answer."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.server.app import Limits


def test_encode_and_decode(run: lb.Run, rows: Any, client: Any) -> None:
    status, found = client.ask("/encode", {"x": rows.tolist()})
    assert (status, list(found)) == (200, ["z"])
    np.testing.assert_allclose(found["z"], lb.encode(run, rows), atol=1e-6)
    _, spread = client.ask("/encode", {"x": rows.tolist(), "variance": True})
    np.testing.assert_allclose(spread["z"], lb.encode(run, rows, variance=True), rtol=1e-5)
    _, back = client.ask("/decode", found)
    np.testing.assert_allclose(back["x"], lb.decode(run, found["z"]), atol=1e-6)


def test_sample_score_and_impute(run: lb.Run, rows: Any, client: Any) -> None:
    made = lb.sample(run, 2, seed=3, kind="draw", temperature=0.5)
    _, found = client.ask("/sample", {"rows": 2, "seed": 3, "kind": "draw", "temperature": 0.5})
    np.testing.assert_allclose(found["x"], made.values, atol=1e-6)
    np.testing.assert_allclose(found["z"], made.codes, atol=1e-6)
    scores = lb.score(run, rows, samples=50, seed=1)
    _, found = client.ask("/score", {"x": rows.tolist(), "samples": 50, "seed": 1.0})
    for name in ("log_likelihood", "se", "ess"):
        np.testing.assert_allclose(found[name], getattr(scores, name), rtol=1e-5)
    holes = rows.copy()
    holes[:, 0, :4] = np.nan
    filled = lb.impute(run, holes, draws=2, samples=50, method="importance")
    body = {"x": np.where(np.isnan(holes), None, holes.astype(object)).tolist()}
    _, found = client.ask("/impute", {**body, "draws": 2, "samples": 50, "method": "importance"})
    np.testing.assert_allclose(found["values"], filled.values, atol=1e-6)
    np.testing.assert_allclose(np.swapaxes(found["draws"], 0, 1), filled.draws, atol=1e-6)
    assert found["method"] == filled.method.tolist()


def test_a_table_speaks_in_its_own_words(table: lb.Run, serving: Callable[..., Any]) -> None:
    client = serving(table)
    rows = [[41, "</script>", 2, 1.5], [30, "=green", None, None]]
    status, codes = client.ask("/encode", {"x": rows})
    assert status == 200
    values = lb.Data(np.array([[41, 0, 2, 1.5], [30, 1, 0, 0]]), mask=np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
                     schema=table.schema)  # fmt: skip
    assert next(column.categories[:2] for column in table.schema if column.coded) == ("</script>", "=green")
    np.testing.assert_allclose(codes["z"], lb.encode(table, values), atol=1e-6)
    for path, key, body in [("/sample", "x", {"rows": 4}), ("/impute", "values", {"x": rows, "samples": 60}),
                            ("/decode", "x", codes)]:  # fmt: skip
        _, found = client.ask(path, body)
        assert all(row[1] in ("red", "=green", "</script>") for row in found[key]), path
    assert client.ask("/encode", {"x": [[41, "blue", 2, 1.5]]})[0] == 422


def test_without_a_density_there_is_less_to_ask(serving: Callable[..., Any]) -> None:
    client = serving(lb.fit("digits", recipe="ae", latent=2, epochs=0, progress=False))
    assert client.ask("/", method="GET")[1]["operations"] == ["encode", "decode"]
    assert client.ask("/score", {"x": []})[0] == 404


def test_the_description_names_every_operation(client: Any) -> None:
    status, found = client.ask("/openapi.json", method="GET")
    assert (status, found["openapi"]) == (200, "3.1.0")
    about = client.ask("/", method="GET")[1]
    assert [f"/{name}" for name in about["operations"]] == [
        path for path, each in found["paths"].items() if "post" in each
    ]
    assert about["shape"] == [1, 8, 8]


def test_requests_that_wait_are_answered_by_one_pass(
    run: lb.Run, rows: Any, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lowerbound.server import operations

    passes: list[int] = []
    monkeypatch.setattr(operations, "decode", lambda run, z: passes.append(len(z)) or lb.decode(run, z))
    client, codes = serving(run), np.linspace(-2, 2, 24).reshape(12, 2)

    async def crowd() -> Any:
        bodies = [client.asked("/decode", {"z": [code]}) for code in codes.tolist()]
        return await asyncio.gather(*bodies)

    found = [json.loads(content)["x"][0] for _, _, content in asyncio.run(crowd())]
    np.testing.assert_allclose(found, lb.decode(run, codes), atol=1e-6)
    assert sum(passes) == 12
    assert len(passes) <= 6


def test_a_bad_row_spoils_only_its_own_request(run: lb.Run, rows: Any) -> None:
    from lowerbound.errors import BadOption
    from lowerbound.server.desk import Job, perform
    from lowerbound.server.operations import operations

    encode = operations(run)[0]

    def moody(run: lb.Run, data: lb.Data, options: Any) -> Any:
        if (data.x > 5).any():
            raise BadOption("too large")
        return {"z": data.x[:, 0, 0, :2]}

    object.__setattr__(encode, "work", moody)

    async def jobs() -> list[Any]:
        return [Job(encode, lb.Data(np.full((1, 1, 8, 8), float(value))), {}) for value in (1, 9, 2)]

    good, bad, last = perform(run, asyncio.run(jobs()))
    assert (json.loads(good), json.loads(last)) == ({"z": [[1.0, 1.0]]}, {"z": [[2.0, 2.0]]})
    assert isinstance(bad, BadOption)


def test_too_many_wait_and_too_slow_an_answer(
    run: lb.Run, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lowerbound.server import operations

    def slow(run: lb.Run, z: Any) -> Any:
        import time

        time.sleep(0.3)
        return lb.decode(run, z)

    monkeypatch.setattr(operations, "decode", slow)

    async def crowd(client: Any) -> list[int]:
        asked = [client.asked("/decode", {"z": [[0, float(i)]]}) for i in range(8)]
        return [status for status, _, _ in await asyncio.gather(*asked)]

    assert 503 in asyncio.run(crowd(serving(run, limits=Limits(waiting=2))))
    assert set(asyncio.run(crowd(serving(run, limits=Limits(patience=0.05))))) == {504}
