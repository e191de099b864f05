"""The emoji of the machine, where it has them: Debian's fonts-noto-color-emoji, unicode-data, unicode-cldr-core."""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ldm_lab
from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_composition import NAMED, composition_of, held_out_names
from ldm_lab.data.emoji_files import find_emoji_files
from ldm_lab.data.emoji_font import EmojiFont
from ldm_lab.data.emoji_placement import may_be_mirrored

pytestmark = pytest.mark.slow
HELD_OUT_LIST = Path(ldm_lab.__file__).parents[1] / "docs" / "emoji-held-out.txt"


@pytest.fixture(scope="module")
def emoji(real_catalogue):
    return {drawing.emoji.name: drawing.emoji for drawing in real_catalogue.drawings}


@pytest.fixture(scope="module")
def font(real_catalogue):
    return EmojiFont(find_emoji_files().font)


@pytest.fixture(scope="module")
def is_version_15(real_catalogue):
    if "# Version: 15.0" not in find_emoji_files().names.read_text(encoding="utf-8"):
        pytest.skip("counted with emoji-test.txt of version 15.0")


def test_every_sequence_is_drawn_or_on_record(real_catalogue):
    """The list says itself how many it has."""
    (count,) = re.findall(r"# fully-qualified : (\d+)", find_emoji_files().names.read_text(encoding="utf-8"))
    assert len(real_catalogue.drawings) + len(real_catalogue.left_out) == int(count)
    assert len(real_catalogue.drawings) > 3000


def test_the_numbers_of_version_15(real_catalogue, is_version_15):
    assert (len(real_catalogue.drawings), len(real_catalogue.left_out)) == (3655, 0)
    assert len(real_catalogue.subgroups) == 99
    assert len(real_catalogue.held_out) == 220


def test_no_drawing_is_blank_or_split(real_catalogue):
    """A sequence that fell apart would be wider than a bitmap, which is 136 x 128."""
    for drawing in real_catalogue.drawings:
        width, height = drawing.picture.size
        assert 20 <= width <= 136, drawing.emoji.name
        assert 20 <= height <= 128, drawing.emoji.name
        assert any(low < high for low, high in drawing.picture.getextrema()), drawing.emoji.name


@pytest.mark.parametrize(
    ("sequence", "why"),
    [
        ("\U0010ffff", "no character"),
        ("😀😀", "two drawings"),
        ("👩\u200d😀", "joined to what it cannot be joined to"),
        ("🇦🇽🇦", "a flag and a letter"),
        ("🇽🇽", "no country"),
        ("🏴\U000e0078\U000e0078\U000e0078\U000e007f", "no part of a country"),
    ],
)
def test_what_is_no_emoji_is_not_drawn(font, sequence, why):
    assert font(sequence) is None, why


def test_pictures_are_the_bitmaps_of_the_font_laid_on_white(real_catalogue):
    """The second implementation reads the PNG files in the font itself; premultiplied alpha rounds by one."""
    data = find_emoji_files().font.read_bytes()
    starts = [match.start() for match in re.finditer(rb"\x89PNG\r\n\x1a\n", data)]
    bitmaps = {}
    for start in starts:
        bitmap = _on_white(data[start : start + 100_000])
        bitmaps.setdefault(bitmap.shape, []).append(bitmap)
    for drawing in real_catalogue.drawings[::30]:
        picture = np.asarray(drawing.picture, dtype=np.int16)
        assert min(np.abs(picture - bitmap).max() for bitmap in bitmaps[picture.shape]) <= 1, drawing.emoji.name


