"""Many frames in one picture, so that a browser can scrub through them without asking again."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import grid

QUALITY = 85
MAX_FRAMES = 200
MAX_SHEET_SIDE = 8192  # what browsers decode everywhere


@dataclass(frozen=True, slots=True)
class Sprites:
    """A sheet of frames, row by row without padding.

    Attributes:
        data: JPEG; for looking, not for measuring.
        columns: Frames in a row.
        indices: Which of the frames that were given are on it, in order.
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
    """

    data: bytes
    columns: int
    indices: tuple[int, ...]
    width: int
    height: int


def sprites(frames: Sequence[Image.Image], *, side: int = 256) -> Sprites:
    """Put frames of one size on a sheet; of more than 200, every n-th and the last.

    Args:
        frames: RGB, at least one.
        side: Larger ones are made smaller until no side is longer, in pixels.

    Raises:
        RequestError: If there is no frame.
        ImageError: If sizes differ.
    """
    if not frames:
        raise RequestError("there is no frame; give at least one")
    indices = _chosen(len(frames))
    kept = [_smaller(frames[index], side) for index in indices]
    width, height = kept[0].size
    columns = max(1, min(len(kept), MAX_SHEET_SIDE // width))
    buffer = BytesIO()
    grid(kept, columns=columns, padding=0).save(buffer, "JPEG", quality=QUALITY)
    return Sprites(buffer.getvalue(), columns, indices, width, height)


def _chosen(count: int) -> tuple[int, ...]:
    stride = -(-count // MAX_FRAMES)
    kept = list(range(0, count, stride))
    return tuple(kept if kept[-1] == count - 1 else [*kept, count - 1])


def _smaller(frame: Image.Image, side: int) -> Image.Image:
    scale = side / max(frame.size)
    if scale >= 1.0:
        return frame
    return frame.resize(
        (max(1, round(scale * frame.width)), max(1, round(scale * frame.height))), Image.Resampling.LANCZOS
    )
