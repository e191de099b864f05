import math
import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from ldm_lab.core.errors import DataError
from ldm_lab.core.masks import MaskedPicture, to_mask
from ldm_lab.data import masks
from ldm_lab.data.masks import MASK_KINDS, THICK, random_mask


def coverages(kind, *, count=150, size=64):
    return torch.stack([random_mask(size, size, seed=seed, kinds=[kind]).mean() for seed in range(count)])


@pytest.mark.parametrize("kind", MASK_KINDS)
@pytest.mark.parametrize(("width", "height"), [(64, 64), (48, 20), (1, 1), (3, 2), (1, 30)])
def test_masks_are_binary_and_never_empty(kind, width, height):
    for seed in range(20):
        mask = random_mask(width, height, seed=seed, kinds=[kind])
        assert mask.shape == (1, height, width)
        assert mask.dtype == torch.float32
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert mask.any()
        MaskedPicture(torch.zeros(3, height, width), mask)  # what the package calls a mask


def test_white_repaints_as_everywhere():
    mask = random_mask(32, 32, seed=0)
    assert to_mask(Image.fromarray((255 * mask[0]).byte().numpy()), size=(32, 32)).equal(mask)


def test_a_mask_is_a_function_of_its_seed():
    first = [random_mask(40, 24, seed=seed) for seed in range(40)]
    random.seed(5)
    torch.manual_seed(5)
    assert all(a.equal(random_mask(40, 24, seed=seed)) for seed, a in enumerate(first))
    assert len({mask.numpy().tobytes() for mask in first}) > 30  # half images may agree


# The smallest, a middle and the largest share of pixels repainted that 150 masks of a kind may show: narrow to wide.
@pytest.mark.parametrize(
    ("kind", "low", "middle", "high"),
    [
        ("narrow", (0.01, 0.15), (0.2, 0.5), (0.4, 0.8)),
        ("thick", (0.001, 0.15), (0.3, 0.55), (0.7, 1.0)),
        ("boxes", (0.01, 0.06), (0.12, 0.3), (0.35, 0.75)),
        ("half", (0.34, 0.4), (0.45, 0.55), (0.6, 0.66)),
    ],
)
@pytest.mark.parametrize("size", [64, 160])
def test_coverage(kind, low, middle, high, size):
    shares = coverages(kind, size=size, count=150 if size == 64 else 60)
    for (least, most), found in zip((low, middle, high), shares.quantile(torch.tensor([0.0, 0.5, 1.0])), strict=True):
        assert least <= found <= most


def test_all_kinds_come_equally_often():
    """Which kind a seed draws shows when each kind is asked for alone with the rest of the draws the same."""
    asked, rng_of = [], masks._DRAW
    try:
        masks._DRAW = {kind: lambda rng, canvas, kind=kind: asked.append(kind) for kind in MASK_KINDS}
        for seed in range(800):
            random_mask(4, 4, seed=seed)
    finally:
        masks._DRAW = rng_of
    assert all(abs(asked.count(kind) - 200) < 4 * math.sqrt(800 * 0.25 * 0.75) for kind in MASK_KINDS)


def test_every_pixel_is_hidden_at_times():
    """No corner and no middle that a model would learn to be always visible, or never."""
    often = torch.stack([random_mask(32, 32, seed=seed) for seed in range(300)]).mean(0)[0]
    assert 0.12 < often.min() <= often.max() < 0.7


def test_boxes_keep_their_margin_and_half_images_touch_three_edges():
    for seed in range(60):
        boxes = random_mask(64, 64, seed=seed, kinds=["boxes"])[0]
        assert not boxes[:2].any()
        assert not boxes[-2:].any()
        assert not boxes[:, :2].any()
        half = random_mask(64, 64, seed=seed, kinds=["half"])[0]
        edges = (half[0], half[-1], half[:, 0], half[:, -1])
        assert sorted(edge.any().item() for edge in edges) == [False, True, True, True]
        assert sorted(edge.all().item() for edge in edges) == [False, False, False, True]


def test_a_stroke_is_what_lies_near_its_pieces(monkeypatch):
    """Second implementation: the distance of every pixel from each segment, against the radius of its brush."""
    pieces = []
    line = ImageDraw.ImageDraw.line

    def watched(self, ends, fill, width):
        pieces.append((ends, width))
        line(self, ends, fill=fill, width=width)

    monkeypatch.setattr(ImageDraw.ImageDraw, "line", watched)
    canvas = Image.new("L", (200, 150))
    masks._draw_strokes(random.Random(3), canvas, brush=THICK)
    y, x = np.mgrid[:150, :200]
    distance = np.full((150, 200), np.inf)
    for ((x0, y0), (x1, y1)), width in pieces:
        length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1)
        nearest = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        distance = np.minimum(distance, nearest - width / 2)
    drawn = np.array(canvas) > 0
    assert drawn[distance < -2.5].all()  # in pixels: rounding of widths and of line ends
    assert not drawn[distance > 2.5].any()
    assert 0.05 < drawn.mean() < 0.95


def test_the_same_strokes_are_drawn_at_any_size():
    small, large = (random_mask(side, side, seed=8, kinds=["thick"]) for side in (64, 256))
    pooled = torch.nn.functional.avg_pool2d(large, 4)
    assert (pooled - small).abs().mean() < 0.08


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0, "height": 4}, "a mask of 0 x 4 pixels cannot be drawn"),
        ({"width": 4, "height": 4, "kinds": ["stripes"]}, r"mask kinds are \['stripes'\]; choose from narrow, thick"),
        ({"width": 4, "height": 4, "kinds": []}, r"mask kinds are \[\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        random_mask(**arguments, seed=0)
