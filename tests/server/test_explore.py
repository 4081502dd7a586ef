"""The page that is served with the encoder: what it gives, whom it refuses, and a run that is still in training."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.checkpoints import Store
from lowerbound.errors import Incompatible, RunError
from lowerbound.explorer.export import FAR, gather
from lowerbound.explorer.live import Explorer
from lowerbound.explorer.page import live
from lowerbound.explorer.watched import Watched

SHELL = ("/", "/explorer.js", "/explorer.css")
SECRET = ("/page", "/training", "/first/", "/first/openapi.json", "/first/encode", "/second/decode", "/nothing")

Make = Callable[..., Any]


@pytest.fixture(scope="session")
def exploring(serving: Make) -> Make:
    """A client of the page of some runs."""

    def make(*runs: lb.Run, **options: Any) -> Any:
        client = serving(runs[0] if runs else lb.fit("digits", latent=1, epochs=0, progress=False))
        return type(client)(Explorer(runs, **{"token": "a-token-of-the-tests", "rows": 30, **options}))

    return make


@pytest.fixture(scope="session")
def page(run: lb.Run, exploring: Make) -> Any:
    return exploring(run)


def given(client: Any, path: str, **headers: str | None) -> tuple[int, dict[str, str], bytes]:
    found: tuple[int, dict[str, str], bytes] = asyncio.run(client.asked(path, method="GET", headers=headers))
    return found


@pytest.mark.parametrize("path", SHELL)
def test_the_page_itself_needs_no_token_and_holds_nothing_of_the_run(page: Any, run: lb.Run, path: str) -> None:
    status, headers, content = given(page, path, authorization=None)
    assert status == 200
    assert headers["content-type"].endswith("; charset=utf-8")
    policy = headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'; connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    text = content.decode()
    assert not re.search(r"\{\{[A-Z]|a-token-of-the-tests", text)
    assert content == live()[path][1]  # which has not seen the run
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(?!/explorer\.)", text)


@pytest.mark.parametrize("path", SECRET)
@pytest.mark.parametrize("headers", [{"authorization": None}, {"authorization": "Bearer wrong-token-of-them"}])
def test_all_else_needs_the_token(page: Any, path: str, headers: dict[str, str | None]) -> None:
    assert given(page, path, **headers)[0] == 401


@pytest.mark.parametrize("path", [*SHELL, *SECRET])
@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"host": None}, {"origin": "http://evil.example"}, {"origin": "null"}]
)
def test_strangers_get_nothing_at_all(page: Any, path: str, headers: dict[str, str | None]) -> None:
    assert given(page, path, **headers)[0] == 403


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/explorer.js/", "//page", "/first", "/firstencode", "/second/encode", "/page?token=x", ""],
)
def test_addresses_are_looked_up_and_are_no_paths(page: Any, path: str) -> None:
    assert given(page, path)[0] == 404


@pytest.mark.parametrize("path", ["/", "/page", "/explorer.css"])
def test_pages_are_only_read(page: Any, path: str) -> None:
    status, headers, _ = asyncio.run(page.asked(path, {"x": 1}))
    assert (status, headers["allow"]) == (405, "GET")


def test_what_the_page_is_told(page: Any, run: lb.Run) -> None:
    found = json.loads(given(page, "/page")[2])
    (side,) = found["runs"]
    assert (found["state"], side["at"], side["holes"], side["density"]) == ("ready", "/first", False, True)
    facts, arrays = gather(run, rows=30)
    assert side["facts"] == json.loads(json.dumps(facts))
    assert side["arrays"] == arrays
    assert side["row"] == page.ask("/first/openapi.json", method="GET")[1]["paths"]["/encode"]["post"]["requestBody"][
        "content"]["application/json"]["schema"]["properties"]["x"]["items"]  # fmt: skip


def test_the_endpoint_of_each_run_says_where_it_is(run: lb.Run, exploring: Make, rows: Any) -> None:
    other = lb.fit("digits", latent=3, epochs=0, progress=False)
    client = exploring(run, other)
    for at, each in (("/first", run), ("/second", other)):
        assert client.ask(f"{at}/openapi.json", method="GET")[1]["servers"] == [{"url": at}]
        status, found = client.ask(f"{at}/encode", {"x": rows.tolist()})
        assert status == 200
        np.testing.assert_allclose(found["z"], lb.encode(each, rows), atol=1e-5)
    assert client.ask("/first/score", {"x": [1]})[0] == 422
    assert client.ask("/second/nothing", {})[0] == 404


def test_runs_of_other_rows_do_not_go_beside_each_other(run: lb.Run, table: lb.Run, exploring: Make) -> None:
    with pytest.raises(Incompatible, match=r"\(1, 8, 8\) and \(4,\)|\(4,\) and \(1, 8, 8\)"):
        exploring(run, table)


def test_what_cells_add(client: Any, run: lb.Run, rows: Any, table: lb.Run, serving: Make) -> None:
    """They and the code add up to -log p(x), and the usual is the mean over other rows."""
    from lowerbound.server.operations import OF_OTHERS, OTHERS
    from lowerbound.tasks.anomaly import contributions

    _, found = client.ask("/explain", {"x": rows.tolist(), "samples": 64, "seed": 3})
    score = client.ask("/score", {"x": rows.tolist(), "samples": 64, "seed": 3})[1]["log_likelihood"]
    nats = np.array(found["nats"])
    assert nats.shape == rows.shape
    np.testing.assert_allclose(nats.sum((1, 2, 3)) + found["code"], -np.array(score), rtol=1e-4)
    others = run.data.take(np.linspace(0, run.data.rows - 1, OTHERS).astype(int))
    cells, code = contributions(run, others, OF_OTHERS)
    np.testing.assert_allclose(found["usual"][1], cells.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["usual_code"], code.mean(), rtol=1e-5)
    holes = [[41, "</script>", None, 1.5]]
    assert serving(table).ask("/explain", {"x": holes, "samples": 10})[1]["nats"][0][2] == 0


def test_without_rows_at_hand_nothing_is_usual(tmp_path: Path, serving: Make) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    run = lb.open(lb.fit(rows, latent=1, epochs=1, progress=False).save(tmp_path / "run"))
    found = serving(run).ask("/explain", {"x": rows[:2].tolist(), "samples": 10})[1]
    assert found["usual"] == [[None] * 3] * 2
    assert found["usual_code"] == [None] * 2


def test_a_decoder_that_the_page_has_no_code_for_stays_at_the_server(
    run: lb.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "layers" in gather(run, rows=5, far=True)[0]["decoder"]
    monkeypatch.setattr("lowerbound.explorer.export.MANY", 10)
    assert gather(run, rows=5, far=True)[0]["decoder"] == FAR
    assert "layers" in gather(run, rows=5)[0]["decoder"]
    monkeypatch.undo()
    monkeypatch.setattr("lowerbound.explorer.families.FAMILIES", {})
    assert gather(run, rows=5, far=True)[0]["decoder"] == FAR
    with pytest.raises(Incompatible):
        gather(run, rows=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was broken off: history and a checkpoint, and no finished weights."""
    folder = tmp_path_factory.mktemp("training") / "run"
    lb.fit("digits", latent=2, epochs=2, progress=False, out=folder, checkpoint_seconds=0)
    (folder / "model.json").rename(folder.parent / "model.json")
    return folder


