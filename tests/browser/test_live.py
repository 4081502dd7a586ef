"""The page that is served: a row of one's own, holes, scores, two runs, a run in training, and the token."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound.explorer.watched import Watched

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
Explored = Callable[..., str]
Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens an address; at the end no page may have asked elsewhere, told the token in an address, or complained."""
    contexts, asked, complaints = [], [], []

    def start(address: str, selector: str = "body.live", **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append((request.url, request.headers)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector(selector)
        return page

    yield start
    for context in contexts:
        context.close()
    for url, headers in asked:
        assert re.match(r"http://127\.0\.0\.1:\d+/|blob:", url)
        assert "token" not in url.split("#")[0] + headers.get("referer", "")
    assert [line for line in complaints if "Failed to load resource" not in line] == []


@pytest.fixture(scope="module")
def served(images: lb.Run, explored: Explored) -> str:
    return explored(images, rows=120)


def until(page: Any, code: str) -> None:
    """The policy of the page forbids the browser to look by itself."""
    for _ in range(200):
        if page.evaluate(code):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {code}")


def values(page: Any) -> np.ndarray:
    return np.array(page.evaluate("Array.from(explorer.own.editor.values)"))


def test_the_token_is_asked_for_and_leaves_the_address(visit: Visit, served: str) -> None:
    page = visit(served)
    assert "token" not in page.url
    page.reload()
    page.wait_for_selector("body.live")
    address, token = served.split("#token=")
    page = visit(address, "#locked:not([hidden])")
    assert "token" in page.inner_text("#locked-error")
    page.fill("#token", "wrong-wrong-wrong-wrong")
    page.press("#token", "Enter")
    until(page, "!document.getElementById('locked').hidden")
    page.fill("#token", token)
    page.click("#unlock")
    page.wait_for_selector("body.live")


def test_a_row_is_encoded_decoded_and_scored_as_the_tasks_do(visit: Visit, served: str, images: lb.Run) -> None:
    page = visit(served)
    page.click("#random")
    page.click("#own-take")
    page.click("#own-encode")
    page.wait_for_selector("#own-views:not([hidden])")
    row = values(page).reshape(1, 1, 8, 8)
    np.testing.assert_allclose(page.evaluate("explorer.point.z"), lb.encode(images, row)[0], atol=1e-4)
    np.testing.assert_allclose(page.evaluate("explorer.pins.held.you.z"), lb.encode(images, row)[0], atol=1e-4)
    page.click("#own-score")
    page.wait_for_selector("#own-value")
    sent = np.array([page.evaluate("explorer.own.rows.sent(explorer.own.editor.values)")])
    np.testing.assert_allclose(sent, row, atol=1e-6)
    found = lb.score(images, sent, samples=1000)
    said = page.inner_text("#own-value").replace("−", "-")
    number, error = re.findall(r"= (-?[\d.]+) ± ([\d.]+)", said)[0]
    assert (float(number), float(error)) == pytest.approx((found.log_likelihood[0], found.se[0]), abs=0.02)
    assert page.locator("#own-scored canvas").count() == 1


def test_a_picture_is_dropped_and_its_holes_are_filled(visit: Visit, served: str, images: lb.Run) -> None:
    page = visit(served)
    page.evaluate(
        """async () => {
        const canvas = new OffscreenCanvas(64, 32), context = canvas.getContext("2d");
        context.fillStyle = "rgb(255 255 255)";
        context.fillRect(16, 0, 16, 32);
        const file = new File([await canvas.convertToBlob()], "half.png", { type: "image/png" });
        const moved = new DataTransfer();
        moved.items.add(file);
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: moved, bubbles: true, cancelable: true }));
    }"""
    )
    page.wait_for_selector("#own-views:not([hidden])")
    expected = np.zeros((8, 8))
    expected[:, :4] = 1  # the middle of it, 32 by 32, of which the left half is white
    np.testing.assert_allclose(values(page).reshape(8, 8), expected, atol=0.01)
    assert "half.png" in page.inner_text("#own-status")
    page.locator("#own-canvas").scroll_into_view_if_needed()
    page.click("#own-fill")
    assert "no holes" in page.inner_text("#own-error")
    page.locator("#own-canvas").click(position={"x": 20, "y": 20})
    page.focus("#own-canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    holes = np.array(page.evaluate("explorer.own.editor.holes")).reshape(8, 8)
    assert holes[0, 0]
    assert holes[4, 5]
    page.click("#own-fill")
    page.wait_for_selector("#own-filled figure")
    assert page.locator("#own-filled figure").count() == 8
    page.click("#own-close")
    assert not any(page.evaluate("explorer.own.editor.holes"))


def test_holes_by_touch(visit: Visit, served: str) -> None:
    page = visit(served, **PHONE)
    page.locator("#own-canvas").scroll_into_view_if_needed()
    page.locator("#own-canvas").tap(position={"x": 150, "y": 150})
    until(page, "explorer.own.editor.holes.some(Boolean)")
    page.locator("#own-fill").tap()
    page.wait_for_selector("#own-filled figure")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_file_that_is_no_picture_and_a_server_that_is_gone(visit: Visit, served: str, tmp_path: Path) -> None:
    page = visit(served)
    path = tmp_path / "<b>no.png"
    path.write_text("no picture")
    page.set_input_files("#own-file", path)
    until(page, "document.getElementById('own-error').textContent.includes('<b>no.png is no picture')")
    page.route("**/first/*", lambda route: route.abort())
    page.click("#own-score")
    until(page, "document.getElementById('own-error').textContent.includes('still running')")


@pytest.fixture(scope="module")
def kinds(every_kind: tuple[Path, str]) -> lb.Run:
    path, said = every_kind
    return lb.fit(path, latent=2, epochs=2, columns=said, progress=False)


def test_a_row_of_a_table_is_pasted_written_filled_and_scored(visit: Visit, kinds: lb.Run, explored: Explored) -> None:
    page = visit(explored(kinds, rows=60))
    names = [column.name for column in kinds.schema]
    page.fill("#own-text", '41,2.5,20,0.5,3,2,0,f,"</script>",M,2020-06-01,2021-03-05 10:00:00')
    page.click("#own-read")
    until(page, "document.getElementById('own-status').textContent.includes('as “you”')")
    row = values(page)
    found = dict(zip(names, row, strict=True))
    assert (found["age"], found["visits"]) == (41, 3)
    assert list(kinds.schema)[8].categories[int(row[8])] == "</script>"
    data = lb.Data(row[None].astype(np.float64), schema=kinds.schema, columns=tuple(names))
    np.testing.assert_allclose(page.evaluate("explorer.point.z"), lb.encode(kinds, data)[0], atol=2e-3)
    assert page.input_value("#own-10") == "2020-06-01"
    page.fill("#own-0", "fifty")
    page.press("#own-0", "Tab")
    assert "age: fifty is not a value" in page.inner_text("#own-error")
    page.fill("#own-0", "50")
    page.press("#own-0", "Tab")
    assert values(page)[0] == 50
    page.get_by_label("leave out income").check()
    page.get_by_label("leave out sex").check()
    page.click("#own-fill")
    page.wait_for_selector("#own-filled table")
    assert "sex" in page.inner_text("#own-filled")
    page.click("#own-score")
    page.wait_for_selector("#own-scored table")
    page.fill("#own-0", "1e9")
    page.press("#own-0", "Tab")
    page.click("#own-encode")
    until(page, "document.getElementById('own-error').textContent.startsWith('age: not allowed')")


def test_two_runs_show_the_same_row(visit: Visit, images: lb.Run, explored: Explored) -> None:
    other = lb.fit(images.data, latent=2, epochs=2, recipe="sigma-vae", progress=False)
    page = visit(explored(images, other, rows=120))
    page.click("#random")
    until(page, "explorer.beside.other.row === explorer.point.row")
    page.locator("#map-b").scroll_into_view_if_needed()
    page.focus("#map-b")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(page, "explorer.beside.other.row !== null && explorer.beside.other.row === explorer.point.row")
    page.wait_for_timeout(500)  # each map has told the other
    page.click("#own-invert")
    until(page, "explorer.beside.other.row === null && explorer.beside.pins.held.you !== undefined")
    row = values(page).reshape(1, 1, 8, 8)
    np.testing.assert_allclose(page.evaluate("explorer.beside.other.z"), lb.encode(other, row)[0], atol=1e-4)
    page.click("#beside-many button")
    until(page, "document.getElementById('beside-many-line').cells.length === 4")
    held = np.array(
        page.evaluate(
            """() => explorer.beside.heldOut().map((i) => explorer.sides[0].rows.sent(explorer.world.values(i)))"""
        )
    )
    scores = [lb.score(run, held, samples=200).log_likelihood for run in (images, other)]
    cells = page.inner_text("#beside-many-line").replace("−", "-").split("\t")
    found = [tuple(map(float, cell.split(" ± "))) for cell in cells[1:]]
    apart = scores[1] - scores[0]
    for (mean, error), values_ in zip(found, [*scores, apart], strict=True):
        assert mean == pytest.approx(values_.mean(), abs=0.02)
        assert error >= 0.95 * values_.std(ddof=1) / np.sqrt(len(held)) - 0.01


def test_a_decoder_at_the_server(
    visit: Visit, images: lb.Run, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowerbound.explorer.export.MANY", 10)
    page = visit(explored(images, rows=40))
    page.click("#random")
    until(page, "!explorer.world.far.soon(explorer.point.z)")
    z = page.evaluate("explorer.point.z")
    np.testing.assert_allclose(page.evaluate("explorer.decode(explorer.point.z)"), lb.decode(images, [z]).ravel(),
                               atol=1e-5)  # fmt: skip
    shown = page.evaluate(
        """() => Array.from(document.getElementById("picture").getContext("2d").getImageData(0, 0, 8, 8).data)"""
    )[::4]
    np.testing.assert_allclose(shown, 255 * np.clip(lb.decode(images, [z]).ravel(), 0, 1), atol=1)


def test_a_run_in_training_becomes_a_finished_one(visit: Visit, explored: Explored, tmp_path: Path) -> None:
    folder, kept = tmp_path / "run", tmp_path / "model.json"
    lb.fit("digits", latent=2, epochs=3, progress=False, out=folder, checkpoint_seconds=0)
    (folder / "model.json").rename(kept)
    page = visit(explored(watched=Watched(folder), opened=lambda: lb.open(folder), rows=40))
    assert page.inner_text("#training-status").startswith("Epoch 3")
    assert not page.is_visible("#map")
    assert page.locator("#curves figure").count() == 3
    assert "train (line)" in page.inner_text("#curves")
    assert page.locator("#training-samples canvas").count() == 24
    kept.rename(folder / "model.json")
    page.click("#look")
    page.wait_for_selector("body.ready")
    assert page.is_visible("#map")
