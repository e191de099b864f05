import itertools
import math
from collections import Counter
from dataclasses import astuple

import pytest
import torch

from ldm_lab.core.errors import DataError
from ldm_lab.core.images import to_uint8
from ldm_lab.data.scenes import (
    BACKGROUNDS,
    CANVAS,
    CLASS_NAMES,
    COLORS,
    HELD_OUT_PAIRS,
    OPPOSITES,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    SceneObject,
    palette,
    place_word,
    relation_word,
    render,
    sample_scene,
    semantic_map,
    tight_boxes,
)

SPLITS = ("train", "test", "unseen")


def scenes_of(split, count=600, seed=3):
    return [sample_scene(seed, index, split=split) for index in range(count)]


def at(x, y, radius=10.0):
    return SceneObject("circle", "red", x, y, radius)


def test_a_scene_is_the_same_for_ever():
    scene = sample_scene(0, 0)
    assert scene.background == "gray"
    assert astuple(scene.objects[0])[:2] == ("heart", "green")
    numbers = astuple(scene.objects[0])[2:]
    assert numbers == pytest.approx((34.31810300, 16.42950147, 7.54497393, 3.66521752), abs=1e-6)


def test_seed_split_and_index_each_change_the_scene():
    scenes = {sample_scene(seed, index, split=split) for seed in (0, 1) for index in (0, 1) for split in SPLITS}
    assert len(scenes) == 12


def test_unknown_split_is_refused():
    with pytest.raises(DataError, match="'validation'; choose one of train, test, unseen"):
        sample_scene(0, 0, split="validation")


def test_held_out_pairs_use_each_shape_and_each_color_once():
    assert sorted(shape for shape, _ in HELD_OUT_PAIRS) == sorted(SHAPES)
    assert sorted(color for _, color in HELD_OUT_PAIRS) == sorted(COLORS)


@pytest.mark.parametrize("split", ["train", "test"])
def test_seen_splits_hold_every_pair_but_the_held_out_ones(split):
    pairs = {item.pair for scene in scenes_of(split, 2000) for item in scene.objects}
    assert pairs == set(itertools.product(SHAPES, COLORS)) - HELD_OUT_PAIRS


def test_every_unseen_scene_holds_a_held_out_pair():
    scenes = scenes_of("unseen")
    assert all(any(item.pair in HELD_OUT_PAIRS for item in scene.objects) for scene in scenes)
    seen_too = [item for scene in scenes for item in scene.objects if item.pair not in HELD_OUT_PAIRS]
    assert len(seen_too) > 200


def test_values_are_drawn_evenly():
    scenes = scenes_of("train", 4000)
    objects = [item for scene in scenes for item in scene.objects]
    for values, options in [
        ([item.shape for item in objects], SHAPES),
        ([item.color for item in objects], COLORS),
        ([item.size for item in objects], SIZES),
        ([scene.background for scene in scenes], BACKGROUNDS),
        ([scene.objects[0].place for scene in scenes if len(scene.objects) == 1], PLACES),
        ([scene.relation for scene in scenes if scene.relation], RELATIONS),
        ([len(scene.objects) for scene in scenes], (1, 2)),
    ]:
        counts, mean = Counter(values), len(values) / len(options)
        assert set(counts) == set(options)
        assert all(abs(count - mean) < 5 * math.sqrt(mean) for count in counts.values())


@pytest.mark.parametrize("split", SPLITS)
def test_scenes_are_unambiguous(split):
    for scene in scenes_of(split):
        for item in scene.objects:
            assert item.radius + 1 - 1e-9 <= min(item.x, item.y, CANVAS - item.x, CANVAS - item.y)
            assert SIZES[item.size][0] <= item.radius <= SIZES[item.size][1]
        if len(scene.objects) == 1:
            moved = {place_word(item.x + dx, item.y + dy) for dx in (-4, 0, 4) for dy in (-4, 0, 4)}
            assert moved == {item.place}  # the border of the raster is far
        else:
            first, second = scene.objects
            dx, dy = abs(first.x - second.x), abs(first.y - second.y)
            assert first.pair != second.pair
            assert math.hypot(dx, dy) >= first.radius + second.radius + 2 - 1e-9
            assert max(dx, dy) > 1.69 * min(dx, dy)


def test_small_and_large_are_apart():
    assert SIZES["large"][0] - SIZES["small"][1] >= 3


def test_colors_are_apart():
    colors = [*COLORS.values(), *BACKGROUNDS.values()]
    assert min(math.dist(a, b) for a, b in itertools.combinations(colors, 2)) > 100


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [(32, 32, "center"), (12, 30, "left"), (33, 50, "bottom"), (50, 10, "top right"), (12, 50, "bottom left")],
)
def test_places(x, y, place):
    assert place_word(x, y) == place