def test_a_run_in_training(folder: Path, exploring: Make) -> None:
    watched = Watched(folder)
    client = exploring(watched=watched, opened=lambda: lb.open(folder))
    assert json.loads(given(client, "/page")[2]) == {"state": "training"}
    assert given(client, "/first/encode")[0] == 404
    found = json.loads(given(client, "/training")[2])
    assert (found["state"], [line["epoch"] for line in found["epochs"]]) == ("training", [1, 2])
    assert 0 <= found["quiet"] <= time.time()
    newest = Store(folder / "checkpoints").latest()
    samples = found["samples"]
    assert (samples["step"], samples["shape"]) == (newest.step, [1, 8, 8])
    (folder.parent / "model.json").rename(folder / "model.json")
    try:
        made = lb.sample(lb.open(folder), 24, kind="mean", seed=0).values
        np.testing.assert_allclose(samples["x"], made.reshape(24, -1), atol=1e-4)
        assert json.loads(given(client, "/training")[2])["state"] == "finished"
        assert json.loads(given(client, "/page")[2])["state"] == "ready"
        assert client.ask("/first/decode", {"z": [[0, 0]]})[0] == 200
    finally:
        (folder / "model.json").rename(folder.parent / "model.json")


def test_what_cannot_be_opened_once_finished_is_said(folder: Path, exploring: Make) -> None:
    def broken() -> lb.Run:
        raise RunError("the weights are damaged")

    client = exploring(watched=Watched(folder), opened=broken)
    (folder / "model.json").write_text("{}")
    status, _, content = given(client, "/page")
    (folder / "model.json").unlink()
    assert (status, json.loads(content)["error"]["message"]) == (422, "the weights are damaged")


def test_samples_are_made_once_a_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched, read = Watched(folder), []
    load = Store.load
    monkeypatch.setattr(Store, "load", lambda self, which: read.append(which) or load(self, which))
    first = watched.told()["samples"]
    assert watched.told()["samples"] is first
    assert len(read) == 1


def test_a_run_that_has_just_begun_and_one_of_a_table(tmp_path: Path, table: lb.Run) -> None:
    with pytest.raises(RunError):
        Watched(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    found = Watched(tmp_path).told()
    assert (found["epochs"], found["quiet"], found["samples"]) == ([], None, None)
    lb.fit(np.random.default_rng(0).normal(size=(60, 3)), latent=1, epochs=1, progress=False, out=tmp_path / "run",
           checkpoint_seconds=0)  # fmt: skip
    (tmp_path / "run" / "model.json").unlink()
    found = Watched(tmp_path / "run").told()
    assert (len(found["epochs"]), found["samples"]) == (1, None)
