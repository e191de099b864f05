"""The built-in world: one or two coloured shapes on a plain background, drawn from closed forms.

A ``Scene`` is a description in canvas units (64 x 64, y down) and knows nothing of pixels; ``render`` draws a batch of
them at any size. What can be derived (size word, place, relation) is derived, so that a description cannot contradict
itself, and the scene reader judges generated images by the very same functions.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ldm_lab.core.errors import DataError
from ldm_lab.core.images import to_tensor
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.draws import pick, uniform
from ldm_lab.data.silhouettes import SILHOUETTES, signed_distance

Split = Literal["train", "test", "unseen"]
Box = tuple[float, float, float, float]  # left, top, right, bottom, canvas units

CANVAS = 64.0
SHAPES = tuple(SILHOUETTES)
COLORS: dict[str, tuple[int, int, int]] = {  # sRGB, at least 100 apart from each other and from the backgrounds
    "red": (215, 20, 30),
    "orange": (255, 135, 10),
    "yellow": (252, 235, 30),
    "green": (30, 150, 50),
    "cyan": (30, 215, 225),
    "blue": (30, 60, 215),
    "purple": (120, 20, 170),
    "pink": (255, 95, 190),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "gray": (125, 125, 125),
    "beige": (215, 195, 160),
}
SIZES: dict[str, tuple[float, float]] = {"small": (7.0, 8.5), "large": (12.0, 14.25)}  # circumscribed radius
SIZE_LIMIT = 10.25
MAX_ROTATION = 12.0  # degrees to either side
HELD_OUT_PAIRS = frozenset(
    {
        ("circle", "purple"),
        ("square", "cyan"),
        ("triangle", "pink"),
        ("star", "green"),
        ("heart", "blue"),
        ("cross", "orange"),
        ("ring", "red"),
        ("diamond", "yellow"),
    }
)
_ALL_PAIRS = tuple((shape, color) for shape in SHAPES for color in COLORS)
_TRAINED_PAIRS = tuple(pair for pair in _ALL_PAIRS if pair not in HELD_OUT_PAIRS)
CLASS_NAMES = tuple(f"{color} {shape}" for shape, color in _TRAINED_PAIRS)  # 56; no one learns a class never shown
MAP_CLASS_NAMES = ("background", *SHAPES)  # of semantic maps

PLACES = ("center", "left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right")
OPPOSITES = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
RELATIONS = tuple(OPPOSITES)

_MARGIN = 1.0  # between a circumscribed circle and the border
_GAP = 2.0  # between two circumscribed circles
_DOMINANCE = 1.7  # the separation along the relation is this many times the one across it
_SIDE_LIMIT, _MIDDLE_HALF_WIDTH = 20.0, 3.5  # centres of single objects: up to 20, 28.5 to 35.5, from 44


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One shape: its centre and circumscribed radius in canvas units, its rotation in degrees, clockwise."""

    shape: str
    color: str
    x: float
    y: float
    radius: float
    rotation: float = 0.0

    @property
    def pair(self) -> tuple[str, str]:
        """Shape and colour, which identify an object within its scene."""
        return self.shape, self.color

    @property
    def size(self) -> str:
        """``small`` or ``large``."""
        return size_word(self.radius)

    @property
    def place(self) -> str:
        """Cell of the centre in the 3 x 3 raster."""
        return place_word(self.x, self.y)

    @property
    def class_label(self) -> int | None:
        """Index into ``CLASS_NAMES``; None for a pair that training never shows."""
        return None if self.pair in HELD_OUT_PAIRS else _TRAINED_PAIRS.index(self.pair)


