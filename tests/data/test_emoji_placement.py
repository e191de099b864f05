import random

import numpy as np
import pytest
from PIL import Image

from ldm_lab.data.emoji_names import Emoji
from ldm_lab.data.emoji_placement import FRAME, LARGEST_SHIFT, SMALLEST, centred, may_be_mirrored, place, varied


def drawing(width=100, height=60):
    """Red, with a black left half."""
    picture = Image.new("RGB", (width, height), (255, 0, 0))
    picture.paste((0, 0, 0), (0, 0, width // 2, height))
    return picture


def ink_box(image):
    """Left, top, right and bottom of what is not white."""
    rows, columns = np.nonzero((np.asarray(image) < 250).any(-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("size", [64, 128, 136])
def test_a_plain_drawing_stands_in_the_middle_of_a_white_square(size):
    image = place(drawing(), centred(drawing()), size=size)
    assert (image.mode, image.size) == ("RGB", (size, size))
    left, top, right, bottom = (edge * FRAME / size for edge in ink_box(image))
    pixel = FRAME / size + 0.5  # the edge of the ink is blurred over one pixel
    assert (left, right) == pytest.approx((18, 118), abs=pixel)
    assert (top, bottom) == pytest.approx((38, 98), abs=pixel)
    assert image.getpixel((0, 0)) == image.getpixel((size - 1, size // 2)) == (255, 255, 255)


def test_at_the_size_of_the_frame_no_pixel_is_changed():
    image = np.asarray(place(drawing(), centred(drawing()), size=FRAME))
    assert (image[38:98, 18:118] == np.asarray(drawing())).all()
    assert (
        np.delete(image.reshape(-1, 3), np.ravel_multi_index(np.mgrid[38:98, 18:118], (136, 136)), axis=0) == 255
    ).all()


def test_small_drawings_are_averages_of_the_large_ones_and_not_samples_of_them():
    """Stripes of one pixel come out grey; picking single pixels would leave stripes."""
    stripes = np.full((128, 128, 3), 255, np.uint8)
    stripes[:, ::2] = 0
    picture = Image.fromarray(stripes)
    inside = np.asarray(place(picture, centred(picture), size=64))[8:-8, 8:-8]
    assert np.abs(inside.astype(int) - 127).max() < 30


def test_a_drawing_larger_than_the_frame_is_not_cut_off():
    wide = drawing(width=200)
    assert centred(wide).side == 200
    left, _, right, _ = ink_box(place(wide, centred(wide), size=100))
    assert (left, right) == (0, 100)


@pytest.mark.parametrize("size", [(128, 128), (40, 120), (26, 32), (136, 90)])
def test_no_variation_touches_an_edge_unless_the_drawing_fills_the_frame(size):
    picture, rng = drawing(*size), random.Random(0)
    for _ in range(300):
        at = varied(picture, rng, may_mirror=True)
        assert FRAME <= at.side <= round(FRAME / SMALLEST)
        for before, length in ((at.left, size[0]), (at.top, size[1])):
            behind = at.side - before - length
            assert min(before, behind) >= min(3, (FRAME - length) // 2)
            assert abs(before - behind) / 2 <= LARGEST_SHIFT * at.side + 1


def test_variations_use_their_whole_range():
    picture, rng = drawing(60, 60), random.Random(1)
    found = [varied(picture, rng, may_mirror=True) for _ in range(500)]
    sides = [at.side for at in found]
    assert (min(sides), max(sides)) == (pytest.approx(FRAME, abs=1), pytest.approx(FRAME / SMALLEST, abs=1))
    shifts = [(at.left - (at.side - 60) / 2) / at.side for at in found]
    assert (min(shifts), max(shifts)) == pytest.approx((-LARGEST_SHIFT, LARGEST_SHIFT), abs=0.01)
    assert 0.4 < sum(at.is_mirrored for at in found) / 500 < 0.6


def test_mirroring_is_a_choice_that_shifts_no_other_draw():
    picture = drawing()
    may, must_not = (
        [varied(picture, random.Random(seed), may_mirror=allowed) for seed in range(50)] for allowed in (True, False)
    )
    assert not any(at.is_mirrored for at in must_not)
    assert [(at.side, at.left, at.top) for at in may] == [(at.side, at.left, at.top) for at in must_not]


def test_a_mirrored_drawing_is_its_mirror_image_at_the_same_place():
    picture = drawing()
    rng = random.Random(3)
    at = next(at for at in (varied(picture, rng, may_mirror=True) for _ in range(20)) if at.is_mirrored)
    mirrored = place(picture, at, size=64)
    assert ink_box(mirrored) == ink_box(
        place(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), at_plain(at), size=64)
    )
    left, top, right, bottom = ink_box(mirrored)
    assert mirrored.getpixel((int(right) - 4, int(top + bottom) // 2)) == (0, 0, 0)  # the black half is on the right
    assert mirrored.getpixel((int(left) + 4, int(top + bottom) // 2)) == (255, 0, 0)


def at_plain(at):
    return type(at)(at.side, at.left, at.top)


MIRRORED = {
    "grinning face": "face-smiling",
    "grinning cat": "cat-face",
    "red heart": "heart",
    "dog face": "animal-mammal",
    "red apple": "food-fruit",
    "four leaf clover": "plant-other",
}
NEVER_MIRRORED = {
    "A button (blood type)": "alphanum",
    "keycap: 7": "keycap",
    "input latin letters": "alphanum",
    "nine o’clock": "time",
    "hourglass done": "time",
    "flag: Brazil": "country-flag",
    "chequered flag": "flag",
    "right arrow": "arrow",
    "BACK arrow": "arrow",
    "left-facing fist": "hand-fingers-closed",
    "thumbs up": "hand-fingers-closed",
    "backhand index pointing right": "hand-single-finger",
    "waxing crescent moon": "sky & weather",
    "magnifying glass tilted left": "light & video",
    "left speech bubble": "emotion",
    "hundred points": "emotion",
    "newspaper": "book-paper",
    "calendar": "office",
    "police car": "transport-ground",
    "Gemini": "zodiac",
    "treble clef": "music",
    "woman running": "person-activity",
    "saluting face": "face-hand",
    "sleeping face": "face-sleepy",
    "money-mouth face": "face-tongue",
    "snail": "animal-bug",
}


@pytest.mark.parametrize(("name", "subgroup"), MIRRORED.items())
def test_what_has_no_handedness_may_be_mirrored(name, subgroup):
    assert may_be_mirrored(Emoji("?", name, "a group", subgroup, ("smile",)))


@pytest.mark.parametrize(("name", "subgroup"), NEVER_MIRRORED.items())
def test_letters_clocks_flags_arrows_hands_and_people_are_never_mirrored(name, subgroup):
    assert not may_be_mirrored(Emoji("?", name, "a group", subgroup))


@pytest.mark.parametrize(
    "word", ["left", "right", "Rightwards", "left-facing", "up-left", "clockwise", "anticlockwise"]
)
def test_what_says_a_side_is_never_mirrored(word):
    assert not may_be_mirrored(Emoji("?", f"grinning {word} face", "a group", "face-smiling"))
    assert not may_be_mirrored(Emoji("?", "grinning face", "a group", "face-smiling", ("smile", word)))


@pytest.mark.parametrize("word", ["bright", "copyright", "alright", "cleft", "clock"])
def test_other_words_are_no_sides(word):
    assert may_be_mirrored(Emoji("?", f"{word} face", "a group", "face-smiling", (word,)))
