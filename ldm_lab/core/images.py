"""Pictures in and out: PIL image ↔ uint8 ↔ float in [-1, 1]. The only home of 127.5 and 255.

``read_image`` is the one door for pictures from outside: it decides what is accepted, for data sets, masks, notebooks
and the web page alike.
"""

import math
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BytesIO, TextIOBase
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from ldm_lab.core.errors import ImageError, ShapeError
from ldm_lab.core.io import write_atomic

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_BYTES = 10_000_000
MAX_SIDE = 4096
MAX_PIXELS = MAX_SIDE * MAX_SIDE
GUTTER = (200, 200, 200)  # between the images of a sheet: pictures on white, grey and black all end somewhere
PADDING = 2  # pixels of it
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image
Picture = Image.Image | np.ndarray | Tensor


def to_tensor(images: Picture | Sequence[Image.Image]) -> Tensor:
    """Images as the networks see them: x = u / 127.5 - 1.

    Args:
        images: An RGB image, several of one size, or uint8 values. (H, W, 3) or (B, H, W, 3)

    Returns:
        float32 in [-1, 1]. (B, 3, H, W)

    Raises:
        ImageError: If an image is not RGB, sizes differ, or values are not uint8.
    """
    pixels = torch.from_numpy(_to_array(images))  # (B, H, W, 3) uint8
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1.0  # (B, 3, H, W)


