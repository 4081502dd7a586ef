"""The page of the command line is the one that the command line writes."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    found = importlib.util.spec_from_file_location("cli_docs", ROOT / "scripts/cli_docs.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    assert (ROOT / "docs/cli.md").read_text() == script.text(), "run scripts/cli_docs.py"


def test_every_verb_and_option_is_in_the_page(script: ModuleType) -> None:
    page = (ROOT / "docs/cli.md").read_text()
    verbs = dict(script.verbs())
    assert set(verbs) == set(script.EXAMPLES)
    for name, command in verbs.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            place = page if parameter.name in script.SHARED else section
            word = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
            assert f"`{word}" in place, f"{name} {word}"


def test_every_exit_code_is_in_the_page() -> None:
    from lowerbound import errors
    from lowerbound.cli import training, verbs

    table = (ROOT / "docs/cli.md").read_text().split("|---|---|\n")[1].split("\n\n")[0]
    codes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert {int(code) for code in re.findall(r"\b\d+\b", table)} == codes | {0, verbs.DISK, *training.ENDED.values()}
