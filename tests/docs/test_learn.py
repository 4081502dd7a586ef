"""The pages to learn from: their scripts run, their numbers are what the scripts print, their code is the scripts'."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lowerbound import figures

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/learn"
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?")
NAMES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
LINES, PAGE, BYTES = 60, 80, 60_000


@pytest.fixture(scope="module")
def script() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield import_module("learn")


@pytest.fixture(scope="module")
def page() -> Any:
    return {name: (FOLDER / f"{name}.md").read_text("utf-8") for name in NAMES}


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def numbers(line: str) -> list[float]:
    return [float(found.replace("−", "-")) for found in NUMBER.findall(line)]


def same(line: str, other: str) -> bool:
    """Whether two lines say the same; what comes from draws or training may differ by its noise."""
    noise = {"rel": 0.3, "abs": 6} if " % " in line else {"rel": 0.05, "abs": 0.2} if "about" in line else {"rel": 1e-4}
    return NUMBER.sub("#", line) == NUMBER.sub("#", other) and numbers(line) == pytest.approx(numbers(other), **noise)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_its_script_prints(script: Any, page: dict[str, str], name: str) -> None:
    said, found = script.ran(name)
    (quoted,) = blocks(page[name], "text")
    assert len(quoted.splitlines()) == len(said.splitlines()) > 0, "run scripts/learn.py"
    for line, fresh in zip(quoted.splitlines(), said.splitlines(), strict=True):
        assert same(line, fresh), f"run scripts/learn.py: {line!r}, now {fresh!r}"
    drawn = figures.png(found["figure"])
    kept = (FOLDER / f"{name}.png").read_bytes()
    assert kept[16:24] == drawn[16:24], "the picture has another size: run scripts/learn.py"  # width and height


@pytest.mark.parametrize("name", NAMES)
def test_code_on_a_page_is_that_of_its_script(page: dict[str, str], name: str) -> None:
    text = [line.strip() for line in (FOLDER / f"{name}.py").read_text("utf-8").splitlines()]
    quoted = [line.strip() for block in blocks(page[name], "python") for line in block.splitlines() if line]
    assert quoted, "a page shows how its formula is computed"
    assert not [line for line in quoted if line not in text]


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_short_and_whole(page: dict[str, str], name: str) -> None:
    assert len(page[name].splitlines()) <= PAGE
    assert len((FOLDER / f"{name}.py").read_text("utf-8").splitlines()) <= LINES
    assert f"]({name}.png)" in page[name] and f"]({name}.py)" in page[name]
    assert (FOLDER / f"{name}.png").stat().st_size <= BYTES


def test_ten_pages_are_listed(script: Any) -> None:
    assert sorted(script.NAMES) == NAMES and len(NAMES) == 10
    listed = re.findall(r"\]\((\w+)\.md\)", (FOLDER / "README.md").read_text("utf-8"))
    assert listed == list(script.NAMES)


def test_links_lead_somewhere(page: dict[str, str]) -> None:
    for name, text in page.items():
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (FOLDER / target).exists(), (name, target)


def test_another_number_is_seen() -> None:
    assert same("ELBO −5.5724 nats", "ELBO −5.5724 nats") and not same("ELBO −5.5724", "ELBO −5.4724")
    assert same("from draws about 2.90", "from draws about 2.92") and not same("about 2.90", "about 3.90")
    assert not same("ELBO 1.0", "bound 1.0")
