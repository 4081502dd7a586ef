"""``selftest``: answers that a formula or a table decides, found again on the user's own machine with no data files."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lowerbound.checks import Check
from lowerbound.devices import threads
from lowerbound.errors import unknown
from lowerbound.selftests import exact, sampled, trained
from lowerbound.selftests.base import Claim

__all__ = ["CLAIMS", "Report", "selftest"]

CLAIMS: dict[str, Claim] = {**exact.CLAIMS, **sampled.CLAIMS, **trained.CLAIMS}


@dataclass(frozen=True)
class Report:
    """What ``selftest`` found."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> int:
        """How many answers are right."""
        return sum(check.passed for check in self.checks)

    @property
    def failed(self) -> int:
        """How many answers are wrong."""
        return len(self.checks) - self.passed

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"passed": self.passed, "failed": self.failed, "checks": [asdict(check) for check in self.checks]}


def selftest(names: Iterable[str] | None = None, progress: Callable[[Check], None] | None = None) -> Report:
    """Compare results with exact answers on this machine.

    Args:
        names: claims to try, or the beginnings of their names up to a slash; all of them when left out.
        progress: called with each check as it is made.

    Raises:
        UnknownName: no claim has such a name.

    Sources: Tipping & Bishop 1999, "Probabilistic principal component analysis", JRSS B 61; Lucas et al. 2019, "Don't
    blame the ELBO!", arXiv:1911.02469; Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519.

    >>> selftest(["oracle/iris-q1"]).failed
    0
    """
    found = []
    with threads(1):  # nothing here is large enough for more, and sums come out the same on every machine
        for check in (check for name in _chosen(names) for check in _checks(name)):
            found.append(check)
            if progress is not None:
                progress(check)
    return Report(tuple(found))


def _chosen(names: Iterable[str] | None) -> list[str]:
    if names is None:
        return list(CLAIMS)
    wanted = list(names)
    for name in wanted:
        if not any(_under(claim, name) for claim in CLAIMS):
            raise unknown("self-test", name, CLAIMS)
    return [claim for claim in CLAIMS if any(_under(claim, name) for name in wanted)]


def _under(claim: str, name: str) -> bool:
    return claim == name or claim.startswith(f"{name}/")


def _checks(claim: str) -> Iterator[Check]:
    """The verdicts on a claim; one that breaks off is wrong."""
    try:
        for quantity, value, expected, tolerance in CLAIMS[claim]():
            plain = value if math.isfinite(value) else str(value)
            yield Check(f"{claim}/{quantity}", abs(value - expected) <= tolerance, plain, expected, tolerance)
    except Exception as error:
        yield Check(claim, False, "broke off", "to the end", detail=f"{type(error).__name__}: {error}")
