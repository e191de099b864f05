import pytest
import torch

from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.core.images import to_tensor
from ldm_lab.data import emoji_catalogue
from ldm_lab.data.degradations import bicubic
from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_catalogue import open_catalogue
from ldm_lab.data.emoji_composition import composition_of
from ldm_lab.data.emoji_files import find_emoji_files
from ldm_lab.data.emoji_placement import centred, may_be_mirrored, place
from ldm_lab.data.source import (
    DataConfig,
    caption_corpus,
    class_names,
    conditions,
    held_out_source,
    known_condition,
    largest_layout,
    map_class_names,
    num_distinct,
    open_source,
    source_identity,
    source_length,
    vocabularies,
)


@pytest.fixture
def source(tiny_catalogue):
    return EmojiDrawings(size=32, catalogue=tiny_catalogue)


def test_the_first_images_are_the_plain_drawings(source, tiny_catalogue):
    n = source.num_drawings
    assert n == len(tiny_catalogue.drawings) - len(tiny_catalogue.held_out)
    x = source.images(range(n))
    assert (x.shape, x.dtype) == ((n, 3, 32, 32), torch.float32)
    assert (x.min() >= -1, x.max() <= 1) == (True, True)
    train = tiny_catalogue.of_split("train")
    expected = to_tensor([place(item.picture, centred(item.picture), size=32) for item in train])
    torch.testing.assert_close(x, expected, rtol=0, atol=0)


@pytest.mark.parametrize("size", [64, 128])
def test_other_sizes(tiny_catalogue, size):
    assert EmojiDrawings(size=size, catalogue=tiny_catalogue).images([3]).shape == (1, 3, size, size)


def test_later_indices_are_the_same_drawings_varied(source):
    n = source.num_drawings
    assert source.emoji([n + 4, 7 * n + 4]) == source.emoji([4, 4])
    assert source.labels([n + 4]) == source.labels([4])
    x = source.images([4 + n * copy for copy in range(8)])
    assert len({image.numpy().tobytes() for image in x}) == 8
    assert (x[:, :, 0] == 1).all()  # the background goes to the edge


def is_turned(image):
    """Whether the dark part is on the left: a light rectangle is there in every drawing of the stand-in."""
    columns = torch.arange(32.0).expand(32, 32)
    ink, is_dark = image.mean(0) < 0.9, image.mean(0) < -0.4
    return bool(columns[is_dark].mean() < columns[ink].mean())


def test_what_has_no_handedness_is_sometimes_mirrored_and_nothing_else_is(source):
    n = source.num_drawings
    turned = {index for index in range(n) if any(map(is_turned, source.images(range(index + n, index + 13 * n, n))))}
    assert turned == {index for index, emoji in enumerate(source.emoji(range(n))) if may_be_mirrored(emoji)}
    assert 0 < len(turned) < n / 2
    assert not any(map(is_turned, source.images(range(n))))


def test_an_example_depends_on_seed_and_index_alone(source, tiny_catalogue):
    n = source.num_drawings
    indices = [n + 9, 2, 3 * n + 5]
    assert source.images(iter(indices))[0].equal(source.images([n + 9])[0])
    assert source.captions(indices)[2] == source.captions([3 * n + 5])[0]
    other = EmojiDrawings(size=32, seed=1, catalogue=tiny_catalogue)
    assert other.images([2]).equal(source.images([2]))
    assert not other.images([n + 9]).equal(source.images([n + 9]))
    assert other.captions(range(40)) != source.captions(range(40))


def test_variants_phrase_captions_anew(source):
    first, again, later = (source.captions(range(60), variant=variant) for variant in (0, 0, 1))
    assert first == again
    assert sum(a != b for a, b in zip(first, later, strict=True)) > 30
    assert len(set(source.captions([5 + source.num_drawings * copy for copy in range(20)]))) > 5


def test_classes_are_subgroups_and_the_same_in_every_split(tiny_catalogue):
    for split in ("train", "held-out", "all"):
        source = EmojiDrawings(split=split, catalogue=tiny_catalogue)
        assert source.class_names == tiny_catalogue.subgroups
        indices = range(source.num_drawings)
        names = [source.class_names[label] for label in source.labels(indices)]
        assert names == [emoji.subgroup for emoji in source.emoji(indices)]


def test_all_variants_of_a_base_are_found(tiny_catalogue):
    source = EmojiDrawings(split="all", catalogue=tiny_catalogue)
    names = [emoji.name for emoji in source.emoji(range(source.num_drawings))]
    index = names.index("woman firefighter: dark skin tone")
    found = source.variants_of(index)
    assert len(found) == 18
    assert index in found
    assert {composition_of(emoji).base for emoji in source.emoji(found)} == {"firefighter"}
    assert source.variants_of(index + source.num_drawings) == found
    assert source.variants_of(names.index("red heart")) == [names.index("red heart")]


def test_splits_have_names(tiny_catalogue):
    held_out = EmojiDrawings(split="held-out", catalogue=tiny_catalogue)
    assert {emoji.name for emoji in held_out.emoji(range(held_out.num_drawings))} == tiny_catalogue.held_out
    with pytest.raises(ConfigError, match="split is 'test'; choose one of train, held-out, all"):
        EmojiDrawings(split="test", catalogue=tiny_catalogue)