def to_uint8(x: Tensor) -> Tensor:
    """Round images in [-1, 1] to bytes; values outside are clamped.

    Args:
        x: Images of any float dtype. (B, 3, H, W)

    Returns:
        uint8 on the device of ``x``. (B, H, W, 3)

    Raises:
        ShapeError: If ``x`` is not (B, 3, H, W).
        ImageError: If a value is NaN or infinite, because no picture may be made from such values.
    """
    if x.ndim != 4 or x.shape[1] != 3:
        raise ShapeError(f"images have shape {tuple(x.shape)}; expected (B, 3, H, W)")
    num_bad = x.numel() - int(torch.isfinite(x).sum())
    if num_bad:
        raise ImageError(f"{num_bad} of {x.numel()} values are NaN or infinite; decode in fp32 or check the weights")
    return ((x.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)  # (B, H, W, 3)


def to_pil(x: Tensor) -> list[Image.Image]:
    """Images in [-1, 1] as PIL images, one for each row of the batch. (B, 3, H, W)"""
    return [Image.fromarray(pixels) for pixels in to_uint8(x.detach()).cpu().contiguous().numpy()]


def read_image(source: Source, *, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Read a picture from outside under one contract.

    PNG, JPEG, WEBP, BMP, GIF or TIFF of at most 10 MB and 4096 pixels a side, which is checked before the pixels are
    decoded. Turned upright by its EXIF orientation (an unreadable EXIF block counts as none); of an animation the
    first frame, with a warning; 16 bits are scaled to 8; integer pixels (mode I) must lie in 0..65535 and float pixels
    (mode F) in [0, 1]. Colour profiles are not applied.

    Args:
        source: Path, content, binary file, or what PIL has opened.
        background: RGB colour, 0 to 255, on which transparent pixels are laid.

    Returns:
        RGB, uint8, without metadata.

    Raises:
        ImageError: If the file is missing, too large, of another format, truncated, or damaged.
    """
    with opened(source) as (name, image):
        image.load()
        return _lay_on(_to_8_bits(upright(image), name), background)


@contextmanager
def opened(source: Source) -> Iterator[tuple[str, Image.Image]]:
    """A picture under the contract of ``read_image``, still to be decoded, and its name for messages.

    Raises:
        ImageError: As ``read_image`` does; also for what goes wrong with the picture inside the block.
    """
    name, data = ("the image", source) if isinstance(source, Image.Image) else _read_bytes(source)
    try:
        with _handle(data) as image:
            check_size(image.size, name)
            if getattr(image, "is_animated", False):
                warnings.warn(f"{name} has several frames; the first one is used", stacklevel=4)
            yield name, image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture in a known format; use {', '.join(FORMATS)}") from error
    except Exception as error:  # decoders raise a dozen types on damaged bytes: OSError, SyntaxError, struct.error …
        raise ImageError(f"{name} is truncated or damaged: {error}; save it again as PNG") from error


def grid(
    images: Sequence[Image.Image],
    *,
    columns: int | None = None,
    padding: int = PADDING,
    background: tuple[int, int, int] = GUTTER,
) -> Image.Image:
    """Lay images of one size on a sheet, row by row; a single one is the sheet, without a margin.

    Args:
        images: At least one image.
        columns: Images in a row; None makes the sheet about square.
        padding: Pixels around and between images.
        background: RGB colour of the padding, 0 to 255.

    Raises:
        ImageError: If there is no image, or sizes differ.
    """
    width, height = _common_size(images)
    padding = padding if len(images) > 1 else 0
    columns = min(len(images), columns or math.ceil(math.sqrt(len(images))))
    rows = math.ceil(len(images) / columns)
    step_x, step_y = width + padding, height + padding
    sheet = Image.new("RGB", (columns * step_x + padding, rows * step_y + padding), background)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        sheet.paste(image, (padding + column * step_x, padding + row * step_y))
    return sheet


def strip(images: Sequence[Image.Image], *, padding: int = PADDING) -> Image.Image:
    """Lay images of one size in one row, as for the steps of a denoising process."""
    return grid(images, columns=len(images), padding=padding)


def save_png(path: str | Path, image: Image.Image) -> None:
    """Write a picture as PNG so that the file is whole or absent; folders on the way are made.

    Raises:
        CheckpointError: If it cannot be written.
    """
    buffer = BytesIO()
    image.save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())


def to_numpy(values: Tensor) -> np.ndarray:
    """A tensor of any device and type, also of those that NumPy lacks: floats come as fp32."""
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def _to_array(images: Picture | Sequence[Image.Image]) -> np.ndarray:
    """Any accepted kind of picture as a fresh uint8 array. (B, H, W, 3)"""
    if isinstance(images, Image.Image):
        images = [images]
    if isinstance(images, Tensor):
        pixels = images.detach().cpu().numpy().copy()
    elif isinstance(images, np.ndarray):
        pixels = images.copy()
    else:
        _common_size(images)
        pixels = np.stack([np.asarray(image) for image in images])
    if pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ImageError(f"pixels are {pixels.dtype} of shape {pixels.shape}; expected uint8 (B, H, W, 3)")
    return pixels


def _common_size(images: Sequence[Image.Image]) -> tuple[int, int]:
    """Width and height of all images, which must be RGB and of one size."""
    if not images:
        raise ImageError("no image was given; at least one is needed")
    for image in images:
        if image.mode != "RGB":
            raise ImageError(f"an image has mode {image.mode}; convert it to RGB or read it with read_image")
        if image.size != images[0].size:
            raise ImageError(f"images differ in size: {_spell(images[0].size)} and {_spell(image.size)}; resize first")
    return images[0].size


def _spell(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _read_bytes(source: str | os.PathLike[str] | bytes | BinaryIO) -> tuple[str, bytes]:
    """Name for messages and content, never more than the limit of it in memory."""
    if isinstance(source, bytes):
        name, data = "the image", source
    elif isinstance(source, str | os.PathLike):
        name, data = str(source), _read_regular_file(Path(source))
    else:
        name = str(getattr(source, "name", "the image"))
        data = _read_open_file(source, name)
    if not data:
        raise ImageError(f"{name} is empty")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} is larger than {MAX_BYTES} bytes, the limit; save it smaller")
    return name, data


def _handle(data: bytes | Image.Image) -> AbstractContextManager[Image.Image]:
    return nullcontext(data) if isinstance(data, Image.Image) else Image.open(BytesIO(data), formats=FORMATS)


def _read_open_file(file: BinaryIO, name: str) -> bytes:
    if isinstance(file, TextIOBase):
        raise ImageError(f"{name} is open as text; open it with mode 'rb'")
    try:
        return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"{name} cannot be read: {error}") from error


def _read_regular_file(path: Path) -> bytes:
    """Read at most the limit and one byte; pipes and devices, which may never end, are refused."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError(f"{path} is not a file")
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ImageError(f"{str(path)!r} cannot be read: {reason}") from error


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse a picture without pixels, and one with too many.

    Args:
        size: Width and height.
        name: What it is called in the message.

    Raises:
        ImageError: Naming the size.
    """
    width, height = size
    if min(size) < 1:
        raise ImageError(f"{name} has {_spell(size)} pixels; it must have at least one")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(f"{name} has {_spell(size)} pixels; at most {MAX_SIDE} a side are accepted")


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # an EXIF block can be broken in as many ways as a picture, and says nothing about its pixels
        orientation = 1
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_8_bits(image: Image.Image, name: str) -> Image.Image:
    """Scale integer and float pixels to 8 bits, and take LAB to sRGB; other modes already have 8 bits or less."""
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image), image.info.get("transparency"), name)
    if image.mode == "F":
        return _from_floats(np.asarray(image), name)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    return image


def _from_integers(values: np.ndarray, transparent: int | None, name: str) -> Image.Image:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(f"{name} has integer pixels from {low} to {high}; expected 0 to 65535, save it with 16 bits")
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 257 * 255
    alpha = np.where(values == (-1 if transparent is None else transparent), 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([grey, alpha], axis=-1))  # mode LA


def _from_floats(values: np.ndarray, name: str) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):  # also true of NaN
        raise ImageError(f"{name} has float pixels from {low} to {high}; expected 0 to 1")
    return Image.fromarray(np.round(values * 255.0).astype(np.uint8))


def _lay_on(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Composite on a colour where there is transparency, and rebuild from bare pixels so that no metadata remains."""
    if image.has_transparency_data:
        overlay = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), overlay)
    return Image.fromarray(np.array(image.convert("RGB")))
