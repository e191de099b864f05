"""Pictures beside pictures: where two differ, and where something in one is."""

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import ShapeError
from ldm_lab.core.images import to_numpy, to_tensor
from ldm_lab.viz.colors import SEQUENTIAL, paint


def error_map(first: Image.Image, second: Image.Image, *, limit: float = 0.5) -> Image.Image:
    """How far two pictures are apart at every pixel: mean over the colours of the absolute difference.

    Args:
        first: RGB.
        second: RGB, of the same size.
        limit: Difference of the lightest colour, on the scale of [-1, 1] where black and white are 2 apart.

    Raises:
        ShapeError: If the sizes differ.
    """
    if first.size != second.size:
        raise ShapeError(f"the pictures are {first.size} and {second.size} pixels large; make them equal")
    difference = (to_tensor(first) - to_tensor(second)).abs().mean((0, 1))  # (H, W)
    return paint(difference, low=0.0, high=limit)


def overlay(image: Image.Image, heat: Tensor, *, strength: float = 0.6, limit: float | None = None) -> Image.Image:
    """A picture under a map of heat: the more heat, the more of its colour.

    Args:
        image: RGB.
        heat: Not negative, of any resolution; stretched smoothly over the picture. (h, w)
        strength: Share of the colour where the heat is greatest.
        limit: What counts as greatest; None: the greatest value of the map.

    Raises:
        ShapeError: If ``heat`` is no plane.
    """
    spread = stretch(heat, image.size)
    most = max(spread.max().item() if limit is None else limit, 1e-12)
    colors = paint(spread, low=0.0, high=most, colormap=SEQUENTIAL)
    share = (255 * strength * (spread / most).clamp(0, 1)).round().byte()
    return Image.composite(colors, image, Image.fromarray(share.numpy()))


def stretch(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """A map of heat stretched smoothly over a picture. (h, w) → (height, width)

    Args:
        heat: Of any resolution. (h, w)
        size: Width and height of the picture.

    Raises:
        ShapeError: If ``heat`` is no plane.
    """
    if heat.ndim != 2:
        raise ShapeError(f"heat has shape {tuple(heat.shape)}; expected a plane (h, w)")
    resized = F.interpolate(heat.float().cpu()[None, None], size=size[::-1], mode="bilinear", align_corners=False)
    return resized[0, 0]


def shares(heat: Tensor, size: tuple[int, int], *, strength: float = 1.0) -> np.ndarray:
    """Heat over a picture as opacity: 0 up to its mean, ``strength`` where it is greatest. (h, w) → (height, width)

    What is spread evenly covers nothing, so that several maps can lie over each other.
    """
    spread = stretch(heat, size)
    above = (spread - spread.mean()).clamp(min=0.0)
    return to_numpy(strength * above / above.max().clamp(min=1e-12))
