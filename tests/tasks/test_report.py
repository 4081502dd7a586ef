"""The page of a run: whole, safe, and true to the numbers."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb
from lowerbound import page, report
from lowerbound.errors import MissingExtra
from lowerbound.markup import dots, escape, number, stack, table, tag

EVIL = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"&amp;'", "a\x1b[31m\u202eb")


class Elements(HTMLParser):
    """Every element with its attributes, and the text of all."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words += data


def run_data() -> lb.Data:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 4)) + 0.2 * rng.normal(size=(120, 4))
    return lb.Data(rows, name="<b>bold</b>.csv", columns=EVIL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a table whose names are an attack."""
    place = tmp_path_factory.mktemp("page")
    run = lb.fit(run_data(), latent=2, epochs=2, out=place / "run", progress=False)
    assert page.leave(run, place / "run") == []
    return place / "run"


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def elements(text: str) -> Elements:
    return Elements(text)


def test_the_page_is_well_formed_and_has_no_script(elements: Elements) -> None:
    assert not elements.open
    kinds = {kind for kind, _ in elements.found}
    assert not kinds & {"script", "iframe", "object", "embed", "link", "form", "base", "b"}
    names = {name for _, attributes in elements.found for name in attributes}
    assert not {name for name in names if name.startswith("on")} and "style" not in names
    assert [attributes["lang"] for kind, attributes in elements.found if kind == "html"] == ["en"]


def test_nothing_is_fetched(text: str, elements: Elements) -> None:
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]
    policy = next(a["content"] for kind, a in elements.found if kind == "meta" and a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{digest}'" in policy and "unsafe" not in policy and "http" not in policy


def test_names_are_shown_and_not_obeyed(text: str, elements: Elements) -> None:
    for name in EVIL[:3]:
        assert name in elements.words
    assert EVIL[0] not in text and EVIL[1] not in text
    assert "\x1b" not in text and "\u202e" not in text and "a\ufffd[31m\ufffdb" in elements.words
    assert "vae on <b>bold</b>.csv" in elements.words


def test_figures_are_inside_and_described(folder: Path, elements: Elements) -> None:
    images = [attributes for kind, attributes in elements.found if kind == "img"]
    inside = [base64.b64decode((image["src"] or "").partition(",")[2]) for image in images]
    assert {path.read_bytes() for path in (folder / "figures").iterdir()} == set(inside) and len(inside) == 4
    assert all(image["alt"] for image in images) and all(content.startswith(b"\x89PNG") for content in inside)


def test_the_numbers_are_those_of_the_evaluation(folder: Path) -> None:
    run = lb.open(folder)
    run.data = lb.fit(run_data(), latent=2, epochs=0, progress=False).data
    found = lb.evaluate(run, samples=8)
    written = page.page(run, found, {}, "test")
    facts = found.as_dict()
    pieces = [html.unescape(piece) for piece in re.findall(r"<pre>(.*?)</pre>", written, re.DOTALL)]
    assert json.loads(pieces[-1]) == json.loads(json.dumps(facts))
    words = Elements(written).words
    assert number(facts["elbo"]["mean"]) in words and number(facts["log_likelihood"]["mean"]) in words
    for sentence in facts["verdict"]:
        assert all(piece in words for piece in sentence.split("; to change it: "))
    assert number(facts["baselines"]["gaussian"]["log_likelihood"]["mean"]) in words
    assert written == page.page(run, found, {}, "test"), "the same page for the same run"


def test_labels_and_autoencoders_have_a_page_too(tmp_path: Path) -> None:
    run = lb.fit("digits", recipe="ae", latent=2, epochs=1, progress=False)
    words = Elements(page.write(run, lb.evaluate(run), tmp_path).read_text("utf-8")).words
    assert (
        "Labels told from the code" in words
        and "What the code holds" not in words
        and "ELBO" not in words.split("Details")[0]
    )


def test_a_run_on_all_rows_says_so(tmp_path: Path) -> None:
    run = lb.fit(run_data(), latent=2, epochs=1, validation=0, test=0, progress=False)
    assert page.leave(run, tmp_path) == []
    assert "120 train rows, which the model was trained on" in (tmp_path / "report.html").read_text("utf-8")


def test_without_matplotlib_the_page_has_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise MissingExtra("drawing a picture", "plot")

    run = lb.fit("digits", latent=2, epochs=1, progress=False)
    monkeypatch.setattr(report, "FIGURES", {"kl": refuse})
    (note,) = page.leave(run, tmp_path)
    assert note.startswith("no figures: ")
    assert "Figures" not in Elements((tmp_path / "report.html").read_text("utf-8")).words


def test_markup_escapes_what_is_not_markup() -> None:
    assert tag("p", "<", tag("b", "&"), title='"') == '<p title="&quot;">&lt;<b>&amp;</b></p>'
    assert tag("meta", charset="utf-8", name=None) == '<meta charset="utf-8">'
    assert escape(escape("<")) == "&lt;"
    assert '<tr class="ours"><th scope="row">a</th><td>1</td></tr>' in table([("a", 1), ("b", 2)], ours=0)
    assert number(float("nan")) == "–" and number(-0.001) == "0.00"


def test_drawings_keep_their_scale() -> None:
    drawn = dots([("a", 1.0, 0.5), ("b", 3.0, None)], "two")
    places = [float(place) for place in re.findall(r'cx="([\d.]+)"', drawn)]
    ends = [
        float(place)
        for place in re.findall(r'x1="([\d.]+)" x2="([\d.]+)" y1="15.0" y2="15.0" class="whisker"', drawn)[0]
    ]
    assert places[0] - ends[0] == pytest.approx((places[1] - places[0]) / 4, abs=0.1)
    widths = [
        float(width)
        for width in re.findall(
            r'<rect x="[\d.]+" y="0" width="([\d.]+)"', stack([("a", 1), ("b", 3), ("c", -1)], "nats", "parts")
        )
    ]
    assert widths == [180.0, 540.0, 0.0]
