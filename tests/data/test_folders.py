import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.core.images import to_tensor, to_uint8
from ldm_lab.data.folders import ImageFolder

SIZE = 8


def picture(seed, *, width=SIZE, height=SIZE):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def save(folder, names):
    """One picture for each name, the i-th from seed i."""
    for seed, name in enumerate(names):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path, format="PNG")


def describe(folder, *entries):
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    Path(folder, "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")


def names(data):
    return [example.name for example in data.examples]


def test_pictures_are_returned_unchanged_where_the_size_fits(tmp_path):
    save(tmp_path, ["b.png", "a.png"])
    data = ImageFolder(tmp_path, size=SIZE)
    assert (len(data), names(data)) == (2, ["a.png", "b.png"])
    torch.testing.assert_close(data.images([1, 0, 1]), to_tensor([picture(0), picture(1), picture(0)]), rtol=0, atol=0)


def test_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    save(tmp_path, ["b/1.png", "a/2.png", "a/10.png", "c/0.png"])
    expected = ["a/10.png", "a/2.png", "b/1.png", "c/0.png"]
    assert names(ImageFolder(tmp_path, size=SIZE)) == expected
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *args, **options: reversed(list(walk(*args, **options))))
    assert names(ImageFolder(tmp_path, size=SIZE)) == expected


@pytest.mark.parametrize(("width", "height"), [(32, 16), (16, 32), (40, 40), (4, 6)])
def test_short_side_is_resized_and_the_middle_kept(tmp_path, width, height):
    image = picture(0, width=width, height=height)
    image.save(tmp_path / "a.png")
    scale = SIZE / min(width, height)
    resized = image.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    left, top = (resized.width - SIZE) // 2, (resized.height - SIZE) // 2
    expected = np.asarray(resized)[top : top + SIZE, left : left + SIZE].astype(int)
    actual = to_uint8(ImageFolder(tmp_path, size=SIZE).images([0]))[0].numpy().astype(int)
    np.testing.assert_allclose(actual, expected, atol=4)  # Pillow rounds between its passes; a shift of one gives 100


