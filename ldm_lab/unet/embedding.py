"""The time as a vector, and places as a map."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoids(t: Tensor, channels: int) -> Tensor:
    """Cosines, then sines, of the time at ``channels / 2`` frequencies from 1 down to almost 1/10000.

    "Attention Is All You Need" (Vaswani et al. 2017), section 3.5, in the order and with the divisor of the reference;
    always in fp32, in which its weights were trained.

    Args:
        t: Steps, whole or fractional. (B,)
        channels: Width of the result; even.

    Returns:
        (B, channels) fp32.
    """
    half = channels // 2
    exponents = -math.log(10_000) * torch.arange(half, dtype=torch.float32, device=t.device) / half
    angles = t.float()[:, None] * exponents.exp()  # (B, half)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class EmbeddingMLP(nn.Module):
    """Two layers that turn the sinusoids of the time, or a vector condition, into an embedding."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, out_channels)
        self.linear_2 = nn.Linear(out_channels, out_channels)

    def forward(self, vector: Tensor) -> Tensor:
        """(B, C) → (B, E)."""
        return self.linear_2(F.silu(self.linear_1(vector.to(self.linear_1.weight.dtype))))


class PlaceEmbedding(nn.Module):
    """Where each place of a feature map is in the image.

    Convolutions know it by the zeros beyond the border alone, which few levels carry too short a way for words such as
    "at the top". A linear map of x and y, from -1 to 1 over the image whatever its size: the coordinates of CoordConv
    (Liu et al. 2018), to be added after the first convolution.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(2, out_channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W), of which only the size counts → (1, out_channels, H, W)."""
        y, x = (_centres(size, like=self.linear.weight) for size in h.shape[2:])
        return self.linear(torch.stack(torch.meshgrid(x, y, indexing="xy"))[None])


def _centres(size: int, *, like: Tensor) -> Tensor:
    """Centres of ``size`` cells that divide -1 to 1. (size,)"""
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2.0 / size) - 1.0
