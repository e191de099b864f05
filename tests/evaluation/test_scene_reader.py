import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from ldm_lab.core.errors import ShapeError
from ldm_lab.data.scenes import BACKGROUNDS, COLORS, SHAPES, Scene, SceneObject, palette, render, sample_scene
from ldm_lab.evaluation.attribute_score import agreement
from ldm_lab.evaluation.scene_reader import MIN_IOU, read_scenes


@pytest.fixture(scope="module")
def scenes():
    seen = [sample_scene(11, index, split="test") for index in range(200)]
    return seen + [sample_scene(11, index, split="unseen") for index in range(120)]


@pytest.fixture(scope="module")
def images(scenes):
    return render(scenes)


@pytest.fixture(scope="module")
def readings(images):
    return read_scenes(images)


def blur(x, width):
    positions = torch.arange(-6.0, 7.0)
    kernel = torch.exp(-0.5 * (positions / width) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = torch.nn.functional.pad(x, (6, 6, 6, 6), mode="reflect")
    return conv2d(conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)


def noise_like(x, seed=0):
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))


def ringing(x):
    """Only the lower two thirds of the frequencies, with the overshoot that this leaves at edges."""
    rows, columns = torch.fft.fftfreq(64).abs()[:, None], torch.fft.rfftfreq(64)[None]
    return torch.fft.irfft2(torch.fft.rfft2(x) * ((rows < 0.33) & (columns < 0.33)), s=(64, 64))


def paint(mask, color="red", background="white"):
    """An image of one colour through a mask. (64, 64) -> (1, 3, 64, 64)"""
    return torch.lerp(palette([BACKGROUNDS[background]]), palette([COLORS[color]]), mask[None, None].float())


def outline(inside, radius=13.0):
    """Coverage of the region where ``inside(x, y)`` holds, in a frame of the given radius with y down."""
    fine = (torch.arange(512) + 0.5) / 8 - 32
    y, x = torch.meshgrid(fine / radius, fine / radius, indexing="ij")
    return inside(x, y).float().reshape(64, 8, 64, 8).mean((1, 3))


def circle(**changes):
    return replace(SceneObject("circle", "red", 32.0, 32.0, 13.0), **changes)


def test_rendered_scenes_are_read_right(scenes, readings):
    score = agreement(readings, scenes)
    assert score.accuracy() >= 0.995
    assert score.wholly_right >= 0.99
    assert sum(reading.valid for reading in readings) >= 0.99 * len(scenes)


def test_poses_are_read_to_a_fraction_of_a_pixel(scenes, readings):
    for scene, reading in zip(scenes, readings, strict=True):
        for item in scene.objects:
            seen = min(reading.objects, key=lambda other: math.dist((item.x, item.y), (other.x, other.y)))
            assert math.dist((item.x, item.y), (seen.x, seen.y)) < 0.5
            assert seen.radius == pytest.approx(item.radius, rel=0.05)
            assert item.shape in ("circle", "ring") or abs(seen.rotation - item.rotation) < 5
            assert seen.iou > 0.9


@pytest.mark.parametrize(
    "damage",
    [
        lambda x: blur(x, 0.7),
        lambda x: x + 0.08 * noise_like(x),
        lambda x: blur(x, 0.6) + 0.04 * noise_like(x),
        ringing,
        lambda x: 0.9 * x,
        lambda x: interpolate(x, size=128, mode="bicubic"),
    ],
    ids=["blur", "noise", "blur and noise", "ringing", "contrast", "128 pixels"],
)
def test_mild_damage_is_forgiven(scenes, images, damage):
    assert agreement(read_scenes(damage(images[170:250])), scenes[170:250]).accuracy() >= 0.99


def test_severe_damage_is_not_read(images):
    assert sum(reading.valid for reading in read_scenes(blur(images[:40], 3.0))) <= 2


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_at_the_limits_of_their_poses(shape):
    scenes = [
        Scene((SceneObject(shape, "purple", 31.6, 32.3, radius, rotation),), "gray")
        for radius in (7.0, 8.5, 12.0, 14.25)
        for rotation in (-12.0, 0.0, 12.0)
    ]
    assert agreement(read_scenes(render(scenes)), scenes).wholly_right == 1


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_color_on_every_background(background):
    scenes = [Scene((SceneObject("star", color, 32, 32, 7.0),), background) for color in COLORS]
    assert agreement(read_scenes(render(scenes)), scenes).wholly_right == 1


def test_a_wrong_description_is_noticed(scenes, readings):
    """Negative control of every kind: the agreement with changed scenes falls by what was changed."""
    readings = readings[:100]
    next_shape = dict(zip(SHAPES, SHAPES[1:] + SHAPES[:1], strict=True))
    changes = {
        "shape": [[replace(item, shape=next_shape[item.shape]) for item in scene.objects] for scene in scenes[:100]],
        "size": [[replace(item, radius=21 - item.radius) for item in scene.objects] for scene in scenes[:100]],
        "color": [
            [replace(item, color="red" if item.color != "red" else "blue") for item in scene.objects]
            for scene in scenes[:100]
        ],
    }
    for kind, objects in changes.items():
        wrong = [replace(scene, objects=tuple(o)) for scene, o in zip(scenes, objects, strict=False)]
        assert agreement(readings, wrong).accuracy(kind) < 0.25
    other = [replace(scene, background="white" if scene.background != "white" else "black") for scene in scenes[:100]]
    assert agreement(readings, other).accuracy("background") == 0
    mirrored = [scene.flipped() for scene in scenes[:100]]
    assert agreement(readings, mirrored).accuracy("relation", "place") < 0.7  # the vertical ones stay right


