"""Labels with real data: few of them, given ones, and what is left of them in the style. Minutes each."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

import lowerbound as lb
from lowerbound.data import Data, Split
from lowerbound.recipes import recipe

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
Record = Callable[[str, str, str], None]
SPLITS, TEST, EACH = 10, 500, 10
PLAIN: dict[str, Any] = {"scaling": "global", "validation": 0, "progress": False}
HALF: dict[str, Any] = {"latent": 5, "scaling": "global", "classifier": "mlp:widths=[512,512]", "progress": False}


@pytest.fixture(scope="module", autouse=True)
def known_sets_are_found(data_folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWERBOUND_DATA", str(data_folder))
        yield


def few_labels(seed: int, data: Data) -> Data:
    """500 rows to test on, and of the others the labels of ten of each class."""
    order, labels = np.random.default_rng(seed).permutation(data.rows), data.labels
    assert labels is not None
    test, train = order[:TEST], order[TEST:]
    known = np.concatenate([train[labels[train] == code][:EACH] for code in range(10)])
    shown = np.full(data.rows, -1)
    shown[np.r_[known, test]] = labels[np.r_[known, test]]
    return replace(data, labels=shown, split=Split(np.sort(train), np.arange(0), np.sort(test)))


def wrong(run: lb.Run, by: Any) -> float:
    found = lb.predict(run, by=by).error
    assert found is not None and found["rows"] == TEST
    return 100 * found["mean"]


def test_digits_with_100_labels(record: Record) -> None:
    """Ten splits of 1297 training rows, 100 of them with a label, and 500 test rows, as the table of rivals."""
    data, errors, gaps, spent = lb.load("digits"), [], [], 0.0
    for seed in range(SPLITS):
        start = time.process_time()
        run = lb.fit(few_labels(seed, data), recipe="m2", seed=seed, validation=0, **HALF)
        spent += time.process_time() - start
        errors.append((wrong(run, "model"), wrong(run, "bayes")))
        gaps.append(lb.predict(run).calibration)
    mean, sd = np.mean(errors, 0), np.std(errors, 0, ddof=1)
    said = ", ".join(f"{name} {m:.1f} ({s:.1f})" for name, m, s in zip(("q(y|x)", "Bayes"), mean, sd, strict=True))
    bar = recipe("m2").target
    assert bar is not None
    record(
        "digits, 100 balanced labels, 10 splits: error of m2, % (sd)",
        "≤ 8.2, aim 4.2",
        f"{said}; {spent:.0f} s of a processor",
    )
    values, perfect = [gap.value for gap in gaps], np.mean([gap.perfect for gap in gaps])
    said = f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(SPLITS):.3f}, calibrated {perfect:.3f}"
    record("digits, 100 balanced labels: calibration error of q(y|x)", "that of a calibrated one", said)
    assert spent <= 2 * 300  # five minutes of two cores
    assert mean[0] <= 100 - bar.value


def test_digits_with_100_labels_from_codes(record: Record) -> None:
    """M1, and M2 on the codes of M1, on three of the splits."""
    data, errors = lb.load("digits"), []
    for seed in range(3):
        split = few_labels(seed, data)
        first = lb.fit(split, latent=16, seed=seed, epochs=100, patience=0, **PLAIN)
        second = lb.fit(lb.codes(first, draws=20), recipe="m1-m2", seed=seed, validation=0, latent=5, epochs=5,
                        progress=False)  # fmt: skip
        errors.append((wrong(first, "spreading"), wrong(first, "logistic"), wrong(second, "model")))
    names = ("M1 and spreading", "M1 and logistic regression", "M1+M2")
    mean, sd = np.mean(errors, 0), np.std(errors, 0, ddof=1)
    said = ", ".join(f"{name} {m:.1f} ({s:.1f})" for name, m, s in zip(names, mean, sd, strict=True))
    record("digits, 100 balanced labels, 3 splits: error from codes, % (sd)", "≤ 8.2", said)
    assert mean[0] <= 8.2


def test_generated_digits_carry_their_label(record: Record) -> None:
    """A classifier of real digits judges; log p(x|y) of held-out digits beside log p(x) of the same nets."""
    options: dict[str, Any] = {"latent": 8, "epochs": 150, "test": 300, "progress": False}
    told, plain = lb.fit("digits", recipe="cvae", **options), lb.fit("digits", **options)
    train = told.rows(part="train")
    judge = SVC(gamma="scale", C=10, random_state=0).fit(train.values().reshape(train.rows, -1), train.labels)
    kinds: dict[str, Any] = {"means": "mean", "draws": "draw"}
    right = {
        name: np.mean([
            (judge.predict(lb.sample(told, 100, given={"label": y}, kind=kind).values.reshape(100, -1)) == y).mean()
            for y in range(10)
        ])
        for name, kind in kinds.items()
    }  # fmt: skip
    moved = lb.analogies(told, 50).values.reshape(-1, 64)
    right["analogies"] = (judge.predict(moved) == np.tile(np.arange(10), 50)).mean()
    said = ", ".join(f"{name} {share:.1%}" for name, share in right.items())
    record("digits: share of generated rows that a judge of real ones finds to be as asked", "≥ 90%", said)
    given, alone = (lb.score(run, samples=1000) for run in (told, plain))
    gain = given.log_likelihood - alone.log_likelihood
    se = gain.std(ddof=1) / np.sqrt(len(gain))
    record("digits: log p(x|y) and log p(x) of held-out rows, nats", "the first above the second",
           f"{given.mean:.2f}, {alone.mean:.2f}; gain {gain.mean():.2f} ± {se:.2f}")  # fmt: skip
    recovered = lb.independence(told, beside=plain)
    record("digits: label told from the style by the best of three classifiers, and from plain codes", "chance, 10%",
           str(recovered).replace("\n", "; "))  # fmt: skip
    assert min(right.values()) >= 0.9
    assert recovered.beside is not None and recovered.mean < recovered.beside.mean
    assert gain.mean() > 0
