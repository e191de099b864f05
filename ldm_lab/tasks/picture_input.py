"""Pictures as settings: values that are compared, hashed and kept in a run's record, as a number or a word is."""

import base64
import os
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ldm_lab.core.class_maps import read_class_map
from ldm_lab.core.errors import ImageError
from ldm_lab.core.images import check_size, read_image, to_numpy, to_pil, to_tensor
from ldm_lab.core.masks import to_mask

PREFIX = "data:image/png;base64,"
MAX_PNG_BYTES = 3_000_000  # of a picture in a record: 1024 x 1024 photographs have less

PictureSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray | Tensor


@dataclass(frozen=True, slots=True)
class Picture:
    """An RGB picture that a task starts from.

    In JSON it is a PNG as a data URI, so that the record of a run holds it and nothing has to be kept beside.

    Attributes:
        width: In pixels.
        height: In pixels.
        pixels: Bytes of the pixels, row by row.
    """

    mode: ClassVar[str] = "RGB"

    width: int
    height: int
    pixels: bytes

    @classmethod
    def of(cls, source: PictureSource) -> Self:
        """Read a picture under the contract of ``read_image``.

        Args:
            source: Path, content of a file, binary file, PIL image, array, tensor, or a ``Picture``. Arrays are uint8:
                (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA. Tensors are images as the networks see them: float in
                [-1, 1], (3, H, W) or (1, 3, H, W).

        Raises:
            ImageError: If it is no picture, or damaged, or too large.
        """
        return source if isinstance(source, cls) else cls.from_image(_read(source))

    @classmethod
    def from_image(cls, image: Image.Image) -> Self:
        """The pixels of an RGB image."""
        return cls(image.width, image.height, image.convert(cls.mode).tobytes())

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read a data URI; nothing else, so that a record from elsewhere cannot name a file of this machine.

        Raises:
            ImageError: If it is no PNG as a data URI, or damaged.
        """
        if not isinstance(value, str) or not value.startswith(PREFIX):
            raise ImageError(f"a picture in a record begins with {PREFIX!r}, this one is {value!r:.40}")
        try:
            data = base64.b64decode(value[len(PREFIX) :], validate=True)
        except ValueError as error:
            raise ImageError(f"a picture in a record is damaged: {error}") from error
        return cls.of(data)

    def to_json(self) -> str:
        """PNG as a data URI."""
        return PREFIX + base64.b64encode(self.png()).decode()

    def png(self) -> bytes:
        """The content of a PNG file."""
        buffer = BytesIO()
        self.image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    @property
    def most_png_bytes(self) -> int:
        """A bound on the bytes of its PNG: what cannot be compressed is stored, with a byte a row and a frame."""
        stored = len(self.pixels) + self.height
        return stored + stored // 100 + 1000

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def image(self) -> Image.Image:
        """As a PIL image."""
        return Image.frombytes(self.mode, self.size, self.pixels)

    def tensor(self) -> Tensor:
        """As the networks see it, in [-1, 1]. (1, 3, H, W)"""
        return to_tensor(self.image)

    def fitted(self, width: int, height: int) -> Self:
        """Enlarged or reduced until it covers that size, and what stands over cut off evenly; unchanged if it fits.

        Raises:
            ImageError: If the result is too large for a record.
        """
        fits = self.size == (width, height)
        picture = self if fits else self.from_image(ImageOps.fit(self.image, (width, height), self._resampling()))
        size = len(picture.png()) if picture.most_png_bytes > MAX_PNG_BYTES else 0  # to make one takes a while
        if size > MAX_PNG_BYTES:
            raise ImageError(
                f"the picture of {width} x {height} pixels has {size} bytes as PNG; at most {MAX_PNG_BYTES} are "
                "accepted, so that the results can carry it; make it smaller"
            )
        return picture

    def _resampling(self) -> Image.Resampling:
        return Image.Resampling.LANCZOS

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.width} x {self.height}, {sha256(self.pixels).hexdigest()[:8]})"


@dataclass(frozen=True, slots=True, repr=False)
class MaskPicture(Picture):
    """Which pixels a task repaints: white ones, here bytes of 255, and it keeps black ones; see ``core.masks``.

    In JSON a PNG as a data URI, as for any ``Picture``.
    """

    mode: ClassVar[str] = "L"

    @classmethod
    def of(cls, source: PictureSource) -> Self:
        """Read a mask: pixels of at least half brightness are repainted, transparent ones are kept.

        Args:
            source: Path, content of a file, binary file, PIL image, ``MaskPicture``, or what ``core.masks.to_mask``
                takes: an array or tensor (H, W) of booleans, bytes from 0 to 255, or floats from 0 to 1.

        Raises:
            ImageError: If it is no mask, or damaged, or too large.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, np.ndarray | Tensor):
            return cls._of_mask(to_mask(source, size=_size_of(source)))
        return cls.from_image(read_image(_checked(source), background=(0, 0, 0)))

    @classmethod
    def from_image(cls, image: Image.Image) -> Self:
        """A picture of black and white."""
        return cls._of_mask(to_mask(image, size=image.size))

    @classmethod
    def _of_mask(cls, mask: Tensor) -> Self:
        pixels = (mask[0] * 255).byte().numpy()
        check_size(pixels.shape[::-1], "the mask")
        return cls(pixels.shape[1], pixels.shape[0], pixels.tobytes())

    @property
    def share(self) -> float:
        """Share of the pixels that are repainted, from 0 to 1."""
        return self.pixels.count(255) / len(self.pixels)

    def tensor(self) -> Tensor:
        """Zeros and ones, 1 = repaint. (1, 1, H, W)"""
        return to_mask(self.image, size=self.size)[None]

    def _resampling(self) -> Image.Resampling:
        return Image.Resampling.NEAREST


