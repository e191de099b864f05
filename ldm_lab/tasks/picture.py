"""Pictures that carry the run that made them, as text inside their PNG files."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ldm_lab.core.errors import CheckpointFormatError, ImageError
from ldm_lab.core.images import read_image
from ldm_lab.core.io import parse_json

KEY = "ldm_lab"
MAX_CHARACTERS = 8_500_000  # two pictures of the size that a task accepts, as PNG in base64, and the settings
MAX_MARKS = 20_000


class RunImage(Image.Image):
    """A PIL image whose ``save`` writes its record into PNG files; what PIL makes from it is a plain image again."""

    @classmethod
    def of(cls, image: Image.Image, record: Mapping[str, Any]) -> Self:
        """The same pixels with a record, which must be JSON values."""
        picture = cls()
        picture.__setstate__(image.__getstate__())  # how PIL itself rebuilds an image of any class
        picture.info = {KEY: json.dumps(record, ensure_ascii=False, allow_nan=False)}
        return picture

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As PIL does; PNG files receive the record."""
        pnginfo = PngInfo()
        pnginfo.add_itxt(KEY, self.info[KEY])
        super().save(fp, format, **({"pnginfo": pnginfo} | params))


def read_record(png: str | Path | bytes) -> tuple[Image.Image, dict[str, Any]]:
    """Pixels and record of a picture that a ``RunImage`` saved, from a file or from the content of one.

    Returns:
        The RGB image without metadata, and the record, which is JSON and nothing more is known about it.

    Raises:
        ImageError: If the file is no picture, carries no record, or one that cannot be read.
    """
    image, name = read_image(png), name_of(png)
    with Image.open(BytesIO(png) if isinstance(png, bytes) else png) as file:
        text = file.info.get(KEY)
    if not isinstance(text, str):
        raise ImageError(
            f"{name} carries no settings; open a PNG that ldm_lab saved, not a screenshot or a converted copy"
        )
    _check_length(text, name)
    try:
        record = parse_json(str(text), source=f"the settings in {name}", max_bytes=MAX_CHARACTERS)
    except CheckpointFormatError as error:
        raise ImageError(str(error)) from error
    if not isinstance(record, dict):
        raise ImageError(f"the settings in {name} are a {type(record).__name__}, expected a mapping")
    return image, record


def name_of(png: str | Path | bytes) -> str:
    """What messages call a picture."""
    return "the picture" if isinstance(png, bytes) else str(png)


def _check_length(text: str, name: str) -> None:
    """A record is a few dozen values and perhaps two long strings, which are pictures."""
    if len(text) > MAX_CHARACTERS:
        raise ImageError(f"{name} carries {len(text)} characters of settings, at most {MAX_CHARACTERS} are read")
    marks = sum(map(text.count, ",[{"))
    if marks > MAX_MARKS:
        raise ImageError(f"{name} carries settings with {marks} commas and brackets, at most {MAX_MARKS} are read")
