"""A picture as codes, what becomes of it when codes are changed, and what each code of a codebook looks like."""

from dataclasses import dataclass

import einops
import torch
from PIL import Image
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.probes.codebook import CodebookUsage, codebook_usage, decode_codes, image_codes, replace_code


@dataclass(frozen=True, slots=True, eq=False)
class CodedPicture:
    """Codes, and the image that the decoder makes of them.

    Attributes:
        codes: Index of a code at every place. (h, w)
        image: RGB.
    """

    codes: Tensor
    image: Image.Image

    def code_at(self, row: int, column: int) -> int:
        """The code at one place."""
        return int(self.codes[row, column])

    def count_changes(self, before: "CodedPicture") -> int:
        """At how many places the codes differ from those of another picture of the same size."""
        return int((self.codes != before.codes).sum())


@dataclass(frozen=True, slots=True, eq=False)
class CodebookSurvey:
    """The codes of a first stage, as images of f × f pixels, and how often they occur.

    Attributes:
        alone: Each code decoded without neighbours.
        in_context: The mean of what is decoded where it occurs in some images; of dead codes the same as alone.
        usage: How often, in those images.
    """

    alone: list[Image.Image]
    in_context: list[Image.Image]
    usage: CodebookUsage


def code_picture(autoencoder: Autoencoder, image: Image.Image) -> CodedPicture:
    """A picture, RGB, through a VQ first stage.

    Raises:
        RequestError: If there is no codebook.
        ShapeError: If a side is no multiple of f.
    """
    codes = image_codes(autoencoder, to_tensor(image).to(_device(autoencoder)))[0]
    return _decoded(autoencoder, codes)


def swap_code(
    autoencoder: Autoencoder,
    picture: CodedPicture,
    new: int,
    *,
    old: int | None = None,
    place: tuple[int, int] | None = None,
) -> CodedPicture:
    """Put a code into a picture and decode it.

    Args:
        autoencoder: That coded it.
        picture: Is not changed.
        new: The code that is put in.
        old: The code that it replaces everywhere; or
        place: row and column of the one place where it is put.

    Raises:
        RequestError: If there is no such code or place, or not exactly one of both is given.
    """
    if (old is None) == (place is None):
        raise RequestError(f"old is {old} and place {place}; give one of the two")
    if place is None:
        return _decoded(autoencoder, replace_code(picture.codes, old, new))
    (row, column), (height, width) = place, picture.codes.shape
    if not (0 <= row < height and 0 <= column < width):
        raise RequestError(f"place is {place}; the picture has {height} rows and {width} columns, counted from 0")
    codes = picture.codes.clone()
    codes[row, column] = new
    return _decoded(autoencoder, codes)


@torch.no_grad()
def survey_codebook(autoencoder: Autoencoder, x: Tensor) -> CodebookSurvey:
    """Look at every code, alone and where it occurs in images.

    Args:
        autoencoder: With a VQ bottleneck.
        x: Images in [-1, 1]. (B, 3, H, W)

    Raises:
        RequestError: If there is no codebook.
    """
    codes = image_codes(autoencoder, x)  # (B, h, w)
    usage = codebook_usage(autoencoder, codes)
    numbers = torch.arange(len(usage.counts), device=codes.device)
    alone = decode_codes(autoencoder, numbers[:, None, None])  # (K, 3, f, f)
    means = _mean_patches(codes, decode_codes(autoencoder, codes), num_codes=len(numbers))
    is_dead = (usage.counts == 0)[:, None, None, None]
    return CodebookSurvey(to_pil(alone), to_pil(torch.where(is_dead, alone, means)), usage)


def _mean_patches(codes: Tensor, x: Tensor, *, num_codes: int) -> Tensor:
    """Mean over all places of a code of what is seen there. (B, h, w) and (B, 3, f·h, f·w) → (K, 3, f, f)"""
    patches = einops.rearrange(
        x, "b c (h top) (w left) -> (b h w) c top left", h=codes.shape[1], w=codes.shape[2]
    )  # (N, 3, f, f)
    sums = patches.new_zeros(num_codes, *patches.shape[1:]).index_add_(0, codes.flatten(), patches)
    counts = torch.bincount(codes.flatten(), minlength=num_codes)
    return sums / counts.clamp(min=1)[:, None, None, None]


@torch.no_grad()
def _decoded(autoencoder: Autoencoder, codes: Tensor) -> CodedPicture:
    return CodedPicture(codes, to_pil(decode_codes(autoencoder, codes[None]))[0])


def _device(autoencoder: Autoencoder) -> torch.device:
    return next(autoencoder.parameters()).device
