import itertools
import json
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.data.degradations import bicubic
from ldm_lab.data.folders import ImageFolder
from ldm_lab.data.scenes import CLASS_NAMES, COLORS, MAP_CLASS_NAMES, SHAPES
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import (
    DataConfig,
    Mirrored,
    caption_corpus,
    class_names,
    conditions,
    held_out_source,
    known_condition,
    map_class_names,
    num_distinct,
    open_source,
    source_identity,
    source_length,
    vocabularies,
)


def save(folder, *names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def describe(folder, **captions):
    lines = [json.dumps({"file_name": f"{name}.png", "text": text}) for name, text in captions.items()]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


@pytest.fixture
def classes(tmp_path):
    save(tmp_path, "cat/a.png", "cat/b.png", "dog/a.png")
    return tmp_path


@pytest.fixture
def captioned(tmp_path):
    save(tmp_path, "a.png", "b.png")
    describe(tmp_path, a=["a cat", "one cat"], b="a dog")
    return tmp_path


def config(path, **changes):
    return DataConfig(path=str(path), size=8, **changes)


def test_without_a_path_the_source_is_the_built_in_world():
    source = open_source(DataConfig(seed=4, size=32))
    assert source == ShapeScenes(seed=4, size=32)
    assert source_length(source) is None
    assert (known_condition(source), class_names(source)) == ("caption", CLASS_NAMES)
    assert (map_class_names(source), vocabularies(source)) == (("background", *SHAPES), (SHAPES, tuple(COLORS)))
    captions = conditions(source, [3, 5], kind="caption", variant=2)
    assert captions == [str(caption) for caption in source.captions([3, 5], variant=2)]
    assert all(type(caption) is str for caption in captions)
    assert caption_corpus(source, range(3)) == conditions(source, range(3), kind="caption")


def test_what_no_training_sees_of_the_built_in_world_and_of_folders(classes):
    assert held_out_source(DataConfig(size=32, seed=5)) == ShapeScenes(split="test", size=32)
    assert len(held_out_source(config(classes))) == len(open_source(config(classes)))  # a folder has no such part
    assert (num_distinct(ShapeScenes()), num_distinct(open_source(config(classes)))) == (None, 3)


def test_class_folders(classes):
    source = open_source(config(classes))
    assert isinstance(source, ImageFolder)
    assert source_length(source) == 3
    assert (known_condition(source), class_names(source)) == ("class", ("cat", "dog"))
    assert conditions(source, [2, 0], kind="class") == [1, 0]
    assert conditions(source, [2, 0], kind="none") == [None, None]
    with pytest.raises(DataError, match="has no captions"):
        conditions(source, [0], kind="caption")


def test_captions(captioned):
    source = open_source(config(captioned))
    assert (known_condition(source), class_names(source)) == ("caption", None)
    assert conditions(source, [1, 0], kind="caption", variant=1) == ["a dog", "one cat"]
    assert caption_corpus(source, range(2)) == ["a cat", "one cat", "a dog"]
    with pytest.raises(DataError, match="has no classes"):
        conditions(source, [0], kind="class")


def test_pictures_alone(tmp_path):
    save(tmp_path, "a.png")
    assert known_condition(open_source(config(tmp_path))) == "none"


def test_every_kind_of_condition_of_a_scene_describes_the_same_scene():
    source = ShapeScenes(size=32)
    for index, scene in enumerate(source.scenes(range(20))):
        (label,) = conditions(source, [index], kind="class")
        (layout,) = conditions(source, [index], kind="layout")
        (semantic,) = conditions(source, [index], kind="semantic")
        first = scene.objects[0]
        assert CLASS_NAMES[label] == f"{first.color} {first.shape}"
        boxes = {item.names: item.box for item in layout}
        assert len(layout) == len(boxes) == len(scene.objects)
        for item in scene.objects:
            left, top, right, bottom = boxes[item.pair]
            assert left < item.x / 64 < right
            assert top < item.y / 64 < bottom
            inside = semantic[int(32 * top) : int(32 * bottom), int(32 * left) : int(32 * right)]
            assert (inside == MAP_CLASS_NAMES.index(item.shape)).double().mean() > 0.2
        assert set(semantic.unique().tolist()) == {0} | {1 + SHAPES.index(item.shape) for item in scene.objects}


def test_a_pair_never_shown_has_no_class():
    labels = conditions(ShapeScenes(split="unseen"), range(30), kind="class")
    assert None in labels


def test_low_resolution_images(classes):
    for source in (ShapeScenes(size=32), open_source(config(classes))):
        x = source.images([2, 0])
        found = conditions(source, [2, 0], kind="low-resolution")
        torch.testing.assert_close(torch.stack(found), bicubic(x))
        small = conditions(source, [2, 0], kind="low-resolution", factor=2, degradation="practical")
        assert small[0].shape == (3, x.shape[2] // 2, x.shape[3] // 2)
    again = [conditions(source, [1], kind="low-resolution", degradation="practical", variant=v)[0] for v in (0, 0, 1)]
    assert again[0].equal(again[1])
    assert not again[0].equal(again[2])


def test_masks_are_drawn_anew_in_every_epoch():
    source = ShapeScenes(size=32)
    first, again, later = (conditions(source, [4, 5], kind="masked", variant=v) for v in (0, 0, 1))
    assert first[0].image.equal(source.images([4])[0])
    assert first[0].mask.equal(again[0].mask)
    assert not first[0].mask.equal(later[0].mask)
    assert not first[0].mask.equal(first[1].mask)
    assert conditions(source, [5, 4], kind="masked")[1].mask.equal(first[0].mask)


THINGS = tuple(LayoutObject((name,), (0.0, 0.0, 0.5, 0.5 + n / 10)) for n, name in enumerate(("cat", "dog", "tree")))


class SaysLayouts:
    """A data set of which only the layouts are asked for."""

    def __init__(self, layout):
        self._layout = layout

    def layouts(self, indices):
        return [self._layout for _ in indices]


def orders(layout, *, num_variants=600):
    """How often each order of a layout is seen in that many epochs."""
    source = SaysLayouts(layout)
    return Counter(conditions(source, [5], kind="layout", variant=v)[0] for v in range(num_variants))


@pytest.mark.parametrize("written", [THINGS, THINGS[::-1], (THINGS[1], THINGS[0], THINGS[2])])
def test_layouts_are_seen_in_every_order_equally_often_however_they_are_written(written):
    """Pearson's test of the six orders: chi^2 with 5 degrees of freedom exceeds 20.5 once in a thousand."""
    counts = orders(written)
    assert set(counts) == set(itertools.permutations(THINGS))
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 20.5


def test_the_order_of_a_layout_depends_on_example_and_epoch_alone():
    source = SaysLayouts(THINGS)
    first, again = (conditions(source, range(40), kind="layout", variant=3) for _ in range(2))
    assert first == again
    assert conditions(source, [17], kind="layout", variant=3) == [first[17]]
    assert len(set(first)) == 6
    assert conditions(source, range(40), kind="layout", variant=4) != first


def test_there_is_no_other_kind():
    with pytest.raises(ConfigError, match="no kind of condition 'smell'; choose one of none, caption, class, layout"):
        conditions(ShapeScenes(), [0], kind="smell")


@pytest.fixture
def annotated(tmp_path):
    """Two pictures of 12 x 8 with a class, boxes, a map and a mask; the square that is kept begins at x = 2."""
    save(tmp_path, "a.png", "b.png")
    for name in "ab":
        picture = Image.open(tmp_path / f"{name}.png").resize((12, 8))
        picture.save(tmp_path / f"{name}.png")
        numbers = np.zeros((8, 12), dtype=np.uint8)
        numbers[:, 2:4] = 3 if name == "a" else 1
        Image.fromarray(numbers).save(tmp_path / f"{name}-map.png")
        Image.fromarray(np.where(numbers > 0, 255, 0).astype(np.uint8)).save(tmp_path / f"{name}-mask.png")
    boxes = [{"label": ["cat", "black"], "box": [2, 0, 6, 4]}, {"label": ["dog", "white"], "box": [0, 0, 2, 8]}]
    lines = [
        {"file_name": "b.png", "class": "sea", "boxes": [], "map": "b-map.png", "mask": "b-mask.png"},
        {"file_name": "a.png", "class": "land", "boxes": boxes, "map": "a-map.png", "mask": "a-mask.png"},
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_everything_said_of_a_picture_follows_its_crop_and_its_mirror(annotated):
    source = open_source(config(annotated, flip=True))
    assert (known_condition(source), class_names(source)) == ("class", ("land", "sea"))
    assert conditions(source, range(4), kind="class") == [0, 1, 0, 1]
    assert vocabularies(source) == (("cat",), ("black",))  # the dog lies outside of the square
    plain, empty, mirrored, _ = conditions(source, range(4), kind="layout")
    assert plain == (LayoutObject(("cat", "black"), (0.0, 0.0, 0.5, 0.5)),)
    assert mirrored == (LayoutObject(("cat", "black"), (0.5, 0.0, 1.0, 0.5)),)
    assert empty == ()
    assert map_class_names(source) == ("0", "1", "2", "3")
    expected = torch.zeros(8, 8, dtype=torch.int64)
    expected[:, :2] = 3
    maps = conditions(source, [0, 2], kind="semantic")
    assert maps[0].equal(expected)
    assert maps[1].equal(expected.flip(1))
    masked = conditions(source, [0, 2], kind="masked", variant=5)
    assert masked[0].mask.equal((expected > 0).float()[None])
    assert masked[1].mask.equal((expected > 0).float().flip(1)[None])
    assert masked[1].image.equal(source.images([2])[0])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("layout", r'has no boxes; write "boxes": \[{"label"'),
        ("semantic", 'has no semantic maps; write "map": "file.png"'),
        ("class", "has no classes; put the pictures into one folder for each class, or a class into every line"),
    ],
)
def test_what_a_folder_does_not_say_is_named(captioned, kind, message):
    with pytest.raises(DataError, match=message):
        conditions(open_source(config(captioned)), [0], kind=kind)


@pytest.mark.parametrize("change", ["box", "map", "mask"])
def test_changed_annotations_are_noticed(annotated, change):
    before = identity(annotated)["pictures"]
    if change == "box":
        text = (annotated / "metadata.jsonl").read_text()
        (annotated / "metadata.jsonl").write_text(text.replace("[2, 0, 6, 4]", "[2, 0, 6, 5]"))
    else:
        Image.fromarray(np.eye(8, 12, dtype=np.uint8) * 255).save(annotated / f"a-{change}.png")
    assert identity(annotated)["pictures"] != before


def test_mirror_images_are_examples_of_their_own(captioned):
    plain, mirrored = open_source(config(captioned)), open_source(config(captioned, flip=True))
    assert isinstance(mirrored, Mirrored)
    assert source_length(mirrored) == 4
    x = plain.images([0, 1])
    torch.testing.assert_close(mirrored.images([0, 1, 2, 3]), torch.cat([x, x.flip(-1)]), rtol=0, atol=0)
    torch.testing.assert_close(mirrored.images(iter([3, 0])), torch.stack([x[1].flip(-1), x[0]]), rtol=0, atol=0)
    assert mirrored.captions([3, 0, 2], variant=1) == ["a dog", "one cat", "one cat"]
    assert caption_corpus(mirrored, range(4)) == ["a cat", "one cat", "a dog"] * 2


def test_mirror_images_keep_their_class(classes):
    source = open_source(config(classes, flip=True))
    assert conditions(source, range(6), kind="class") == [0, 0, 1, 0, 0, 1]
    assert (known_condition(source), class_names(source)) == ("class", ("cat", "dog"))


def test_scenes_are_not_mirrored():
    with pytest.raises(ConfigError, match="flip is True, but the captions of the built-in scenes say left and right"):
        DataConfig(flip=True)


def identity(path, **changes):
    chosen = config(path, **changes)
    return source_identity(chosen, open_source(chosen))


def test_the_built_in_world_is_known_by_its_config():
    chosen = DataConfig(seed=3)
    expected = {"path": None, "size": 64, "crop": None, "flip": False, "seed": 3, "complete_captions": 0.0}
    expected["length"] = None
    assert source_identity(chosen, open_source(chosen)) == expected


def test_a_folder_is_known_by_what_is_in_it_and_not_by_where_it_is(classes, tmp_path):
    first = identity(classes)
    assert (first["path"], first["length"], len(first["pictures"])) == (None, 3, 64)
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    classes.rename(moved)
    assert identity(moved) == first
    assert identity(moved, flip=True) == first | {"flip": True, "length": 6}


@pytest.mark.parametrize("change", ["rename", "add", "remove", "edit", "reclass"])
def test_a_changed_folder_is_noticed(classes, change):
    before = identity(classes)
    picture = classes / "cat" / "a.png"
    if change == "rename":
        picture.rename(classes / "cat" / "z.png")
    elif change == "add":
        save(classes, "dog/new.png")
    elif change == "remove":
        picture.unlink()
    elif change == "edit":
        Image.new("RGB", (8, 8)).save(picture)
    else:
        picture.rename(classes / "dog" / "0.png")
    assert identity(classes)["pictures"] != before["pictures"]


def test_changed_captions_are_noticed(captioned):
    before = identity(captioned)
    describe(captioned, a=["a cat", "one cat"], b="a cow")
    assert identity(captioned)["pictures"] != before["pictures"]
