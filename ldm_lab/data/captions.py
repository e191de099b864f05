"""Sentences about scenes, and what exactly each sentence asks for.

A caption names shape and colour of every object and mentions size, place, relation and background only sometimes, so
it constrains a subset of the attributes. Of two objects it tells how they lie to each other; captions that are to
mention everything tell in half of the cases where each of them is instead. ``Caption`` carries that subset beside the
text: evaluation never parses language.
"""

import random
import re
from dataclasses import dataclass, replace

from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.draws import pick
from ldm_lab.data.scenes import BACKGROUNDS, COLORS, OPPOSITES, SHAPES, Scene

SIZE_WORDS = {"small": ("small", "small", "little"), "large": ("large", "large", "big")}
BACKGROUND_WORDS = {"gray": ("gray", "grey")}
RELATION_PHRASES = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below", "under"),
}
PLACE_PHRASES = {
    "center": ("in the center", "in the middle", "at the center"),
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    "top": ("at the top", "at the top center", "in the top middle"),
    "bottom": ("at the bottom", "at the bottom center", "in the bottom middle"),
    "top left": ("at the top left", "in the top left corner", "in the top left"),
    "top right": ("at the top right", "in the top right corner", "in the top right"),
    "bottom left": ("at the bottom left", "in the bottom left corner", "in the bottom left"),
    "bottom right": ("at the bottom right", "in the bottom right corner", "in the bottom right"),
}
SINGLE = (
    "{a}",
    "{a}",
    "one {a}",
    "a picture of {a}",
    "an image of {a}",
    "there is {a}",
    "just {a}",
    "a drawing of {a}",
)
SINGLE_PLACED = (
    "{a} {place}",
    "{a} {place}",
    "{place} {a}",
    "{place} there is {a}",
    "a picture of {a} {place}",
    "there is {a} {place}",
    "{a} is {place}",
    "an image with {a} {place}",
)
TWO = (
    "{a} and {b}",
    "{a} and {b}",
    "{a} with {b}",
    "a picture of {a} and {b}",
    "two shapes: {a} and {b}",
    "there is {a} and {b}",
    "{a} together with {b}",
)
TWO_RELATED = (
    "{a} {relation} {b}",
    "{a} {relation} {b}",
    "{a} is {relation} {b}",
    "a picture of {a} {relation} {b}",
    "there is {a} {relation} {b}",
    "two shapes: {a} {relation} {b}",
    "{relation} {b} is {a}",
    "{relation} {b} there is {a}",
)
TWO_PLACED = (
    "{a} {place} and {b} {other_place}",
    "{a} {place} and {b} {other_place}",
    "{a} {place}, {b} {other_place}",
    "{a} {place} with {b} {other_place}",
    "{place} {a} and {other_place} {b}",
    "{a} {place} and {other_place} {b}",
    "there is {a} {place} and {b} {other_place}",
)
BACKGROUND = (
    "{text} on {background}",
    "{text} on {article} {background} background",
    "{text}, {background} background",
    "{text} against {article} {background} background",
    "{text} with {article} {background} background",
    "on {article} {background} background, {text}",
)
TEMPLATES = (SINGLE, SINGLE_PLACED, TWO, TWO_RELATED, TWO_PLACED, BACKGROUND)


@dataclass(frozen=True, slots=True)
class AskedObject:
    """What a caption says about one object; None: not mentioned."""

    shape: str
    color: str
    size: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caption asks for, besides the number of objects. ``relation`` is that of the first to the second."""

    objects: tuple[AskedObject, ...]
    relation: str | None = None
    background: str | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence and the attributes that it asks for."""

    text: str
    asked: Asked

    def __str__(self) -> str:
        return self.text