def test_proportions_are_kept(tmp_path):
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[:, 32:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = to_uint8(ImageFolder(tmp_path, size=16).images([0]))[0]
    assert image[:, :5].max() == 0
    assert image[:, 11:].min() == 255


def test_mirroring_is_a_function_of_seed_index_and_variant(tmp_path):
    save(tmp_path, [f"{i:02}.png" for i in range(24)])
    plain = ImageFolder(tmp_path, size=SIZE).images(range(24))

    def mirrored(seed, variant):
        images = ImageFolder(tmp_path, size=SIZE, flip=True, seed=seed).images(range(24), variant=variant)
        flags = [torch.equal(image, original.flip(-1)) for image, original in zip(images, plain, strict=True)]
        expected = torch.where(torch.tensor(flags)[:, None, None, None], plain.flip(-1), plain)
        torch.testing.assert_close(images, expected, rtol=0, atol=0)
        return flags

    first = mirrored(0, 0)
    assert 3 < sum(first) < 21
    assert mirrored(0, 0) == first
    assert mirrored(0, 1) != first
    assert mirrored(1, 0) != first
    alone = ImageFolder(tmp_path, size=SIZE, flip=True).images([first.index(True)])
    torch.testing.assert_close(alone[0], plain[first.index(True)].flip(-1), rtol=0, atol=0)


def test_class_folders_give_labels_in_the_order_of_their_names(tmp_path):
    save(tmp_path, ["star/a.png", "circle/deep/b.png", "circle/a.png"])
    data = ImageFolder(tmp_path, size=SIZE)
    assert data.class_names == ("circle", "star")
    assert data.labels([0, 1, 2, 0]) == [0, 0, 1, 0]
    assert not data.has_captions
    with pytest.raises(DataError, match=r"has no captions; write metadata\.jsonl"):
        data.captions([0])


def test_metadata_gives_captions(tmp_path):
    save(tmp_path, ["b.png", "more/a.png", "unnamed.png"])
    describe(
        tmp_path,
        {"file_name": "more/a.png", "text": "a red circle", "box": [1, 2]},
        "",
        {"file_name": "./b.png", "caption": ["a star", "one star", "ein Stern ☆"]},
    )
    data = ImageFolder(tmp_path, size=SIZE)
    assert names(data) == ["b.png", "more/a.png"]
    assert data.has_captions
    assert data.captions([1, 0]) == ["a red circle", "a star"]
    variants = [data.captions([0], variant=variant)[0] for variant in range(4)]
    assert variants == ["a star", "one star", "ein Stern ☆", "a star"]
    with pytest.raises(DataError, match="has no classes"):
        data.labels([0])


def test_mark_at_the_start_of_the_file_is_no_content(tmp_path):
    save(tmp_path, ["a.png"])
    (tmp_path / "metadata.jsonl").write_bytes(b'\xef\xbb\xbf{"file_name": "a.png", "text": ""}\r\n')
    assert ImageFolder(tmp_path, size=SIZE).captions([0]) == [""]


GOOD = {"file_name": "a.png", "text": "a star"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file_name": "b.png", "text": ', "line 2 is not valid JSON"),
        ('{"file_name": "b.png", "text": "x", "text": "y"}', "line 2 .*text"),
        ("[1]", r"line 2 is \[1\]; it must be an object"),
        ({"text": "a star"}, "line 2: file_name is None"),
        ({"file_name": "c.png", "text": "a star"}, r"line 2: there is no picture 'c\.png'"),
        ({"file_name": "../a.png", "text": "a star"}, r"line 2: there is no picture '\.\./a\.png'"),
        ({"file_name": "/etc/passwd", "text": "a star"}, "line 2: there is no picture '/etc/passwd'"),
        ({"file_name": "b.png"}, "line 2: text is None"),
        ({"file_name": "b.png", "text": 3}, "line 2: text is 3"),
        ({"file_name": "b.png", "text": []}, r"line 2: text is \[\]"),
        ({"file_name": "b.png", "text": ["x", None]}, r"line 2: text is \['x', None\]"),
        ({"file_name": "b.png", "text": "x" * 1001}, "line 2: prompt has 1001 characters"),
        ('{"file_name": "b.png", "text": "\\ud800"}', r"line 2: .*U\+D800"),
        (GOOD, r"line 2: a\.png has its captions in line 1 already"),
    ],
)
def test_wrong_metadata_is_refused_with_its_line(tmp_path, line, message):
    save(tmp_path, ["a.png", "b.png"])
    describe(tmp_path, GOOD, line)
    with pytest.raises(DataError, match=message):
        ImageFolder(tmp_path, size=SIZE)