@dataclass(frozen=True, slots=True, repr=False)
class MapPicture(Picture):
    """A semantic map: of every pixel the number of its class, from 0 to 255."""

    mode: ClassVar[str] = "L"

    @classmethod
    def of(cls, source: PictureSource) -> Self:
        """Read a map: grey values, or indices into a palette, are numbers of classes.

        Args:
            source: Path, content of a file, binary file, PIL image, ``MapPicture``, or an array or tensor of integers
                from 0 to 255. (H, W)

        Raises:
            ImageError: If it is no map, or damaged, or too large.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, np.ndarray | Tensor):
            return cls._of_numbers(_numbers(source))
        return cls.from_image(_checked(source))

    @classmethod
    def from_image(cls, image: Any) -> Self:
        """The numbers of a picture; see ``core.class_maps``."""
        return cls._of_numbers(read_class_map(image))

    @classmethod
    def _of_numbers(cls, numbers: np.ndarray) -> Self:
        height, width = numbers.shape
        check_size((width, height), "the semantic map")
        return cls(width, height, numbers.tobytes())

    def tensor(self) -> Tensor:
        """Numbers of classes. int64 (H, W)"""
        return torch.from_numpy(np.asarray(self.image).astype(np.int64))

    def _resampling(self) -> Image.Resampling:
        return Image.Resampling.NEAREST


def _numbers(values: np.ndarray | Tensor) -> np.ndarray:
    """Numbers of classes as bytes. (H, W)"""
    values = to_numpy(values) if isinstance(values, Tensor) else values
    if values.ndim != 2 or values.size == 0 or not np.issubdtype(values.dtype, np.integer):
        raise ImageError(f"a semantic map is {values.dtype} of shape {values.shape}; expected integers (height, width)")
    if values.min() < 0 or values.max() > 255:
        raise ImageError(f"a semantic map has numbers from {values.min()} to {values.max()}; expected 0 to 255")
    return values.astype(np.uint8)


def _read(source: PictureSource) -> Image.Image:
    if isinstance(source, Tensor):
        return read_image(_from_tensor(source))
    if isinstance(source, np.ndarray):
        return read_image(_from_array(source))
    return read_image(_checked(source))


def _checked(source: Any) -> Any:
    if not isinstance(source, str | os.PathLike | bytes | Image.Image) and not hasattr(source, "read"):
        raise ImageError(
            f"a picture cannot be made of {source!r:.60}; give a path, the bytes of a file, a PIL image, an array or "
            "a tensor"
        )
    return source


def _size_of(values: np.ndarray | Tensor) -> tuple[int, int]:
    """Width and height of a mask (H, W), (1, H, W) or (H, W, 1), which is judged elsewhere."""
    sides = tuple(values.shape)
    height, width = sides[1:] if len(sides) == 3 and sides[0] == 1 else (*sides, 0, 0)[:2]
    return width, height


def _from_tensor(x: Tensor) -> Image.Image:
    batch = x[None] if x.ndim == 3 else x
    if not x.is_floating_point() or batch.ndim != 4 or batch.shape[:2] != (1, 3) or x.numel() == 0:
        raise ImageError(
            f"a picture is a {x.dtype} tensor of shape {tuple(x.shape)}; expected float in [-1, 1] of shape (3, H, W)"
        )
    low, high = x.min().item(), x.max().item()
    if not (low >= -1.0 and high <= 1.0):  # also true of NaN
        raise ImageError(f"a picture is a tensor of values from {low:.3g} to {high:.3g}; expected -1 to 1")
    return to_pil(batch)[0]


def _from_array(pixels: np.ndarray) -> Image.Image:
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not is_picture or pixels.size == 0:
        raise ImageError(
            f"a picture is a {pixels.dtype} array of shape {pixels.shape}; "
            "expected uint8 of shape (H, W), (H, W, 3) or (H, W, 4)"
        )
    return Image.fromarray(pixels)