@dataclass(frozen=True, slots=True)
class Scene:
    """One or two objects on a plain background."""

    objects: tuple[SceneObject, ...]
    background: str

    @property
    def relation(self) -> str | None:
        """How the first object lies to the second; None for a single object."""
        return relation_word(self.objects[0], self.objects[1]) if len(self.objects) == 2 else None

    @property
    def class_label(self) -> int | None:
        """Label of the first object, for class-conditional models."""
        return self.objects[0].class_label

    def boxes(self) -> tuple[Box, ...]:
        """Tight boxes around the visible pixels of each object at 64 x 64."""
        return tight_boxes([self])[0]

    def flipped(self) -> "Scene":
        """The scene in a vertical mirror: left and right change places."""
        mirrored = (replace(item, x=CANVAS - item.x, rotation=-item.rotation) for item in self.objects)
        return replace(self, objects=tuple(mirrored))


def size_word(radius: float) -> str:
    """Name of a circumscribed radius in canvas units."""
    return "small" if radius < SIZE_LIMIT else "large"


def place_word(x: float, y: float) -> str:
    """Name of the cell of the 3 x 3 raster that holds a point of the canvas."""
    row, column = ("top", "", "bottom")[_third(y)], ("left", "", "right")[_third(x)]
    return f"{row} {column}".strip() or "center"


def relation_word(first: SceneObject, second: SceneObject) -> str:
    """Where the first object lies as seen from the second, along the axis that separates them more."""
    dx, dy = first.x - second.x, first.y - second.y
    if abs(dx) > abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def sample_scene(seed: int, index: int, *, split: Split = "train") -> Scene:
    """Draw example ``index`` of the endless data set ``seed``; the same arguments give the same scene for ever.

    ``train`` and ``test`` never contain a pair of ``HELD_OUT_PAIRS``; every scene of ``unseen`` contains at least one.

    Raises:
        DataError: If ``split`` is unknown.
    """
    if split not in get_args(Split):
        raise DataError(f"there is no split {split!r}; choose one of {', '.join(get_args(Split))}")
    rng = random.Random(derive_seed("scene", split, seed, index))  # only .random(): stable between Python versions
    pairs = _sample_pairs(rng, split)
    radii = [uniform(rng, *pick(rng, tuple(SIZES.values()))) for _ in pairs]
    centres = _place_single(rng, *radii) if len(radii) == 1 else _place_two(rng, *radii)
    objects = tuple(
        SceneObject(*pair, *centre, radius, uniform(rng, -MAX_ROTATION, MAX_ROTATION))
        for pair, centre, radius in zip(pairs, centres, radii, strict=True)
    )
    return Scene(objects, background=pick(rng, tuple(BACKGROUNDS)))


def render(scenes: Sequence[Scene], size: int = 64) -> Tensor:
    """Draw scenes with analytic anti-aliasing: a pixel's coverage is 0.5 minus its distance from the outline.

    Returns:
        Images in [-1, 1], fp32. (B, 3, size, size)
    """
    x = palette([BACKGROUNDS[scene.background] for scene in scenes]).repeat(1, 1, size, size)
    for layer, coverage in enumerate(_layers(scenes, size)):
        rows = _having(scenes, layer)
        paint = palette([COLORS[scenes[row].objects[layer].color] for row in rows])
        x[rows] = torch.lerp(x[rows], paint, coverage[:, None])  # (rows, 3, size, size)
    return x


def semantic_map(scenes: Sequence[Scene], size: int = 64) -> Tensor:
    """Class of every pixel, an index into ``MAP_CLASS_NAMES``. int64 (B, size, size)"""
    labels = torch.zeros(len(scenes), size, size, dtype=torch.int64)
    for layer, coverage in enumerate(_layers(scenes, size)):
        rows = _having(scenes, layer)
        index = torch.tensor([1 + SHAPES.index(scenes[row].objects[layer].shape) for row in rows])
        labels[rows] = torch.where(coverage > 0.5, index[:, None, None], labels[rows])
    return labels


def tight_boxes(scenes: Sequence[Scene]) -> list[tuple[Box, ...]]:
    """For each scene, tight boxes around the visible pixels of its objects at 64 x 64."""
    found: list[list[Box]] = [[] for _ in scenes]
    for layer, coverage in enumerate(_layers(scenes, int(CANVAS))):
        for row, mask in zip(_having(scenes, layer), coverage > 0.5, strict=True):
            found[row].append(_tight_box(mask))
    return [tuple(boxes) for boxes in found]


