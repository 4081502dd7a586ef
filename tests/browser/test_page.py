"""Every control of the page, by mouse, keys and touch; that it asks for nothing and fits a phone."""

import csv
import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb

Opened = Any
Open = Callable[..., Opened]

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
AGREE = "() => { const { world, point } = explorer; return Array.from(world.decode(point.z)); }"
SHOWN = """() => {
    const canvas = document.getElementById("picture"), context = canvas.getContext("2d");
    return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data).filter((_, i) => i % 4 === 0);
}"""
SPOTS = "() => explorer.chart.spots.map((spot) => explorer.chart.toPixel(spot))"


def picture_is_true(opened: Opened) -> bool:
    """Whether the picture on the screen is the decoded point."""
    mean = np.clip(np.array(opened.ask(AGREE)), 0, 1) * 255
    return bool(np.abs(mean - opened.ask(SHOWN)).max() <= 0.51)


def corner(opened: Opened) -> tuple[float, float]:
    opened.page.locator("#map").scroll_into_view_if_needed()
    box = opened.page.locator("#map").bounding_box()
    return box["x"] + 1, box["y"] + 1  # inside of the border


def lonely(opened: Opened) -> tuple[int, float, float]:
    """A row without neighbours on the map, and where it is drawn."""
    spots = np.array(opened.ask(SPOTS))
    distance = np.linalg.norm(spots[:, None] - spots[None], axis=-1) + 1e9 * np.eye(len(spots))
    row = int(distance.min(1).argmax())
    return row, *spots[row]


def test_the_policy_lets_nothing_else_run(show: Open, image_page: Path) -> None:
    opened = show(image_page)
    policy = re.search(r'Policy" content="([^"]*)"', image_page.read_text("utf-8"))
    assert policy
    assert re.fullmatch(r"default-src 'none'; script-src 'sha256-[^' ]*'; style-src 'sha256-[^' ]*'; base-uri 'none'; "
                        r"form-action 'none'", policy[1])  # fmt: skip
    opened.ask(
        """() => {
        const made = document.createElement('script');
        made.textContent = 'window.ran = 1';
        document.body.append(made);
    }"""
    )
    assert opened.ask("window.ran === undefined")
    assert "Content Security Policy" in opened.complaints.pop()


def test_a_click_picks_a_row_and_a_drag_leaves_it(show: Open, image_page: Path) -> None:
    opened, mouse = show(image_page), None
    (left, top), mouse = corner(opened), opened.page.mouse
    row, x, y = lonely(opened)
    mouse.move(left + x + 1, top + y)
    mouse.down()
    assert opened.ask("explorer.point.row") == row
    assert opened.ask("document.getElementById('original').hidden") is False
    mouse.move(left + x - 60, top + y + 40, steps=4)
    mouse.up()
    assert opened.ask("explorer.point.row") is None
    spot = opened.ask("explorer.chart.toPixel(explorer.chart.spot(explorer.point.z))")
    np.testing.assert_allclose(spot, [x - 60, y + 40], atol=1.5)
    assert picture_is_true(opened)
    before = opened.z
    mouse.move(left + 20, top + 20)
    assert opened.z == before  # the button is up


def test_the_rest_of_the_code_stays_when_the_point_moves_on_the_plane(show: Open, image_page: Path) -> None:
    opened = show(image_page)
    across, up = (np.array(opened.ask(f"explorer.chart.plane[{k}].v")) for k in (0, 1))
    before = np.array(opened.z)
    (left, top), mouse = corner(opened), opened.page.mouse
    mouse.move(left + 5, top + 5)
    mouse.down()
    mouse.up()
    step = np.array(opened.z) - before
    basis = np.stack([across, up])
    np.testing.assert_allclose(step - basis.T @ np.linalg.solve(basis @ basis.T, basis @ step), 0, atol=1e-6)
    assert np.abs(step).max() > 0.1


