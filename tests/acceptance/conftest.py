"""Figures that were measured are kept, with their date."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def record() -> Callable[[str, str, str], None]:
    """Adds ``claim, expected, measured`` as a dated row to the file LOWERBOUND_RESULTS names, if it names one."""

    def add(claim: str, expected: str, measured: str) -> None:
        if target := os.environ.get("LOWERBOUND_RESULTS"):
            with Path(target).open("a") as page:
                page.write(f"| {datetime.now(UTC):%Y-%m-%d} | {claim} | {expected} | {measured} |\n")

    return add
