"""What can be measured of drawn strokes from their pixels: how thick they are and how far they lean."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lowerbound.errors import DataMissing, DataShape

Array = npt.NDArray[Any]


def thickness(images: npt.ArrayLike) -> Array:
    """Mean width of the strokes of each image: twice their area over the length of their outline.

    Both area and outline are taken from the grey levels (the outline as total variation), so that fainter ink does
    not count as thinner strokes. A bar of width w and length l measures w l / (w + l), nearly w if it is long.

    Args:
        images: (N, C, H, W), ink bright on a dark ground, at least 0.

    Returns:
        (N,) pixels; 0 for an image without ink.

    Raises:
        DataShape: not images. DataMissing: a pixel is NaN.

    Source: of the idea, Castro, Tan, Kainz, Konukoglu & Glocker 2019, "Morpho-MNIST", Journal of Machine Learning
    Research 20; there by distances to the background.

    >>> bar = np.zeros((1, 1, 12, 104)); bar[..., 4:8, 2:102] = 1
    >>> thickness(bar).round(1)
    array([3.9])
    """
    x = np.pad(_ink(images), ((0, 0), (1, 1), (1, 1)))
    down, right = np.diff(x, axis=1)[:, :, :-1], np.diff(x, axis=2)[:, :-1]
    outline = np.sqrt(down**2 + right**2).sum((1, 2))
    width: Array = 2 * x.sum((1, 2)) / np.where(outline > 0, outline, 1)
    return width


def slant(images: npt.ArrayLike) -> Array:
    """Angle by which the strokes of each image lean to the right, from its second moments.

    Args:
        images: (N, C, H, W), ink bright on a dark ground, at least 0; row 0 is the top.

    Returns:
        (N,) degrees; positive leans right, as / does; 0 where there is no height to lean over.

    Raises:
        DataShape: not images. DataMissing: a pixel is NaN.

    Source: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (deslanting by moments).

    >>> slant(np.eye(9)[None, None, ::-1]).round(6)  # a diagonal from bottom left to top right
    array([45.])
    """
    x = _ink(images)
    mass = x.sum((1, 2))
    share = x / np.where(mass > 0, mass, 1)[:, None, None]
    up, across = -np.arange(x.shape[1])[:, None], np.arange(x.shape[2])[None]
    height = up - (share * up).sum((1, 2), keepdims=True)
    width = across - (share * across).sum((1, 2), keepdims=True)
    spread = (share * height**2).sum((1, 2))
    lean = (share * height * width).sum((1, 2)) / np.where(spread > 1e-12, spread, 1)
    angle: Array = np.degrees(np.arctan(lean))
    return angle


def _ink(images: npt.ArrayLike) -> Array:
    """(N, H, W): the mean over channels."""
    x = np.asarray(images, dtype=np.float64)
    if x.ndim != 4 or not x[0].size:
        raise DataShape("not images", found=str(x.shape), expected="(N, C, H, W)")
    if np.isnan(x).any():
        raise DataMissing("a pixel is NaN", where=f"image {np.argwhere(np.isnan(x))[0][0]}")
    ink: Array = x.mean(1)
    return ink
