"""All measures on one set of codes, beside what a perfect code, a rotation and noise score on the same factors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lowerbound.errors import BadOption, unknown
from lowerbound.measures.disentanglement.base import Array, Family, Labelled, Score, Settings, labelled
from lowerbound.measures.disentanglement.base import parts as split
from lowerbound.measures.disentanglement.importance import dci, importances
from lowerbound.measures.disentanglement.information import from_histograms, information
from lowerbound.measures.disentanglement.pairs import active, beta_vae, dependence, factor_vae
from lowerbound.measures.disentanglement.posterior import chen
from lowerbound.measures.disentanglement.robustness import irs
from lowerbound.measures.disentanglement.separability import explicitness, sap, sap_continuous
from lowerbound.measures.disentanglement.unsupervised import UNSUPERVISED, unsupervised

BINNED = ("mig", "modularity", "pairwise_information")  # what other bins are tried for
# What is computed together, and the names of the measures it gives.
FAMILIES: tuple[tuple[Family, tuple[str, ...]], ...] = (
    (from_histograms, ("mig", "modularity")),
    (chen, ("mig_chen",)),
    (dci, ("dci_disentanglement", "dci_completeness", "dci_informativeness")),
    (sap, ("sap",)),
    (sap_continuous, ("sap_continuous",)),
    (beta_vae, ("beta_vae",)),
    (factor_vae, ("factor_vae",)),
    (explicitness, ("explicitness",)),
    (irs, ("irs",)),
    (unsupervised, UNSUPERVISED),
)
LABELS = {
    "mig": "MIG, histograms", "mig_chen": "MIG, posterior samples (Chen)", "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness", "dci_informativeness": "DCI informativeness (accuracy)",
    "sap": "SAP, accuracy", "sap_continuous": "SAP, squared correlation", "beta_vae": "beta-VAE metric",
    "factor_vae": "FactorVAE metric", "modularity": "modularity", "explicitness": "explicitness (ROC area)",
    "irs": "interventional robustness", "total_correlation": "total correlation (nats)",
    "wasserstein_correlation": "Wasserstein correlation", "pairwise_information": "mutual information of codes (nats)",
}  # fmt: skip
SATURATED, DEPENDENT = 0.95, 0.05
NARROW = 1e-4  # variance of the posteriors of codes to compare with, which have variance 1


@dataclass(frozen=True)
class Scores:
    """What ``disentanglement`` found.

    Args:
        measures: by name.
        about: ``rows``, ``codes``, ``active_codes``, ``factors`` (``name``, ``classes``, ``cut``), ``dependence`` of
            factors (see ``dependence``), ``settings``, ``seed``.
        notes: what the numbers do not say themselves.
        information: mutual information in nats of each code and factor, (codes, factors).
        importances: of DCI, (codes, factors), or None.
    """

    measures: Mapping[str, Score]
    about: Mapping[str, Any]
    notes: tuple[str, ...]
    information: Array
    importances: Array | None


def disentanglement(
    codes: Any, factors: Any, *, variance: Any = None, names: Sequence[str] = (), measures: Sequence[str] = (),
    settings: Settings | None = None, seed: int = 0, progress: Callable[[int, int], None] | None = None,
) -> Scores:  # fmt: skip
    """Measure how codes and factors belong together.

    Scores do not depend on the order and the signs of codes, and are the same for the same seed. Beside each stands
    what the factors themselves score (``perfect``), the factors standardised and rotated at random (``rotation``) and
    noise with as many codes (``chance``): what a number is worth differs from measure to measure and from data to data.

    Args:
        codes: posterior means, (rows, codes).
        factors: (rows, factors), numbers or texts; more than 64 values are cut into 20 classes where needed.
        variance: of the posteriors, like ``codes``: for ``mig_chen``, which is left out without it.
        names: of the factors.
        measures: of LABELS; none means all.
        settings: bins, rows, pairs, trees.
        seed: of all draws.
        progress: called with steps done and in all.

    Raises:
        DataError: what ``labelled`` refuses.
        UnknownName: another measure.
        BadOption: ``mig_chen`` without variances, or a seed below 0.

    >>> grid = np.indices((6, 6, 6)).reshape(3, -1).T
    >>> found = disentanglement(-grid[:, ::-1], grid, measures=["mig", "irs"])
    >>> print(found.measures["mig"])
    1 ± 0.0013 (perfect 1, chance 0.02..., rotation 0.3...)
    """
    wanted = tuple(measures) or tuple(name for name in LABELS if name != "mig_chen" or variance is not None)
    for name in wanted:
        if name not in LABELS:
            raise unknown("measure", name, LABELS)
    if variance is None and "mig_chen" in wanted:
        raise BadOption("mig_chen needs posteriors", where="variance", found="none", mend="Use mig, or give variances.")
    if seed < 0:
        raise BadOption("a seed is not negative", where="seed", found=str(seed))
    data, settings = labelled(codes, factors, variance=variance, names=names), settings or Settings()
    bench = _Bench(data, settings, seed)
    chosen = [family for family in FAMILIES if set(family[1]) & set(wanted)]
    found: dict[str, Score] = {}
    for i, family in enumerate(chosen):
        if progress is not None:
            progress(i, len(chosen))
        found |= bench.scores(*family)
    kept = {name: found[name] for name in LABELS if name in wanted}
    learn = split(data, settings, seed)[0] if "dci_disentanglement" in found else None
    matter = None if learn is None else data.given(importances(learn, settings.trees, seed)[0])
    if progress is not None:
        progress(len(chosen), len(chosen))
    about = _about(data, names, settings, seed)
    return Scores(kept, about, tuple(_notes(kept, about)), data.given(information(data, settings.bins)), matter)


@dataclass(frozen=True, eq=False)
class _Bench:
    """The data, and codes to compare with on the same factors."""

    data: Labelled
    settings: Settings
    seed: int

    def scores(self, family: Family, names: Sequence[str]) -> dict[str, Score]:
        """The measures of one family."""
        own = family(self.data, self.settings, self.seed, True)
        beside = [family(some, self.settings, self.seed, False) for some in self.references()]
        changes = self.changes(bins=bool({*names} & {*BINNED}))
        changed = {name: family(some, how, self.seed, False) for name, some, how in changes}
        return {
            name: Score(
                *own[name], beside[0][name][0], beside[2][name][0], rotation=beside[1][name][0], seed=self.seed,
                sensitivity={change: found[name][0] for change, found in changed.items()
                             if name in BINNED or not change.startswith("bins")},
            )
            for name in names if name in own
        }  # fmt: skip

    def references(self) -> Iterator[Labelled]:
        """The factors themselves, rotated, and noise; where posteriors count, with narrow ones."""
        rng, values = np.random.default_rng([self.seed, 5]), self.data.values
        size = values.shape[1]
        turn, upper = np.linalg.qr(rng.standard_normal((size, size)))
        turned = values @ (turn * np.sign(np.diag(upper)))
        for codes in (values, turned, rng.standard_normal(self.data.codes.shape)):
            width = codes.shape[1]
            variance = None if self.data.variance is None else np.full(codes.shape, NARROW)
            yield replace(self.data, codes=codes, variance=variance, order=np.arange(width))

    def changes(self, *, bins: bool) -> Iterator[tuple[str, Labelled, Settings]]:
        """The same with half as many rows, and with other bins where they matter."""
        some = np.random.default_rng([self.seed, 6]).permutation(len(self.data.codes))[: len(self.data.codes) // 2]
        yield "rows / 2", self.data.take(np.sort(some)), replace(self.settings, rows=max(50, self.settings.rows // 2))
        if bins:
            for count in (max(2, self.settings.bins // 2), 2 * self.settings.bins):
                yield f"bins = {count}", self.data, replace(self.settings, bins=count)


def _about(data: Labelled, names: Sequence[str], settings: Settings, seed: int) -> dict[str, Any]:
    names = names or [str(k) for k in range(len(data.counts))]
    factors = [
        {"name": str(name), "classes": count, "cut": cut}
        for name, count, cut in zip(names, data.counts, data.continuous, strict=True)
    ]
    return {
        "rows": len(data.codes), "codes": data.codes.shape[1], "active_codes": int(active(data).sum()),
        "factors": factors, "dependence": dependence(data), "settings": vars(settings), "seed": seed,
    }  # fmt: skip


def _notes(found: Mapping[str, Score], about: Mapping[str, Any]) -> Iterator[str]:
    if "beta_vae" in found and found["beta_vae"].value > SATURATED:
        yield (f"the beta-VAE metric is saturated ({found['beta_vae'].value:.3f}): it no longer tells codes apart; a "
               f"rotation of the factors scores {found['beta_vae'].rotation:.3f}")  # fmt: skip
    if about["dependence"] > DEPENDENT:
        yield (f"factors depend on each other (up to {about['dependence']:.0%} of an entropy): rows that share one "
               "share others too, so no code can score as on a full grid")  # fmt: skip
    cut = [one["name"] for one in about["factors"] if one["cut"]]
    if cut:
        yield f"continuous, cut into classes of equal count: {', '.join(cut)}"
    for name in ("mig", "sap", "modularity", "irs"):
        if name in found:
            best, least = found[name].perfect, found[name].chance
            if best < 0.99 or least > 0.05:
                yield f"{LABELS[name]}: here a perfect code scores {best:.3f} and noise {least:.3f}"