def caption(scene: Scene, seed: int, *, complete: bool = False) -> Caption:
    """Describe a scene in one of many phrasings; the same scene and seed give the same caption.

    Args:
        scene: One or two objects.
        seed: Chooses the phrasing, the attributes that are mentioned, and which of two objects is named first.
        complete: Mention every attribute; of two objects either the relation or both places.
    """
    rng = random.Random(derive_seed("caption", seed))
    is_swapped = rng.random() < 0.5
    asked = all_places(scene) if complete and rng.random() < 0.5 else all_attributes(scene)
    asked = _swapped(asked) if is_swapped else asked
    asked = asked if complete else _choose_attributes(rng, asked)
    return Caption(_phrase(rng, asked), asked)


def all_attributes(scene: Scene) -> Asked:
    """Ask for everything that a scene has, its objects in their order; of two, how they lie to each other."""
    if scene.relation is None:
        return all_places(scene)
    objects = tuple(AskedObject(item.shape, item.color, item.size) for item in scene.objects)
    return Asked(objects, scene.relation, scene.background)


def all_places(scene: Scene) -> Asked:
    """Ask for everything that a scene has, its objects in their order; of each, where it is."""
    objects = tuple(AskedObject(item.shape, item.color, item.size, item.place) for item in scene.objects)
    return Asked(objects, background=scene.background)


def vocabulary() -> frozenset[str]:
    """Every word that a caption can contain."""
    phrases = [phrase for templates in TEMPLATES for phrase in templates]
    for synonyms in (SIZE_WORDS, BACKGROUND_WORDS, RELATION_PHRASES, PLACE_PHRASES):
        phrases += [phrase for options in synonyms.values() for phrase in options]
    plain = " ".join([*phrases, *SHAPES, *COLORS, *BACKGROUNDS, "a an"])
    return frozenset(re.findall(r"[a-z]+", re.sub(r"{\w+}", " ", plain)))


def _choose_attributes(rng: random.Random, everything: Asked) -> Asked:
    """Keep shapes and colours, and of the rest what chance keeps. All draws are always made: none shifts another."""
    sized, uneven, related, placed, grounded = (rng.random() < chance for chance in (0.65, 0.15, 0.85, 0.65, 0.65))
    with_size = [sized] * (len(everything.objects) - 1) + [sized != uneven]
    return Asked(
        tuple(
            replace(item, size=item.size if kept else None, place=item.place if placed else None)
            for item, kept in zip(everything.objects, with_size, strict=True)
        ),
        relation=everything.relation if related else None,
        background=everything.background if grounded else None,
    )


def _swapped(asked: Asked) -> Asked:
    """The same statement with the other object named first."""
    relation = None if asked.relation is None else OPPOSITES[asked.relation]
    return replace(asked, objects=asked.objects[::-1], relation=relation)


def _phrase(rng: random.Random, asked: Asked) -> str:
    phrases = [_noun_phrase(rng, item) for item in asked.objects]
    names = dict(zip("ab", phrases, strict=False))
    if asked.relation is not None:
        text = pick(rng, TWO_RELATED).format(relation=pick(rng, RELATION_PHRASES[asked.relation]), **names)
    elif asked.objects[0].place is not None:
        template = pick(rng, SINGLE_PLACED if len(phrases) == 1 else TWO_PLACED)
        places = [pick(rng, PLACE_PHRASES[item.place]) for item in asked.objects]
        text = template.format(**dict(zip(("place", "other_place"), places, strict=False)), **names)
    else:
        text = pick(rng, SINGLE if len(phrases) == 1 else TWO).format(**names)
    text = text.replace("one a ", "one ").replace("one an ", "one ")
    return text if asked.background is None else _with_background(rng, text, asked.background)


def _with_background(rng: random.Random, text: str, background: str) -> str:
    word = pick(rng, BACKGROUND_WORDS.get(background, (background,)))
    return pick(rng, BACKGROUND).format(text=text, article=_article(word), background=word)


def _noun_phrase(rng: random.Random, item: AskedObject) -> str:
    size = () if item.size is None else (pick(rng, SIZE_WORDS[item.size]),)
    words = (*size, item.color, item.shape)
    return " ".join((_article(words[0]), *words))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
