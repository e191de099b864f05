import math

import numpy as np
import pytest
import torch
from skimage.draw import polygon2mask

from ldm_lab.data.silhouettes import SILHOUETTES, signed_distance

SIZE = 256


def corners_of(shape):
    """Corners in the unit frame, y up, written down independently of the signed distances."""
    turn = [math.radians(angle) for angle in range(0, 360, 36)]
    arm, half = 0.94, 0.32
    return {
        "square": [(s * math.sqrt(0.5), t * math.sqrt(0.5)) for s, t in [(1, 1), (1, -1), (-1, -1), (-1, 1)]],
        "triangle": [(math.sin(math.radians(a)), math.cos(math.radians(a))) for a in (0, 120, 240)],
        "star": [(r * math.sin(a), r * math.cos(a)) for a, r in zip(turn, [1, 0.45] * 5, strict=True)],
        "cross": [
            (half, arm), (half, half), (arm, half), (arm, -half), (half, -half), (half, -arm),
            (-half, -arm), (-half, -half), (-arm, -half), (-arm, half), (-half, half), (-half, arm),
        ],
        "diamond": [(0, 1), (0.7, 0), (0, -1), (-0.7, 0)],
    }[shape]  # fmt: skip


def drawn(shape, pose):
    return signed_distance(shape, torch.tensor([pose]), SIZE, canvas=float(SIZE))[0]


def polygon(shape, x, y, radius, rotation):
    sine, cosine = math.sin(math.radians(rotation)), math.cos(math.radians(rotation))
    turned = [(u * cosine + v * sine, v * cosine - u * sine) for u, v in corners_of(shape)]  # clockwise
    return polygon2mask((SIZE, SIZE), np.array([(y - v * radius - 0.5, x + u * radius - 0.5) for u, v in turned]))


@pytest.mark.parametrize("rotation", [0.0, 11.0, -30.0])
@pytest.mark.parametrize("shape", ["square", "triangle", "star", "cross", "diamond"])
def test_polygons_match_a_rasteriser(shape, rotation):
    pose = (120.0, 133.0, 100.0, rotation)
    wrong = (drawn(shape, pose).numpy() < 0) != polygon(shape, *pose)
    assert wrong.mean() < 2e-4  # pixels whose centre lies on the outline may fall to either side
    mirrored = (drawn(shape, pose).numpy() < 0) != polygon(shape, *pose[:3], -rotation)
    assert rotation == 0 or mirrored.mean() > 0.01  # the comparison sees the sense of rotation


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", math.pi * 0.84**2),
        ("ring", math.pi * (0.9**2 - 0.5**2)),
        ("heart", (0.5 + math.pi / 8) / 0.63**2),  # a square of diagonal 1 and two half discs on its sides
    ],
)
def test_round_shapes_have_the_area_of_their_closed_form(shape, area):
    coverage = (0.5 - drawn(shape, (128.0, 128.0, 110.0, 7.0))).clamp(0, 1)
    assert coverage.sum().item() == pytest.approx(area * 110**2, rel=1e-3)


@pytest.mark.parametrize("shape", SILHOUETTES)
def test_shapes_fill_their_circle_and_are_their_own_mirror_image(shape):
    distance = drawn(shape, (128.0, 128.0, 100.0, 0.0))
    pixels = torch.arange(SIZE) + 0.5 - 128
    from_centre = torch.hypot(pixels[None, :], pixels[:, None])
    assert 80 < from_centre[distance < 0].max() <= 100.5
    torch.testing.assert_close(distance, distance.flip(1), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", SILHOUETTES)
def test_distances_are_in_pixels_beside_the_outline(shape):
    distance = drawn(shape, (128.0, 128.0, 100.0, 5.0))
    slope = torch.stack(torch.gradient(distance)).norm(dim=0)
    assert slope[distance.abs() < 1].median().item() == pytest.approx(1, abs=0.01)


def test_shapes_differ_from_each_other():
    masks = [drawn(shape, (128.0, 128.0, 100.0, 0.0)) < 0 for shape in SILHOUETTES]
    overlaps = [(a & b).sum() / (a | b).sum() for i, a in enumerate(masks) for b in masks[:i]]
    assert max(overlaps) < 0.86