def palette(colors: Sequence[tuple[int, int, int]]) -> Tensor:
    """Colours as images of one pixel, in [-1, 1]. (N, 3, 1, 1)"""
    return to_tensor(torch.tensor(colors, dtype=torch.uint8).reshape(-1, 1, 1, 3))


def _having(scenes: Sequence[Scene], layer: int) -> list[int]:
    return [row for row, scene in enumerate(scenes) if len(scene.objects) > layer]


def _layers(scenes: Sequence[Scene], size: int) -> list[Tensor]:
    """Coverage in [0, 1] of the first objects of all scenes, of the second ones where there are any, and so on."""
    depth = max((len(scene.objects) for scene in scenes), default=0)
    return [_coverage([scenes[row].objects[layer] for row in _having(scenes, layer)], size) for layer in range(depth)]


def _coverage(objects: Sequence[SceneObject], size: int) -> Tensor:
    coverage = torch.empty(len(objects), size, size)
    for shape in SHAPES:
        rows = [row for row, item in enumerate(objects) if item.shape == shape]
        if rows:
            chosen = [objects[row] for row in rows]
            pose = torch.tensor([(item.x, item.y, item.radius, item.rotation) for item in chosen])
            coverage[rows] = (0.5 - signed_distance(shape, pose, size, canvas=CANVAS)).clamp(0, 1)
    return coverage


def _tight_box(mask: Tensor) -> Box:
    columns, rows = mask.any(0).nonzero()[:, 0], mask.any(1).nonzero()[:, 0]
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _third(position: float) -> int:
    return int(position > CANVAS * 0.375) + int(position > CANVAS * 0.625)


def _sample_pairs(rng: random.Random, split: Split) -> list[tuple[str, str]]:
    """One or two different (shape, colour) pairs that the split allows, in random order."""
    first = pick(rng, sorted(HELD_OUT_PAIRS)) if split == "unseen" else pick(rng, _TRAINED_PAIRS)
    if rng.random() < 0.5:
        return [first]
    others = _ALL_PAIRS if split == "unseen" else _TRAINED_PAIRS
    second = pick(rng, [pair for pair in others if pair != first])
    return [first, second] if rng.random() < 0.5 else [second, first]


def _place_single(rng: random.Random, radius: float) -> tuple[tuple[float, float]]:
    """A centre well inside one cell of the 3 x 3 raster."""
    near, far = radius + _MARGIN, CANVAS - radius - _MARGIN
    bands = (
        (near, _SIDE_LIMIT),
        (CANVAS / 2 - _MIDDLE_HALF_WIDTH, CANVAS / 2 + _MIDDLE_HALF_WIDTH),
        (CANVAS - _SIDE_LIMIT, far),
    )
    return ((uniform(rng, *pick(rng, bands)), uniform(rng, *pick(rng, bands))),)


def _place_two(rng: random.Random, first: float, second: float) -> list[tuple[float, float]]:
    """Centres of two circles inside the canvas, apart, whose separation is dominated by one axis."""
    slack = CANVAS - 2 * (first + second + _MARGIN) - _GAP
    low, high = sorted((rng.random(), rng.random()))
    along_first = _MARGIN + first + slack * low
    along_second = CANVAS - _MARGIN - second - slack * (1 - high)
    reach = (along_second - along_first) / _DOMINANCE
    across_first = uniform(rng, first + _MARGIN, CANVAS - first - _MARGIN)
    across_second = uniform(
        rng,
        max(second + _MARGIN, across_first - reach),
        min(CANVAS - second - _MARGIN, across_first + reach),
    )
    centres = [(along_first, across_first), (along_second, across_second)]
    if rng.random() < 0.5:  # the first object on the far side
        centres = [(CANVAS - along, across) for along, across in centres]
    if rng.random() < 0.5:  # one above the other
        centres = [(across, along) for along, across in centres]
    return centres
