"""Unicode's list of emoji and CLDR's keywords as records."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ldm_lab.core.errors import DataError
from ldm_lab.data.emoji_files import EmojiFiles

_LINE = re.compile(r"(?P<codes>[0-9A-F ]+?)\s*; fully-qualified\s*# \S+ E\d+\.\d+ (?P<name>.+)")
_VARIATION_SELECTOR = "\N{VARIATION SELECTOR-16}"  # CLDR leaves it out
TONE = " skin tone"


@dataclass(frozen=True, slots=True)
class Emoji:
    """One drawing and what is said of it.

    Attributes:
        sequence: Its characters.
        name: Unicode's name, such as "woman firefighter: dark skin tone".
        group: One of about 10, such as "People & Body".
        subgroup: One of about 100, such as "person-role".
        keywords: CLDR's; none where its version is older than the emoji.
    """

    sequence: str
    name: str
    group: str
    subgroup: str
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NameParts:
    """A name taken apart: "man: dark skin tone, beard" is the stem "man" with two details, of which one is a tone."""

    stem: str
    details: tuple[str, ...] = ()

    @property
    def tones(self) -> tuple[str, ...]:
        """The skin tones without the words "skin tone"."""
        return tuple(detail.removesuffix(TONE) for detail in self.details if detail.endswith(TONE))

    @property
    def traits(self) -> tuple[str, ...]:
        """The details that are no skin tones."""
        return tuple(detail for detail in self.details if not detail.endswith(TONE))


def read_emoji(files: EmojiFiles) -> tuple[Emoji, ...]:
    """All fully-qualified sequences of emoji-test.txt in its order, with their keywords.

    Raises:
        DataError: If a file cannot be read, or is not what its name says.
    """
    keywords = _read_keywords(files.derived_keywords) | _read_keywords(files.keywords)
    found = tuple(
        Emoji(sequence, name, group, subgroup, keywords.get(sequence.replace(_VARIATION_SELECTOR, ""), ()))
        for sequence, name, group, subgroup in _sequences(_read_text(files.names))
    )
    if not found:
        raise DataError(f"{files.names} has no fully-qualified sequence; give Unicode's emoji-test.txt")
    return found


def parts_of(name: str) -> NameParts:
    """What stands before and behind the colon of a name."""
    stem, _, details = name.partition(": ")
    return NameParts(stem, tuple(details.split(", ")) if details else ())


def _sequences(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Sequence, name, group and subgroup of each line that has them."""
    group = subgroup = ""
    for line in text.splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ").strip()
        elif line.startswith("# subgroup: "):
            subgroup = line.removeprefix("# subgroup: ").strip()
        elif match := _LINE.match(line):
            sequence = "".join(chr(int(code, 16)) for code in match["codes"].split())
            yield sequence, match["name"].strip(), group, subgroup


def _read_keywords(path: Path) -> dict[str, tuple[str, ...]]:
    """Keywords of each sequence, which is spelled without variation selectors."""
    try:
        annotations = list(ET.fromstring(_read_text(path)).iter("annotation"))
    except ET.ParseError as error:
        raise DataError(f"{path} is not CLDR's en.xml: {error}; restore it from its package") from error
    lists = {item.get("cp", ""): item.text for item in annotations if item.get("type") is None and item.text}
    return {sequence: tuple(word.strip() for word in text.split("|")) for sequence, text in lists.items()}


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; restore it from its package") from error
