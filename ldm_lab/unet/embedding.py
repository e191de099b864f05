"""The time as a vector."""

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
