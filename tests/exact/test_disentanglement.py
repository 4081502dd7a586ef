"""Measures of disentanglement against published self-checks, closed forms and other implementations."""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.metrics import mutual_info_score

from lowerbound.errors import BadOption, DataError, DataMissing, DataRange, DataShape, LowerboundError, UnknownName
from lowerbound.measures.disentanglement import LABELS, Settings, disentanglement, udr
from lowerbound.measures.disentanglement.agreement import agreement_of, similarity
from lowerbound.measures.disentanglement.base import Family, labelled
from lowerbound.measures.disentanglement.importance import completeness_of, dci, disentanglement_of
from lowerbound.measures.disentanglement.information import entropies, from_histograms, information, modularity_of
from lowerbound.measures.disentanglement.pairs import Sharing, active, beta_vae, factor_vae
from lowerbound.measures.disentanglement.posterior import chen, densities
from lowerbound.measures.disentanglement.robustness import irs, robustness
from lowerbound.measures.disentanglement.separability import explicitness, sap, sap_continuous
from lowerbound.measures.disentanglement.unsupervised import unsupervised, wasserstein_correlation

Array = npt.NDArray[Any]

SIZES = np.array([3, 6, 40, 32, 32])
TURN = np.eye(5)
TURN[3:, 3:] = math.sqrt(0.5) * np.array([[1, -1], [1, 1]])
# Published: MIG, modularity, SAP (accuracy), SAP (correlation), beta-VAE, FactorVAE; noise is one draw of its own.
TABLE = {
    "identity": (0.8955, 1.000, 0.245, 0.9995, 1.00, 1.00),
    "and noise": (0.8953, 0.823, 0.244, 0.9994, 1.00, 1.00),
    "turned": (0.562, 0.903, 0.235, 0.611, 0.815, 0.808),
    "twice": (0.000, 1.000, 0.000, 0.000, 1.00, 1.00),
    "noise": (0.0004, 0.669, 0.001, 0.000, 0.19, 0.22),
}


def drawn(rows: int) -> Array:
    random = np.random.RandomState(0)  # the generator that the table was made with
    return np.stack([random.randint(0, size, rows) for size in SIZES], 1)


def coded(name: str, factors: Array) -> Array:
    z = (factors - (SIZES - 1) / 2) / np.sqrt((SIZES**2 - 1) / 12)
    noise = np.random.default_rng(0).normal(size=(len(z), 10))
    return {
        "identity": z, "and noise": np.c_[z, noise[:, :5]], "turned": z @ TURN, "twice": np.c_[z, z], "noise": noise,
    }[name]  # fmt: skip


def of(family: Family, z: Array, factors: Array, settings: Settings | None = None) -> dict[str, float]:
    return {name: value for name, (value, _) in family(labelled(z, factors), settings or Settings(), 0, False).items()}


@pytest.mark.parametrize("name", TABLE)
def test_the_published_self_checks(name: str) -> None:
    factors, more = drawn(10_000), drawn(15_000)
    z = coded(name, factors)
    found = of(from_histograms, z, factors) | of(sap_continuous, z, factors) | of(sap, coded(name, more), more)
    found |= of(beta_vae, z, factors) | of(factor_vae, z, factors)
    keys = ("mig", "modularity", "sap", "sap_continuous", "beta_vae", "factor_vae")
    for key, expected in zip(keys, TABLE[name], strict=True):
        tolerance = 0.03 if key.endswith("vae") else 0.01
        assert found[key] == pytest.approx(expected, abs=tolerance), key


def test_values_of_matrices() -> None:
    shared = np.zeros((1, 10))
    shared[0, :2] = 1
    assert disentanglement_of(shared) == pytest.approx(1 - math.log(2) / math.log(10), abs=1e-12)
    assert completeness_of(shared.T) == disentanglement_of(shared) == pytest.approx(0.699, abs=1e-3)
    assert completeness_of(shared) == pytest.approx(0.2 * 1.0 / 0.2)
    assert modularity_of(np.diag([1.0, 1.0, 0.0])) == pytest.approx(2 / 3)
    assert modularity_of(np.eye(5).repeat(2, 1)) == pytest.approx(8 / 9)
    assert [measure(np.zeros((3, 3))) for measure in (disentanglement_of, completeness_of, modularity_of)] == [0, 0, 0]


