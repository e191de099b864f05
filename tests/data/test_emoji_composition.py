from collections import Counter

import pytest

from ldm_lab.data.emoji_composition import NAMED, Composition, composition_of, held_out_names
from ldm_lab.data.emoji_names import Emoji

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")


def person(name):
    return Emoji("?", name, "People & Body", "person-role")


@pytest.mark.parametrize(
    ("name", "base", "gender", "tones"),
    [
        ("firefighter", "firefighter", "", ()),
        ("woman firefighter: dark skin tone", "firefighter", "woman", ("dark",)),
        ("man firefighter", "firefighter", "man", ()),
        ("person running: light skin tone", "running", "", ("light",)),
        ("woman running", "running", "woman", ()),
        ("deaf man", "deaf", "man", ()),
        ("man in tuxedo", "in tuxedo", "man", ()),
        ("person", "person", "", ()),
        ("man: medium skin tone", "person", "man", ("medium",)),
        ("woman: red hair", "person: red hair", "woman", ()),
        ("person: dark skin tone, beard", "person: beard", "", ("dark",)),
        ("boy", "child", "man", ()),
        ("child", "child", "", ()),
        ("old woman", "older person", "woman", ()),
        ("mermaid: light skin tone", "merperson", "woman", ("light",)),
        ("person with crown", "with crown", "", ()),
        ("prince", "with crown", "man", ()),
        ("thumbs up: medium-dark skin tone", "thumbs up", "", ("medium-dark",)),
        ("women holding hands: light skin tone, dark skin tone", "holding hands", "woman, woman", ("light", "dark")),
        ("woman and man holding hands", "holding hands", "woman, man", ()),
        ("people with bunny ears", "with bunny ears", "", ()),
        ("kiss", "kiss", "", ()),
        ("kiss: person, person, light skin tone, dark skin tone", "kiss", "", ("light", "dark")),
        ("kiss: woman, man, dark skin tone, light skin tone", "kiss", "woman, man", ("dark", "light")),
        ("family: man, woman, girl, boy", "family", "man, woman, girl, boy", ()),
    ],
)
def test_names_of_people_say_base_gender_and_tones(name, base, gender, tones):
    assert composition_of(person(name)) == Composition(base, gender, tones)


def test_other_drawings_are_their_own_base():
    assert composition_of(Emoji("?", "man’s shoe", "Objects", "clothing")) == Composition("man’s shoe")
    assert composition_of(Emoji("?", "flag: Isle of Man", "Flags", "country-flag")) == Composition("flag: Isle of Man")


def many(num_bases, roles=("", "man ", "woman ")):
    """People of invented trades, in all genders and tones."""
    trades = [f"trade {number}" for number in range(num_bases)]
    endings = ("", *(f": {tone} skin tone" for tone in TONES))
    return [person(role + trade + ending) for trade in trades for role in roles for ending in endings]


@pytest.mark.parametrize("roles", [("", "man ", "woman "), ("",)])
def test_a_tenth_of_the_combinations_is_held_out(roles):
    """The share of each base is rounded by chance, with a spread of at most 0.5; 400 of them make at most 10."""
    emoji = many(400, roles)
    assert abs(len(held_out_names(emoji)) - len(emoji) / 10) < 30


def test_never_are_all_variants_of_a_base_held_out_nor_a_single_one():
    pairs = [person(role + f"trade {number}") for number in range(500) for role in ("man ", "woman ")]
    for emoji in (pairs, many(200)):
        held_out = held_out_names(emoji)
        num_variants = Counter(composition_of(item).base for item in emoji)
        num_held_out = Counter(composition_of(item).base for item in emoji if item.name in held_out)
        assert held_out
        assert all(num_held_out[base] < num_variants[base] for base in num_variants)
    assert held_out_names([person(f"trade {number}") for number in range(500)]) == frozenset()


def test_every_gender_and_tone_takes_its_turn():
    held_out = held_out_names(many(200))
    found = Counter(composition_of(person(name)) for name in held_out)
    assert Counter(item.gender for item in found).keys() == {"", "man", "woman"}
    assert Counter(item.tones for item in found).keys() == {(), *((tone,) for tone in TONES)}


def test_the_choice_depends_on_the_base_alone():
    few, more = many(5), [*reversed(many(50)), person("grandmaster")]
    names = {item.name for item in few}
    assert held_out_names(few) == {name for name in held_out_names(more) if name in names}
    assert held_out_names(few)


def test_a_dozen_is_held_out_by_name():
    names = [item.name for item in NAMED]
    assert len(set(names)) == 12
    things = [Emoji("?", name, "Objects", "other") for name in (*names, "hammer")]
    assert held_out_names(things) == set(names)
    assert all(item.parts and not set(item.parts) & set(names) for item in NAMED)
