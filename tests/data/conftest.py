"""No test of this folder sees the cache of the person who runs it."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LOWERBOUND_CACHE", str(folder))
    return folder
