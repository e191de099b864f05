"""Masks to train inpainting on: narrow strokes, thick strokes, boxes and half images, each a function of a seed.

What a mask means (1 = repaint) is stated in ``ldm_lab.core.masks``.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ldm_lab.core.errors import DataError
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.draws import integer, pick, uniform

MaskKind = Literal["narrow", "thick", "boxes", "half"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Brush:
    """Ranges from which strokes are drawn; lengths and widths as shares of the shorter side."""

    strokes: tuple[int, int]
    length: tuple[float, float]
    width: tuple[float, float]


# LaMa (Suvorov et al. 2022), whose generator made the masks of the paper's inpainting: its random_thin_256 and
# random_thick_256, where a piece has 10 + up to max_len pixels of 256, a brush 5 + up to max_width.
NARROW = Brush(strokes=(4, 50), length=(10 / 256, 50 / 256), width=(5 / 256, 15 / 256))
THICK = Brush(strokes=(1, 5), length=(10 / 256, 210 / 256), width=(5 / 256, 105 / 256))
_PIECES = (1, 5)  # straight pieces of a stroke
_BOXES = (1, 3)
_BOX_SIDE = (30 / 256, 150 / 256)  # as shares of each side
_BOX_MARGIN = 10 / 256
_HALF_CUT = (0.35, 0.65)  # where the straight edge of a half image lies


def random_mask(width: int, height: int, *, seed: int, kinds: Sequence[MaskKind] = MASK_KINDS) -> Tensor:
    """Draw a mask of one of several kinds, all equally often; at least one pixel is to be repainted.

    Args:
        width: Of the image in pixels.
        height: Of the image in pixels.
        seed: The same seed and size give the same mask.
        kinds: What may come: ``narrow`` and ``thick`` strokes, up to three ``boxes``, about ``half`` of the image.

    Returns:
        0 or 1, 1 = repaint, fp32. (1, H, W)

    Raises:
        DataError: If the size is not positive, or a kind is unknown.
    """
    if width < 1 or height < 1:
        raise DataError(f"a mask of {width} x {height} pixels cannot be drawn; both sides must be at least 1")
    unknown = [kind for kind in kinds if kind not in _DRAW]
    if unknown or not kinds:
        raise DataError(f"mask kinds are {list(kinds)!r}; choose from {', '.join(MASK_KINDS)}")
    rng = random.Random(derive_seed("mask", seed))  # only .random(): stable between Python versions
    canvas = Image.new("L", (width, height))
    _DRAW[pick(rng, kinds)](rng, canvas)
    return torch.from_numpy(np.array(canvas, dtype=np.float32))[None]


def _draw_strokes(rng: random.Random, canvas: Image.Image, *, brush: Brush) -> None:
    draw = ImageDraw.Draw(canvas)
    for index in range(integer(rng, *brush.strokes)):
        _draw_stroke(rng, draw, canvas.size, brush=brush, turns=-1 if index % 2 == 0 else 1)


def _draw_stroke(
    rng: random.Random, draw: ImageDraw.ImageDraw, size: tuple[int, int], *, brush: Brush, turns: int
) -> None:
    """A chain of straight pieces with round joints; every piece has a width and a direction of its own."""
    x, y = (rng.random() * side for side in size)
    for _ in range(integer(rng, *_PIECES)):
        angle = turns * integer(rng, 0, 3)  # whole radians, as there
        length, width = (min(size) * uniform(rng, *limits) for limits in (brush.length, brush.width))
        end_x = min(max(x + length * math.sin(angle), 0), size[0] - 1)
        end_y = min(max(y + length * math.cos(angle), 0), size[1] - 1)
        draw.line([(x, y), (end_x, end_y)], fill=1, width=max(1, round(width)))
        for dot_x, dot_y in ((x, y), (end_x, end_y)):
            draw.circle((dot_x, dot_y), radius=width / 2, fill=1)
        x, y = end_x, end_y


def _draw_boxes(rng: random.Random, canvas: Image.Image) -> None:
    for _ in range(integer(rng, *_BOXES)):
        (left, right), (top, bottom) = (_interval(rng, side) for side in canvas.size)
        canvas.paste(1, (left, top, right, bottom))


def _interval(rng: random.Random, side: int) -> tuple[int, int]:
    """First pixel and end of a random stretch of a side, a margin away from both its ends."""
    extent = max(1, round(side * uniform(rng, *_BOX_SIDE)))
    margin = min(round(side * _BOX_MARGIN), (side - extent) // 2)
    start = integer(rng, margin, side - margin - extent)
    return start, start + extent


def _draw_half(rng: random.Random, canvas: Image.Image) -> None:
    """All that lies on one side of a straight edge near the middle: left, right, above or below."""
    width, height = canvas.size
    share, is_upright, is_far = uniform(rng, *_HALF_CUT), rng.random() < 0.5, rng.random() < 0.5
    column, row = (max(1, round(share * width)), height) if is_upright else (width, max(1, round(share * height)))
    box = (width - column, height - row, width, height) if is_far else (0, 0, column, row)
    canvas.paste(1, box)


_DRAW: dict[str, Callable[[random.Random, Image.Image], None]] = {
    "narrow": lambda rng, canvas: _draw_strokes(rng, canvas, brush=NARROW),
    "thick": lambda rng, canvas: _draw_strokes(rng, canvas, brush=THICK),
    "boxes": _draw_boxes,
    "half": _draw_half,
}
