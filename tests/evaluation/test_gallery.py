"""Each drawing shows itself, its twins are itself too, and a sibling shows what they do not share."""

import pytest
import torch

from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_composition import composition_of
from ldm_lab.evaluation.gallery import Gallery


@pytest.fixture(scope="module")
def gallery(tiny_catalogue):
    return Gallery(EmojiDrawings(split="all", catalogue=tiny_catalogue, size=32))


@pytest.fixture
def everything(gallery):
    return list(range(gallery.num_drawings))


def drawn(gallery, *names):
    return gallery.source.images(gallery.indices_of(names))


def test_every_drawing_is_nearest_to_itself(gallery, everything):
    plain, moved = gallery.source.images(everything), gallery.source.images([len(everything) + i for i in everything])
    assert not gallery.ranks(gallery.distances(plain), everything).any()
    assert (gallery.ranks(gallery.distances(moved), everything) == 0).float().mean() > 0.95  # 32 px are few


def test_ranks_count_nearer_pictures(gallery):
    distances = torch.full((1, gallery.num_drawings), 9.0)
    first, second, third = (index for index in gallery.indices_of(["red heart", "grinning cat", "left arrow"]))
    distances[0, first], distances[0, second], distances[0, third] = 1.0, 2.0, 3.0
    assert gallery.ranks(distances, [third]).item() == 2
    assert gallery.ranks(distances, [first]).item() == 0


def test_twins_are_one_picture(gallery):
    """The stand-in draws all skin tones of a snowboarder alike."""
    names = ["snowboarder: dark skin tone", "snowboarder: light skin tone"]
    truth = gallery.indices_of(names)
    distances = gallery.distances(drawn(gallery, *names[::-1]))
    distances[0, truth[1]] -= 0.1  # even if rounding put the twin before
    assert gallery.ranks(distances, truth).tolist() == [0, 0]
    assert all(each.tones for each in gallery.shown(distances, truth))


def test_a_mirror_image_is_as_good_where_it_may_be(gallery):
    cat, arrow = drawn(gallery, "grinning cat", "left arrow").flip(3).split(1)
    assert gallery.ranks(gallery.distances(cat), gallery.indices_of(["grinning cat"])).item() == 0
    far = gallery.distances(arrow)[0, gallery.indices_of(["left arrow"])]
    assert far > 3 * gallery.distances(cat)[0, gallery.indices_of(["grinning cat"])]


@pytest.mark.parametrize(
    ("made", "tones", "gender"),
    [
        ("woman firefighter: dark skin tone", True, True),
        ("man firefighter: dark skin tone", True, False),
        ("woman firefighter: light skin tone", False, True),
        ("firefighter", False, False),
    ],
)
def test_the_nearest_sibling_says_tone_and_gender(gallery, made, tones, gender):
    truth = gallery.indices_of(["woman firefighter: dark skin tone"])
    (shown,) = gallery.shown(gallery.distances(drawn(gallery, made)), truth)
    assert (shown.tones, shown.gender) == (tones, gender)


def test_other_bases_are_not_asked(gallery):
    """Whatever an image looks like, it is compared with drawings of the base alone."""
    truth = gallery.indices_of(["woman firefighter: dark skin tone"])
    distances = torch.full((1, gallery.num_drawings), 5.0)
    distances[0, gallery.indices_of(["man artist: light skin tone"])] = 0.0
    distances[0, truth] = 1.0
    assert gallery.shown(distances, truth)[0].gender
    assert {gallery.compositions[index].base for index in gallery.variants_of(truth[0])} == {"firefighter"}


def test_what_is_held_out_is_never_the_nearest_of_the_training_set(gallery, everything):
    far, indices = gallery.nearest_trained(gallery.distances(gallery.source.images(everything)))
    held_out = gallery.source.catalogue.held_out
    assert not {gallery.emoji[index].name for index in indices} & held_out
    is_held_out = torch.tensor([emoji.name in held_out for emoji in gallery.emoji])
    assert far[~is_held_out].max() < 1e-5
    assert far[is_held_out].min() > 1e-3


def test_the_nearest_is_shown_with_its_name_and_distance(gallery):
    ((picture, words),) = gallery.beside(drawn(gallery, "red heart"))
    assert picture.size == (32, 32)
    assert words == "nearest trained: red heart, 0.000"


def test_compositions_are_those_of_the_names(gallery):
    assert gallery.compositions == [composition_of(emoji) for emoji in gallery.emoji]
