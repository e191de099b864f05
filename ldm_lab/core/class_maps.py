"""Semantic maps in files and pictures: a grey value, or an index into a palette, is the number of a class."""

import numpy as np

from ldm_lab.core.errors import ImageError
from ldm_lab.core.images import Source, opened, upright

LOSSLESS = ("PNG", "BMP", "GIF", "TIFF")  # formats that keep every number as it is
MODES = ("1", "L", "P")
STRETCHED = ("L;2", "L;4")  # grey values of few bits, as Pillow calls them; it spreads them over 0 to 255


def read_class_map(source: Source) -> np.ndarray:
    """Read a semantic map from outside, under the contract of ``read_image`` except that numbers stay as stored.

    Args:
        source: Path, content, binary file, or what PIL has opened; of 8 bits or less, grey or with a palette.

    Returns:
        Numbers of classes, upright. uint8 (H, W)

    Raises:
        ImageError: If it is no picture, or of a format or mode in which numbers are not kept.
    """
    with opened(source) as (name, image):
        if image.format not in (None, *LOSSLESS):
            raise ImageError(
                f"{name} is a {image.format} file, which does not keep the numbers of a semantic map; save it as PNG "
                f"({', '.join(LOSSLESS)} are accepted)"
            )
        if image.mode not in MODES:
            raise ImageError(
                f"a semantic map has mode {image.mode}; save the numbers of the classes as grey values of 8 bits"
            )
        if any(repr(raw_mode) in repr(getattr(image, "tile", ())) for raw_mode in STRETCHED):
            raise ImageError("a semantic map has grey values of fewer than 8 bits; save the numbers with 8 bits")
        image.load()
        return np.asarray(upright(image)).astype(np.uint8)
