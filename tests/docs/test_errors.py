"""Every error has its page entry and its test."""

import inspect
import re
from pathlib import Path

from lowerbound import errors

ROOT = Path(__file__).parents[2]
CLASSES = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.LowerboundError)]


def untested(kinds: list[type[errors.LowerboundError]], tests: str) -> list[str]:
    """The errors without subclasses of which neither class nor id is named in the tests."""
    concrete = [kind for kind in kinds if not kind.__subclasses__()]
    return [kind.__name__ for kind in concrete if not re.search(rf"\b({kind.__name__}|{kind.id})\b(?!-)", tests)]


def headings(page: str) -> list[str]:
    return re.findall(r"^## (E-[A-Z-]+)$", page, re.MULTILINE)


def test_every_id_has_one_heading_and_every_heading_is_an_id() -> None:
    assert headings((ROOT / "docs/errors.md").read_text()) == [kind.id for kind in CLASSES]
    assert len({kind.id for kind in CLASSES}) == len(CLASSES)


def test_every_concrete_error_is_tested() -> None:
    others = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    assert not untested(CLASSES, "\n".join(path.read_text() for path in others))


def test_an_untested_error_and_a_missing_heading_are_found() -> None:
    kinds = [errors.DataError, errors.DataRange, errors.DataShape]
    assert untested(kinds, "pytest.raises(DataRangeOther); E-DATA-SHAPE-OTHER") == ["DataRange", "DataShape"]
    assert untested(kinds, "pytest.raises(errors.DataRange); error.id == 'E-DATA-SHAPE'") == []
    assert headings("# Errors\n## E-DATA\ntext E-RUN\n## Other\n") == ["E-DATA"]
