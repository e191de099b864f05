"""Phrases about emoji: the name, its keywords, or both, in several orders.

Skin tones, and the gender where the name says one, are in every caption: a caption without them asks for the drawing
without them.
"""

import random
import re
from collections.abc import Sequence

from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.draws import integer, pick, shuffled
from ldm_lab.data.emoji_composition import composition_of
from ldm_lab.data.emoji_names import TONE, Emoji, parts_of

KEYWORDS_ALONE = 0.15  # share of the captions; ambiguous, as short prompts are
WITH_KEYWORDS = 0.35
MOST_KEYWORDS = 3
WITHOUT_HYPHENS = 0.25
_WRAPS = ("{text}",) * 6 + ("a picture of {text}", "an emoji of {text}", "a drawing of {text}", "{text} emoji")
_QUALIFIED = ("{stem}: {listed}", "{stem} with {joined}", "{stem} with {joined}")
_TURNED = "{listed}, {stem}"
_BESIDE = ("{text}, {keywords}", "{keywords}, {text}", "{text} ({keywords})")
_KINDS = {  # stems of names that are a kind and one thing of it
    "flag": ("flag: {detail}", "flag of {detail}", "the flag of {detail}", "{detail} flag"),
    "keycap": ("keycap: {detail}", "keycap {detail}", "{detail} keycap"),
}
_TONES = (TONE, TONE, " skin")
_BEHIND_WITH = {"bald": "a bald head"}
_GENDERS = ("man", "woman", "person")
_PLURALS = ("people", "men", "women")


def caption(emoji: Emoji, seed: int) -> str:
    """Say what is drawn in one of many phrasings; the same emoji and seed give the same caption."""
    rng = random.Random(derive_seed("emoji caption", seed))
    keywords, form = _keywords(emoji), rng.random()
    if form < KEYWORDS_ALONE and len(keywords) > 1:
        text = _keywords_alone(rng, emoji, keywords)
    elif form < KEYWORDS_ALONE + WITH_KEYWORDS:
        new = [word for word in keywords if not _words(word) <= _words(emoji.name)]
        text = _with_keywords(rng, _name(rng, emoji), new)
    else:
        text = _name(rng, emoji)
    return text.replace("-", " ") if rng.random() < WITHOUT_HYPHENS else text


def corpus(emoji: Sequence[Emoji]) -> list[str]:
    """Sentences that hold every word that a caption of these emoji can have."""
    templates = [*_WRAPS, *_QUALIFIED, *_BESIDE, *_TONES, *(text for texts in _KINDS.values() for text in texts)]
    words = re.sub(r"{\w+}", " ", " ".join([*templates, *_BEHIND_WITH.values(), *_GENDERS, "a an and"]))
    return [words, *(", ".join((item.name, *item.keywords)) for item in emoji)]


def _keywords(emoji: Emoji) -> list[str]:
    """Those that say something besides the name, its details, and man, woman or person."""
    parts = parts_of(emoji.name)
    said = {emoji.name, parts.stem, *parts.details, *_GENDERS}
    return [word for word in emoji.keywords if word not in said]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _keywords_alone(rng: random.Random, emoji: Emoji, keywords: Sequence[str]) -> str:
    """Two keywords or more, and gender and skin tones."""
    chosen = shuffled(rng, keywords)[: integer(rng, 2, MOST_KEYWORDS + 1)]
    tones = ", ".join(_spelled(rng, [tone + TONE for tone in parts_of(emoji.name).tones]))
    asked = [part for part in (*chosen, composition_of(emoji).gender, tones) if part]
    return ", ".join(shuffled(rng, asked))


def _with_keywords(rng: random.Random, text: str, keywords: Sequence[str]) -> str:
    chosen = shuffled(rng, keywords)[: integer(rng, 1, MOST_KEYWORDS)]
    return pick(rng, _BESIDE).format(text=text, keywords=", ".join(chosen)) if chosen else text


def _name(rng: random.Random, emoji: Emoji) -> str:
    """The name, its words a little rearranged."""
    parts = parts_of(emoji.name)
    details = _spelled(rng, parts.details)
    if parts.stem in _KINDS:
        return pick(rng, _KINDS[parts.stem]).format(detail=", ".join(details))
    stem, listed = _stem(rng, emoji), ", ".join(details)
    if rng.random() < 0.25 and details:
        return _TURNED.format(stem=stem, listed=listed)
    stem = _article(stem) + stem if rng.random() < 0.4 else stem
    joined = " and ".join(_BEHIND_WITH.get(detail, detail) for detail in details)
    text = pick(rng, _QUALIFIED).format(stem=stem, listed=listed, joined=joined) if details else stem
    return pick(rng, _WRAPS).format(text=text)


def _stem(rng: random.Random, emoji: Emoji) -> str:
    """The stem, in which "woman running" may also be "running woman"."""
    stem, composition = parts_of(emoji.name).stem, composition_of(emoji)
    turned = f"{composition.base} {composition.gender}"
    can_turn = stem == f"{composition.gender} {composition.base}" and not turned.startswith(("in ", "with "))
    return turned if rng.random() < 0.3 and can_turn else stem


def _spelled(rng: random.Random, details: Sequence[str]) -> list[str]:
    """Details in their order, as the first skin tone is that of who stands on the left; some without "tone"."""
    ending = pick(rng, _TONES)
    return [detail.removesuffix(TONE) + ending if detail.endswith(TONE) else detail for detail in details]


def _article(stem: str) -> str:
    """The indefinite article and a blank, or nothing before names and plurals."""
    first, last = stem.split()[0], stem.split()[-1]
    if not first[0].islower() or first in _PLURALS or last.endswith("s"):
        return ""
    return "an " if first[0] in "aeiou" else "a "
