"""What a font draws is judged with fonts of a few rules; the real one is in test_emoji_real.py."""

import pytest
from PIL import Image, ImageDraw, ImageFont, features

from ldm_lab.core.errors import DataError, MissingDependencyError
from ldm_lab.data.emoji_font import EmojiFont

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)
BLACK_FLAG, TAGS = "\U0001f3f4", "\U000e0067\U000e0062\U000e007f"
GLYPHS = {"😀": RED, "👋": RED, "👋🏿": BLUE, "🇦🇦": BLACK, "🇧🇷": BLUE, "🇽🇽": BLACK, BLACK_FLAG: BLACK}


class Font:
    """One square a known sequence, several where it falls apart, nothing for unknown characters, tags invisible."""

    def glyphs(self, text):
        text = "".join(letter for letter in text if letter not in TAGS) if text not in GLYPHS else text
        return [text] if text in GLYPHS or len(text) < 2 else list(text)

    def getlength(self, text):
        return 135.7 * len(self.glyphs(text))


@pytest.fixture
def font(monkeypatch, tmp_path):
    fake = Font()

    def text(self, origin, text, font, embedded_color):
        assert embedded_color
        for number, glyph in enumerate(font.glyphs(text)):
            left, top = origin[0] + 100 * number + 10, origin[1] + 5
            if glyph in GLYPHS:
                self.rectangle((left, top, left + 39, top + 59), fill=GLYPHS[glyph])

    def truetype(path, size, layout_engine):
        assert (path, size, layout_engine) == (str(tmp_path / "font.ttf"), 109, ImageFont.Layout.RAQM)
        return fake

    monkeypatch.setattr(ImageFont, "truetype", truetype)
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    monkeypatch.setattr(features, "check", lambda name: True)
    return EmojiFont(tmp_path / "font.ttf")


@pytest.mark.parametrize(("sequence", "color"), [("👋", RED), ("👋🏿", BLUE), ("🇧🇷", BLUE), (BLACK_FLAG, BLACK)])
def test_drawings_are_cut_to_their_ink(font, sequence, color):
    picture = font(sequence)
    assert (picture.mode, picture.size) == ("RGB", (40, 60))
    assert picture.getcolors() == [(40 * 60, color)]


@pytest.mark.parametrize(
    ("sequence", "why"),
    [
        ("👋🏻", "it falls apart"),
        ("\U0001fae8", "it is blank"),
        ("🇽🇽", "it is drawn as an unknown flag"),
        (BLACK_FLAG + TAGS, "it is drawn as its first character"),
        (BLACK_FLAG + TAGS[1:], "it is drawn as an unknown flag"),
    ],
)
def test_what_the_font_does_not_know_is_left_out(font, sequence, why):
    assert font(sequence) is None, why


def test_a_file_that_is_no_font_is_named(tmp_path):
    (tmp_path / "font.ttf").write_bytes(b"no font")
    with pytest.raises(DataError, match="font.ttf is not a font with bitmaps of 109 px .*give the NotoColorEmoji.ttf"):
        EmojiFont(tmp_path / "font.ttf")


def test_pillow_without_raqm_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(features, "check", lambda name: name != "raqm")
    with pytest.raises(MissingDependencyError, match="Pillow was built without raqm.*pip install.*libfribidi0"):
        EmojiFont(tmp_path / "font.ttf")


def test_partly_covered_pixels_are_mixed_with_white_once(font, monkeypatch):
    """Half covered red on white is (255, 127, 127); mixed twice it would be (255, 191, 191)."""

    def text(self, origin, text, font, embedded_color):
        mask = Image.new("L", (2, 1), 255)
        mask.putpixel((0, 0), 128)
        self._image.paste(Image.new("RGBA", (2, 1), (*RED, 255)), origin, mask)  # as Pillow does with a glyph

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    half, whole = (font("👋").getpixel((x, 0)) for x in (0, 1))
    assert whole == RED
    assert half == (255, 127, 127)
