import re
from collections import Counter

import pytest

from ldm_lab.data.emoji_captions import caption, corpus
from ldm_lab.data.emoji_composition import composition_of
from ldm_lab.data.emoji_names import Emoji, parts_of

FACE = Emoji("😀", "grinning face", "Smileys & Emotion", "face-smiling", ("face", "grin", "grinning face"))
FIREFIGHTER = Emoji(
    "?",
    "woman firefighter: medium-dark skin tone",
    "People & Body",
    "person-role",
    ("firefighter", "firetruck", "medium-dark skin tone", "woman", "woman firefighter"),
)
SEEDS = range(400)


def person(name, *keywords):
    return Emoji("?", name, "People & Body", "person-role", keywords)


def texts(emoji):
    return [caption(emoji, seed) for seed in SEEDS]


def words(text):
    """As a tokenizer of words splits them."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def test_a_seed_is_always_the_same_caption_and_seeds_differ():
    assert texts(FIREFIGHTER) == texts(FIREFIGHTER)
    assert len(set(texts(FIREFIGHTER))) > 100
    assert len(set(texts(FACE))) > 20


def test_captions_are_names_keywords_or_both():
    """Shares within four standard deviations of 400 draws."""
    named = ["grinning face" in text for text in texts(FACE)]
    with_keyword = [bool(re.search(r"\bgrin\b", text)) for text in texts(FACE)]
    both = sum(name and keyword for name, keyword in zip(named, with_keyword, strict=True)) / 400
    assert named.count(False) / 400 == pytest.approx(0.15, abs=0.08)
    assert both == pytest.approx(0.35, abs=0.1)
    assert {"face, grin", "grin, face"} <= set(texts(FACE))


def test_what_the_name_says_is_not_said_twice():
    both = [text for text in texts(FACE) if "grinning" in text and re.search(r"\bgrin\b", text)]
    assert not any(text.count("face") > 1 for text in both)


def test_word_order_varies():
    found = Counter(text.split()[0] for text in texts(FIREFIGHTER))
    assert {"woman", "a", "medium-dark", "medium", "firetruck,", "firefighter"} <= set(found)


@pytest.mark.parametrize("hyphens", [True, False])
def test_prompts_are_understood_with_and_without_hyphens(hyphens):
    cat = Emoji("😻", "smiling cat with heart-eyes", "Smileys & Emotion", "cat-face", ("heart", "love"))
    assert any(("heart-eyes" if hyphens else "heart eyes") in text for text in texts(cat))


@pytest.mark.parametrize(
    "name",
    [
        "woman firefighter: medium-dark skin tone",
        "man: dark skin tone, beard",
        "kiss: woman, man, light skin tone, dark skin tone",
        "men holding hands: dark skin tone, light skin tone",
        "old man: light skin tone",
    ],
)
def test_gender_and_skin_tones_are_in_every_caption_and_tones_in_their_order(name):
    emoji = person(name, "adult", "love", "together", "man", "woman")
    tones, gender = parts_of(name).tones, composition_of(emoji).gender.split(", ")[0]
    for text in texts(emoji):
        plain = text.replace("-", " ")
        found = re.findall(r"(medium dark|medium light|medium|light|dark) skin", plain)
        assert tuple(found) == tuple(tone.replace("-", " ") for tone in tones), text
        assert re.search(rf"\b({gender}|men)\b", plain), text


def test_what_has_no_skin_tone_gets_none():
    assert not any("skin" in text for text in texts(person("firefighter", "firetruck", "hose")))


def test_kinds_of_things_are_turned_around():
    brazil = Emoji("🇧🇷", "flag: Brazil", "Flags", "country-flag", ("flag",))
    assert set(texts(brazil)) == {"flag: Brazil", "flag of Brazil", "the flag of Brazil", "Brazil flag"}
    keycap = Emoji("7️⃣", "keycap: 7", "Symbols", "keycap", ("keycap",))
    assert set(texts(keycap)) == {"keycap: 7", "keycap 7", "7 keycap"}


def test_who_runs_may_be_a_running_woman_but_nobody_is_an_in_tuxedo_woman():
    assert any("running woman" in text for text in texts(person("woman running")))
    assert not any("in tuxedo woman" in text for text in texts(person("woman in tuxedo")))
    assert not any("person man" in text for text in texts(person("man")))


def test_articles():
    found = [text for text in texts(person("astronaut")) if text.startswith(("a ", "an "))]
    assert any(text.startswith("an astronaut") for text in found)
    assert not any(re.search(r"\ba astronaut", text) for text in found)
    for name in ("women holding hands", "OK hand", "people wrestling", "Santa Claus"):
        assert not any(re.search(rf"\ban? {name}", text) for text in texts(person(name))), name


def test_the_corpus_has_every_word_of_every_caption(tiny_catalogue):
    emoji = [drawing.emoji for drawing in tiny_catalogue.drawings] + [FACE, FIREFIGHTER, person("man: bald")]
    known = {word for sentence in corpus(emoji) for word in words(sentence)}
    unknown = {word for item in emoji for text in texts(item) for word in words(text)} - known
    assert unknown == set()
    assert {"firetruck", "brazil", "bald", "head", "picture"} <= known
    assert "firetruck" not in {word for sentence in corpus([FACE]) for word in words(sentence)}
