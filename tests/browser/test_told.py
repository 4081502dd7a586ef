"""Models that are told something, in a page: its controls change what is told and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowerbound as lb
from lowerbound.randomness import Draw, fill, generator

Open = Callable[..., Any]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def as_told(run: lb.Run, z: Any, **given: Any) -> Any:
    return lb.decode(run.at(given), [z]).reshape(-1)


def test_the_label_changes_and_the_style_stays(show: Open, told: lb.Run, told_page: Path) -> None:
    opened = show(told_page)
    row, style = opened.ask("explorer.point.row"), opened.z
    own = int(opened.ask("explorer.point.given")[0])
    buttons = opened.page.locator("#given button")
    assert buttons.all_inner_texts() == [str(k) for k in range(10)]
    for k in (7, 3):
        buttons.nth(k).click()
        assert (opened.z, opened.ask("explorer.point.row"), opened.ask("explorer.point.given")) == (style, row, [k])
        np.testing.assert_allclose(
            opened.ask("explorer.decode(explorer.point.z)"), as_told(told, style, label=k), atol=1e-3
        )
        pressed = [each.get_attribute("aria-pressed") for each in buttons.all()]
        assert pressed == [str(i == k).lower() for i in range(10)]
    opened.settled()
    assert ("said above" in opened.page.inner_text("#where")) == (own != 3)
    opened.page.click("#random")  # a row is told its own label
    number = opened.ask("explorer.world.arrays[explorer.world.rows.numbers][explorer.point.row]")
    assert opened.ask("explorer.point.given") == [told.data.labels[number]]
    np.testing.assert_allclose(
        opened.ask("explorer.decode(explorer.point.z)"),
        lb.reconstruct(told, told.data.take([number])).reshape(-1),
        atol=1e-3,
    )
    opened.page.focus("#map")
    given = opened.ask("explorer.point.given")
    opened.page.keyboard.press("ArrowRight")
    assert opened.ask("explorer.point.given") == given


def test_every_label_beside_each_other(show: Open, told: lb.Run, told_page: Path) -> None:
    opened = show(told_page)
    opened.settled()
    style, strip = opened.z, opened.page.locator("#everywhere button")
    assert strip.count() == 10
    strip.nth(4).click()
    assert (opened.z, opened.ask("explorer.point.given")) == (style, [4])
    first = opened.ask("Array.from(explorer.world.arrays[explorer.world.draws]).slice(0, 3)")
    opened.page.locator("#drawn button").nth(0).click()  # decoded as what is told now
    np.testing.assert_allclose(opened.z, first)
    assert opened.ask("explorer.point.given") == [4]


def test_by_keys_and_by_touch(show: Open, told_page: Path) -> None:
    opened = show(told_page, **PHONE)
    opened.page.tap("#given button:nth-of-type(6)")
    opened.until("explorer.point.given[0] === 5")
    opened.page.focus("#given button:nth-of-type(9)")
    opened.page.keyboard.press("Enter")
    opened.until("explorer.point.given[0] === 8")


def test_an_address_says_what_is_told(show: Open, told_page: Path) -> None:
    opened = show(told_page, "#z=0.5,-1,0&given=7")
    assert (opened.z, opened.ask("explorer.point.given")) == ([0.5, -1, 0], [7])
    for nonsense in ("#z=0,0,0&given=10", "#z=0,0,0&given=1.5", "#z=0,0,0&given=1,2", "#z=0,0,0&given=x"):
        opened.page.evaluate("(mark) => { location.hash = mark; }", nonsense)
    opened.settled()
    assert (opened.z, opened.ask("explorer.point.given")) == ([0.5, -1, 0], [7])
    opened.page.evaluate("location.hash = '#row=0&given=2'")
    opened.until("explorer.point.row === 0")
    opened.settled()
    assert opened.ask("document.getElementById('link').hash") == "#row=0&given=2"


@pytest.fixture(scope="module")
def spoken(every_kind: tuple[Path, str]) -> lb.Run:
    """A run of a table that is told a class and a number, with a prior that depends on them."""
    path, said = every_kind
    return lb.fit(path, latent=2, epochs=3, progress=False, prior="conditional",
                  **{"data.columns": said, "data.context": "size, age"})  # fmt: skip


def test_classes_and_numbers_of_a_table(show: Open, spoken: lb.Run, tmp_path: Path) -> None:
    opened = show(lb.export_html(spoken, tmp_path / "page.html").path)
    at = {name: k for k, name in enumerate(opened.ask("explorer.world.conditions.map(({ name }) => name)"))}
    style = opened.z
    opened.page.locator("#given button", has_text="L").click()
    opened.page.fill("#given input", "50")
    given = opened.ask("explorer.point.given")
    assert opened.z == style and given[at["size"]] == 2 and abs(given[at["age"]] - 50) < 0.5
    found, wanted = (
        opened.ask("explorer.decode(explorer.point.z)"),
        as_told(spoken, style, size="L", age=given[at["age"]]),
    )
    np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=1e-3)
    colours = opened.ask("explorer.world.colours.map(({ name }) => name)")
    assert {"size", "age"} <= set(colours) and len(colours) == len(set(colours))
    context = torch.from_numpy(spoken.conditions.numbers(np.array([given]))).float()
    with torch.no_grad():
        p = spoken.model.prior(context)
        made = p.loc + p.scale * fill(Draw((2,)), 240, generator(0, "prior"))
    draws = opened.ask("(given) => [0, 1, 2].map((k) => explorer.world.draw(k, given))", given)
    np.testing.assert_allclose(draws, made[:3], atol=1e-4)


def test_a_run_that_stands_at_a_label_is_opened_there(show: Open, told: lb.Run, tmp_path: Path) -> None:
    opened = show(lb.export_html(told.at({"label": 6}), tmp_path / "page.html", rows=30).path)
    assert opened.ask("explorer.point.given") == [6]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["typed_page", "told_page"])
def test_nothing_sticks_out_of_a_phone(which: str, scheme: str, show: Open, request: pytest.FixtureRequest) -> None:
    opened = show(request.getfixturevalue(which), color_scheme=scheme, **PHONE)
    opened.settled()
    assert opened.ask("document.documentElement.scrollWidth") <= 360
    wide = """() => Array.from(document.querySelectorAll('main *')).filter((part) => {
        const box = part.getBoundingClientRect();
        return box.width && (box.right > 361 || box.left < -1) && !part.closest('.legend, .wide, .slider label');
    }).map((part) => part.outerHTML.slice(0, 80))"""
    assert opened.ask(wide) == []
    nameless = """() => Array.from(document.querySelectorAll('button, input, select, a')).filter((part) =>
        !(part.textContent.trim() || part.getAttribute('aria-label') || part.labels?.length || part.title)).length"""
    assert opened.ask(nameless) == 0
