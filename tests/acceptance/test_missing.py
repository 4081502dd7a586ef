"""Missing cells filled in: public figures, on digits without their lower half and on half of a table."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import lowerbound as lb
from lowerbound.data.holes import half
from lowerbound.measures.imputation import fill_gaussian, fill_mean, fill_neighbours, fill_principal

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]
Record = Callable[[str, str, str], None]


def test_half_digits(record: Record) -> None:
    """The lower half of 500 test digits from the upper one; options were chosen on training rows."""
    x = lb.load("digits").values()
    order = np.random.RandomState(0).permutation(len(x))
    test, train = x[order[:500]], x[order[500:]]
    run = lb.fit(
        train, latent=10, likelihood="gaussian:scale=predicted,floor=0.05", validation=200, test=0, progress=False
    )
    found = lb.impute(run, test, mask=half(test.shape))
    missing = ~found.mask
    error = float(((found.mean - test)[missing] ** 2).mean())
    inside = float(((test >= found.lower) & (test <= found.upper))[missing].mean())
    holed = np.where(missing, np.nan, test).reshape(500, -1)
    known = train.reshape(len(train), -1)
    rivals = {
        "mean": fill_mean(known, holed), "1-NN": fill_neighbours(known, holed, 1),
        "10-NN": fill_neighbours(known, holed),
        "pPCA 10": fill_principal(known, holed, 10), "Gaussian": fill_gaussian(known, holed),
    }  # fmt: skip
    told = ", ".join(f"{name} {((made - test.reshape(500, -1)) ** 2)[np.isnan(holed)].mean():.4f}"
                     for name, made in rivals.items())  # fmt: skip
    record("digits, lower half from upper, 500 test rows: MSE of the conditional mean; coverage of 90% intervals",
           "≤ 0.0533; 85 to 95%", f"{error:.4f}; {100 * inside:.1f}% ({found.reason}); {told}")  # fmt: skip
    assert error <= 0.0533 and 0.85 <= inside <= 0.95


def test_breast_cancer_with_half_of_its_cells(record: Record) -> None:
    """MIWAE on the mask of its public example, with its nets, rate and epochs; its own error is 0.287."""
    x = load_breast_cancer().data.astype(np.float32)
    x = (x - x.mean(0)) / x.std(0)
    hidden = np.random.RandomState(1234).choice(x.size, x.size // 2, replace=False)
    holed = x.copy()
    holed.ravel()[hidden] = np.nan
    net: dict[str, Any] = {"name": "mlp", "activation": "relu"}
    nets = {"encoder": {**net, "widths": [128] * 3}, "decoder": {**net, "widths": [128] * 2}}
    start = time.perf_counter()
    run = lb.fit(holed, missing="nan", scaling="none", latent=10, likelihood="student_t",
                 objective="iwae:samples=20", epochs=500, batch=32, rate=2e-4, validation=0, test=0, patience=0,
                 progress=False, **nets)  # fmt: skip
    found = lb.impute(run, holed, method="importance", samples=1000)
    seconds = time.perf_counter() - start
    error = float(((found.mean - x).ravel()[hidden] ** 2).mean())
    gaussian = float(((fill_gaussian(holed, holed) - x).ravel()[hidden] ** 2).mean())
    principal = float(((fill_principal(holed, holed, 10) - x).ravel()[hidden] ** 2).mean())
    record("breast cancer, half of the cells of seed 1234: MSE of MIWAE with K = 20", "≤ 0.30",
           f"{error:.4f} in {seconds:.0f} s; pPCA-EM(10) {principal:.4f}, Gaussian EM {gaussian:.4f}")  # fmt: skip
    assert error <= 0.30
    assert principal == pytest.approx(0.281, abs=0.003) and gaussian == pytest.approx(0.230, abs=0.005)
