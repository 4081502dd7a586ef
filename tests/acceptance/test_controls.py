"""Every control of the page, exported and served, by mouse, touch and keys: each does something that can be seen."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lowerbound as lb

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1500)]
Record = Callable[[str, str, str], None]

HANDS = ("mouse", "touch", "keys")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 900}}
# Like controls beside each other are one: of each line of pictures, of classes or of sliders the first and the last.
CONTROLS = """() => {
    const names = ["button", "select", "input", "textarea", "a", "canvas[tabindex]"];
    const all = document.querySelectorAll(names.map((name) => `main ${name}`).join());
    const kinds = new Map();
    for (const part of document.querySelectorAll("[data-control]")) delete part.dataset.control;
    for (const part of all) {
        if (!part.checkVisibility()) continue;
        const home = part.closest(".strip, .legend, .sliders, .fields, .sheet") ?? part,
            kind = [home, part.tagName, part.type].map((one) => one?.id ?? one).join();
        const like = home === part ? [part] : [...(kinds.get(home)?.get(kind) ?? []).slice(0, 1), part];
        if (!kinds.has(home)) kinds.set(home, new Map());
        kinds.get(home).set(kind, like);
    }
    let count = 0;
    for (const home of kinds.values()) for (const like of home.values()) for (const part of like)
        part.dataset.control = String(count++);
    return count;
}"""
# What there is to be seen: where the point is, what is written and chosen, what was saved, and every picture.
SEEN = """() => {
    const { point, chart, pins, own } = explorer;
    let sum = 0;
    for (const canvas of document.querySelectorAll("canvas")) if (canvas.width) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 17) sum = (sum * 31 + data[i]) >>> 0;
    }
    const fields = Array.from(document.querySelectorAll("input:not([type=file]), select, textarea"));
    return JSON.stringify([point.z, point.row, point.given, location.hash, chart.chosen, chart.bold, pins.held,
        own?.editor.holes, fields.map(({ value, checked }) => [value, checked]), window.saved ?? 0,
        document.body.innerText, sum]);
}"""
SAVES = """() => {
    const made = URL.createObjectURL;
    URL.createObjectURL = (blob) => { window.saved = (window.saved ?? 0) + 1; return made.call(URL, blob); };
}"""
ASIDE = """() => {
    const { world, point } = explorer;
    point.go(world.latents.map(({ mean, spread }, i) => mean + (i % 2 ? -0.37 : 0.41) * spread));
}"""


@contextlib.contextmanager
def opened(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body.ready")
    page.wait_for_timeout(800)
    page.evaluate(SAVES)
    yield page
    context.close()
    assert complaints == []


def settled(page: Any) -> str:
    """What is seen, once nothing changes any more."""
    before = ""
    for _ in range(100):
        page.wait_for_timeout(120)
        now: str = page.evaluate(SEEN)
        if now == before:
            return now
        before = now
    raise AssertionError("never at rest")


def use(page: Any, part: Any, hand: str) -> None:
    """Do with a control what it is there for, by hand."""
    tag, kind = part.evaluate("(part) => [part.tagName, part.type ?? '']")
    part.scroll_into_view_if_needed()
    if kind == "file":
        with page.expect_file_chooser():
            touch(part, hand)
        return
    if tag == "SELECT":  # its list is the browser's own
        part.focus()
        last = part.evaluate("(part) => part.selectedIndex === part.options.length - 1")
        page.keyboard.press("ArrowUp" if last else "ArrowDown")
    elif kind == "range" or tag == "CANVAS":
        at_side(page, part, hand, kind == "range")
    elif kind in ("text", "search", "textarea", "password"):
        touch(part, hand, typing=True)
        page.keyboard.press("Control+A")
        page.keyboard.type("3")
        page.keyboard.press("Tab")
    else:
        touch(part, hand)


def touch(part: Any, hand: str, typing: bool = False) -> None:
    if hand == "mouse":
        part.click()
    elif hand == "touch":
        part.tap()
    else:
        part.focus()
        if not typing:
            part.press("Enter" if part.evaluate("(part) => !['file', 'checkbox'].includes(part.type)") else "Space")


def at_side(page: Any, part: Any, hand: str, bar: bool) -> None:
    box = part.bounding_box()
    spot = {"x": box["width"] * 0.83, "y": box["height"] * (0.5 if bar else 0.27)}
    if hand == "keys":
        part.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space" if not bar and part.get_attribute("id") == "own-canvas" else "ArrowRight")
    elif hand == "mouse":
        part.click(position=spot)
    else:
        part.tap(position=spot)


def driven(browser: Any, address: str, hand: str) -> tuple[int, list[str]]:
    """How many controls there are, and those that did nothing."""
    idle = []
    with opened(browser, address, **(PHONE if hand == "touch" else DESK)) as page:
        count = page.evaluate(CONTROLS)
        for number in range(count):
            page.evaluate(ASIDE)
            page.wait_for_timeout(250)
            settled(page)
            page.evaluate("history.replaceState(null, '', '#')")
            page.evaluate(CONTROLS)  # tables are made anew where the point moves
            part = page.locator(f"[data-control='{number}']")
            if not part.count():  # it is gone with what was asked before, as "All dimensions" is
                continue
            before, file = page.evaluate(SEEN), part.get_attribute("type") == "file"
            name = part.evaluate("(part) => `${part.id || part.textContent.trim() || part.getAttribute('aria-label')}`")
            use(page, part, hand)
            if not file and changed(page, before) is None:
                idle.append(name)
    return count, idle


def changed(page: Any, before: str) -> str | None:
    for _ in range(120):
        page.wait_for_timeout(80)
        now: str = page.evaluate(SEEN)
        if now != before:
            return now
    return None


@pytest.fixture(scope="module")
def runs(every_kind: tuple[Path, str]) -> dict[str, lb.Run]:
    digits = lb.fit("digits", latent=4, epochs=3, recipe="sigma-vae", progress=False)
    path, said = every_kind
    return {"pictures": digits, "table": lb.fit(path, latent=2, epochs=2, columns=said, progress=False),
            "other": lb.fit("digits", latent=2, epochs=2, progress=False)}  # fmt: skip


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("which", ["pictures", "table"])
def test_exported(which: str, hand: str, record: Record, runs: dict[str, lb.Run], browser: Any, tmp_path: Path) -> None:
    path = lb.export_html(runs[which], tmp_path / "page.html", rows=120).path
    count, idle = driven(browser, path.as_uri(), hand)
    record(f"exported page of {which}: controls that do something, by {hand}", "all", f"{count - len(idle)} of {count}")
    assert idle == []


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("which", ["pictures", "table", "two"])
def test_served(
    which: str, hand: str, record: Record, runs: dict[str, lb.Run], browser: Any, explored: Callable[..., str]
) -> None:
    shown = [runs["pictures"], runs["other"]] if which == "two" else [runs[which]]
    count, idle = driven(browser, explored(*shown, rows=120), hand)
    record(f"served page of {which}: controls that do something, by {hand}", "all", f"{count - len(idle)} of {count}")
    assert idle == []
