import json

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.data.folders import ImageFolder
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import (
    DataConfig,
    Mirrored,
    caption_corpus,
    class_names,
    conditions,
    known_condition,
    open_source,
    source_identity,
    source_length,
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
    assert (known_condition(source), class_names(source)) == ("caption", None)
    captions = conditions(source, [3, 5], kind="caption", variant=2)
    assert captions == [str(caption) for caption in source.captions([3, 5], variant=2)]
    assert all(type(caption) is str for caption in captions)
    assert caption_corpus(source, range(3)) == conditions(source, range(3), kind="caption")


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


def test_scenes_have_no_classes():
    with pytest.raises(DataError, match="built-in scenes are described by captions"):
        conditions(ShapeScenes(), [0], kind="class")


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
    expected = {"path": None, "size": 64, "crop": None, "flip": False, "seed": 3, "length": None}
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
