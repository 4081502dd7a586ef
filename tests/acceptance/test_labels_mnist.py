"""Labels on MNIST: told to the model, known of a hundred rows, and what is left of them in the style. Many minutes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

import lowerbound as lb
from lowerbound.data import Data, Split

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(7200)]
Record = Callable[[str, str, str], None]
NETS: dict[str, Any] = {"encoder": "mlp:widths=[256,256]", "decoder": "mlp:widths=[256,256]", "progress": False}
LONG: dict[str, Any] = {"epochs": 40, "rate": 2e-3, "schedule": "cosine", "patience": 0, "validation": 0.0}


@pytest.fixture(scope="module")
def mnist(data_folder: Path) -> Data:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWERBOUND_DATA", str(data_folder))
        return lb.load("mnist")


@pytest.fixture(scope="module")
def both(mnist: Data) -> tuple[lb.Run, lb.Run]:
    """The same nets for as many epochs: told the label, and not."""
    return (lb.fit(mnist, recipe="cvae", latent=16, **NETS, **LONG), lb.fit(mnist, latent=16, **NETS, **LONG))


def test_being_told_the_label_pays(both: tuple[lb.Run, lb.Run], record: Record) -> None:
    """log p(x|y) above log p(x) on a tenth of the test rows, by more than its error."""
    rows = both[0].rows().take(np.arange(0, 10_000, 10))
    given, alone = (lb.score(run, rows, samples=500) for run in both)
    gain = given.log_likelihood - alone.log_likelihood
    se = gain.std(ddof=1) / np.sqrt(len(gain))
    record("MNIST, 1,000 test rows: log p(x|y) beside log p(x) of the same nets, nats", "the first above the second",
           f"{given.mean:.2f}, {alone.mean:.2f}; gain {gain.mean():.2f} ± {se:.2f}")  # fmt: skip
    assert gain.mean() > 2 * se


def test_digits_made_are_those_asked_for(both: tuple[lb.Run, lb.Run], mnist: Data, record: Record) -> None:
    learnt = mnist.take(np.arange(0, 60_000, 6))
    judge = SVC(gamma="scale", C=10, random_state=0).fit(learnt.values().reshape(learnt.rows, -1), learnt.labels)
    made = [lb.sample(both[0], 200, given={"label": y}).values.reshape(200, -1) for y in range(10)]
    right = np.mean([(judge.predict(x) == y).mean() for y, x in enumerate(made)])
    own = (judge.predict(mnist.test.values().reshape(10_000, -1)) == mnist.test.labels).mean()
    record("MNIST: share of 2,000 generated rows that a judge of real ones finds to be as asked", "≥ 90%",
           f"{right:.1%} (the judge is right of {own:.1%} of real test rows)")  # fmt: skip
    assert right >= 0.9


@pytest.mark.parametrize("of", ["mean", "draw"])
def test_the_style_tells_less_of_the_label(both: tuple[lb.Run, lb.Run], record: Record, of: Any) -> None:
    found = lb.independence(both[0], beside=both[1], of=of)
    record(f"MNIST: label told from the style ({of} of q(z|x)), and from plain codes", "aim ≤ 25%, chance 10%",
           str(found).replace("\n", "; "))  # fmt: skip
    assert found.beside is not None and found.mean + 2 * found.se < found.beside.mean


@pytest.fixture(scope="module")
def few(mnist: Data) -> Data:
    """50,000 training rows, ten of each class with their label, and the 10,000 test rows."""
    labels: Any = mnist.labels
    order = np.random.default_rng(0).permutation(50_000)
    known = np.concatenate([order[labels[order] == code][:10] for code in range(10)])
    shown, test = np.full(mnist.rows, -1), np.arange(60_000, 70_000)
    shown[np.r_[known, test]] = labels[np.r_[known, test]]
    return replace(mnist, labels=shown, split=Split(np.sort(order), np.arange(0), test, "given"))


def judged(run: lb.Run, name: str, record: Record) -> float:
    found = lb.predict(run, by="model")
    error: Any = found.error
    record(f"MNIST, 100 labels, 50,000 rows: error of {name} on the test rows", "≤ 18%, aim 12%", str(found))
    return float(error["mean"])


def test_a_hundred_labels(few: Data, record: Record) -> None:
    run = lb.fit(few, recipe="m2", latent=4, epochs=70, validation=0, precision="bf16", progress=False)
    assert judged(run, "m2", record) <= 0.18


def test_a_hundred_labels_on_codes(both: tuple[lb.Run, lb.Run], few: Data, record: Record) -> None:
    """M2 on codes of the plain VAE, drawn four times a row, four passes."""
    drawn = lb.codes(both[1], few, draws=4)
    options: dict[str, Any] = {"latent": 4, "epochs": 4, "batch": 256, "scaling": "global", "validation": 0}
    run = lb.fit(drawn, recipe="m1-m2", progress=False, **options)
    assert judged(run, "m1-m2", record) <= 0.18
