"""Pictures beside each other, each under its name."""

import textwrap
from collections.abc import Mapping
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from ldm_lab.core.errors import ImageError
from ldm_lab.viz.enlarged import enlarged

FONT_SIZE = 12
LINE_HEIGHT = 17
MARGIN = 10
FRAME = "#bbbbbb"  # shows where a white picture ends


def labelled(pictures: Mapping[str, Image.Image], *, side: int = 160, columns: int | None = None) -> Image.Image:
    """Lay pictures out row by row, under their names.

    Args:
        pictures: RGB, of any size, by what is written above them.
        side: Pictures whose longer side is shorter than this are enlarged by the largest whole factor that fits, so
            that every pixel stays a square.
        columns: Pictures in a row; None: all in one.

    Raises:
        ImageError: If there is no picture.
    """
    if not pictures:
        raise ImageError("there is no picture to lay out; give at least one")
    shown = {name: enlarged(picture, side=side) for name, picture in pictures.items()}
    columns = min(columns or len(shown), len(shown))
    width, height = (max(picture.size[axis] for picture in shown.values()) for axis in (0, 1))
    names = [_broken(name, width) for name in shown]
    head = LINE_HEIGHT * max(len(lines) for lines in names)
    step_x, step_y = width + MARGIN, head + height + MARGIN
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * step_x + MARGIN, rows * step_y + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (lines, picture) in enumerate(zip(names, shown.values(), strict=True)):
        x, y = MARGIN + index % columns * step_x, MARGIN + index // columns * step_y
        draw.multiline_text((x, y), "\n".join(lines), fill="black", font=_font(), spacing=2)
        draw.rectangle((x - 1, y + head - 1, x + picture.width, y + head + picture.height), outline=FRAME)
        sheet.paste(picture, (x, y + head))
    return sheet


def _broken(name: str, width: int) -> list[str]:
    """A name in lines that fit a width in pixels."""
    letter = _font().getlength("abcdefghijklmnopqrstuvwxyz") / 26
    return textwrap.wrap(name, max(1, int(width / letter))) or [""]


@cache
def _font() -> ImageFont.FreeTypeFont:
    """The one that comes with matplotlib; Pillow's own lacks ×, σ and →."""
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", FONT_SIZE)