def _on_white(png):
    bitmap = Image.open(io.BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", bitmap.size, (255, 255, 255, 255))
    ink = Image.alpha_composite(white, bitmap).convert("RGB").crop(bitmap.getchannel("A").getbbox())
    return np.asarray(ink, dtype=np.int16)


def test_images_are_centred(real_catalogue, is_version_15):
    """Two mountains have peaks of white snow, which white paper hides."""
    source = EmojiDrawings(split="all", catalogue=real_catalogue)
    offset = torch.stack([(first + last) / 2 - 31.5 for first, last in inked_lines(source, plain(source))])
    names = {source.emoji([index])[0].name for index in (offset.abs().amax(0) > 1).nonzero().flatten().tolist()}
    assert names == {"mountain", "snow-capped mountain"}
    assert offset.abs().max() <= 1.5


def test_no_image_touches_an_edge(real_catalogue):
    source = EmojiDrawings(split="all", catalogue=real_catalogue)
    for indices in (plain(source), range(source.num_drawings, 2 * source.num_drawings)):
        for first, last in inked_lines(source, indices):
            assert first.min() >= 1
            assert last.max() <= 62


def plain(source):
    return range(source.num_drawings)


def inked_lines(source, indices):
    """First and last row, then first and last column, of what is not exactly white in each image of 64 pixels."""
    ink = (source.images(indices) < 0.999).any(1)  # (B, 64, 64)
    for lines in (ink.any(2), ink.any(1)):
        places = torch.arange(64).expand_as(lines)
        yield places.masked_fill(~lines, 99).amin(1), places.masked_fill(~lines, -1).amax(1)


def test_compositions_are_unique(emoji):
    assert len({composition_of(item) for item in emoji.values()}) == len(emoji)


def test_a_tenth_of_the_combinations_and_a_dozen_names_are_held_out(real_catalogue, emoji):
    compositions = {name: composition_of(item) for name, item in emoji.items()}
    num_variants = Counter(item.base for item in compositions.values())
    combinations = {name for name, item in compositions.items() if num_variants[item.base] > 1}
    picked = combinations & real_catalogue.held_out
    assert len(picked) / len(combinations) == pytest.approx(0.1, abs=0.005)
    assert real_catalogue.held_out - picked == {item.name for item in NAMED}
    num_picked = Counter(compositions[name].base for name in picked)
    assert all(num_picked[base] < num_variants[base] for base in num_picked)


def test_training_sees_the_parts_of_everything_held_out(real_catalogue, emoji):
    """Of people the same base with one thing changed: in another gender, or in other skin tones."""
    seen = {composition_of(item) for name, item in emoji.items() if name not in real_catalogue.held_out}
    for name in real_catalogue.held_out - {item.name for item in NAMED}:
        wanted = composition_of(emoji[name])
        siblings = [item for item in seen if item.base == wanted.base]
        assert any((item.gender == wanted.gender) != (item.tones == wanted.tones) for item in siblings), name
    for item in NAMED:
        assert item.name in emoji
        assert not {part for part in item.parts if part not in emoji or part in real_catalogue.held_out}, item.name


def test_no_word_of_a_name_is_held_out(real_catalogue):
    """What the held-out drawings are called is made of words that training sees."""
    held_out = {word for item in real_catalogue.of_split("held-out") for word in words(item.emoji.name)}
    source = EmojiDrawings(catalogue=real_catalogue)
    seen = {word for sentence in source.corpus(range(source.num_drawings)) for word in words(sentence)}
    assert held_out <= seen


def words(text):
    return re.findall(r"\w+", text.lower())


def test_no_held_out_picture_is_seen_under_another_name(real_catalogue, is_version_15):
    """Of snowboarders the font hides the skin: the one that the rule picks is not held out."""
    chosen = held_out_names([drawing.emoji for drawing in real_catalogue.drawings])
    assert chosen - real_catalogue.held_out == {"snowboarder: dark skin tone"}
    seen = {drawing.picture.tobytes() for drawing in real_catalogue.of_split("train")}
    assert not [item.emoji.name for item in real_catalogue.of_split("held-out") if item.picture.tobytes() in seen]


def test_the_list_in_the_docs_is_what_is_held_out(real_catalogue, is_version_15, request):
    """``--update-golden`` writes it anew."""
    names = "\n".join(sorted(real_catalogue.held_out)) + "\n"
    comment, _, listed = HELD_OUT_LIST.read_text(encoding="utf-8").partition("\n\n")
    if request.config.getoption("--update-golden"):
        HELD_OUT_LIST.write_text(f"{comment}\n\n{names}", encoding="utf-8")
    else:
        assert listed == names


def test_keywords_are_found_for_all_but_the_newest(emoji, is_version_15):
    """CLDR 41 is older than the 31 emoji of Unicode 15.0."""
    assert sum(not item.keywords for item in emoji.values()) <= 31
    assert {"cat", "love", "heart"} <= set(emoji["smiling cat with heart-eyes"].keywords)


def test_about_a_tenth_of_the_drawings_may_be_mirrored(emoji):
    mirrored = {name for name, item in emoji.items() if may_be_mirrored(item)}
    assert 300 < len(mirrored) < 600
    assert {"grinning face", "tiger face", "pizza", "red heart"} <= mirrored
    assert not {name for name in mirrored if re.search(r"\b(left|right|flag|clock|hands?|arrow)\b", name)}
    assert not {name for name in mirrored if emoji[name].group in ("People & Body", "Symbols", "Flags", "Objects")}
