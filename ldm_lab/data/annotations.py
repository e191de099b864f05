"""What lies beside a picture, brought to the square that training sees: boxes, semantic maps, masks.

``ImageFolder`` resizes every picture on its short side and keeps its middle; everything said of it follows.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ldm_lab.core.class_maps import read_class_map
from ldm_lab.core.errors import DataError, ImageError
from ldm_lab.core.images import read_image
from ldm_lab.core.layout import Layout, LayoutObject
from ldm_lab.core.masks import to_mask
from ldm_lab.data.metadata import Example, PixelBox


def layout_of(example: Example, size: tuple[int, int]) -> Layout:
    """The boxes of a picture as shares of its middle square; those outside of it are left out, those across it cut.

    Args:
        example: With boxes.
        size: Width and height of the picture in pixels.

    Raises:
        DataError: Naming the line, if a box reaches outside of the picture.
    """
    assert example.boxes is not None, "a folder has boxes for all of its pictures, or for none"
    width, height = size
    for item in example.boxes:
        left, top, right, bottom = item.box
        if left < 0 or top < 0 or right > width or bottom > height:
            raise DataError(
                f"{example.place}: the box of {' '.join(item.names)} is {list(item.box)}, but the picture has "
                f"{width} x {height} pixels; boxes are given in pixels and lie inside"
            )
    cut = (_in_middle_square(item, width, height) for item in example.boxes)
    return tuple(item for item in cut if item is not None)


def mirrored_layout(layout: Layout) -> Layout:
    """Left and right exchanged."""
    return tuple(
        LayoutObject(item.names, (1 - item.box[2], item.box[1], 1 - item.box[0], item.box[3])) for item in layout
    )


def read_map(path: Path, *, picture_size: tuple[int, int], size: int, place: str) -> Tensor:
    """The class of every pixel, from a file whose grey value (or index into its palette) is the number of a class.

    Args:
        path: The file.
        picture_size: Width and height of the picture it belongs to, which must be its own.
        size: Side of the square to return.
        place: For messages.

    Returns:
        int64 (size, size)

    Raises:
        DataError: If it cannot be read, is coloured or of 16 bits, or of another size.
    """
    try:
        numbers = read_class_map(path)
    except ImageError as error:
        raise DataError(f"{place}: the map {path.name} cannot be used: {error}") from error
    _check_same_size("map", numbers.shape[::-1], picture_size, place)
    square = ImageOps.fit(Image.fromarray(numbers), (size, size), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(square, dtype=np.int64))


def read_mask(path: Path, *, picture_size: tuple[int, int], size: int, place: str) -> Tensor:
    """The mask of a picture: white is repainted, as everywhere.

    Args:
        path: The file.
        picture_size: Width and height of the picture it belongs to, which must be its own.
        size: Side of the square to return.
        place: For messages.

    Returns:
        0 or 1 (1, size, size)

    Raises:
        DataError: If it cannot be read or has another size.
    """
    try:
        image = read_image(path, background=(0, 0, 0)).convert("L")
        _check_same_size("mask", image.size, picture_size, place)
        return to_mask(ImageOps.fit(image, (size, size), Image.Resampling.NEAREST), size=(size, size))
    except ImageError as error:
        raise DataError(f"{place}: the mask {path.name} cannot be used: {error}") from error


def _in_middle_square(item: PixelBox, width: int, height: int) -> LayoutObject | None:
    side = min(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    left, right = (min(max((edge - x) / side, 0.0), 1.0) for edge in (item.box[0], item.box[2]))
    top, bottom = (min(max((edge - y) / side, 0.0), 1.0) for edge in (item.box[1], item.box[3]))
    return LayoutObject(item.names, (left, top, right, bottom)) if left < right and top < bottom else None


def _check_same_size(kind: str, found: tuple[int, ...], picture: tuple[int, int], place: str) -> None:
    if tuple(found) != picture:
        raise DataError(
            f"{place}: its {kind} has {found[0]} x {found[1]} pixels, the picture {picture[0]} x {picture[1]}; "
            "make them the same size"
        )