@pytest.mark.parametrize(
    ("first", "second", "relation"),
    [
        ((10, 32), (50, 40), "left of"),
        ((50, 40), (10, 32), "right of"),
        ((30, 10), (35, 50), "above"),
        ((30, 50), (35, 10), "below"),
    ],
)
def test_relations(first, second, relation):
    assert relation_word(at(*first), at(*second)) == relation
    assert relation_word(at(*second), at(*first)) == OPPOSITES[relation]


def test_objects_have_a_place_and_two_of_them_a_relation():
    single, double = Scene((at(32, 32),), "white"), Scene((at(15, 32), at(50, 32)), "white")
    assert (single.objects[0].place, single.relation) == ("center", None)
    assert ([item.place for item in double.objects], double.relation) == (["left", "right"], "left of")


def test_class_labels_number_the_pairs_that_training_shows():
    items = [SceneObject(shape, color, 32, 32, 8) for shape in SHAPES for color in COLORS]
    shown = [item for item in items if item.pair not in HELD_OUT_PAIRS]
    assert [item.class_label for item in shown] == list(range(56))
    assert all(CLASS_NAMES[item.class_label] == f"{item.color} {item.shape}" for item in shown)
    assert {item.class_label for item in items if item.pair in HELD_OUT_PAIRS} == {None}
    scene = Scene((SceneObject("star", "red", 20, 20, 8), SceneObject("ring", "blue", 50, 50, 8)), "white")
    assert scene.class_label == CLASS_NAMES.index("red star")


def test_boxes_of_many_scenes_are_those_of_each():
    scenes = [sample_scene(3, index) for index in range(12)]
    assert tight_boxes(scenes) == [scene.boxes() for scene in scenes]
    assert {len(boxes) for boxes in tight_boxes(scenes)} == {1, 2}


def test_an_image_does_not_depend_on_its_batch():
    scenes = scenes_of("train", 40)
    batch = render(scenes)
    for i in (0, 7, 39):
        torch.testing.assert_close(render([scenes[i]])[0], batch[i], rtol=0, atol=1e-6)  # SIMD tails round differently


def test_an_empty_batch_is_an_empty_batch():
    assert render([]).shape == (0, 3, 64, 64)


@pytest.mark.parametrize("color", COLORS)
def test_pixels_have_the_colors_of_the_palette(color):
    scene = Scene((SceneObject("square", color, 20, 40, 14),), "beige")
    pixels = to_uint8(render([scene]))[0]
    assert tuple(pixels[40, 20].tolist()) == COLORS[color]
    assert tuple(pixels[2, 60].tolist()) == BACKGROUNDS["beige"]


def test_edges_are_covered_in_part():
    scene = Scene(
        (SceneObject("square", "red", 32.0, 32.0, 10.25 * math.sqrt(2)),), "black"
    )  # edges at 21.75 and 42.25
    red = (render([scene])[0, 0, 32] + 1) / (palette([COLORS["red"]])[0, 0] + 1)
    torch.testing.assert_close(red[0, 20:24], torch.tensor([0.0, 0.25, 1.0, 1.0]), rtol=0, atol=1e-4)


def test_other_sizes_show_the_same_scene():
    scenes = scenes_of("train", 16)
    shrunk = torch.nn.functional.avg_pool2d(render(scenes, 256), 4)
    assert (shrunk - render(scenes, 64)).abs().mean() < 0.003
    assert render(scenes, 32).shape == (16, 3, 32, 32)


def test_flipped_scenes_are_mirrored_images():
    scenes = scenes_of("train", 64)
    flipped = [scene.flipped() for scene in scenes]
    torch.testing.assert_close(render(flipped), render(scenes).flip(3), rtol=0, atol=2e-4)  # rounding of distances
    for scene, mirror in zip(scenes, flipped, strict=True):
        across = scene.relation in ("left of", "right of")
        assert mirror.relation == (OPPOSITES[scene.relation] if across else scene.relation)
    assert Scene((at(12, 12),), "white").flipped().objects[0].place == "top right"
    assert [scene.flipped().flipped().background for scene in scenes] == [scene.background for scene in scenes]


def test_semantic_map_and_boxes_describe_the_same_pixels():
    scenes = [scene for scene in scenes_of("train", 60) if len(scene.objects) == 2]
    labels = semantic_map(scenes)
    assert labels.dtype == torch.int64
    for scene, seen in zip(scenes, labels, strict=True):
        assert {0, *(1 + SHAPES.index(item.shape) for item in scene.objects)} == set(seen.unique().tolist())
        outside = seen.clone()
        for item, (left, top, right, bottom) in zip(scene.objects, scene.boxes(), strict=True):
            inside = seen[int(top) : int(bottom), int(left) : int(right)]
            assert (inside == 1 + SHAPES.index(item.shape)).any(0).all()  # tight in x
            assert (inside == 1 + SHAPES.index(item.shape)).any(1).all()  # tight in y
            outside[int(top) : int(bottom), int(left) : int(right)] = 0
        assert not outside.any()