def test_the_keys_of_the_map(show: Open, image_page: Path) -> None:
    opened = show(image_page)
    opened.page.focus("#map")
    before = np.array(opened.ask("explorer.chart.spot(explorer.point.z)"))
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("Shift+ArrowUp")
    moved = np.array(opened.ask("explorer.chart.spot(explorer.point.z)")) - before
    assert moved[0] > 0
    assert moved[1] == pytest.approx(5 * moved[0])
    opened.page.keyboard.press("Enter")
    codes = np.array(opened.ask("Array.from(explorer.world.codes)")).reshape(-1, 4)
    row = opened.ask("explorer.point.row")
    np.testing.assert_allclose(opened.z, codes[row])
    opened.page.keyboard.press("Home")
    np.testing.assert_allclose(opened.z, codes.mean(0), atol=1e-5)
    opened.page.keyboard.press("x")  # says nothing to it
    np.testing.assert_allclose(opened.z, codes.mean(0), atol=1e-5)
    assert picture_is_true(opened)


def test_touch(show: Open, image_page: Path) -> None:
    opened = show(image_page, **PHONE)
    (left, top), touch = corner(opened), opened.page.context.new_cdp_session(opened.page)
    row, x, y = lonely(opened)
    opened.page.touchscreen.tap(left + x + 4, top + y)
    assert opened.ask("explorer.point.row") == row

    def send(kind: str, *places: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in places]})

    send("touchStart", (left + 100, top + 100))
    for k in range(1, 6):
        send("touchMove", (left + 100 + 10 * k, top + 100 + 4 * k))
    send("touchEnd")
    spot = opened.ask("explorer.chart.toPixel(explorer.chart.spot(explorer.point.z))")
    np.testing.assert_allclose(spot, [150, 120], atol=2)
    opened.page.wait_for_timeout(600)  # a tap right after a drag is none to the browser
    opened.page.tap("#pin-B")
    opened.until("String(explorer.pins.held.B.z) === String(explorer.point.z)")
    opened.page.tap("#random")
    opened.until("explorer.point.row !== null")
    opened.page.locator("#drawn button").nth(2).tap()
    draw = "Array.from(explorer.world.arrays[explorer.world.draws]).slice(8, 12)"
    opened.until(f"String({draw}) === String(explorer.point.z)")


def test_sliders_are_sorted_by_kl_and_move_one_dimension(show: Open, image_page: Path, images: lb.Run) -> None:
    opened = show(image_page)
    kl = opened.ask("explorer.world.latents.map(({ kl }) => kl)")
    names = opened.ask("Array.from(document.querySelectorAll('.slider input')).map(({ id }) => id)")
    assert names == [f"z{i + 1}" for i in np.argsort(-np.array(kl), kind="stable")]
    found = lb.evaluate(images, samples=1).as_dict()["kl"]["per_dimension"]
    np.testing.assert_allclose(kl, found, rtol=0.2)  # on other rows of the same data
    before, which = opened.z, int(names[1][1:]) - 1
    opened.page.focus(f"#{names[1]}")
    for _ in range(3):
        opened.page.keyboard.press("ArrowRight")
    changed = [i for i, (a, b) in enumerate(zip(before, opened.z, strict=True)) if abs(a - b) > 1e-9]
    assert changed == [which]
    assert picture_is_true(opened)
    opened.settled()
    assert names[1] in opened.page.inner_text("#traversed")
    opened.page.locator("#traverse button").nth(6).click()
    ends = opened.ask(f"explorer.world.latents[{which}]")
    assert opened.z[which] == pytest.approx(ends["mean"] + 3 * ends["spread"])


def test_between_two_rows_and_their_sum(show: Open, image_page: Path) -> None:
    opened = show(image_page)
    held = {}
    for letter in "ABC":
        opened.page.click("#random")
        opened.page.click(f"#pin-{letter}")
        held[letter] = np.array(opened.z)
    opened.page.fill("#between", "0.25")
    np.testing.assert_allclose(opened.z, 0.75 * held["A"] + 0.25 * held["B"])
    opened.page.locator("#way button").nth(4).click()
    np.testing.assert_allclose(opened.z, (held["A"] + held["B"]) / 2)
    opened.page.locator("#sum button").nth(3).click()
    np.testing.assert_allclose(opened.z, held["A"] - held["B"] + held["C"])
    assert picture_is_true(opened)


