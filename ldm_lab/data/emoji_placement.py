"""Where a drawing stands on its square: in the middle, or a little aside, smaller or mirrored."""

import random
import re
from dataclasses import dataclass

from PIL import Image

from ldm_lab.data.draws import uniform
from ldm_lab.data.emoji_names import Emoji

FRAME = 136  # side in pixels of the font's bitmaps: a drawing in the middle of it touches no edge
SMALLEST = 0.85  # of its plain size
LARGEST_SHIFT = 0.06  # of the side, on either axis
MARGIN = 3  # pixels of the drawing that stay free at every edge
_BACKGROUND = (255, 255, 255)

# Drawings without hands, letters, digits, signs, directions or a known orientation, found by looking at all of them.
_SYMMETRIC_SUBGROUPS = frozenset(
    """
    face-smiling face-affection face-tongue face-neutral-skeptical face-sleepy face-unwell face-hat face-glasses
    face-concerned face-negative face-costume cat-face monkey-face heart
    animal-mammal animal-bird animal-amphibian animal-reptile animal-marine animal-bug plant-flower plant-other
    food-fruit food-vegetable food-prepared food-marine food-sweet drink dishware place-geographic
    """.split()
)
_HANDED_NAMES = frozenset(
    {
        "money-mouth face",  # a dollar sign
        "sleeping face",  # ZZZ
        "face with symbols on mouth",
        "yawning face",  # one hand
        "heart with arrow",
        "spiral shell",  # shells coil one way
        "snail",
    }
)
_DIRECTION = re.compile(r"\b(left|right|(counter|anti)?clockwise)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placement:
    """A square around a drawing.

    Attributes:
        side: Side of the square in pixels of the drawing.
        left: Pixels to the left of the drawing.
        top: Pixels above it.
        is_mirrored: Whether left and right of the drawing are exchanged.
    """

    side: int
    left: int
    top: int
    is_mirrored: bool = False


def may_be_mirrored(emoji: Emoji) -> bool:
    """Whether the mirror image is as good a drawing: it has no handedness, and nothing said of it names a side."""
    is_handed = emoji.subgroup not in _SYMMETRIC_SUBGROUPS or emoji.name in _HANDED_NAMES
    return not is_handed and not any(_DIRECTION.search(text) for text in (emoji.name, *emoji.keywords))


def centred(picture: Image.Image) -> Placement:
    """In the middle, at the size that the font gives it."""
    side = max(FRAME, *picture.size)
    return Placement(side, (side - picture.width) // 2, (side - picture.height) // 2)


def varied(picture: Image.Image, rng: random.Random, *, may_mirror: bool) -> Placement:
    """A little smaller and aside, never at the edge; mirrored in half of the cases where it may be."""
    side = round(max(FRAME, *picture.size) / uniform(rng, SMALLEST, 1.0))
    left, top = (_shifted(rng, side - length, LARGEST_SHIFT * side) for length in picture.size)
    return Placement(side, left, top, is_mirrored=rng.random() < 0.5 and may_mirror)


def place(picture: Image.Image, placement: Placement, *, size: int) -> Image.Image:
    """The square on white, resized bicubically with anti-aliasing. RGB, size x size"""
    square = Image.new("RGB", (placement.side, placement.side), _BACKGROUND)
    turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if placement.is_mirrored else picture
    square.paste(turned, (placement.left, placement.top))
    return square.resize((size, size), Image.Resampling.BICUBIC)


def _shifted(rng: random.Random, room: int, largest: float) -> int:
    """Pixels before the drawing, of those that are free on both sides together."""
    return round(room / 2 + uniform(rng, -1.0, 1.0) * min(max(room / 2 - MARGIN, 0.0), largest))
