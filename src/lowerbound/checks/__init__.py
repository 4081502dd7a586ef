"""The public contract of a part, tried on the part itself."""

from pathlib import Path

from lowerbound.checks import common, latent, observed, training
from lowerbound.checks.base import Check, Claim, cases
from lowerbound.parts import REGISTRY, Part, find, import_file
from lowerbound.randomness import scope

__all__ = ["Check", "check"]

KINDS: dict[str, tuple[Claim, ...]] = {
    "net": observed.NET, "posterior": latent.POSTERIOR, "prior": latent.PRIOR, "likelihood": observed.LIKELIHOOD,
    "corruption": observed.CORRUPTION, "objective": training.OBJECTIVE,
    "missingness": observed.MISSINGNESS,
}  # fmt: skip


def check(target: type[Part] | str | Path) -> list[Check]:
    """Try everything that a part promises, on small made-up sizes and with every value of its options in turn.

    Args:
        target: a part's class, ``kind:name`` of a registered one, or a Python file, all of whose parts are checked.

    Returns:
        One verdict for each claim that has to do with the part, with the worst case found. Claims about samples are
        made with fixed seeds; a sound part fails one of them with a probability below 1 in 1000 for each case.

    Raises:
        UnknownName: no part of that kind and name.
        ConfigError: the file is not there or registers nothing.

    >>> [found.name for found in check("prior:standard") if not found.passed]
    []
    """
    with scope(0, "check"):
        return [found for cls in _classes(target) for found in _verdicts(cls)]


def _classes(target: type[Part] | str | Path) -> list[type[Part]]:
    if isinstance(target, type):
        return [target]
    kind, colon, name = str(target).partition(":")
    return [find(kind, name)] if colon and kind in REGISTRY else import_file(target)


def _verdicts(cls: type[Part]) -> list[Check]:
    title = f"{cls.kind} '{cls.name}'"
    try:
        tried, why = cases(cls), "none of the sizes tried is taken"
    except Exception as error:  # whatever a user's part raises is a finding about it
        tried, why = [], f"{type(error).__name__}: {error}"
    built = Check(f"{title}: can be built", bool(tried), len(tried), "at least 1", detail="" if tried else why)
    claims = (*common.CLAIMS, *KINDS[cls.kind]) if tried else ()
    return [built, *(found for claim in claims if (found := claim.check(title, tried)))]
