import re
from collections import Counter

import pytest

from ldm_lab.data.captions import (
    BACKGROUND_WORDS,
    PLACE_PHRASES,
    RELATION_PHRASES,
    SIZE_WORDS,
    TEMPLATES,
    Asked,
    AskedObject,
    all_attributes,
    all_places,
    caption,
    vocabulary,
)
from ldm_lab.data.scenes import BACKGROUNDS, OPPOSITES, PLACES, Scene, SceneObject, sample_scene

RED_CIRCLE = SceneObject("circle", "red", 15, 32, 13)
BLUE_STAR = SceneObject("star", "blue", 50, 32, 8)
ORANGE_RING = SceneObject("ring", "orange", 50, 12, 8)
TWO = Scene((RED_CIRCLE, BLUE_STAR), "white")
ONE = Scene((ORANGE_RING,), "gray")


@pytest.fixture(scope="module")
def examples():
    scenes = [sample_scene(1, index) for index in range(2000)]
    return [(scene, caption(scene, index)) for index, scene in enumerate(scenes)]


def words(text):
    return re.findall(r"[a-z]+", text)


def says(text, phrases):
    """The longest of the phrases that a text contains, so that "top left" is not taken for "left"."""
    found = [phrase for phrase in phrases if re.search(rf"\b{phrase}\b", text)]
    return max(found, key=len, default=None)


def meaning(text, synonyms):
    """The key whose phrase the text contains."""
    phrase = says(text, [phrase for options in synonyms.values() for phrase in options])
    return next((key for key, options in synonyms.items() if phrase in options), None)


def test_every_word_belongs_to_the_closed_vocabulary(examples):
    known = vocabulary()
    assert {word for _, item in examples for word in words(item.text)} == known
    assert len(known) < 80


def test_captions_are_short_lower_case_and_complete_sentences(examples):
    for _, item in examples:
        assert len(item.text.split()) < 24
        assert re.fullmatch(r"[a-z ,:]+", item.text)
        assert "  " not in item.text
        assert not re.search(r"\ba [aeio]|\ban [^aeio]|\bone an?\b", item.text)


def test_the_words_are_the_attributes_that_are_asked_for(examples):
    """A reading of the text that knows nothing of templates agrees with the record."""
    backgrounds = {name: BACKGROUND_WORDS.get(name, (name,)) for name in BACKGROUNDS}
    for _, item in examples:
        text, asked = item.text, item.asked
        spoken = Counter(words(text))
        assert meaning(text, backgrounds) == asked.background
        assert meaning(text, PLACE_PHRASES) == asked.objects[0].place
        assert len(asked.objects) == 1 or meaning(text, RELATION_PHRASES) == asked.relation
        assert all(spoken[wanted.color] and spoken[wanted.shape] for wanted in asked.objects)
        sizes = Counter(wanted.size for wanted in asked.objects if wanted.size)
        assert sizes == Counter({k: n for k, v in SIZE_WORDS.items() if (n := sum(spoken[w] for w in set(v)))})


def test_the_order_of_words_states_the_relation(examples):
    """ "left of B is A" and "A left of B" both put A first in the record."""
    for _, item in examples:
        if item.asked.relation is None:
            continue
        first, second = (f"{wanted.color} {wanted.shape}" for wanted in item.asked.objects)
        phrase = says(item.text, RELATION_PHRASES[item.asked.relation])
        assert re.search(rf"{phrase} (a|an) ([a-z]+ )?{second}\b", item.text)
        assert re.search(rf"\b{first}\b", item.text)


def test_what_a_caption_asks_for_is_true_of_its_scene(examples):
    for scene, item in examples:
        truth = {seen.pair: seen for seen in scene.objects}
        named = [truth[wanted.shape, wanted.color] for wanted in item.asked.objects]
        assert len(named) == len(scene.objects)
        assert all(wanted.size in (None, seen.size) for wanted, seen in zip(item.asked.objects, named, strict=True))
        assert item.asked.background in (None, scene.background)
        assert all(wanted.place in (None, seen.place) for wanted, seen in zip(item.asked.objects, named, strict=True))
        relation = scene.relation if named == list(scene.objects) else OPPOSITES[scene.relation]
        assert item.asked.relation in (None, relation)


def test_every_attribute_is_sometimes_asked_and_sometimes_not(examples):
    asked = [item.asked for _, item in examples]
    for values in (
        [item.background for item in asked],
        [item.objects[0].place for item in asked if len(item.objects) == 1],
        [item.relation for item in asked if len(item.objects) == 2],
        [wanted.size for item in asked for wanted in item.objects],
    ):
        mentioned = sum(value is not None for value in values) / len(values)
        assert 0.5 < mentioned < 0.9


def test_both_directions_of_a_relation_are_spoken():
    asked = {caption(TWO, seed).asked for seed in range(200)}
    relations = {(item.objects[0].shape, item.relation) for item in asked if item.relation}
    assert relations == {("circle", "left of"), ("star", "right of")}


def test_complete_captions_mention_everything():
    texts = set()
    for seed in range(50):
        item = caption(TWO, seed, complete=True)
        swapped = Scene(TWO.objects[::-1], "white")
        assert item.asked in (*map(all_attributes, (TWO, swapped)), *map(all_places, (TWO, swapped)))
        texts.add(item.text)
    assert len(texts) > 30
    assert all("top right" in caption(ONE, seed, complete=True).text for seed in range(9))


def test_places_of_two_objects_are_said_of_the_right_one():
    """Either before or after its name, and nothing else between."""
    placed = [item for seed in range(200) if (item := caption(TWO, seed, complete=True)).asked.relation is None]
    assert 70 < len(placed) < 130
    for item in placed:
        for wanted in item.asked.objects:
            phrases = "|".join(PLACE_PHRASES[wanted.place])
            name = rf"(a|an) ({'|'.join(SIZE_WORDS[wanted.size])}) {wanted.color} {wanted.shape}"
            assert re.search(rf"({name} ({phrases})\b|({phrases}) {name})", item.text), item.text


def test_all_attributes():
    assert all_attributes(ONE) == Asked((AskedObject("ring", "orange", "small", "top right"),), None, "gray")
    big, small = AskedObject("circle", "red", "large"), AskedObject("star", "blue", "small")
    assert all_attributes(TWO) == Asked((big, small), "left of", "white")


def test_the_seed_is_the_phrasing():
    assert caption(ONE, 5) == caption(ONE, 5)
    assert len({caption(ONE, seed).text for seed in range(100)}) > 50
    assert str(caption(ONE, 5)) == caption(ONE, 5).text


def test_there_are_several_phrasings_of_everything():
    assert all(len(set(templates)) >= 6 for templates in TEMPLATES)
    assert set(PLACE_PHRASES) == set(PLACES)


def test_an_unnamed_attribute_leaves_no_trace():
    """Negative control: the reading of texts above would notice a word too many."""
    assert meaning("a red circle on grey", {"gray": ("gray", "grey")}) == "gray"
    assert meaning("a red circle", {"gray": ("gray", "grey")}) is None
    assert meaning("a red circle at the top left", PLACE_PHRASES) == "top left"
