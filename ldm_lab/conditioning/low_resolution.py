"""Low-resolution images: concatenated to the latent as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Encode, Prepared, check_one_size, checked_pictures, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import RequestError


@dataclass(frozen=True, kw_only=True, slots=True)
class LowResolutionImageConfig:
    """How much larger than its condition an image is."""

    factor: int = setting(4, help="Side of an image over side of its condition; that of the first stage.", minimum=1)

    concat_channels: ClassVar[int] = 3

    def __post_init__(self) -> None:
        check(self)


class LowResolutionImage(nn.Module):
    """Small images (B, 3, h, w), of the latent's height and width, concatenated to it.

    LDM (Rombach et al. 2022), section 4.4; in the released ``bsr_sr`` the encoder of the condition is the identity.
    """

    _place: Tensor  # empty, and where the module is, as there are no weights that would know

    null = None
    has_null = False
    context_dim = None
    vector_dim = None
    concat_channels = 3

    def __init__(self, config: LowResolutionImageConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("_place", torch.empty(0), persistent=False)

    def attach(self, encode: Encode) -> None:
        """Needs no first stage: the image itself is of the latent's size."""

    def prepare(self, y: Sequence[Tensor]) -> Prepared:
        """Small images in [-1, 1], each (3, h, w) → {"image": (B, 3, h, w)} on the CPU.

        Raises:
            RequestError: If an image is missing, of another shape or range, or sizes differ.
        """
        images = checked_pictures(y, Tensor, name="a low-resolution image")
        for image in images:
            _check_image(image)
        check_one_size(images, name="the low-resolution images")
        return {"image": torch.stack([image.cpu().float() for image in images])}

    def forward(self, prepared: Prepared) -> Conditioning:
        """{"image": (B, 3, h, w)} → the same as concat."""
        return Conditioning(concat=prepared["image"])

    def encode(self, y: Sequence[Tensor]) -> Conditioning:
        """Small images → ``Conditioning`` on the module's device."""
        return self(move(self.prepare(y), self._place.device))

    def notes(self, y: Sequence[Tensor]) -> list[str]:
        """Nothing of an image is left out."""
        self.prepare(y)
        return []


def _check_image(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise RequestError(
            f"a low-resolution image is {image.dtype} of shape {tuple(image.shape)}; expected floats (3, height, width)"
        )
    if not bool((image.abs() <= 1).all()):  # also true of NaN
        low, high = image.min().item(), image.max().item()
        raise RequestError(f"a low-resolution image has values from {low:g} to {high:g}; expected -1 to 1")
