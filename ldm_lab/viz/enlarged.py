"""Small pictures made large enough to see their pixels."""

from PIL import Image


def enlarged(picture: Image.Image, *, side: int) -> Image.Image:
    """A picture enlarged by the largest whole factor that fits, so that every pixel stays a square; or as it is.

    Args:
        picture: Of any mode and size.
        side: How long the longer side may become, in pixels.
    """
    factor = factor_to(*picture.size, side=side)
    return picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)


def factor_to(width: int, height: int, *, side: int) -> int:
    """How many times larger a grid may become until its longer side would exceed ``side``; at least 1."""
    return max(1, side // max(width, height))
