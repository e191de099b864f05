"""What a drawing is composed of, and which compositions training never sees.

Two kinds are held out. Of people and hands a tenth of the (base, gender, skin tones), by a hash of these words, so that
the choice depends on nothing else; never all variants of a base. And the dozen of ``NAMED``. What the rule picks with
Unicode 15.0 is listed in docs/emoji-held-out.txt.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.emoji_names import Emoji, parts_of

_PEOPLE = "People & Body"
_MEMBERS = ("man", "woman", "boy", "girl", "person")
_GENDERS = {
    "woman and man": "woman, man",
    "women": "woman, woman",
    "men": "man, man",
    "people": "",
    "woman": "woman",
    "man": "man",
    "person": "",
}
_GENDERED = re.compile(rf"\b({'|'.join(_GENDERS)})\b ?")
_IRREGULAR = {  # stem: base and gender
    "boy": ("child", "man"),
    "girl": ("child", "woman"),
    "old man": ("older person", "man"),
    "old woman": ("older person", "woman"),
    "older person": ("older person", ""),
    "prince": ("with crown", "man"),
    "princess": ("with crown", "woman"),
    "Santa Claus": ("mx claus", "man"),
    "Mrs. Claus": ("mx claus", "woman"),
    "merman": ("merperson", "man"),
    "mermaid": ("merperson", "woman"),
}


@dataclass(frozen=True, slots=True)
class Composition:
    """What is drawn, and in which of its variants.

    Attributes:
        base: What all variants share: "firefighter", "holding hands", "person: red hair"; elsewhere the name.
        gender: "man", "woman", of couples and families those of all, as in "woman, man"; empty: none is said.
        tones: Skin tones, such as ("dark",), of couples up to two; empty: none is said.
    """

    base: str
    gender: str = ""
    tones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedComposition:
    """A drawing held out by name, and drawings of the training set that hold its parts."""

    name: str
    parts: tuple[str, ...]


NAMED = (
    # An expression of the plain face, on the head of a cat that has others.
    NamedComposition("cat with tears of joy", ("face with tears of joy", "grinning cat", "crying cat")),
    # A mouth and eyes that occur in other faces.
    NamedComposition("kissing face with smiling eyes", ("kissing face", "grinning face with smiling eyes")),
    NamedComposition("winking face with tongue", ("winking face", "face with tongue")),
    # The head of an animal whose whole body is there, where others have both.
    NamedComposition("tiger face", ("tiger", "cow", "cow face", "mouse", "mouse face")),
    # A thing in another colour.
    NamedComposition("purple heart", ("blue heart", "red heart", "purple circle")),
    NamedComposition("green square", ("blue square", "red square", "green circle")),
    NamedComposition("orange book", ("green book", "blue book", "orange circle")),
    # A size and a colour that occur with others.
    NamedComposition("large blue diamond", ("large orange diamond", "small blue diamond")),
    NamedComposition("white medium square", ("black medium square", "white small square")),
    # Two states of a thing, of whose four combinations three are seen.
    NamedComposition(
        "open mailbox with lowered flag",
        ("open mailbox with raised flag", "closed mailbox with lowered flag", "closed mailbox with raised flag"),
    ),
    # An hour and a half; two directions.
    NamedComposition("eight-thirty", ("eight o’clock", "seven-thirty", "nine-thirty")),
    NamedComposition("down-left arrow", ("down arrow", "left arrow", "up-left arrow", "down-right arrow")),
)


def composition_of(emoji: Emoji) -> Composition:
    """Base, gender and skin tones, read from the name."""
    if emoji.group != _PEOPLE:
        return Composition(emoji.name)
    parts = parts_of(emoji.name)
    base, gender = _IRREGULAR.get(parts.stem) or _without_gender(parts.stem)
    members = [trait for trait in parts.traits if trait in _MEMBERS]
    traits = ", ".join(trait for trait in parts.traits if trait not in _MEMBERS)
    if members:
        gender = "" if set(members) == {"person"} else ", ".join(members)
    return Composition(f"{base}: {traits}" if traits else base, gender, parts.tones)


def held_out_names(emoji: Sequence[Emoji]) -> frozenset[str]:
    """Names of the drawings that are never trained on, before the pictures are known."""
    compositions = {item.name: composition_of(item) for item in emoji}
    variants: dict[str, set[Composition]] = {}
    for composition in compositions.values():
        variants.setdefault(composition.base, set()).add(composition)
    held_out = {composition for base, siblings in variants.items() for composition in _pick(base, siblings)}
    named = {item.name for item in NAMED}
    return frozenset(name for name, composition in compositions.items() if composition in held_out or name in named)


def _pick(base: str, siblings: Collection[Composition]) -> list[Composition]:
    """A tenth of the variants of a base, rounded up or down by the hash of its name; never all of them."""
    num_picked = int(len(siblings) / 10 + _hash(Composition(base)) / 2**63)
    return sorted(siblings, key=_hash)[:num_picked] if len(siblings) > 1 else []


def _hash(composition: Composition) -> int:
    return derive_seed("emoji held out", composition.base, composition.gender, *composition.tones)


def _without_gender(stem: str) -> tuple[str, str]:
    match = _GENDERED.search(stem)
    if match is None:
        return stem, ""
    base = (stem[: match.start()] + stem[match.end() :]).strip()
    return base or "person", _GENDERS[match[1]]
