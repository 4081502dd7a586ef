"""The table on the ground floor says what the signatures say."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/catalogue.py"


def test_the_table_is_current() -> None:
    loading = importlib.util.spec_from_file_location("write_catalogue", SCRIPT)
    assert loading and loading.loader
    script = importlib.util.module_from_spec(loading)
    loading.loader.exec_module(script)
    assert script.FILE.read_text() == script.text(), "run: python scripts/catalogue.py"
    assert {"conv", "residual"} <= script.table()["net"].keys()
