"""The gallery on tiny images: every picture is drawn, the right way up, with what it shows where it belongs."""

from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lowerbound as lb
from lowerbound.data import Split

ROOT = Path(__file__).parents[2]
SIDE, ROWS = 8, 120
Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def script() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield import_module("gallery")


@pytest.fixture(scope="module")
def images() -> lb.Data:
    """Ten kinds, white on the left of the upper half as far as the kind says, black in all of the lower half."""
    noise = np.random.default_rng(0)
    kinds = np.arange(ROWS) % 10
    x = np.zeros((ROWS, 1, SIDE, SIDE), np.uint8)
    for row, kind in enumerate(kinds):
        x[row, 0, :4, : 3 + kind // 2] = 200 + noise.integers(0, 50)
    index = np.arange(ROWS)
    factors = np.stack([index // 10, kinds % 2], axis=1)
    split = Split(index[: ROWS // 2], index[:0], index[ROWS // 2 :], "given", 0)
    return lb.Data(x, "tiny", "", 1 / 255, labels=kinds.astype(np.int64), label_names=tuple("0123456789"),
                   factors=factors, factor_names=("subject", "glasses"), split=split)  # fmt: skip


@pytest.fixture(scope="module")
def runs(script: Any, images: lb.Data, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All runs of the gallery on the tiny images; the closed form of PCA knows which way up they are."""
    pca = {"data": images, "recipe": "pca", "validation": 0}
    table = {name: {**pca, "latent": 2} for name in script.RUNS}
    table["digits-ae"] = {"data": images, "recipe": "ae", "latent": 2, "epochs": 1, "validation": 0}
    return script.Runs(tmp_path_factory.mktemp("runs"), table)


@pytest.fixture(scope="module")
def shown(script: Any, runs: Any) -> dict[str, Any]:
    return {name: picture(runs) for name, picture in script.PICTURES.items()}


def sheet(figure: Any) -> Array:
    """The pixels of the images in a figure, grey, 0 to 1."""
    pixels: Array = np.asarray(figure.axes[0].images[0].get_array())[..., :3].mean(-1) / 255
    return pixels


def tiles(figure: Any, down: int, across: int) -> Array:
    """Its images, each as the means of its four quarters: (down, across, 2, 2)."""
    pixels = sheet(figure)
    height, width = pixels.shape[0] // down, pixels.shape[1] // across
    cut = pixels[: down * height, : across * width].reshape(down, height, across, width).transpose(0, 2, 1, 3)
    tall, wide = height // 2, width // 2
    quarters = [[cut[..., a : a + tall, b : b + wide].mean((2, 3)) for b in (0, wide)] for a in (0, tall)]
    return np.moveaxis(np.array(quarters), (0, 1), (2, 3))


def test_every_picture_is_drawn_and_listed(
    script: Any, shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    ready = {name: wraps(draw)(lambda runs, name=name: shown[name]) for name, draw in script.PICTURES.items()}
    monkeypatch.setattr(script, "PICTURES", ready)
    assert not script.make(tmp_path, list(ready), None, told.append)
    page = (tmp_path / "index.html").read_text("utf-8")
    for name in script.PICTURES:
        content = (tmp_path / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG") and f'src="{name}.png"' in page
    assert len(told) == len(script.PICTURES) and page.count("<img") == len(told)


def test_reconstructions_stand_upright_below_originals(shown: dict[str, Any], images: lb.Data) -> None:
    quarters = tiles(shown["reconstructions"].panels[0][0], 5, 16)
    kept = quarters[[0, 1, 3, 4]]  # the autoencoder is hardly trained
    assert (kept[..., 0, 0] > 0.5).all() and (kept[..., 1, :] < 0.3).all()
    first = np.asarray(images.test.x[0, 0, :4, :4]).mean() / 255
    assert quarters[0, 0, 0, 0] == pytest.approx(first, abs=0.06)  # the gap between images is white


def test_paths_begin_and_end_with_their_digits(script: Any, shown: dict[str, Any]) -> None:
    quarters = tiles(shown["interpolation"].panels[0][0], 2 * len(script.PAIRS), 11)
    right = quarters[..., 0, 1]  # how far the bar reaches says which kind it is
    for line, (first, last) in enumerate(script.PAIRS):
        assert right[2 * line, 0] < right[2 * line, -1], (first, last)
    codes, pixels = right[::2], right[1::2]
    assert pixels[:, [0, -1]] == pytest.approx(codes[:, [0, -1]], abs=0.05)
    assert (quarters[..., 1, :] < 0.3).all()


@pytest.mark.parametrize(("name", "key"), [("digits-plane", "digits-plane"), ("frey-plane", "frey")])
def test_planes_have_the_largest_z2_on_top(shown: dict[str, Any], runs: Any, name: str, key: str) -> None:
    plane = lb.manifold(runs[key], side=20)
    pixels = sheet(shown[name].panels[0][0])
    tall = pixels.shape[0] // 20
    corner = lb.decode(runs[key], [[plane.across[0], plane.up[-1]]])[0, 0].clip(0, 1)
    if not plane.inside[-1, 0]:
        corner = 0.35 * corner + 0.65 * np.array([240, 220, 223]).mean() / 255
    assert pixels[:tall, :tall] == pytest.approx(corner.repeat(tall // SIDE, 0).repeat(tall // SIDE, 1), abs=0.01)


def test_samples_stand_beside_test_images(shown: dict[str, Any]) -> None:
    (made, real), *rest = shown["samples"].panels
    assert not rest
    for quarters in (tiles(made, 10, 10), tiles(real, 6, 10)):
        assert (quarters[..., 0, 0] > quarters[..., 1, :].max(-1)).all()


def test_holes_are_blue_and_where_they_should_be(shown: dict[str, Any]) -> None:
    half, box, scattered = (row[0] for row in shown["inpainting"].panels)
    pixels = np.asarray(half.axes[0].images[0].get_array())[..., :3].astype(int)
    tall, wide = pixels.shape[0] // 3, pixels.shape[1] // 7
    blue = (pixels[..., 2] - pixels[..., 0])[:tall, :wide] > 50
    assert blue[tall // 2 + 4 : tall - 6, :-6].all() and not blue[: tall // 2 - 6].any()
    for figure in (half, box, scattered):
        assert [text.get_text() for text in figure.axes[0].texts][-6:] == [
            "given", "draw 1", "draw 2", "draw 3", "draw 4", "mean", "original"
        ][-6:]  # fmt: skip
        original = tiles(figure, 3, 7)[:, -1]
        assert (original[:, 0, 0] > 0.6).all() and (original[:, 1] < 0.2).all()


def test_pairs_stand_side_by_side(shown: dict[str, Any]) -> None:
    assert [len(row) for row in shown["holes"].panels] == [1, 1]  # one above the other: each is a grid beside a map
    assert [len(row) for row in shown["beta"].panels] == [2]
    assert "autoencoder" in shown["holes"].number and "VAE" in shown["holes"].number


def test_trained_runs_are_used_again(script: Any, runs: Any) -> None:
    again = script.Runs(runs.folder, runs.table)["digits-ae"]
    assert again.summary["stopped"].startswith("already finished")


def test_what_cannot_be_made_is_said_and_the_rest_is_made(script: Any, runs: Any, tmp_path: Path) -> None:
    without = script.Runs(tmp_path / "runs", {**runs.table, "olivetti": {"data": "no-such-set"}})
    failed = script.make(tmp_path, ["glasses", "frey-plane"], without, lambda line: None)
    assert list(failed) == ["glasses"] and "no-such-set" in failed["glasses"]
    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count("<img") == 1 and "not made" in page
    assert not script.make(tmp_path, ["digits-plane"], runs, lambda line: None)
    assert (tmp_path / "index.html").read_text("utf-8").count("<img") == 2, "what was drawn before is still listed"
