"""Every claim of the self-test, and that the self-test reports what is wrong."""

import json
import math
from collections.abc import Iterator

import pytest

from lowerbound.checks import Check
from lowerbound.errors import UnknownName
from lowerbound.selftests import CLAIMS, selftest
from lowerbound.selftests.base import Finding


@pytest.mark.parametrize("claim", CLAIMS)
def test_claim(claim: str) -> None:
    report = selftest([claim])
    assert report.passed
    assert [check for check in report.checks if not check.passed] == []


def wrong() -> Iterator[Finding]:
    yield "near", 1.09, 1.0, 0.1
    yield "far", 1.11, 1.0, 0.1
    yield "nan", math.nan, 1.0, 0.1
    raise ValueError("no more")


def test_what_is_wrong_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLAIMS, "wrong", wrong)
    seen: list[Check] = []
    report = selftest(["wrong", "oracle/iris-q1"], progress=seen.append)
    verdicts = {check.name: check.passed for check in report.checks if check.name.startswith("wrong")}
    assert verdicts == {"wrong/near": True, "wrong/far": False, "wrong/nan": False, "wrong": False}
    assert seen == list(report.checks)
    assert (report.failed, report.passed) == (3, len(seen) - 3)
    assert report.checks[-1].detail == "ValueError: no more"


def test_the_report_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLAIMS, "wrong", wrong)
    facts = json.loads(json.dumps(selftest(["wrong"]).as_dict(), allow_nan=False))
    assert (facts["passed"], facts["failed"]) == (1, 3)
    assert (
        facts["checks"][0].items() >= {"name": "wrong/near", "value": 1.09, "expected": 1.0, "tolerance": 0.1}.items()
    )


def test_a_name_is_a_claim_or_the_beginning_of_some() -> None:
    names = {check.name.rpartition("/")[0] for check in selftest(["scaling", "oracle/iris-q2"]).checks}
    assert names == {"scaling/global", "scaling/columns", "oracle/iris-q2"}
    for unknown in ("oracle/iris-q", "scal", "weights/float"):
        with pytest.raises(UnknownName, match="unknown self-test"):
            selftest([unknown])
