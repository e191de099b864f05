"""Many frames in one picture, so that a browser can scrub through them without asking again."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import grid

JPEG = {"format": "JPEG", "quality": 85}
MAX_FRAMES = 200
MAX_SHEET_SIDE = 8192  # what browsers decode everywhere


@dataclass(frozen=True, slots=True)
class Sprites:
    """A sheet of frames, row by row without padding.

    Attributes:
        data: A picture file; JPEG, unless it was asked for without loss.
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
    mime: str = "image/jpeg"


def sprites(
    frames: Sequence[Image.Image], *, side: int = 256, max_frames: int = MAX_FRAMES, lossless: bool = False
) -> Sprites:
    """Put frames of one size on a sheet; of more than ``max_frames``, every n-th and the last.

    Args:
        frames: RGB, at least one.
        side: Larger ones are made smaller until no side is longer, in pixels.
        max_frames: How many are kept, and perhaps the last beside them.
        lossless: PNG, about ten times as large; JPEG shows blocks where small frames are enlarged.

    Raises:
        RequestError: If there is no frame.
        ImageError: If sizes differ.
    """
    if not frames:
        raise RequestError("there is no frame; give at least one")
    indices = kept_indices(len(frames), max_frames)
    kept = [_smaller(frames[index], side) for index in indices]
    width, height = kept[0].size
    columns = max(1, min(len(kept), MAX_SHEET_SIDE // width))
    buffer = BytesIO()
    grid(kept, columns=columns, padding=0).save(buffer, **({"format": "PNG"} if lossless else JPEG))
    return Sprites(buffer.getvalue(), columns, indices, width, height, "image/png" if lossless else "image/jpeg")


def kept_indices(count: int, most: int) -> tuple[int, ...]:
    """Which of ``count`` are kept where there is room for ``most``: every n-th, and the last."""
    stride = -(-count // max(1, most))
    kept = list(range(0, count, stride))
    return tuple(kept if kept[-1] == count - 1 else [*kept, count - 1])


def _smaller(frame: Image.Image, side: int) -> Image.Image:
    scale = side / max(frame.size)
    if scale >= 1.0:
        return frame
    return frame.resize(
        (max(1, round(scale * frame.width)), max(1, round(scale * frame.height))), Image.Resampling.LANCZOS
    )
