"""Glasses put on people whom neither the model nor the classifier has seen, who stay who they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline

import lowerbound as lb
from lowerbound.tasks.arithmetic import shifted

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

NET = {"name": "mlp", "widths": [512]}
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def run(data_folder: Path) -> lb.Run:
    """Thirty people to learn from, ten to be tried on."""
    return lb.fit(
        "olivetti", latent=64, encoder=NET, decoder=NET, scaling="none", split="group:subject", test=0.25, validation=0,
        likelihood={"name": "gaussian", "scale": "fixed", "value": 0.07}, batch=32, epochs=300, patience=0,
        progress=False,
    )  # fmt: skip


def of_people(values: Array, people: Array) -> float:
    """Median over people of the mean of each."""
    return float(np.median([values[people == one].mean() for one in np.unique(people)]))


@pytest.mark.parametrize("details", [False, True], ids=["decoded", "details"])
def test_glasses_on_people_never_seen(
    run: lb.Run, details: bool, record: Callable[[str, str, str], None], tmp_path: Path
) -> None:
    test, train = run.rows(part="test"), run.rows(part="train")
    assert not set(test.factors[:, 0]) & set(train.factors[:, 0])  # type: ignore[index]
    found = lb.arithmetic(run, "glasses", details=details)
    people = lb.load("olivetti").factors[found.numbers, 0]  # type: ignore[index]
    rise = of_people(found._at(1.0) - found._at(0.0), people)

    faces = make_pipeline(
        PCA(60, random_state=0), LinearDiscriminantAnalysis(n_components=20, solver="eigen", shrinkage="auto")
    )
    faces.fit(train.values().reshape(train.rows, -1), train.factors[:, 0])  # type: ignore[index]

    def who(images: Array) -> Array:
        placed: Array = faces.transform(images.reshape(len(images), -1))
        return placed

    chosen = lb.load("olivetti").take(found.numbers)
    pair, _ = shifted(run, chosen, found.direction.vector, np.array([0.0, 1.0]), details=details)
    moved = float(np.median(np.linalg.norm(who(pair[:, 1]) - who(pair[:, 0]), axis=1)))
    places = who(test.values() if details else lb.reconstruct(run, test))
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    same = test.factors[:, None, 0] == test.factors[:, 0]  # type: ignore[index]
    shots, others = (float(np.median(apart[kind])) for kind in (same & ~np.eye(len(same), dtype=bool), ~same))
    how = "details kept" if details else "decoded"
    record(f"glasses on Olivetti, subjects unseen, {how}: rise of the classifier's probability", "≥ 0.3",
           f"{rise:.3f}; classifier right on {found.judge['mean']:.3f} of real unseen rows")  # fmt: skip
    record(f"the same, {how}: change of identity, median distance among fisherfaces", "≤ two shots of one person",
           f"{moved:.2f}; two shots {shots:.2f}, two people {others:.2f}")  # fmt: skip
    picture = found.save(tmp_path / "glasses.png").read_bytes()
    assert picture[1:4] == b"PNG" and len(picture) > 50_000
    assert rise >= 0.3
    assert moved <= shots < others
