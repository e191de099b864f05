"""Masked images: what is visible, encoded by the first stage, and the mask, both concatenated to the latent."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Encode, Prepared, check_one_size, checked_pictures, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.config import check, setting
from ldm_lab.core.masks import MaskedPicture, latent_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedImageConfig:
    """What the first stage makes of a picture."""

    latent_channels: int = setting(dataclasses.MISSING, help="Channels of the first stage's latents.", minimum=1)

    def __post_init__(self) -> None:
        check(self)

    @property
    def concat_channels(self) -> int:
        """The latent of what is visible, and the mask."""
        return self.latent_channels + 1


class MaskedImage(nn.Module):
    """Pictures with a hole → (B, C + 1, h, w), concatenated to the latent: 7 channels in all for C = 3, 9 for C = 4.

    LDM (Rombach et al. 2022), section 4.5, in the ranges of the reference's ``scripts/inpaint.py``: the hole is painted
    black, the first stage encodes the picture (its mode), and the mask follows as the last channel, -1 = keep,
    1 = repaint. A cell of the small mask is to be repainted if any of its pixels is (see ``latent_mask``).

    The first stage belongs to the model, which attaches its ``encode``; it is no part of this module, so that its
    weights are neither trained nor saved here.
    """

    _place: Tensor  # empty, and where the module is, as there are no weights that would know

    null = None
    has_null = False
    context_dim = None
    vector_dim = None

    def __init__(self, config: MaskedImageConfig) -> None:
        super().__init__()
        self.config = config
        self.concat_channels = config.concat_channels
        self._encode: tuple[Encode, ...] = ()  # a tuple, so that nn.Module registers nothing
        self.register_buffer("_place", torch.empty(0), persistent=False)

    def attach(self, encode: Encode) -> None:
        """Take note of the first stage: images (B, 3, H, W) in [-1, 1] → scaled latents (B, C, h, w)."""
        self._encode = (encode,)

    def prepare(self, y: Sequence[MaskedPicture]) -> Prepared:
        """Masked pictures → {"visible": (B, 3, H, W), "mask": (B, 1, H, W)} on the CPU.

        Raises:
            RequestError: If a picture is missing, or sizes differ.
        """
        pictures = checked_pictures(y, MaskedPicture, name="a masked picture")
        check_one_size([picture.mask for picture in pictures], name="the masked pictures")
        return {
            "visible": torch.stack([picture.visible.cpu() for picture in pictures]),
            "mask": torch.stack([picture.mask.cpu() for picture in pictures]),
        }

    @torch.no_grad()
    def forward(self, prepared: Prepared) -> Conditioning:
        """{"visible": (B, 3, H, W), "mask": (B, 1, H, W)} → concat (B, C + 1, h, w)."""
        assert self._encode, "LatentDiffusion attaches its first stage"
        z = self._encode[0](prepared["visible"])  # (B, C, h, w)
        mask = latent_mask(prepared["mask"], factor=prepared["mask"].shape[-1] // z.shape[-1])  # (B, 1, h, w)
        return Conditioning(concat=torch.cat([z, 2.0 * mask.to(z) - 1.0], dim=1))

    def encode(self, y: Sequence[MaskedPicture]) -> Conditioning:
        """Masked pictures → ``Conditioning`` on the module's device."""
        return self(move(self.prepare(y), self._place.device))

    def notes(self, y: Sequence[MaskedPicture]) -> list[str]:
        """Say where a mask leaves nothing to do, or nothing to go by."""
        shares = [picture.mask.mean().item() for picture in checked_pictures(y, MaskedPicture, name="a masked picture")]
        empty = ["the mask is empty: nothing is repainted"] * (0.0 in shares)
        return empty + ["the mask covers the whole picture: nothing of it is seen"] * (1.0 in shares)