@pytest.mark.parametrize(
    "inside",
    [
        lambda x, y: x**2 + (y / 0.6) ** 2 < 1,
        lambda x, y: (x**2 + y**2 < 1) & (y < 0),
        lambda x, y: (x**2 + y**2 < 1) & ((x - 0.5) ** 2 + y**2 > 0.7),
        lambda x, y: (x.abs() < 0.7) & (y.abs() < 0.7) & ~((x > -0.2) & (y < 0.2)),
        lambda x, y: (x.abs() < 0.9) & (y.abs() < 0.55),
        lambda x, y: (y < 0.5) & (x.abs() < 0.58 * (y + 1)) & (y > 0),
        lambda x, y: (x**2 + y**2 < 0.8) & ~((x > 0) & (y.abs() < 0.35)),
    ],
    ids=["ellipse", "half disc", "crescent", "L", "bar", "trapezium", "open disc"],
)
@pytest.mark.parametrize("radius", [8.0, 13.0])
def test_other_shapes_are_not_named(inside, radius):
    (reading,) = read_scenes(paint(outline(inside, radius)))
    assert len(reading.objects) == 1
    assert reading.objects[0].shape is None
    assert reading.objects[0].color == "red"
    assert not reading.valid


def test_a_shape_upside_down_is_not_named():
    upside_down = render([Scene((circle(shape=shape),), "white") for shape in ("triangle", "heart")]).flip(2)
    assert [reading.objects[0].shape for reading in read_scenes(upside_down)] == [None, None]


def test_the_same_mask_method_names_a_true_shape():
    """Positive control of the refusals above: the mask of a disc is a circle."""
    (reading,) = read_scenes(paint(outline(lambda x, y: x**2 + y**2 < 0.84**2)))
    assert reading.valid
    assert reading.objects[0].shape == "circle"
    assert reading.objects[0].iou > MIN_IOU["circle"]


def test_empty_images_hold_nothing():
    (reading,) = read_scenes(palette([BACKGROUNDS["beige"]]).repeat(1, 1, 64, 64))
    assert reading.objects == ()
    assert reading.background == "beige"
    assert not reading.valid
    assert reading.relation is None


@pytest.mark.parametrize("width", [0.3, 2.0, 6.0])
def test_noise_is_not_a_scene(width):
    x = blur(noise_like(torch.empty(24, 3, 64, 64)), width)
    assert not any(reading.valid for reading in read_scenes((x / x.std()).clamp(-1, 1)))


def test_two_colors_in_one_object_are_not_a_clean_object():
    one, other = render([Scene((circle(),), "white"), Scene((circle(color="blue"),), "white")])
    halves = torch.cat([one[:, :, :32], other[:, :, 32:]], dim=2)
    assert not read_scenes(halves[None])[0].valid


def test_colors_between_the_palette_are_not_named():
    brown = torch.tensor([-0.3, -0.5, -0.7])[:, None, None]
    mask = outline(lambda x, y: x**2 + y**2 < 0.7)
    (reading,) = read_scenes(torch.lerp(torch.ones(3, 64, 64), brown, mask)[None])
    assert reading.objects[0].color is None
    assert not reading.valid
    (reading,) = read_scenes(torch.lerp(brown.expand(3, 64, 64), palette([COLORS["cyan"]])[0], mask)[None])
    assert reading.background is None
    assert not reading.valid


def test_three_objects_are_counted_but_not_valid():
    x = render([Scene((circle(x=14.0, radius=8.0), circle(x=50.0, radius=8.0), circle(y=52.0, radius=8.0)), "white")])
    (reading,) = read_scenes(x)
    assert len(reading.objects) == 3
    assert not reading.valid


def test_specks_are_no_objects_and_many_of_them_are_dirt():
    clean = render([Scene((circle(),), "white")])
    specked, dirty = clean.clone(), clean.clone()
    specked[:, :, 5:7, 5:7] = palette([COLORS["blue"]])
    dirty[:, :, 3:9:3, 3:60:6] = palette([COLORS["blue"]])
    few, many = read_scenes(torch.cat([specked, dirty]))
    assert (len(few.objects), few.specks, few.valid) == (1, 4, True)
    assert (len(many.objects), many.valid) == (1, False)


def test_readings_do_not_depend_on_the_batch(images, readings):
    (alone,) = read_scenes(images[66:67])
    in_batch = readings[66]
    assert [replace(item, iou=0) for item in alone.objects] == [replace(item, iou=0) for item in in_batch.objects]
    assert [item.iou for item in alone.objects] == pytest.approx([item.iou for item in in_batch.objects], abs=1e-4)


def test_images_are_not_changed(images):
    before = images.clone()
    read_scenes(images[:8])
    assert torch.equal(images, before)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (1, 3, 64, 32)])
def test_only_square_rgb_batches_are_accepted(shape):
    with pytest.raises(ShapeError, match=str(shape).replace("(", "\\(").replace(")", "\\)")):
        read_scenes(torch.zeros(shape))


@pytest.mark.slow
def test_thousands_of_scenes_are_read_right():
    scenes = [sample_scene(12, index, split=split) for split in ("test", "unseen") for index in range(1000)]
    score = agreement(read_scenes(render(scenes)), scenes)
    assert score.accuracy() >= 0.999
    assert all(right >= 0.995 * asked for right, asked in score.counts().values())
