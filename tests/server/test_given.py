"""A run that is conditioned, asked: what each request is told is what the tasks are told."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb


@pytest.fixture(scope="module")
def told() -> lb.Run:
    return lb.fit("digits", recipe="cvae", latent=2, epochs=1, progress=False)


def test_each_request_says_its_label(told: lb.Run, serving: Callable[..., Any]) -> None:
    client, data = serving(told), told.rows().take(slice(0, 40))
    row = int(np.flatnonzero(np.array(data.label_names)[data.labels] == "7")[0])
    x, given = data.values()[[row]], {"label": "7"}
    status, found = client.ask("/encode", {"x": x.tolist(), "given": given})
    assert status == 200
    np.testing.assert_allclose(found["z"], lb.encode(told, data.take([row])), atol=1e-6)
    _, back = client.ask("/decode", {**found, "given": {"label": "3"}})
    np.testing.assert_allclose(back["x"], lb.decode(told.at({"label": 3}), found["z"]), atol=1e-6)
    _, score = client.ask("/score", {"x": x.tolist(), "given": given, "samples": 60})
    wanted = lb.score(told, data.take([row]), samples=60)
    np.testing.assert_allclose(score["log_likelihood"], wanted.log_likelihood, rtol=1e-5)
    _, made = client.ask("/sample", {"rows": 3, "seed": 5, "given": given})
    np.testing.assert_allclose(made["x"], lb.sample(told, 3, seed=5, given=given).values, atol=1e-6)


@pytest.mark.parametrize("given", [None, {}, {"label": "11"}, {"label": 7}, {"label": "7", "age": 3}])
def test_what_is_not_said_is_refused(given: Any, told: lb.Run, serving: Callable[..., Any]) -> None:
    body = {"z": [[0.0, 0.0]], **({} if given is None else {"given": given})}
    status, found = serving(told).ask("/decode", body)
    assert (status, found["error"]["id"]) == (422, "E-CONFIG-OPTION")


def test_requests_with_other_labels_are_answered_apart(told: lb.Run, serving: Callable[..., Any]) -> None:
    client, x = serving(told), told.rows().values()[:2]

    async def crowd() -> Any:
        bodies = [client.asked("/encode", {"x": x.tolist(), "given": {"label": str(k % 3)}}) for k in range(6)]
        return await asyncio.gather(*bodies)

    for k, (status, _, content) in enumerate(asyncio.run(crowd())):
        assert status == 200
        rows = lb.Data(x, labels=np.full(2, k % 3), label_names=told.data.label_names)
        np.testing.assert_allclose(json.loads(content)["z"], lb.encode(told, rows), atol=1e-5)


def test_columns_of_a_table_are_told(every_kind: tuple[Path, str], serving: Callable[..., Any]) -> None:
    path, said = every_kind
    run = lb.fit(path, latent=2, epochs=1, progress=False, **{"data.columns": said, "data.context": "size, age"})
    data = run.rows()
    assert run.conditions is not None and run.schema is not None and data.context is not None and data.mask is not None
    texts = run.schema.cells(np.where(data.mask, data.values(dtype=np.float64), np.nan))
    one = [None if not seen else text if column.coded else float(data.x[4, j])
           for j, (column, text, seen) in enumerate(zip(run.schema, texts[4], data.mask[4], strict=True))]  # fmt: skip
    given = {"size": run.conditions.members[run.conditions.names.index("size")].text(data.context[4, 0])}
    body = {"x": [one], "given": {**given, "age": float(data.context[4, 1])}}
    assert run.conditions.names == ("age", "size") or run.conditions.names == ("size", "age")
    _, found = serving(run).ask("/encode", body)
    np.testing.assert_allclose(found["z"], lb.encode(run, data.take([4])), atol=1e-5)
    _, alone = serving(run.at(body["given"])).ask("/encode", {"x": [one]})  # as with --given
    np.testing.assert_allclose(alone["z"], found["z"], atol=1e-6)