def test_information_is_that_of_another_implementation() -> None:
    factors = drawn(2000)
    upper = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))
    z = coded("identity", factors) @ (upper[0] * np.sign(np.diag(upper[1])))
    data = labelled(z, factors)
    cells = [np.digitize(code, np.histogram(code, 20)[1][:-1]) for code in z.T]
    expected = [[mutual_info_score(code, factor) for factor in factors.T] for code in cells]
    assert data.given(information(data, 20)) == pytest.approx(np.array(expected), abs=2e-3)  # values on a bin's edge
    assert entropies(data) == pytest.approx([mutual_info_score(factor, factor) for factor in factors.T], abs=1e-12)


def grid(*sizes: int, repeat: int = 1) -> Array:
    return np.tile(np.indices(sizes).reshape(len(sizes), -1).T, (repeat, 1))


def test_chen_knows_codes_that_never_overlap() -> None:
    factors = grid(4, 3, repeat=8)
    mean = np.c_[100.0 * factors[:, 0], np.zeros(96), -50.0 * factors[:, 1]]
    variance = np.ones_like(mean)
    data = labelled(mean, factors, variance=variance)
    assert chen(data, Settings(), 0, False)["mig_chen"][0] == pytest.approx(1, abs=1e-5)
    mixed = labelled(mean.T.reshape(mean.shape), factors, variance=variance)  # what a view makes of a transposition
    assert chen(mixed, Settings(), 0, False)["mig_chen"][0] < 0.3
    assert chen(labelled(mean, factors), Settings(), 0, False) == {}


def test_chen_is_the_integral_where_codes_overlap() -> None:
    sign = np.tile([0, 1], 4000)
    mean, rows = (2.0 * sign - 1)[:, None], sign[:, None]
    found, se = chen(labelled(mean, rows, variance=np.ones_like(mean)), Settings(rows=32_000), 0, True)["mig_chen"]
    both = quad(lambda z: norm.pdf(z, 1) * math.log1p(math.exp(-2 * z)), -20, 20)[0]
    assert abs(found - (1 - both / math.log(2))) < 4 * se < 0.05


def test_densities_are_mixtures() -> None:
    random = np.random.default_rng(0)
    mean, variance, z = random.normal(size=40), random.uniform(0.1, 2, 40), random.normal(size=9)
    classes = np.eye(3)[np.arange(40) % 3]
    logs = norm.logpdf(z[:, None], mean, np.sqrt(variance))
    whole, own = densities(z, mean, variance, classes)
    assert whole == pytest.approx(logsumexp(logs, 1) - math.log(40), abs=1e-5)
    for k, count in enumerate(classes.sum(0)):
        inside = logs[:, classes[:, k] > 0]
        assert own[:, k] == pytest.approx(logsumexp(inside, 1) - math.log(count), abs=1e-5)


def test_robustness_of_codes_that_move_by_known_amounts() -> None:
    factors = grid(2, 2, repeat=20)
    signs = 2.0 * factors - 1
    data = labelled(np.c_[signs[:, 0], signs.sum(1)], factors)
    assert data.given(robustness(data)) == pytest.approx(np.array([[1, 0], [0.5, 0.5]]))
    assert irs(data, Settings(), 0, False)["irs"][0] == pytest.approx((1 * 1 + 0.5 * 2) / 3)