def test_towards_an_attribute(show: Open, image_page: Path, images: lb.Run) -> None:
    opened = show(image_page)
    opened.page.select_option("#attribute", label="label: 3")
    start = np.array(opened.z)
    opened.page.fill("#strength", "1.5")
    codes = np.array(opened.ask("Array.from(explorer.world.codes)")).reshape(-1, 4)
    own = np.array(opened.ask("Array.from(explorer.world.colours[0].values)")) == 3
    np.testing.assert_allclose(opened.z, start + 1.5 * (codes[own].mean(0) - codes[~own].mean(0)), atol=1e-5)
    opened.page.fill("#strength", "0")
    np.testing.assert_allclose(opened.z, start, atol=1e-9)


def test_galleries(show: Open, image_page: Path, images: lb.Run) -> None:
    opened = show(image_page)
    draws = np.array(opened.ask("Array.from(explorer.world.arrays[explorer.world.draws])")).reshape(-1, 4)
    assert len(draws) == 240
    opened.page.click("#next-draws")
    opened.settled()
    opened.page.locator("#drawn button").nth(0).click()
    np.testing.assert_allclose(opened.z, draws[24])
    opened.page.locator("#reconstructed button").nth(1).click()
    row = opened.ask("explorer.world.arrays[explorer.world.rows.numbers][explorer.point.row]")
    assert row not in images.data.split.train
    opened.settled()
    assert opened.page.inner_text("#where").startswith(f"Row {row} · label {images.data.labels[row]} · ")


def test_colours_and_axes(show: Open, image_page: Path) -> None:
    opened = show(image_page)
    choices = opened.page.locator("#pickers select")
    assert opened.ask(
        "Array.from(document.querySelectorAll('#pickers select')[1].options).every(({ value }) => value !== 'p1')"
    )
    choices.nth(0).select_option("z3")
    assert opened.ask("explorer.chart.plane[0].v") == [0, 0, 1, 0]
    opened.page.locator("#legend button").nth(2).click()
    assert opened.ask("explorer.chart.bold") == 2
    choices.nth(2).select_option(label="squared error")
    assert opened.page.locator("#legend canvas.ramp").count() == 1


def test_an_address_leads_to_its_point(show: Open, image_page: Path) -> None:
    opened = show(image_page, "#z=0.5,-1.25,0,2e-1")
    assert opened.z == [0.5, -1.25, 0, 0.2]
    opened.page.evaluate("location.hash = '#row=0'")
    opened.until("explorer.point.row === 0")
    for nonsense in ("#z=1,2", "#z=1,2,3,x", "#row=-5", "#row=1e99", "#z=", "#<img src=x>"):
        opened.page.evaluate("(mark) => { location.hash = mark; }", nonsense)
    opened.settled()
    assert opened.ask("explorer.point.row") == 0
    opened.page.evaluate("location.hash = '#z=1e30,0,0,0'")
    opened.until("explorer.point.row === null")
    assert opened.z == [1000, 0, 0, 0]
    opened.settled()
    assert opened.page.is_visible("#off")
    opened.page.click("#random")
    opened.settled()
    link = opened.ask("document.getElementById('link').hash")
    assert link == opened.ask("location.hash")
    assert link.startswith("#row=")


def downloaded(opened: Opened, button: str) -> bytes:
    with opened.page.expect_download() as waiting:
        opened.page.click(button)
    return Path(waiting.value.path()).read_bytes()


def test_saved_files(show: Open, image_page: Path, table_page: Path, table: lb.Run, evil: tuple[str, ...]) -> None:
    opened = show(image_page)
    picture = downloaded(opened, "#png")
    assert (picture[:8], struct.unpack(">II", picture[16:24])) == (b"\x89PNG\r\n\x1a\n", (512, 512))
    assert downloaded(opened, "#save-map")[:4] == b"\x89PNG"
    opened = show(table_page)
    lines = list(csv.reader(io.StringIO(downloaded(opened, "#csv").decode())))
    assert lines[0] == ["z1", "z2", evil[0], evil[1], "'" + evil[2], evil[3]]
    values = np.array(lines[1], dtype=float)
    np.testing.assert_allclose(values[2:], lb.decode(table, [values[:2]])[0], atol=0.02)


