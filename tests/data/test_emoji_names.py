import pytest

from ldm_lab.core.errors import DataError
from ldm_lab.data.emoji_files import EmojiFiles, find_emoji_files
from ldm_lab.data.emoji_names import Emoji, NameParts, parts_of, read_emoji

EXCERPT = """
# group: Smileys & Emotion

# subgroup: face-affection
1F619                                                  ; fully-qualified     # 😙 E1.0 kissing face with smiling eyes
263A FE0F                                              ; fully-qualified     # ☺️ E0.6 smiling face
263A                                                   ; unqualified         # ☺ E0.6 smiling face

# group: Component
# subgroup: skin-tone
1F3FB                                                  ; component           # 🏻 E1.0 light skin tone

# group: People & Body
# subgroup: family
1F469 1F3FF 200D 1F692 ; fully-qualified     # 👩🏿‍🚒 E4.0 woman firefighter: dark skin tone
1FAF1 1F3FB 200D 1FAF2 1F3FF ; fully-qualified     # 🫱🏻‍🫲🏿 E14.0 handshake: light skin tone, dark skin tone

# group: Flags
# subgroup: subdivision-flag
1F3F4 E0067 E0062 E0065 E006E E0067 E007F              ; fully-qualified     # 🏴󠁧󠁢󠁥󠁮󠁧󠁿 E5.0 flag: England
0023 FE0F 20E3                                         ; fully-qualified     # #️⃣ E0.6 keycap: #
# Status Counts
# fully-qualified : 3655
"""
KEYWORDS = """<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE ldml SYSTEM "../../common/dtd/ldml.dtd">
<ldml><annotations>
<annotation cp="☺">face | outlined | relaxed</annotation>
<annotation cp="☺" type="tts">smiling face</annotation>
</annotations></ldml>
"""
DERIVED = KEYWORDS.replace("☺", "👩🏿‍🚒").replace("face | outlined | relaxed", "firetruck | dark skin tone")


@pytest.fixture
def files(tmp_path):
    texts = {"emoji-test.txt": EXCERPT, "en.xml": KEYWORDS, "derived.xml": DERIVED}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return EmojiFiles(
        font=tmp_path / "font.ttf",
        names=tmp_path / "emoji-test.txt",
        keywords=tmp_path / "en.xml",
        derived_keywords=tmp_path / "derived.xml",
    )


def test_fully_qualified_sequences_are_read_with_group_subgroup_and_keywords(files):
    kiss, smile, firefighter, handshake, england, keycap = read_emoji(files)
    smileys = ("Smileys & Emotion", "face-affection")
    assert kiss == Emoji("\U0001f619", "kissing face with smiling eyes", *smileys, ())
    assert smile == Emoji("\u263a\ufe0f", "smiling face", *smileys, ("face", "outlined", "relaxed"))
    assert firefighter.sequence == "\U0001f469\U0001f3ff\u200d\U0001f692"
    assert firefighter.keywords == ("firetruck", "dark skin tone")
    assert (firefighter.group, firefighter.subgroup) == ("People & Body", "family")
    assert handshake.name == "handshake: light skin tone, dark skin tone"
    assert england.sequence == "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbeng") + "\U000e007f"
    assert (keycap.sequence, keycap.name) == ("#\ufe0f\u20e3", "keycap: #")


def test_the_stand_in_is_read_whole(emoji_folder):
    found = read_emoji(find_emoji_files(emoji_folder))
    assert len(found) == len({emoji.name for emoji in found}) == len({emoji.sequence for emoji in found}) == 91


@pytest.mark.parametrize(
    ("name", "stem", "tones", "traits"),
    [
        ("grinning face", "grinning face", (), ()),
        ("thumbs up: medium-light skin tone", "thumbs up", ("medium-light",), ()),
        ("man: dark skin tone, beard", "man", ("dark",), ("beard",)),
        ("kiss: woman, man, light skin tone, dark skin tone", "kiss", ("light", "dark"), ("woman", "man")),
        ("flag: Trinidad & Tobago", "flag", (), ("Trinidad & Tobago",)),
    ],
)
def test_names_are_taken_apart(name, stem, tones, traits):
    parts = parts_of(name)
    assert (parts.stem, parts.tones, parts.traits) == (stem, tones, traits)


def test_details_keep_their_order():
    assert parts_of("man: dark skin tone, beard") == NameParts("man", ("dark skin tone", "beard"))


def test_a_list_without_sequences_is_refused(files):
    files.names.write_text("# emoji-test.txt\n2764 ; unqualified # ❤ E0.6 red heart", encoding="utf-8")
    with pytest.raises(DataError, match="emoji-test.txt has no fully-qualified sequence; give Unicode's"):
        read_emoji(files)


def test_damaged_keywords_are_named(files):
    files.keywords.write_text(KEYWORDS[:200], encoding="utf-8")
    with pytest.raises(DataError, match="en.xml is not CLDR's en.xml: .*restore it from its package"):
        read_emoji(files)


def test_files_that_are_no_text_or_vanish_are_named(files):
    files.names.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="emoji-test.txt cannot be read: 'utf-8' codec"):
        read_emoji(files)
    files.names.unlink()
    with pytest.raises(DataError, match="emoji-test.txt cannot be read: .*No such file"):
        read_emoji(files)
