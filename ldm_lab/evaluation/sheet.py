"""Images with their captions on one sheet, for people."""

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ldm_lab.core.errors import ImageError

MARGIN = 12
FONT_SIZE = 13
LINES = 4  # of a caption; the longest caption of the built-in world needs them
LINE_HEIGHT = 16


def captioned_sheet(
    images: Sequence[Image.Image], captions: Sequence[str], *, columns: int = 4, width: int = 192
) -> Image.Image:
    """Lay images out row by row, each above its caption.

    Args:
        images: RGB, of any size.
        captions: One for each image; what does not fit into four lines is cut off with an ellipsis.
        columns: Images in a row.
        width: Pixels to which images are enlarged.

    Raises:
        ImageError: If there is no image, or not one caption for each.
    """
    if not images or len(images) != len(captions):
        raise ImageError(
            f"there are {len(images)} images and {len(captions)} captions; give one caption for each image"
        )
    height = max(round(width * image.height / image.width) for image in images)
    step_x, step_y = width + MARGIN, height + LINES * LINE_HEIGHT + MARGIN
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (min(columns, len(images)) * step_x + MARGIN, rows * step_y + MARGIN), "white")
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(index, columns)
        size = (width, round(width * image.height / image.width))
        _paste(sheet, image.resize(size, Image.Resampling.BICUBIC), caption, column * step_x, row * step_y)
    return sheet


def _paste(sheet: Image.Image, image: Image.Image, caption: str, x: int, y: int) -> None:
    """Put one image and its caption into the cell whose corner is (x, y); a frame shows where white images end."""
    draw = ImageDraw.Draw(sheet)
    corner = (x + MARGIN, y + MARGIN)
    draw.rectangle((corner[0] - 1, corner[1] - 1, corner[0] + image.width, corner[1] + image.height), outline="#cccccc")
    sheet.paste(image, corner)
    text = "\n".join(_wrap(caption, image.width))
    draw.multiline_text((corner[0], corner[1] + image.height + 3), text, fill="black", font=_font(), spacing=1)


def _wrap(caption: str, width: int) -> list[str]:
    """Break a caption into lines that fit a width in pixels."""
    characters = int(width / (_font().getlength("abcdefghijklmnopqrstuvwxyz ") / 27))
    return textwrap.wrap(caption, characters, max_lines=LINES, placeholder=" …")


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT_SIZE)
