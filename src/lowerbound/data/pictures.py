"""A folder of pictures to `Data`."""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.arrays import CAP
from lowerbound.data.source import Array
from lowerbound.errors import DataFormat, DataNotFound, DataShape, MissingExtra

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
PIXELS = 1 << 24  # the most one picture may have


def read_folder(folder: Path) -> dict[str, Any]:
    """``x`` and ``labels``: all pictures below ``folder``, in the order of their paths, as 8-bit images (N, C, H, W).

    If every picture lies in a sub-folder, the names of the first sub-folders are the labels. Hidden files, other
    files and linked folders are skipped. Grey pictures have one channel, coloured ones three; a palette counts as
    colour; black-and-white is grey. The rotation that a camera noted is applied. An alpha channel is dropped if
    nothing is transparent. All pictures must have the same size and number of channels.

    Raises:
        DataNotFound: no picture in the folder. DataFormat: naming the first picture that is damaged, of another
            format than its name says, of 16 bits, animated, transparent or in other colours than grey or RGB.
        DataShape: naming the first picture of another size. MissingExtra: without Pillow.
    """
    paths = picture_paths(folder)
    first = read_picture(paths[0])
    if len(paths) * first.nbytes > CAP:
        raise DataShape(
            "too many pictures for memory",
            where=str(folder),
            found=f"{len(paths)} of {first.shape}",
            expected=f"at most {CAP:,} bytes",
            mend="Run: lowerbound data convert FOLDER OUT",
        )
    x = np.empty((len(paths), *first.shape), np.uint8)
    for i, picture in enumerate(alike(paths)):
        x[i] = picture
    return {"x": x, "labels": picture_labels(folder, paths)}


def picture_paths(folder: Path) -> list[Path]:
    """The pictures below a folder, in the order of their paths.

    Raises:
        DataNotFound: there is none.
    """
    paths = [folder / name for name in sorted(_names(folder))]
    if not paths:
        raise DataNotFound("no picture in this folder", where=str(folder), expected="files " + ", ".join(ENDINGS))
    return paths


def picture_labels(folder: Path, paths: Sequence[Path]) -> list[str] | None:
    """The sub-folder of each picture, if all lie in one."""
    parents = [path.relative_to(folder).parts[:-1] for path in paths]
    return [parent[0] for parent in parents] if all(parents) else None


def alike(paths: Iterable[Path]) -> Iterator[Array]:
    """Pictures of one size and number of channels, uint8 (C, H, W).

    Raises:
        DataShape: naming the first that differs.
    """
    first, name = None, ""
    for path in paths:
        picture = read_picture(path)
        if first is None:
            first, name = picture, path.name
        if picture.shape != first.shape:
            raise DataShape(
                "pictures differ in size or channels",
                where=str(path),
                found=_shape(picture),
                expected=f"{_shape(first)} like {name}",
            )
        yield picture


def _shape(picture: Array) -> str:
    channels, height, width = map(int, picture.shape)
    return f"{width} x {height} pixels of {channels} channel" + "s" * (channels > 1)


def _names(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(root).relative_to(folder)
        yield from (
            (inside / name).as_posix() for name in files if not name.startswith(".") and name.lower().endswith(ENDINGS)
        )


def read_picture(path: Path) -> Array:
    """One picture as uint8 (C, H, W); see `read_folder`."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtra("reading pictures", "images") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check(path, image)
                return _channels(path, ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise DataFormat(
            "not a picture that can be read, or its head is damaged",
            where=str(path),
            found=f"{path.stat().st_size} bytes",
            expected=", ".join(FORMATS),
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, Warning, Image.DecompressionBombError) as error:
        if isinstance(error, DataFormat):
            raise
        raise DataFormat("the picture is damaged or too large", where=str(path), found=str(error)) from error


def _check(path: Path, image: Any) -> None:
    ending = path.suffix.lower()[1:].replace("jpg", "jpeg").upper()
    if image.format != ending:
        raise DataFormat("not what its name says", where=str(path), found=f"a {image.format} file", expected=ending)
    if image.width * image.height > PIXELS:
        raise DataFormat(
            "the picture is too large",
            where=str(path),
            found=f"{image.width} x {image.height} pixels",
            expected=f"at most {PIXELS:,} pixels",
        )
    if getattr(image, "n_frames", 1) > 1:
        raise DataFormat("the picture is animated", where=str(path), found=f"{image.n_frames} frames", expected="one")


def _channels(path: Path, image: Any) -> Array:
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in ("LA", "RGBA"):
        if np.asarray(image)[..., -1].min() < 255:
            raise DataFormat(
                "part of the picture is transparent",
                where=str(path),
                expected="opaque pixels",
                mend="Put it on a background first.",
            )
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise DataFormat(
            "pixels are of a kind that is not read",
            where=str(path),
            found=f"mode {image.mode}",
            expected="8-bit grey or RGB",
            mend="Save it as an 8-bit grey or RGB picture.",
        )
    pixels: Array = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return pixels
