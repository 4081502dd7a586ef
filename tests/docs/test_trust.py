"""The page of easy mistakes: its numbers are those that its script computes, and they say what the page says."""

import math
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/trust.md").read_text("utf-8")
NUMBER = re.compile(r"−?\d+(?:\.\d+)?(?:e[+−]\d+)?")
EQUAL = {"sign", "first_batch", "clamped", "passes", "stratification", "weights_per_dimension"}


@pytest.fixture(scope="module")
def script() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield import_module("trust")


@pytest.fixture(scope="module")
def fresh(script: ModuleType) -> str:
    text: str = script.text(PAGE)
    return text


def numbers(text: str) -> list[float]:
    return [float(found.replace("−", "-")) for found in NUMBER.findall(text)]


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of each table by its name, without the head."""
    found = {}
    for name, block in re.findall(r"<!-- (\w+) -->\n(.*?)<!-- end -->", text, re.DOTALL):
        found[name] = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return found


def test_the_page_has_the_numbers_of_the_script(fresh: str) -> None:
    assert NUMBER.sub("#", fresh) == NUMBER.sub("#", PAGE), "run scripts/trust.py"
    assert numbers(fresh) == pytest.approx(numbers(PAGE), rel=2e-3, abs=2e-3), "run scripts/trust.py"


def test_every_table_of_the_script_is_on_the_page(script: ModuleType) -> None:
    assert list(tables(PAGE)) == list(script.TABLES)


def test_ours_is_exact_and_the_mistake_is_not() -> None:
    for name, rows in tables(PAGE).items():
        if name == "products":
            continue
        wrong = 0
        for _, *cells in rows:
            if not all(NUMBER.fullmatch(cell) for cell in cells):
                continue
            exact, ours, mistaken = (numbers(cell)[0] for cell in cells)
            assert math.isclose(ours, exact, rel_tol=0.002, abs_tol=0.012), (name, cells)
            wrong += abs(mistaken - exact) > 0.015
        assert wrong, name


def test_the_mistakes_are_as_large_as_they_are_known_to_be() -> None:
    found = tables(PAGE)
    value = {name: [(numbers(row[3]) or [math.nan])[0] for row in rows] for name, rows in found.items()}
    assert value["sign"][0] == -numbers(found["sign"][0][2])[0]
    assert value["chunks"][:2] == [100, 100]
    assert value["passes"][0] - numbers(found["passes"][0][1])[0] == pytest.approx(math.log(1.2), abs=2e-4)
    assert value["stratification"][1] == pytest.approx(4.65, abs=0.05), "log(N/M) too high"
    assert value["weights_per_dimension"] == pytest.approx([-33, -20], abs=0.5)
    assert value["worst_first"][0] < -5.5724 < numbers(found["worst_first"][0][1])[0]
    assert value["weighted_sum"][1] < 0, "a bound above what it bounds"
    losses = value["minus_kl"]
    assert losses == sorted(losses, reverse=True) and losses[-1] < -1e6
    rows = [numbers(" ".join(row[2:])) for row in found["products"]]
    assert all(row == rows[0] for row in rows[1:4]) and rows[4][-1] > 1


def test_the_bounds_of_the_toy_are_exact(script: ModuleType) -> None:
    """Against values computed apart, and for one sample against the formula of the bound."""
    assert script.toy_bound(1) == pytest.approx(-5.572365, abs=1e-5)
    assert script.toy_bound(5) == pytest.approx(-2.908, abs=5e-4)
    assert script.toy_evidence() == pytest.approx(-2.455004, abs=1e-6)
    assert script.toy_bound(1) < script.toy_bound(5) < script.toy_bound(50) < script.toy_evidence()


def test_weights_of_minibatches_sum_to_one_where_they_should(script: ModuleType) -> None:
    codes = import_module("trust_codes")
    right, wrong = (codes.stratified(5, 100, misplaced=misplaced) for misplaced in (False, True))
    assert right.sum(1) == pytest.approx(1) and right.diagonal() == pytest.approx(0.01)
    assert wrong.sum(1).max() == pytest.approx(1.23, abs=0.005)