def test_without_held_out_drawings_that_split_is_refused(emoji_folder, tmp_path, draw):
    for name in ("NotoColorEmoji.ttf", "annotations/en.xml", "annotationsDerived/en.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((emoji_folder / name).read_bytes())
    line = "# group: Flags\n# subgroup: country-flag\n1F1E7 1F1F7 ; fully-qualified # 🇧🇷 E2.0 flag: Brazil"
    (tmp_path / "emoji-test.txt").write_text(line, encoding="utf-8")
    catalogue = open_catalogue(find_emoji_files(tmp_path), draw)
    assert EmojiDrawings(catalogue=catalogue).num_drawings == 1
    with pytest.raises(DataError, match="no emoji is held-out among the 1 of the catalogue"):
        EmojiDrawings(split="held-out", catalogue=catalogue)


class TestAsDataOfARecipe:
    @pytest.fixture
    def config(self, emoji_folder, draw, monkeypatch):
        monkeypatch.setattr(emoji_catalogue, "EmojiFont", lambda path: draw)
        return DataConfig(world="emoji", path=str(emoji_folder), size=32, seed=5)

    def test_it_is_the_training_split(self, config):
        source = open_source(config)
        assert isinstance(source, EmojiDrawings)
        assert (source.split, source.size, source.seed) == ("train", 32, 5)

    def test_what_training_never_sees_has_an_end(self, config):
        source = held_out_source(config)
        assert (source.split, source.size) == ("held-out", 32)
        assert num_distinct(source) == len(source.catalogue.held_out)
        assert not {emoji.name for emoji in open_source(config).emoji(range(200))} & source.catalogue.held_out

    def test_the_path_may_be_left_to_the_environment(self, config, emoji_folder, monkeypatch):
        monkeypatch.setenv("LDM_LAB_EMOJI", str(emoji_folder))
        assert open_source(DataConfig(world="emoji")).num_drawings == open_source(config).num_drawings

    def test_what_it_says_of_its_images(self, config):
        source = open_source(config)
        assert source_length(source) is None
        assert known_condition(source) == "caption"
        assert class_names(source) == source.class_names
        assert (map_class_names(source), vocabularies(source), largest_layout(source)) == (None, None, 1)

    def test_conditions(self, config):
        source = open_source(config)
        assert conditions(source, [3, 100], kind="none") == [None, None]
        assert conditions(source, [3, 100], kind="class") == source.labels([3, 100])
        assert conditions(source, [3, 100], kind="caption", variant=2) == source.captions([3, 100], variant=2)
        x = source.images([3, 100])
        torch.testing.assert_close(torch.stack(conditions(source, [3, 100], kind="low-resolution")), bicubic(x))
        first, again, later = (conditions(source, [3, 100], kind="masked", variant=v)[1] for v in (0, 0, 1))
        assert first.image.equal(x[1])
        assert first.mask.equal(again.mask)
        assert not first.mask.equal(later.mask)

    @pytest.mark.parametrize(("kind", "what"), [("layout", "boxes"), ("semantic", "semantic maps")])
    def test_there_are_no_layouts_and_no_maps(self, config, kind, what):
        with pytest.raises(DataError, match=f"the emoji have no {what}; choose caption, class, low-resolution"):
            conditions(open_source(config), [0], kind=kind)

    def test_a_tokenizer_learns_every_word_of_the_drawings_asked_for(self, config):
        source = open_source(config)
        found = caption_corpus(source, range(3 * source.num_drawings))
        assert len(found) == source.num_drawings + 1
        assert any("flag: Brazil, flag" in sentence for sentence in found)

    def test_a_run_knows_it_again_by_its_files_and_not_by_where_they_are(self, config, emoji_folder, tmp_path):
        def identity(path):
            chosen = DataConfig(world="emoji", path=str(path), size=32, seed=5)
            return source_identity(chosen, open_source(chosen))

        before = identity(emoji_folder)
        assert (before["world"], before["path"], before["length"]) == ("emoji", None, None)
        copy = tmp_path / "copy"
        for name in ("NotoColorEmoji.ttf", "emoji-test.txt", "annotations/en.xml", "annotationsDerived/en.xml"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((emoji_folder / name).read_bytes())
        assert identity(copy) == before
        with open(copy / "annotations" / "en.xml", "ab") as file:
            file.write(b"\n")
        changed = identity(copy)
        assert {name for name in before["files"] if changed["files"][name] != before["files"][name]} == {"keywords"}

    def test_a_run_notices_another_choice_of_what_is_held_out(self, config, monkeypatch):
        before = source_identity(config, open_source(config))
        monkeypatch.setattr(emoji_catalogue, "held_out_names", lambda emoji: frozenset())
        emoji_catalogue._open.cache_clear()
        after = source_identity(config, open_source(config))
        emoji_catalogue._open.cache_clear()
        assert before["files"] == after["files"]
        assert before["drawings"] != after["drawings"]


def test_flip_is_not_for_emoji_and_worlds_have_names():
    with pytest.raises(ConfigError, match="flip is True, but emoji are mirrored by a rule.*leave it False"):
        DataConfig(world="emoji", flip=True)
    with pytest.raises(ConfigError, match="world is 'flowers'; expected one of shapes, emoji"):
        DataConfig(world="flowers")
