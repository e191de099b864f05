"""Pictures at their places on a plane."""

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import ShapeError

GROUND = "#e4e4ee"  # neither white nor any ground of the built-in world, whose edges show on it


def thumbnails(points: Tensor, pictures: Sequence[Image.Image], *, side: int = 512, thumbnail: int = 40) -> Image.Image:
    """A map of pictures; later ones lie over earlier ones.

    Args:
        points: Where each lies, x to the right and y upwards, both from -1 to 1. (N, 2)
        pictures: One a point.
        side: Of the map, in pixels.
        thumbnail: The longer side of a picture on it, in pixels.

    Raises:
        ShapeError: If there is not one picture a point.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) != len(pictures):
        raise ShapeError(f"points have shape {tuple(points.shape)}; give (N, 2) for {len(pictures)} pictures")
    sheet = Image.new("RGB", (side, side), GROUND)
    for (x, y), picture in zip(points.tolist(), pictures, strict=True):
        small = picture.copy()
        small.thumbnail((thumbnail, thumbnail))
        left = round((x + 1) / 2 * (side - small.width))
        top = round((1 - y) / 2 * (side - small.height))
        sheet.paste(small, (left, top))
    return sheet
