"""The page of results takes a dated row for each measured figure."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/results.md"


def test_rows_fit_the_table(record: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "results.md"
    page.write_text(PAGE.read_text())
    monkeypatch.setenv("LOWERBOUND_RESULTS", str(page))
    record("digits, sigma-vae", "12.0 ± 0.1 nats", "12.03 ± 0.05 nats")
    row = page.read_text().splitlines()[-1]
    assert re.fullmatch(r"\| \d{4}-\d\d-\d\d \| digits, sigma-vae \| 12.0 ± 0.1 nats \| 12.03 ± 0.05 nats \|", row)
    header = next(line for line in page.read_text().splitlines() if line.startswith("|"))
    assert row.count("|") == header.count("|")


def test_without_a_page_nothing_is_written(record: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    before = PAGE.read_bytes()
    monkeypatch.delenv("LOWERBOUND_RESULTS", raising=False)
    record("claim", "expected", "measured")
    assert PAGE.read_bytes() == before
