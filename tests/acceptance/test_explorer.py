"""The page of a run of MNIST and of one of 64 x 64 faces: how large, how quick, how near to torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowerbound as lb

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]
Record = Callable[[str, str, str], None]

CONV = {"name": "conv", "channels": [32, 32, 64, 64]}
STEPS = """async () => {
    const { point, world } = explorer, took = [];
    for (let i = 0; i < 100; i++) {
        const start = performance.now();
        point.go(point.z.map((value, j) => value + 0.02 * Math.sin(i + j)), null, "map");
        took.push(performance.now() - start);
        await new Promise((next) => setTimeout(next, 5));
    }
    return took;
}"""


def judged(run: lb.Run, path: Path, browser: Any) -> dict[str, float]:
    """Size in MB, milliseconds to the first picture and of a step of a drag, largest distance from torch."""
    size = lb.export_html(run, path).size / 1e6
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("body.ready")
    page.wait_for_timeout(3000)
    z = lb.encode(run)[:200].tolist()
    found = np.array(page.evaluate("(codes) => codes.map(explorer.decode)", z))
    far = np.abs(found - lb.decode(run, z).reshape(len(z), -1)).max()
    step = float(np.median(page.evaluate(STEPS)))
    return {"size": size, "first": page.evaluate("explorer.first"), "step": step, "far": float(far)}


def told(found: dict[str, float]) -> str:
    return f"{found['size']:.2f} MB; {found['first']:.0f} ms; {found['step']:.1f} ms; {found['far']:.1e}"


def test_mnist(record: Record, data_folder: Path, browser: Any, tmp_path: Path) -> None:
    decoder = {"name": "mlp", "widths": [256, 512]}
    run = lb.fit("mnist", latent=2, epochs=3, decoder=decoder, progress=False)
    found = judged(run, tmp_path / "page.html", browser)
    record("page of MNIST, MLP 2-256-512-784: size; first picture; step of a drag; distance from torch",
           "≤ 2 MB; < 1 s; ≤ 16 ms; ≤ 1e-3", told(found))  # fmt: skip
    assert found["size"] <= 2
    assert found["first"] < 1000
    assert found["step"] <= 16
    assert found["far"] <= 1e-3


def test_faces(record: Record, data_folder: Path, browser: Any, tmp_path: Path) -> None:
    run = lb.fit("olivetti", latent=10, epochs=2, recipe="sigma-vae", encoder=CONV, decoder=CONV, progress=False)
    found = judged(run, tmp_path / "page.html", browser)
    record("page of Olivetti, conv decoder of 64 x 64: size; first picture; step of a drag; distance from torch",
           "-; < 1 s; ≤ 50 ms; ≤ 1e-3", told(found))  # fmt: skip
    assert found["first"] < 1000
    assert found["step"] <= 50
    assert found["far"] <= 1e-3


def strict(run: lb.Run, path: Path, browser: Any, given: list[float]) -> dict[str, float]:
    """What ``judged`` finds, after every control was used once, with requests and complaints counted."""
    size = lb.export_html(run, path).size / 1e6
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
    counted: list[str] = []
    page.on("request", lambda request: counted.append(request.url))
    page.on("console", lambda message: counted.append(message.text))
    page.on("pageerror", lambda error: counted.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("body.ready")
    page.wait_for_timeout(2000)
    for name in ("#random", "#pin-A", "#nearest", "#pin-B", "#centre", "#next-draws", "#next-rows"):
        page.click(name)
    for each in page.locator("#given button, #given input").all():
        each.click()
    page.wait_for_timeout(1000)
    z = lb.encode(run)[:200].tolist()
    wanted = lb.decode(run.at({"label": 7}) if given else run, z)
    found = np.array(page.evaluate("([codes, given]) => codes.map((z) => explorer.decode(z, given))", [z, given]))
    far = np.abs(found - wanted.reshape(len(z), -1)) / np.maximum(1, np.abs(wanted.reshape(len(z), -1)))
    others = [each for each in counted if each != path.as_uri() and not each.startswith("blob:")]
    return {"size": size, "first": page.evaluate("explorer.first"), "step": float(np.median(page.evaluate(STEPS))),
            "far": float(far.max()), "others": len(others)}  # fmt: skip


def test_adult(record: Record, data_folder: Path, browser: Any, tmp_path: Path) -> None:
    run = lb.fit(data_folder / "tables/adult.data", latent=6, epochs=2, progress=False)
    found = strict(run, tmp_path / "page.html", browser, [])
    record("page of Adult, typed: size; first picture; step of a drag; distance from torch; requests and complaints",
           "≤ 2 MB; < 1 s; ≤ 16 ms; ≤ 1e-3; 0", f"{told(found)}; {found['others']:.0f}")  # fmt: skip
    assert found["size"] <= 2
    assert found["first"] < 1000
    assert found["step"] <= 16
    assert found["far"] <= 1e-3
    assert found["others"] == 0


def test_digits_that_are_told(record: Record, data_folder: Path, browser: Any, tmp_path: Path) -> None:
    run = lb.fit("mnist", recipe="cvae", latent=4, epochs=1, progress=False)
    found = strict(run, tmp_path / "page.html", browser, [7.0])
    record("page of MNIST told its labels: size; first picture; step of a drag; distance from torch; requests and "
           "complaints", "≤ 2 MB; < 1 s; ≤ 16 ms; ≤ 1e-3; 0", f"{told(found)}; {found['others']:.0f}")  # fmt: skip
    assert found["size"] <= 2
    assert found["step"] <= 16
    assert found["far"] <= 1e-3
    assert found["others"] == 0
