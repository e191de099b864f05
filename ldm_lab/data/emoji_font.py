"""Colour bitmaps of a font as pictures, through Pillow with raqm, which shapes a sequence into one glyph."""

from functools import cache
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont, features

from ldm_lab.core.errors import DataError, MissingDependencyError

STRIKE = 109  # the one size in pixels that Noto's bitmaps have
_CANVAS, _ORIGIN = 176, 20  # room on all sides of a glyph of that size, so that nothing is cut off
_BACKGROUND = (255, 255, 255)
_UNASSIGNED_FLAG = "\N{REGIONAL INDICATOR SYMBOL LETTER A}" * 2  # AA is left to users for ever (ISO 3166)
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_TAGS = range(0xE0020, 0xE0080)


class Draw(Protocol):
    """What makes the picture of a sequence."""

    def __call__(self, sequence: str) -> Image.Image | None:
        """The drawing on white, cut to its ink, RGB; None where there is none of its own."""


class EmojiFont:
    """Draws the sequences that a font with bitmaps of 109 px knows.

    Args:
        path: NotoColorEmoji.ttf.

    Raises:
        MissingDependencyError: If Pillow lacks raqm, without which sequences fall apart into their characters.
        DataError: If the file is not such a font.
    """

    def __init__(self, path: str | Path) -> None:
        _check_raqm()
        try:
            self._font = ImageFont.truetype(str(path), STRIKE, layout_engine=ImageFont.Layout.RAQM)
        except OSError as error:
            raise DataError(
                f"{path} is not a font with bitmaps of {STRIKE} px ({error}); give the NotoColorEmoji.ttf of Debian's "
                "package fonts-noto-color-emoji"
            ) from error
        self._advance = self._font.getlength("\N{GRINNING FACE}")  # the same for all
        self._ink_of_part = cache(self._ink)  # of what many flags are compared with

    def __call__(self, sequence: str) -> Image.Image | None:
        """The drawing on white, cut to its ink, RGB.

        None where the font has no drawing of its own for the sequence: it falls apart into several glyphs (by the
        width), it is blank (characters that no glyph exists for), or it is a flag and drawn as an unknown one or as its
        first character alone (by the pixels).
        """
        if self._font.getlength(sequence) != self._advance:
            return None
        ink = self._ink(sequence)
        return None if any(ink == self._ink_of_part(other) for other in _stand_ins(sequence)) else ink

    def _ink(self, text: str) -> Image.Image | None:
        canvas = Image.new("RGBA", (_CANVAS, _CANVAS), (*_BACKGROUND, 0))
        ImageDraw.Draw(canvas).text((_ORIGIN, _ORIGIN), text, font=self._font, embedded_color=True)
        box = canvas.getchannel("A").getbbox()
        # Pillow has mixed the colours with those of the canvas already, by the coverage that is now its alpha.
        return None if box is None else canvas.convert("RGB").crop(box)


def _stand_ins(sequence: str) -> tuple[str, ...]:
    """What a font may draw instead of a flag that it lacks, without a trace in the width; none for other sequences."""
    if ord(sequence[0]) in _REGIONAL_INDICATORS:
        return (_UNASSIGNED_FLAG,)
    return (_UNASSIGNED_FLAG, sequence[0]) if ord(sequence[-1]) in _TAGS else ()


def _check_raqm() -> None:
    if not features.check("raqm"):
        raise MissingDependencyError(
            "Pillow was built without raqm, which joins the characters of an emoji into one drawing; install a wheel "
            "with 'pip install --force-reinstall --only-binary :all: pillow', and libfribidi0 (Debian) beside it"
        )
