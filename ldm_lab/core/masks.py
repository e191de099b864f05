"""Masks of pictures. The one place that states their polarity: **1 = repaint, 0 = keep**.

In files and pictures white repaints and black keeps. Everything inside the package holds masks as float tensors of
exact zeros and ones, beside images in [-1, 1]; foreign polarities and ranges are converted at the border, here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import ImageError, ShapeError
from ldm_lab.core.images import Picture, to_numpy

THRESHOLD = 0.5  # from here on a pixel is repainted: 128 of 255; LDM's scripts/inpaint.py divides at the same value
HOLE = -1.0  # what a network sees where the picture is to be repainted: black, as in the same script
_PIL_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


@dataclass(frozen=True, slots=True, eq=False)
class MaskedPicture:
    """A picture and the part of it that is to be repainted.

    An empty mask (all 0) repaints nothing, a full one (all 1) everything; both are allowed.

    Attributes:
        image: The whole picture in [-1, 1]; what lies under the mask is not looked at. (3, H, W)
        mask: Zeros and ones, 1 = repaint. (1, H, W)
    """

    image: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        image, mask = tuple(self.image.shape), tuple(self.mask.shape)
        if len(image) != 3 or image[0] != 3:
            raise ShapeError(f"a picture to be masked has shape {image}; expected (3, height, width)")
        if len(mask) != 3 or mask[0] != 1:
            raise ShapeError(f"a mask has shape {mask}; expected (1, height, width)")
        _check_same_size((mask[2], mask[1]), (image[2], image[1]))
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise ImageError("a mask has values besides 0 (keep) and 1 (repaint); make it with to_mask")

    @property
    def visible(self) -> Tensor:
        """The picture with its hole painted black. (3, H, W)"""
        return torch.where(self.mask > 0, HOLE, self.image)


def to_mask(picture: Picture, *, size: tuple[int, int]) -> Tensor:
    """Read a mask: pixels of at least half brightness are to be repainted.

    Args:
        picture: A PIL image (transparent counts as black, colours by their luminance), or an array or tensor (H, W),
            (1, H, W) or (H, W, 1) of booleans, of bytes from 0 to 255, or of floats from 0 to 1.
        size: Width and height of the image that it belongs to.

    Returns:
        Zeros and ones in fp32, 1 = repaint. (1, H, W)

    Raises:
        ImageError: If it has another size, of which both are named, or values or a mode that could be misread.
    """
    values = _pixels(picture) if isinstance(picture, Image.Image) else _array(picture)
    _check_same_size((values.shape[1], values.shape[0]), size)
    return torch.from_numpy(_shares(values) >= THRESHOLD).float()[None]


def latent_mask(mask: Tensor, *, factor: int) -> Tensor:
    """The mask at the size of a latent: a cell is repainted if any of its pixels is.

    LDM's scripts/inpaint.py takes one pixel of each cell (nearest), which overlooks what is thinner than a cell.

    Args:
        mask: Zeros and ones, 1 = repaint. (1, H, W) or (B, 1, H, W)
        factor: Downsampling factor of the first stage.

    Raises:
        ShapeError: If a side is no multiple of ``factor``.
    """
    height, width = mask.shape[-2:]
    if height % factor or width % factor:
        raise ShapeError(f"a mask of {width} x {height} pixels cannot be divided into cells of {factor} x {factor}")
    return F.max_pool2d(mask, factor)


def soften_edge(mask: Tensor, *, width: int) -> Tensor:
    """How much of each pixel is made anew, if the hole fades in from its edge; what is kept is kept wholly.

    The mean of the hole and of what is left of it without its outermost 1 to ``width`` pixels: the share rises in equal
    steps from 1 / (width + 1) at the edge to 1 at a depth of ``width``. The border of the picture is no edge.

    Args:
        mask: Zeros and ones, 1 = repaint. (B, 1, H, W)
        width: Pixels; 0 fades nothing.

    Returns:
        0 where the mask is 0, more than 0 where it is 1. (B, 1, H, W)
    """
    kept, shares = 1.0 - mask, mask
    for _ in range(width):
        kept = F.max_pool2d(kept, 3, stride=1, padding=1)
        shares = shares + (1.0 - kept)
    return shares / (width + 1)


def fill_hole(image: Tensor, mask: Tensor) -> Tensor:
    """The picture with its hole in the colours around it; what lies under the mask is not looked at.

    A place takes the mean of what is known in the smallest cell around it that knows anything, cells growing by
    doubling, with smooth passages between them: the pull and push of The Lumigraph (Gortler et al. 1996), with weights
    of 0 or 1. Where nothing is known at all, it is grey.

    Args:
        image: In [-1, 1]. (B, 3, H, W)
        mask: Zeros and ones, 1 = repaint. (B, 1, H, W)
    """
    return _known_or_coarser(torch.where(mask > 0, 0.0, image), 1.0 - mask)


def _known_or_coarser(colours: Tensor, weights: Tensor) -> Tensor:
    """Colours where a weight says that they are known, elsewhere those of a grid of half the size. (B, 3, h, w)"""
    height, width = weights.shape[-2:]
    if bool((weights > 0).all()) or height == width == 1:
        return colours
    pooled = F.avg_pool2d(weights, 2, ceil_mode=True)  # (B, 1, h / 2, w / 2)
    means = F.avg_pool2d(colours * weights, 2, ceil_mode=True) / pooled.clamp(min=torch.finfo(pooled.dtype).tiny)
    coarser = F.interpolate(_known_or_coarser(means, pooled), size=(height, width), mode="bilinear")
    return torch.where(weights > 0, colours, coarser)


def crop_around(mask: Tensor, *, padding: int, least: int, multiple: int) -> tuple[int, int, int, int]:
    """The part of a picture that has to be seen to repaint its hole: the hole and a margin, within the picture.

    Args:
        mask: Zeros and ones, 1 = repaint; not empty. (1, H, W)
        padding: Pixels of margin on every side.
        least: Shortest side of the part, where the picture is that large.
        multiple: What its sides are a multiple of.

    Returns:
        Left, top, right, bottom in pixels; the last two lie outside.

    Raises:
        ShapeError: If no such part holds the whole hole.
    """
    height, width = mask.shape[-2:]
    rows, columns = mask[0].any(1).nonzero(), mask[0].any(0).nonzero()
    left, right = _stretch(columns, width, padding=padding, least=least, multiple=multiple)
    top, bottom = _stretch(rows, height, padding=padding, least=least, multiple=multiple)
    return left, top, right, bottom


def _stretch(places: Tensor, side: int, *, padding: int, least: int, multiple: int) -> tuple[int, int]:
    """Where along a side the part begins and ends."""
    begin, end = int(places.min()) - padding, int(places.max()) + 1 + padding
    length = max(end - begin, min(least, side))
    length = min(-(-length // multiple), side // multiple) * multiple
    if length < end - begin - 2 * padding:
        raise ShapeError(
            f"the hole is {end - begin - 2 * padding} pixels long, and the longest part of a side of {side} that is a "
            f"multiple of {multiple} has {length}; scale the picture to a multiple of {multiple}"
        )
    begin = min(max(0, (begin + end - length) // 2), side - length)
    return begin, begin + length


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownPixels:
    """How much the pixels that were to be kept would have changed, had they not been pasted back.

    Attributes:
        count: How many pixels were to be kept.
        share_changed: Share of them that differ in any channel, from 0 to 1.
        mean_change: Mean absolute difference over their channels, in levels of 255.
        max_change: Largest absolute difference, in levels of 255.
    """

    count: int
    share_changed: float
    mean_change: float
    max_change: int

    @property
    def sentence(self) -> str:
        """The report in words."""
        if self.count == 0:
            return "the mask covers the whole image: there are no known pixels"
        return (
            f"known pixels are the input's; without pasting them back {self.share_changed:.1%} of {self.count} would "
            f"have changed, by {self.mean_change:.2f} of 255 levels on average and {self.max_change} at most"
        )


def paste_back(generated: Tensor, original: Tensor, mask: Tensor) -> tuple[Tensor, tuple[KnownPixels, ...]]:
    """Put the known pixels of the input back into what was generated, bit for bit.

    Args:
        generated: Pictures of a model, from ``to_uint8``. uint8 (B, H, W, 3)
        original: The inputs. uint8 (B, H, W, 3)
        mask: 0 = keep, 1 = repaint; what lies between, as ``soften_edge`` gives it, blends. (B, 1, H, W)

    Returns:
        Pictures, uint8 (B, H, W, 3), and for each of them how much its known pixels would have changed.

    Raises:
        ShapeError: If shapes differ.
        ImageError: If pictures are not bytes.
    """
    _check_bytes(generated, original, mask)
    shares = mask[:, 0, :, :, None]  # (B, H, W, 1)
    pasted = (shares * generated + (1.0 - shares) * original).round().to(torch.uint8)  # exact where a share is 0 or 1
    changes = (generated.int() - original.int()).abs()  # (B, H, W, 3)
    return pasted, tuple(_known(change[share[..., 0] == 0]) for change, share in zip(changes, shares, strict=True))


def known_pixels(picture: Image.Image, original: Image.Image, mask: Tensor) -> KnownPixels:
    """How far a finished picture departs from the input where that was to be kept.

    Args:
        picture: RGB.
        original: The input, RGB.
        mask: Zeros and ones, 1 = repaint. (1, H, W)

    Raises:
        ImageError: If sizes differ.
    """
    _check_same_size((mask.shape[2], mask.shape[1]), original.size)
    _check_same_size((mask.shape[2], mask.shape[1]), picture.size)
    pixels, before = (torch.from_numpy(np.array(each)).int() for each in (picture, original))  # (H, W, 3)
    return _known((pixels - before).abs()[mask[0] == 0])


def _known(changes: Tensor) -> KnownPixels:
    """Summarise absolute changes of known pixels. (N, 3)"""
    if len(changes) == 0:
        return KnownPixels(count=0, share_changed=0.0, mean_change=0.0, max_change=0)
    return KnownPixels(
        count=len(changes),
        share_changed=changes.any(dim=1).double().mean().item(),
        mean_change=changes.double().mean().item(),
        max_change=int(changes.max()),
    )


def _check_bytes(generated: Tensor, original: Tensor, mask: Tensor) -> None:
    if generated.dtype != torch.uint8 or original.dtype != torch.uint8:
        raise ImageError(f"pixels are {generated.dtype} and {original.dtype}; pasting back needs uint8, see to_uint8")
    wanted = (len(original), 1, *original.shape[1:3])
    if generated.shape != original.shape or tuple(mask.shape) != wanted:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (generated, original, mask))
        raise ShapeError(f"generated, original and mask are {shapes}; expected twice (B, H, W, 3), then (B, 1, H, W)")


def _pixels(picture: Image.Image) -> np.ndarray:
    """Luminance of a PIL image on black, 0 to 255. (H, W)"""
    if picture.mode not in _PIL_MODES:
        raise ImageError(f"a mask has mode {picture.mode}; use {', '.join(_PIL_MODES)} or read it with read_image")
    if picture.has_transparency_data:
        overlay = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), overlay)
    return np.asarray(picture.convert("L"))


def _array(values: np.ndarray | Tensor) -> np.ndarray:
    """An array or tensor as (H, W)."""
    array = to_numpy(values) if isinstance(values, Tensor) else np.asarray(values)
    shape = array.shape
    if array.ndim == 3 and 1 in (shape[0], shape[2]):
        array = array[0] if shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise ImageError(f"a mask has shape {shape}; expected (height, width), with one channel at most")
    return array


def _shares(values: np.ndarray) -> np.ndarray:
    """Mask values of any accepted kind as shares from 0 to 1. (H, W)"""
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype == np.uint8:
        if values.max(initial=0) == 1:
            raise ImageError("a mask of bytes has no value above 1, where 255 means repaint; pass booleans for 0 and 1")
        return values / 255.0
    if not np.issubdtype(values.dtype, np.floating):
        raise ImageError(f"a mask has values of type {values.dtype}; use booleans, bytes 0 to 255, or floats 0 to 1")
    if not bool(((values >= 0) & (values <= 1)).all()):  # also true of NaN
        low, high = float(values.min()), float(values.max())
        raise ImageError(f"a mask has float values from {low:g} to {high:g}; expected 0 (keep) to 1 (repaint)")
    return values


def _check_same_size(mask: Sequence[int], image: Sequence[int]) -> None:
    if tuple(mask) != tuple(image):
        raise ImageError(
            f"the mask has {mask[0]} x {mask[1]} pixels, the image {image[0]} x {image[1]}; make them the same size"
        )