CAT = {"label": "cat", "box": [0, 0, 4, 4]}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"kaption": "x"}, {"kaption": "y"}, r"line 1 says nothing that is known, only \['file_name', 'kaption'\]"),
        ({"class": "x"}, {"class": 3}, "line 2: class is 3"),
        ({"class": "x"}, {"text": "y", "class": " "}, "line 2: class is ' '"),
        ({"class": "x"}, {}, "line 2: class is None; it must be the name of a class, and every line needs one"),
        ({"boxes": []}, {"boxes": CAT}, "line 2: boxes is {'label'.*; it must be a list"),
        ({"boxes": []}, {}, "line 2: boxes is None"),
        ({"boxes": []}, {"boxes": [{"label": "cat"}]}, r"line 2: a box is {'label': 'cat'}; it must be such as"),
        ({"boxes": []}, {"boxes": [CAT | {"label": []}]}, r"line 2: a label is \[\]"),
        ({"boxes": []}, {"boxes": [CAT | {"label": ["a", 1]}]}, r"line 2: a label is \['a', 1\]"),
        ({"boxes": []}, {"boxes": [CAT | {"box": [0, 0, 4]}]}, r"line 2: the box of cat is \[0, 0, 4\]; it must be"),
        ({"boxes": []}, {"boxes": [CAT | {"box": [0, True, 4, 4]}]}, r"line 2: the box of cat is \[0, True, 4, 4\]"),
        ({"boxes": []}, {"boxes": [CAT | {"box": [4, 0, 4, 4]}]}, "line 2: .*left must be less than right"),
        ({"boxes": []}, {"boxes": [CAT | {"box": [0, 5, 4, 4]}]}, "line 2: .*top less than bottom"),
        ({"boxes": []}, {"boxes": [CAT | {"box": [0, 0, 9, 8]}]}, "line 2: .* the picture has 8 x 8 pixels"),
        ({"boxes": []}, {"boxes": [CAT | {"box": [-1, 0, 4, 8]}]}, r"line 2: the box of cat is \[-1, 0, 4, 8\], but"),
        ({"boxes": [CAT]}, {"boxes": [CAT | {"label": ["cat", "red"]}]}, r"line 2: .* another is \['cat'\]"),
        ({"map": "a.png"}, {}, "line 2: map is None; it must be the name of a file in the folder, in every line"),
        ({"map": "m.png"}, {"map": "no.png"}, r"line 2: there is no file 'no\.png' in the folder for its map"),
        ({"map": "m.png"}, {"map": "../b.png"}, r"line 2: there is no file '\.\./b\.png' in the folder"),
        (
            {"map": "m.png"},
            {"map": "a.png"},
            r"line 2: the map a\.png cannot be used: .* has mode RGB; save the numbers",
        ),
        ({"map": "m.png"}, {"map": "deep.png"}, r"line 2: the map deep\.png cannot be used: .* has mode I;16"),
        (
            {"map": "m.png"},
            {"map": "m.jpg"},
            r"line 2: the map m\.jpg cannot be used: .*m\.jpg is a JPEG file, .* save it as PNG",
        ),
        ({"map": "m.png"}, {"map": "wide.png"}, "line 2: its map has 9 x 8 pixels, the picture 8 x 8"),
        ({"mask": "m.png"}, {"mask": "wide.png"}, "line 2: its mask has 9 x 8 pixels, the picture 8 x 8"),
        ({"mask": "m.png"}, {"mask": "metadata.jsonl"}, r"line 2: the mask metadata\.jsonl cannot be used"),
        ({"mask": "m.png"}, {"mask": "ones.png"}, r"line 2: the mask ones\.png cannot be used: .* no value above 1"),
    ],
)
def test_what_cannot_be_said_of_a_picture_is_refused_with_its_line(tmp_path, first, second, message):
    save(tmp_path, ["a.png", "b.png"])
    for name, width in (("m.png", 8), ("m.jpg", 8), ("wide.png", 9)):
        Image.new("L", (width, 8), 0).save(tmp_path / name)
    Image.new("L", (8, 8), 1).save(tmp_path / "ones.png")
    Image.fromarray(np.ones((8, 8), dtype=np.uint16)).save(tmp_path / "deep.png")
    describe(tmp_path, {"file_name": "a.png"} | first, {"file_name": "b.png"} | second)
    with pytest.raises(DataError, match=message):
        ImageFolder(tmp_path, size=SIZE)


def test_maps_keep_their_numbers_with_or_without_a_palette(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8) % 5
    grey = Image.fromarray(numbers)
    grey.save(tmp_path / "grey.png")
    coloured = grey.copy()
    coloured.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 80, 90, 100])
    coloured.save(tmp_path / "palette.png")
    describe(tmp_path, {"file_name": "a.png", "map": "grey.png"}, {"file_name": "b.png", "map": "palette.png"})
    data = ImageFolder(tmp_path, size=SIZE)
    assert data.num_map_classes == 5
    for found in data.maps([0, 1]):
        torch.testing.assert_close(found, torch.from_numpy(numbers).long(), rtol=0, atol=0)


