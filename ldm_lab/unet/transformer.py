"""Where a UNet reads its context: transformer blocks over the places of a feature map.

LDM (Rombach et al. 2022), section 3.3 and appendix E.2.1. Where the paper's table and its code differ (norms, and the
order of the three parts) this follows the code, as every released weight does.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.nn.attention import Attention, KeysValues
from ldm_lab.nn.blocks import group_norm, repeat_batch


class GEGLU(nn.Module):
    """Gated linear unit with GELU; "GLU Variants Improve Transformer" (Shazeer 2020), section 2."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → (B, N, inner)."""
        value, gate = self.proj(tokens).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """Two layers, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → (B, N, C)."""
        return self.net(tokens)


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward; each after a LayerNorm and around a skip."""

    def __init__(self, width: int, *, num_heads: int, context_dim: int) -> None:
        super().__init__()
        heads = {"num_heads": num_heads, "head_channels": width // num_heads}
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, **heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, context_width=context_dim, **heads)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, tokens: Tensor, keys_values: KeysValues) -> Tensor:
        """(B, N, C) → (B', N, C), where B' is the batch of ``keys_values``, a multiple of B."""
        tokens = tokens + self.attn1(self.norm1(tokens))
        attended = self.attn2(self.norm2(tokens), keys_values)
        tokens = repeat_batch(tokens, len(attended)) + attended
        return tokens + self.ff(self.norm3(tokens))


class SpatialTransformer(nn.Module):
    """Transformer blocks over all places of a feature map, around a skip."""

    def __init__(self, channels: int, *, num_heads: int, context_dim: int, depth: int = 1, groups: int = 32) -> None:
        super().__init__()
        self.norm = group_norm(channels, groups=groups, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, num_heads=num_heads, context_dim=context_dim) for _ in range(depth)
        )
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def keys_values(self, context: Tensor) -> list[KeysValues]:
        """What every transformer block asks of the context (B, M, D); constant while the context is."""
        return [block.attn2.keys_values(context) for block in self.transformer_blocks]

    def forward(self, h: Tensor, keys_values: Sequence[KeysValues]) -> Tensor:
        """(B, C, H, W) → (B', C, H, W), where B' is the batch of ``keys_values``, a multiple of B."""
        tokens = self.proj_in(self.norm(h)).movedim(1, -1).flatten(1, 2)  # (B, H·W, C), no copy in channels_last
        for block, pair in zip(self.transformer_blocks, keys_values, strict=True):
            tokens = block(tokens, pair)
        out = self.proj_out(tokens.unflatten(1, h.shape[2:]).movedim(-1, 1))  # (B', C, H, W)
        return repeat_batch(h, len(out)) + out