def test_correlation_of_codes_in_closed_form() -> None:
    a, b = (2.0 * grid(2, 2, repeat=20) - 1).T
    z = np.c_[a, 0.6 * a + 0.8 * b]
    found = of(unsupervised, z, grid(2, 2, repeat=20))
    assert found["total_correlation"] == pytest.approx(-0.5 * math.log(1 - 0.6**2))
    assert found["wasserstein_correlation"] == pytest.approx(2 - math.sqrt(1.6) - math.sqrt(0.4))
    assert found["pairwise_information"] == pytest.approx(math.log(2))
    assert wasserstein_correlation(np.c_[a, b]) == pytest.approx(0, abs=1e-12)


def test_trees_and_rules_on_a_perfect_code() -> None:
    factors = grid(3, 4, repeat=100)
    z = np.c_[-factors[:, 1], factors[:, 0], np.random.default_rng(0).normal(size=len(factors))]
    found = of(dci, z, factors) | of(explicitness, np.c_[np.eye(3)[factors[:, 0]], np.eye(4)[factors[:, 1]]], factors)
    assert found == {name: pytest.approx(1, abs=0.01) for name in found} and len(found) == 4
    slow = of(dci, z[:360], factors[:360], Settings(trees="boosting"))
    assert slow["dci_disentanglement"] == pytest.approx(1, abs=0.02)


def test_agreement_of_runs() -> None:
    codes = grid(5, 6, 7).astype(float)
    turned = codes @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    scores = udr([codes, -codes[:, [2, 0, 1]], turned, codes])
    assert [score.value for score in scores[:2]] == pytest.approx([1, 1]) and scores[2].value < 0.8
    assert similarity(codes, codes[:, ::-1], "lasso") == pytest.approx(0.9 * np.eye(3)[::-1], abs=1e-6)  # 1 - penalty
    with_dead = np.c_[codes, codes[:, 0]]
    kl = [np.ones(3), np.array([1, 1, 1, 0.0])]
    assert udr([codes, with_dead], kl)[0].value == pytest.approx(1)
    assert udr([codes, with_dead])[0].value == pytest.approx((4 + 2.5) / 7)
    assert agreement_of(np.zeros((2, 2))) == 0


def test_rows_that_share_a_value_are_others() -> None:
    classes = np.array([0, 1, 0, 2, 1, 0, 3])
    sharing, random = Sharing(classes), np.random.default_rng(0)
    rows = sharing.rows((2000,), random)
    others = sharing.like(rows, random)
    assert (classes[rows] == classes[others]).all() and (rows != others).all()
    assert {*rows.tolist()} == {*others.tolist()} == {0, 1, 2, 4, 5}, "3 and 6 are alone with their values"
    groups = sharing.group(rows, 5, random)
    assert (classes[groups] == classes[rows][:, None]).all()


def test_codes_that_hardly_vary_do_not_count_as_active() -> None:
    factors = grid(4, 4, repeat=10)
    z = np.c_[factors, 0.01 * factors[:, :1], np.full(160, 3.0)]
    assert labelled(z, factors).codes.shape == (160, 4)
    assert active(labelled(z, factors)).sum() == 2


SMALL = Settings(rows=200, bins=8)


def wild() -> tuple[Array, Array, Array]:
    random = np.random.default_rng(0)
    factors = random.integers(0, (3, 4), (300, 2))
    z = np.c_[factors @ random.normal(size=(2, 3)) + random.normal(size=(300, 3)), np.zeros(300)]
    return z, factors, random.uniform(0.1, 1, z.shape)


def test_order_and_sign_of_codes_change_nothing() -> None:
    z, factors, variance = wild()
    first = disentanglement(z, factors, variance=variance, settings=SMALL)
    order, signs = [2, 0, 3, 1], np.array([-1, 1, -1, -1])
    second = disentanglement((z * signs)[:, order], factors, variance=variance[:, order], settings=SMALL)
    assert first.measures == second.measures and first.measures.keys() == LABELS.keys()
    assert first.importances is not None and second.importances is not None
    assert (first.information[order] == second.information).all()
    assert (first.importances[order] == second.importances).all()
    assert all(math.isfinite(score.se) and "rows / 2" in score.sensitivity for score in first.measures.values())


