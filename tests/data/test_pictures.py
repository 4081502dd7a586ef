"""Folders of pictures: order, labels, and every kind of picture that is read or refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.data import load
from lowerbound.errors import DataFormat, DataNotFound, DataShape, MissingExtra

Image = pytest.importorskip("PIL.Image")
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
RGB = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def save(folder: Path, name: str, pixels: Any, **options: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if hasattr(pixels, "save") else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def test_pictures_come_in_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.png", "a.bmp", "c.PNG"):
        save(tmp_path, name, GREY + ord(name[0]) - ord("a"))
    save(tmp_path, ".hidden.png", RGB)
    save(tmp_path, ".folder/x.png", RGB)
    (tmp_path / "notes.txt").write_text("not a picture")
    data = load(tmp_path)
    assert data.x.shape == (3, 1, 3, 4)
    assert np.array_equal(data.x[:, 0], [GREY, GREY + 1, GREY + 2])
    assert data.unit == 1 / 255 and data.labels is None and data.name == tmp_path.name
    assert load(data.source).fingerprint == data.fingerprint


def test_sub_folders_are_labels(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/deep/2.png", "cat/1.png"):
        save(tmp_path, name, RGB)
    data = load(tmp_path)
    assert data.x.shape == (3, 3, 3, 4)
    assert np.array_equal(data.x[0], RGB.transpose(2, 0, 1))
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1]
    assert data.label_names == ("cat", "dog")
    assert load(tmp_path, labels=[5, 6, 7]).label_names == ("5", "6", "7")
    save(tmp_path, "zebra.png", RGB)
    assert load(tmp_path).labels is None


def with_alpha(pixels: Any, mode: str, alpha: int) -> Any:
    image = Image.fromarray(pixels)
    image.putalpha(alpha)
    assert image.mode == mode
    return image


@pytest.mark.parametrize(
    ("pixels", "channels"),
    [
        (Image.fromarray(GREY > 100), 1),
        (with_alpha(GREY, "LA", 255), 1),
        (with_alpha(RGB, "RGBA", 255), 3),
        (Image.fromarray(RGB).quantize(16), 3),
    ],
)
def test_kinds_of_pictures(tmp_path: Path, pixels: Any, channels: int) -> None:
    save(tmp_path, "a.png", pixels)
    want = np.atleast_3d(np.asarray(pixels.convert("L" if channels == 1 else "RGB"))).transpose(2, 0, 1)
    assert np.array_equal(np.rint(load(tmp_path).values()[0] * 255), want)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.gif", "a.webp", "a.bmp", "a.png"])
def test_formats(tmp_path: Path, name: str) -> None:
    save(tmp_path, name, np.full((8, 8), 128, np.uint8))
    assert np.abs(load(tmp_path).x.astype(int) - 128).max() <= 1


def test_the_rotation_of_the_camera_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    save(tmp_path, "a.png", GREY, exif=exif)
    assert np.array_equal(load(tmp_path).x[0, 0], np.rot90(GREY, -1))


REFUSED = {
    "16 bits": (Image.fromarray(GREY.astype(np.uint16)), "mode I;16"),
    "transparent": (with_alpha(RGB, "RGBA", 254), "transparent"),
    "grey transparent": (with_alpha(GREY, "LA", 0), "transparent"),
}


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_kinds_that_are_refused(tmp_path: Path, kind: str) -> None:
    pixels, words = REFUSED[kind]
    path = save(tmp_path, "a.png", pixels)
    with pytest.raises(DataFormat, match=words) as error:
        load(tmp_path)
    assert str(path) in str(error.value)


def test_colours_for_print_and_animations_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "1", "a.jpg", Image.fromarray(RGB).convert("CMYK"))
    frames = [Image.fromarray(GREY + i) for i in range(2)]
    save(tmp_path / "2", "a.gif", frames[0], save_all=True, append_images=frames[1:])
    for folder, words in (("1", "mode CMYK"), ("2", "2 frames")):
        with pytest.raises(DataFormat, match=words):
            load(tmp_path / folder)


def test_the_first_picture_that_differs_is_named(tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY)
    save(tmp_path, "b.png", GREY)
    save(tmp_path, "c.png", GREY.T.copy())
    with pytest.raises(DataShape, match=r"c.png: .*found 3 x 4 pixels of 1 channel, expected 4 x 3 .* like a.png"):
        load(tmp_path)
    save(tmp_path, "b.png", RGB)
    with pytest.raises(DataShape, match=r"b.png: .*of 3 channels"):
        load(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY)
    whole = save(tmp_path, "b.png", np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8))
    good = whole.read_bytes()
    save(tmp_path, "a.png", np.zeros((40, 40), np.uint8))
    for n in range(0, len(good) - 20, len(good) // 16):
        whole.write_bytes(good[:n])
        with pytest.raises(DataFormat, match=r"b.png"):
            load(tmp_path)


def test_an_ending_that_lies(tmp_path: Path) -> None:
    save(tmp_path, "a.jpg", GREY, format="PNG")
    with pytest.raises(DataFormat, match=r"found a PNG file, expected JPEG"):
        load(tmp_path)
    save(tmp_path, "a.jpg", GREY, format="TIFF")
    with pytest.raises(DataFormat, match=r"not a picture that can be read"):
        load(tmp_path)


def test_pictures_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "a.png", GREY)
    monkeypatch.setattr("lowerbound.data.pictures.CAP", 11)
    with pytest.raises(DataShape, match="too many pictures"):
        load(tmp_path)
    monkeypatch.setattr("lowerbound.data.pictures.PIXELS", 11)
    with pytest.raises(DataFormat, match="found 4 x 3 pixels, expected at most 11"):
        load(tmp_path)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataFormat, match="damaged or too large"):
        load(tmp_path)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(DataNotFound, match="no picture"):
        load(tmp_path)


def test_pillow_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "a.png", GREY)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"lowerbound\[images\]"):
        load(tmp_path)
