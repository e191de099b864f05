"""A few emoji without a font: lists of names and keywords as the real files spell them, and rectangles as drawings."""

import hashlib
import random

import pytest
from PIL import Image, ImageDraw

from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.data import emoji_catalogue
from ldm_lab.data.draws import integer
from ldm_lab.data.emoji_catalogue import open_catalogue
from ldm_lab.data.emoji_files import find_emoji_files

TONES = dict(zip(("light", "medium-light", "medium", "medium-dark", "dark"), "🏻🏼🏽🏾🏿", strict=True))
LACKED = "🫨"  # by the font
NO_TONES = "🏂"  # drawn alike in all skin tones


def of_all_tones(name, before, behind=""):
    """One drawing without a skin tone and five with one."""
    yield before + behind, name
    for tone, modifier in TONES.items():
        yield before + modifier + behind, f"{name}: {tone} skin tone"


def of_a_role(name, thing):
    for who, person in ((name, "🧑"), (f"man {name}", "👨"), (f"woman {name}", "👩")):
        yield from of_all_tones(who, person, "\u200d" + thing)


LIST = {
    "Smileys & Emotion": {
        "face-smiling": [("😀", "grinning face"), ("😂", "face with tears of joy")],
        "face-neutral-skeptical": [("🫨", "shaking face")],
        "face-sleepy": [("😴", "sleeping face")],
        "cat-face": [("😺", "grinning cat"), ("😹", "cat with tears of joy")],
        "heart": [("❤️", "red heart")],
    },
    "People & Body": {
        "hand-fingers-open": [*of_all_tones("waving hand", "👋"), *of_all_tones("raised hand", "✋")],
        "person-role": [*of_a_role("firefighter", "🚒"), *of_a_role("artist", "🎨"), *of_a_role("judge", "⚖️")],
        "person-sport": [*of_all_tones("snowboarder", "🏂"), *of_all_tones("woman running", "🏃", "\u200d♀️")],
        "family": [("👨\u200d👩\u200d👧", "family: man, woman, girl")],
    },
    "Travel & Places": {"time": [("🕘", "nine o’clock")]},
    "Symbols": {"arrow": [("↙️", "down-left arrow"), ("⬅️", "left arrow")], "keycap": [("7️⃣", "keycap: 7")]},
    "Flags": {"country-flag": [("🇧🇷", "flag: Brazil")]},
}
KEYWORDS = {
    "😀": "face | grin | grinning face",
    "😹": "cat | cat with tears of joy | face | joy | tear",
    "😺": "cat | face | grinning | grinning cat | mouth | open | smile",
    "❤": "heart | red heart",
    "🇧🇷": "flag",
    "↙": "arrow | direction | down-left arrow | southwest",
}
DERIVED_KEYWORDS = {
    "👩🏿\u200d🚒": "dark skin tone | firefighter | firetruck | hose | woman | woman firefighter",
    "👨🏽\u200d🎨": "artist | man | man artist | medium skin tone | painter | palette",
}


def emoji_test_lines():
    """The stand-in for emoji-test.txt, with what is to be skipped in it."""
    yield "# emoji-test.txt\n#     fully-qualified     — a fully-qualified emoji (see ED-18 in UTS #51),"
    for group, subgroups in LIST.items():
        yield f"\n# group: {group}"
        for subgroup, items in subgroups.items():
            yield f"\n# subgroup: {subgroup}"
            for sequence, name in items:
                codes = " ".join(f"{ord(letter):04X}" for letter in sequence)
                yield f"{codes:<55}; fully-qualified     # {sequence} E0.6 {name}"
    yield "2764                                                   ; unqualified         # ❤ E0.6 red heart"
    yield "1F3FB                                                  ; component           # 🏻 E1.0 light skin tone"


def annotations(keywords):
    """The stand-in for CLDR's en.xml."""
    lines = [f'<annotation cp="{cp}">{text}</annotation>' for cp, text in keywords.items()]
    lines += [f'<annotation cp="{cp}" type="tts">{cp}</annotation>' for cp in keywords]
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<ldml><annotations>{"".join(lines)}</annotations></ldml>'


def stand_in(sequence):
    """A picture as unlike its mirror image, and as unlike others, as drawings are."""
    if sequence == LACKED:
        return None
    seed = hashlib.sha256(NO_TONES.encode() if sequence.startswith(NO_TONES) else sequence.encode()).digest()
    rng = random.Random(int.from_bytes(seed))
    width, height = integer(rng, 50, 128), integer(rng, 50, 128)
    dark, light = (tuple(integer(rng, low, low + 75) for _ in "rgb") for low in (0, 150))
    picture = Image.new("RGB", (width, height), dark)
    ImageDraw.Draw(picture).rectangle((3, 3, width // 3, height // 2), fill=light)
    return picture


@pytest.fixture(scope="session")
def emoji_folder(tmp_path_factory):
    """The four files, of which the font is none; not to be changed."""
    folder = tmp_path_factory.mktemp("emoji")
    (folder / "NotoColorEmoji.ttf").write_bytes(b"no font")
    (folder / "emoji-test.txt").write_text("\n".join(emoji_test_lines()), encoding="utf-8")
    for name, keywords in (("annotations", KEYWORDS), ("annotationsDerived", DERIVED_KEYWORDS)):
        (folder / name).mkdir()
        (folder / name / "en.xml").write_text(annotations(keywords), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def draw():
    """Draws rectangles in the place of a font."""
    return stand_in


@pytest.fixture(scope="session")
def tiny_catalogue(emoji_folder):
    """The stand-in, opened."""
    return open_catalogue(find_emoji_files(emoji_folder), stand_in)


@pytest.fixture
def stand_in_emoji(emoji_folder, monkeypatch):
    """Every data set of emoji that is opened during the test draws the stand-in."""
    monkeypatch.setattr(emoji_catalogue, "EmojiFont", lambda path: stand_in)
    monkeypatch.setenv("LDM_LAB_EMOJI", str(emoji_folder))


@pytest.fixture(scope="session")
def real_catalogue():
    """The emoji of this machine, where it has them; some seconds."""
    try:
        return open_catalogue(find_emoji_files())
    except MissingDependencyError as error:
        pytest.skip(str(error))