def test_the_seed_decides_the_draws() -> None:
    z, factors, _ = wild()
    names = ["factor_vae", "explicitness", "sap"]
    seeds = (3, 3, 4, 5)
    one, same, *others = (disentanglement(z, factors, measures=names, settings=SMALL, seed=s).measures for s in seeds)
    assert one == same
    assert all({one[name].value} != {other[name].value for other in others} for name in names)


def test_continuous_factors_are_cut_and_said_to_be() -> None:
    factors = np.c_[np.random.default_rng(0).random(2000), np.tile([0, 1], 1000)]
    found = disentanglement(-factors, factors, measures=["mig", "sap_continuous"], names=["angle", "kind"])
    assert found.about["factors"][0] == {"name": "angle", "classes": 20, "cut": True}
    assert found.measures["sap_continuous"].value == pytest.approx(1, abs=0.02)
    assert found.measures["mig"].value > 0.85 and "angle" in found.notes[0]


def test_notes_say_what_numbers_hide() -> None:
    factors = grid(3, 4, repeat=20)
    notes = disentanglement(factors, factors, measures=["beta_vae"], settings=SMALL).notes
    assert any("saturated" in note for note in notes)
    double = np.c_[factors, factors[:, 0] // 2]
    found = disentanglement(double, double, measures=["irs"])
    assert found.about["dependence"] == pytest.approx(1) and "depend on each other" in found.notes[0]


Z, F = (grid(3, 20).astype(float), grid(3, 20))


@pytest.mark.parametrize(
    ("error", "message", "codes", "factors"),
    [
        (DataShape, "do not fit", Z[:-1], F),
        (DataShape, "50 rows or more", Z[:10], F[:10]),
        (DataShape, "do not fit", Z, F[:, 0]),
        (DataMissing, "row 4, column 1", np.where(np.arange(120).reshape(60, 2) == 9, np.nan, Z), F),
        (DataRange, "row 4, column 1", np.where(np.arange(120).reshape(60, 2) == 9, np.inf, Z), F),
        (DataShape, "not a number", Z.astype(str), F),
        (DataError, "no code varies", np.ones((60, 2)), F),
        (DataError, "'1': a factor has one value only", Z, F * [1, 0]),
        (DataMissing, "factor '0', row 7", Z, np.where(np.arange(120).reshape(60, 2) == 14, np.nan, F)),
    ],
)
def test_bad_input_is_refused_by_name(error: type[LowerboundError], message: str, codes: Array, factors: Array) -> None:
    with pytest.raises(error, match=message):
        disentanglement(codes, factors)


def test_bad_options_are_refused_by_name() -> None:
    bad: list[tuple[type[LowerboundError], str, dict[str, Any]]] = [
        (UnknownName, "unknown measure 'mgi'", {"measures": ["mgi"]}), (BadOption, "seed", {"seed": -1}),
        (BadOption, "needs posteriors", {"measures": ["mig_chen"]}), (DataShape, "variances", {"variance": Z[:5] + 1}),
        (DataRange, "variance is not positive", {"variance": Z}),
    ]  # fmt: skip
    for error, message, options in bad:
        with pytest.raises(error, match=message):
            disentanglement(Z, F, **options)
    for name, value in itertools.product(("bins", "rows", "pairs"), (1, 0.5, True)):
        with pytest.raises(BadOption, match=name):
            Settings(**{name: value})
    with pytest.raises(BadOption, match="trees"):
        Settings(trees="oak")
    for runs, kl, how, message in (([Z], None, "lasso", "agree"), ([Z, Z[1:]], None, "lasso", "agree"),
                                   ([Z, Z], [[1]], "lasso", "KLs"), ([Z, Z], None, "cosine", "how")):  # fmt: skip
        with pytest.raises(LowerboundError, match=message):
            udr(runs, kl, how=how)