def test_all_that_is_known_may_be_said_together(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    describe(
        tmp_path,
        {"file_name": "b.png", "class": "dog", "text": "one dog", "boxes": []},
        {"file_name": "a.png", "class": "cat", "text": ["a cat", "one cat"], "boxes": [CAT]},
    )
    data = ImageFolder(tmp_path, size=SIZE)
    assert (data.class_names, data.labels([0, 1])) == (("cat", "dog"), [0, 1])
    assert data.captions([0, 1], variant=1) == ["one cat", "one dog"]
    assert [item.names for layout in data.layouts([0, 1]) for item in layout] == [("cat",)]
    with pytest.raises(DataError, match='has no masks; write "mask"'):
        data.masks([0])


def test_metadata_that_is_empty_or_no_text_is_refused(tmp_path):
    save(tmp_path, ["a.png"])
    describe(tmp_path)
    with pytest.raises(DataError, match=r"metadata\.jsonl is empty"):
        ImageFolder(tmp_path)
    (tmp_path / "metadata.jsonl").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(DataError, match="line 1 is not valid JSON"):
        ImageFolder(tmp_path)


def test_damaged_pictures_are_skipped_and_listed(tmp_path):
    all_names = [f"{i:03}.png" for i in range(40)]
    save(tmp_path, all_names)
    whole = (tmp_path / "007.png").read_bytes()
    (tmp_path / "007.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "030.png").write_bytes(b"")
    data = ImageFolder(tmp_path, size=SIZE)
    assert list(data.skipped) == ["007.png", "030.png"]
    assert "is empty" in data.skipped["030.png"]
    assert names(data) == [name for name in all_names if name not in data.skipped]
    torch.testing.assert_close(data.images([7]), to_tensor(picture(8)), rtol=0, atol=0)
    with pytest.raises(DataError, match=r"2 of 40 .* strict allows none; the first is 007\.png: .*damaged"):
        ImageFolder(tmp_path, size=SIZE, strict=True)
    (tmp_path / "000.png").write_bytes(b"GIF")
    with pytest.raises(DataError, match=r"3 of 40 .* more than 5%; the first is 000\.png"):
        ImageFolder(tmp_path, size=SIZE)


def test_skipped_pictures_do_not_shift_labels_or_captions(tmp_path):
    save(tmp_path, [f"{kind}/{i:02}.png" for kind in "ab" for i in range(12)])
    (tmp_path / "a" / "00.png").write_bytes(b"no picture")
    data = ImageFolder(tmp_path, size=SIZE)
    assert data.labels(range(len(data))) == [0] * 11 + [1] * 12
    described = [f"{kind}/{i:02}.png" for kind in "ab" for i in range(12)]
    describe(tmp_path, *({"file_name": name, "text": name} for name in reversed(described)))
    data = ImageFolder(tmp_path, size=SIZE)
    assert data.captions(range(len(data))) == described[1:] == names(data)


def test_picture_that_vanishes_is_named(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    data = ImageFolder(tmp_path, size=SIZE)
    (tmp_path / "b.png").unlink()
    assert data.images([0]).shape == (1, 3, SIZE, SIZE)
    with pytest.raises(DataError, match=r"b\.png was readable when .* is no longer: .*No such file"):
        data.images([0, 1])


def test_one_picture_is_a_data_set(tmp_path):
    save(tmp_path, ["a.PNG"])
    assert len(ImageFolder(tmp_path, size=SIZE)) == 1


def test_hidden_and_other_files_are_no_pictures(tmp_path):
    save(tmp_path, ["a.png", ".hidden.png", ".cache/b.png", "__MACOSX/c.png"])
    (tmp_path / "notes.txt").write_text("not a picture")
    assert names(ImageFolder(tmp_path, size=SIZE)) == ["a.png"]


def test_unusable_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no folder nowhere"):
        ImageFolder("nowhere")
    with pytest.raises(DataError, match=r"holds no pictures; put some there \(\.png"):
        ImageFolder(tmp_path)
    save(tmp_path, ["circle/a.png", "b.png"])
    with pytest.raises(DataError, match=r"class folders and also pictures such as b\.png"):
        ImageFolder(tmp_path)


def test_unreadable_folder_is_named(tmp_path, monkeypatch):
    save(tmp_path, ["circle/a.png", "star/a.png"])
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "star":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match="star cannot be read: Permission denied"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("size", [0, -8, 5000, True, 64.0, "64"])
def test_impossible_sizes_are_refused(tmp_path, size):
    with pytest.raises(ConfigError, match=f"size is {size!r}; it must be an integer from 1 to 4096"):
        ImageFolder(tmp_path, size=size)
