"""What bench/ compares is the same work, its floor is counted right, and its figures are those of the laps."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lowerbound.model import assemble
from lowerbound.randomness import scope

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def workloads(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from module("workloads", monkeypatch)


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from module("report", monkeypatch)


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCH))
    yield importlib.import_module(name)
    del sys.modules[name]


DENSE = 784 * 400 + 400 * 40 + 20 * 400 + 400 * 784
CONV = 32 * 32**2 * 16 + 32 * 32 * 16**2 * 16 + 32 * 64 * 8**2 * 16 + 64 * 64 * 4**2 * 16 + 1024 * 256


@pytest.mark.parametrize(
    ("name", "row", "code"),
    [  # a product costs 2 forward and 4 backward; the first layer's input needs no gradient
        ("mnist", 6 * DENSE - 2 * 784 * 400, 2 * (20 * 400 + 400 * 784)),
        ("conv", 6 * (2 * CONV + 256 * 20 + 10 * 256) - 2 * 32 * 32**2 * 16, 2 * (CONV + 10 * 256)),
    ],
)
def test_the_floor_counts_the_products(workloads: ModuleType, name: str, row: int, code: int) -> None:
    with scope(0, "bench"):
        counted = workloads.flops(workloads.WORKS[name])
    assert counted == {"row": pytest.approx(row, rel=1e-12), "code": pytest.approx(code, rel=1e-12)}


@pytest.mark.parametrize(("name", "weights"), [("mnist", 652824), ("conv", 764245)])
def test_all_train_the_same_net(workloads: ModuleType, name: str, weights: int) -> None:
    work = workloads.WORKS[name]
    with scope(0, "bench"):
        by_hand = sum(weight.numel() for net in work.nets() for weight in net.parameters())
    parts = {"posterior": {"name": "gaussian"}, "prior": {"name": "standard"}, "likelihood": {"name": "bernoulli"}}
    ours = assemble({"shape": work.shape, "latent": work.latent, "encoder": work.net, "decoder": work.net, **parts})
    assert by_hand == sum(weight.numel() for weight in ours.parameters()) == weights


def test_ratios_are_taken_within_rounds(report: ModuleType) -> None:
    assert report.ratios([3.0, 2.0, 8.0], [1.0, 2.0, 2.0]) == (3.0, 1.0, 4.0)


def contender(name: str, *seconds: float, **more: object) -> dict[str, object]:
    laps = [{"seconds": each, "loss": 100.0, "fp32": 50.0, "fp32_onednn": 100.0, "bf16": 400.0} for each in seconds]
    return {"name": name, "floor": "fp32", "failed": "", "laps": laps, "parameters": 7, "megabytes": 9, **more}


def test_the_table_gives_medians_and_the_share_of_the_floor(report: ModuleType) -> None:
    both = [contender("floor", 0.1, 0.1, 0.1), contender("slow", 4.0, 2.0, 3.0), contender("ours", 1.0, 1.0, 2.0)]
    work = {"rows": 600, "gflop": 50.0, "contenders": [*both, contender("gone", failed="no such module")]}
    lines = [line.replace(" ", "") for line in report.contenders(work, scored=False).splitlines()]
    assert lines[2:] == ["|ours|1.000|1.000|2.000|600|50%|100.00|7|9|", "|slow|3.000|2.000|4.000|200|17%|100.00|7|9|"]
    assert "|slow|2.00(1.50to4.00)|" in report.against(work).replace(" ", "")
