"""Convolutional blocks that the autoencoder and the UNet share: residual block, downsampling, upsampling.

Parameters carry the names that diffusers gives them, so its weights load without a map.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resample = Literal["up", "down"]


def group_norm(channels: int, *, groups: int = 32, eps: float = 1e-6) -> nn.GroupNorm:
    """GroupNorm with the reference's defaults: 32 groups, eps 1e-6 in the first stage and 1e-5 in the UNet."""
    return nn.GroupNorm(groups, channels, eps=eps)


def repeat_batch(h: Tensor, batch: int) -> Tensor:
    """Repeat a whole batch until it has ``batch`` entries, [copy 0 of all, copy 1 of all, …]; keeps the layout."""
    return h if batch <= len(h) else torch.cat([h] * (batch // len(h)))


class ResidualBlock(nn.Module):
    """norm → SiLU → conv, twice, around a skip; optionally modulated by an embedding, optionally resampling.

    The modulation is projected outside of ``forward`` (see ``modulation``), because in a sampling loop it is known
    before the first step.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output; where it differs, a 1×1 convolution joins the skip.
        embedding_channels: Width of the embedding that modulates the block; None for none.
        groups: Groups of both norms.
        eps: Epsilon of both norms.
        dropout: Probability before the second convolution.
        scale_shift: Modulate by scale and shift after the second norm (ADM) instead of adding before it (DDPM).
        resample: Halve or double the resolution inside the block (``resblock_updown`` of the reference).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding_channels: int | None = None,
        groups: int = 32,
        eps: float = 1e-6,
        dropout: float = 0.0,
        scale_shift: bool = False,
        resample: Resample | None = None,
    ) -> None:
        super().__init__()
        self.scale_shift, self.resample = scale_shift, resample
        self.norm1 = group_norm(in_channels, groups=groups, eps=eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        if embedding_channels is not None:
            self.time_emb_proj = nn.Linear(embedding_channels, out_channels * (2 if scale_shift else 1))
        self.norm2 = group_norm(out_channels, groups=groups, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def modulation(self, embedding: Tensor) -> Tensor:
        """Project an embedding (B, E) to what this block adds, or to its scale and shift: (B, C or 2C, 1, 1)."""
        return self.time_emb_proj(F.silu(embedding))[:, :, None, None]

    def forward(self, h: Tensor, modulation: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, H', W'); ``modulation`` comes from the method of that name."""
        skip = self._resample(h)
        h = self.conv1(self._resample(F.silu(self.norm1(h))))
        if modulation is None:
            h = self.norm2(h)
        elif self.scale_shift:
            scale, shift = modulation.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + modulation)
        return self.conv_shortcut(skip) + self.conv2(self.dropout(F.silu(h)))

    def _resample(self, h: Tensor) -> Tensor:
        if self.resample == "up":
            return F.interpolate(h, scale_factor=2.0, mode="nearest")
        return F.avg_pool2d(h, 2) if self.resample == "down" else h


class Downsample(nn.Module):
    """Convolution with stride 2.

    The first stage pads zeros on the right and at the bottom only, the UNet on all sides; both are as in the reference.
    """

    def __init__(self, channels: int, *, asymmetric: bool = False) -> None:
        super().__init__()
        self.asymmetric = asymmetric
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=0 if asymmetric else 1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H/2, W/2)."""
        return self.conv(F.pad(h, (0, 1, 0, 1)) if self.asymmetric else h)


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, 2H, 2W)."""
        return self.conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))