def test_a_name_in_the_data_is_harmless(show: Open, table_page: Path, evil: tuple[str, ...]) -> None:
    opened = show(table_page)
    assert opened.page.title() == "vae on <b>bold</b>.csv · explorer"
    assert opened.ask("document.querySelectorAll('img, b:not(.shares b), script').length") == 3  # its own scripts
    for name in evil:
        assert opened.page.locator("#cells th", has_text=name).count() == 1
    assert table_page.read_text("utf-8").count("</script>") == 3


def test_the_cells_of_a_table(show: Open, table_page: Path, table: lb.Run) -> None:
    opened = show(table_page)
    mean = np.array(opened.ask(AGREE))
    shown = [float(text.replace("−", "-")) for text in opened.page.locator("#cells td.value").all_inner_texts()]
    np.testing.assert_allclose(shown, mean, rtol=6e-3)
    opened.page.click("#centre")
    assert opened.ask("Array.from(document.querySelectorAll('.own')).every(({ hidden }) => hidden)")
    opened.page.click("#nearest")
    row = opened.ask("explorer.point.row")
    seen = table.data.mask[opened.ask(f"explorer.world.arrays[explorer.world.rows.numbers][{row}]")]
    assert opened.ask("Array.from(document.querySelectorAll('.own')).map(({ hidden }) => !hidden)") == seen.tolist()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["image_page", "table_page"])
def test_nothing_sticks_out_of_a_phone(which: str, scheme: str, show: Open, request: pytest.FixtureRequest) -> None:
    opened = show(request.getfixturevalue(which), color_scheme=scheme, **PHONE)
    assert opened.ask("document.documentElement.scrollWidth") <= 360
    wide = """() => Array.from(document.querySelectorAll('main *')).filter((part) => {
        const box = part.getBoundingClientRect();
        return box.width && (box.right > 361 || box.left < -1) && !part.closest('.legend, .wide, .slider label');
    }).map((part) => part.outerHTML.slice(0, 80))"""
    assert opened.ask(wide) == []


def test_every_control_has_a_name(show: Open, image_page: Path) -> None:
    nameless = """() => Array.from(document.querySelectorAll('button, input, select, a, canvas[role]')).filter((part) =>
        !(part.textContent.trim() || part.getAttribute('aria-label') || part.labels?.length || part.title)).length"""
    opened = show(image_page)
    opened.settled()
    assert opened.ask(nameless) == 0


@pytest.mark.parametrize("latent", [1, 2])
def test_few_dimensions(latent: int, show: Open, tmp_path: Path) -> None:
    run = lb.fit("digits", latent=latent, epochs=1, progress=False)
    opened = show(lb.export_html(run, tmp_path / "page.html", rows=60).path)
    (left, top), before = corner(opened), opened.z
    opened.page.mouse.click(left + 30, top + 30)
    opened.page.focus("#map")
    for key in ("ArrowLeft", "ArrowUp", "Enter", "Home"):
        opened.page.keyboard.press(key)
    assert opened.z != before
    assert np.isfinite(opened.z).all()
    assert picture_is_true(opened)


def test_an_autoencoder_has_no_samples(show: Open, tmp_path: Path) -> None:
    run = lb.fit("digits", latent=2, epochs=1, recipe="ae", progress=False)
    opened = show(lb.export_html(run, tmp_path / "page.html", rows=60).path)
    assert not opened.page.is_visible("#samples")
    assert opened.page.is_visible("#reconstructed")


def test_a_page_without_its_data_says_so(browser: Any, image_page: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'(id="arrays">).{20}', r"\1!!!", image_page.read_text("utf-8")))
    page = browser.new_context(offline=True).new_page()
    page.goto(broken.as_uri())
    page.get_by_text("This page cannot be shown").wait_for()
