"""All emoji that a font draws, with their pictures, and which of them training never sees."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image

from ldm_lab.core.errors import DataError
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.emoji_composition import held_out_names
from ldm_lab.data.emoji_files import EmojiFiles
from ldm_lab.data.emoji_font import Draw, EmojiFont
from ldm_lab.data.emoji_names import Emoji, read_emoji

Split = Literal["train", "held-out", "all"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """An emoji and its picture on white, cut to its ink. RGB"""

    emoji: Emoji
    picture: Image.Image


@dataclass(frozen=True, slots=True)
class EmojiCatalogue:
    """What the files hold.

    Attributes:
        drawings: In an order that mixes groups and is always the same, so that neighbours are unlike each other.
        left_out: Emoji that the font does not draw, because it is older than the list of names.
        subgroups: Those of the drawings, in the order of the list.
        held_out: Names of the drawings that training never sees.
        digests: SHA-256 of each file.
    """

    drawings: tuple[Drawing, ...]
    left_out: tuple[Emoji, ...]
    subgroups: tuple[str, ...]
    held_out: frozenset[str]
    digests: Mapping[str, str]

    def of_split(self, split: Split) -> tuple[Drawing, ...]:
        """The drawings of a split, in their order."""
        if split == "all":
            return self.drawings
        return tuple(item for item in self.drawings if (item.emoji.name in self.held_out) == (split == "held-out"))


def open_catalogue(files: EmojiFiles, draw: Draw | None = None) -> EmojiCatalogue:
    """Read the files and draw everything once, some seconds; the pictures (200 MB) are shared by all who open the same.

    Args:
        files: Where they are.
        draw: What draws; None: the font, through Pillow with raqm.

    Raises:
        MissingDependencyError: If Pillow lacks raqm.
        DataError: If a file is not what its name says, or the font draws no emoji.
    """
    return _open(files, draw, tuple(files.digests().items()))


@lru_cache(maxsize=1)
def _open(files: EmojiFiles, draw: Draw | None, digests: tuple[tuple[str, str], ...]) -> EmojiCatalogue:
    draw = draw or EmojiFont(files.font)
    known = read_emoji(files)
    pictures = {item.name: picture for item in known if (picture := draw(item.sequence)) is not None}
    if not pictures:
        raise DataError(
            f"{files.font} draws none of the {len(known)} emoji in {files.names}; give the NotoColorEmoji.ttf of "
            "Debian's package fonts-noto-color-emoji"
        )
    drawn = [item for item in known if item.name in pictures]
    mixed = sorted(drawn, key=lambda item: derive_seed("emoji order", item.name))
    return EmojiCatalogue(
        drawings=tuple(Drawing(item, pictures[item.name]) for item in mixed),
        left_out=tuple(item for item in known if item.name not in pictures),
        subgroups=tuple(dict.fromkeys(item.subgroup for item in drawn)),
        held_out=_held_out(drawn, pictures),
        digests=dict(digests),
    )


def _held_out(drawn: Sequence[Emoji], pictures: Mapping[str, Image.Image]) -> frozenset[str]:
    """The names held out, save for those whose very picture training sees under another name."""
    chosen = held_out_names(drawn)
    digests = {name: _digest(picture) for name, picture in pictures.items()}
    seen = {digest for name, digest in digests.items() if name not in chosen}
    return frozenset(name for name in chosen if digests[name] not in seen)


def _digest(picture: Image.Image) -> bytes:
    return hashlib.blake2b(repr(picture.size).encode() + picture.tobytes()).digest()
