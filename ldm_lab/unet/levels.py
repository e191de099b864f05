"""The levels of a UNet: residual blocks and attention of one resolution, then a change of resolution.

A level owns its blocks and their order. How a block is called, and what it is told besides the feature map, is decided
by the ``visit`` that the UNet hands down.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ldm_lab.nn.attention import SelfAttention2d
from ldm_lab.nn.blocks import Downsample, Resample, ResidualBlock, Upsample, repeat_batch
from ldm_lab.unet.config import UNetConfig
from ldm_lab.unet.transformer import SpatialTransformer

NORM_EPS = 1e-5  # of all residual blocks and plain attention; a spatial transformer has 1e-6

Visit = Callable[[nn.Module, Tensor], Tensor]


class DownLevel(nn.Module):
    """Blocks at one resolution, then half of it."""

    def __init__(self, config: UNetConfig, level: int) -> None:
        super().__init__()
        width, before = config.widths[level], config.widths[max(level - 1, 0)]
        inputs = [before] + [width] * (config.num_res_blocks - 1)
        self.resnets = nn.ModuleList(residual_block(config, channels, width) for channels in inputs)
        self.attentions = attentions(config, level, count=len(inputs))
        last = level == config.num_levels - 1
        self.downsamplers = nn.ModuleList([] if last else [resampling_block(config, width, "down")])

    def forward(self, h: Tensor, visit: Visit) -> list[Tensor]:
        """(B, C_in, H, W) → the feature map after every step, for the way up; the last one goes on."""
        outputs = []
        for blocks in [*in_steps(self.resnets, self.attentions), *in_steps(self.downsamplers)]:
            for block in blocks:
                h = visit(block, h)
            outputs.append(h)
        return outputs


class UpLevel(nn.Module):
    """Blocks at one resolution, each beside a feature map from the way down, then twice the resolution."""

    def __init__(self, config: UNetConfig, level: int) -> None:
        super().__init__()
        width, blocks = config.widths[level], config.num_res_blocks
        incoming = [config.widths[min(level + 1, config.num_levels - 1)]] + [width] * blocks
        beside = [width] * blocks + [config.widths[max(level - 1, 0)]]
        inputs = [sum(pair) for pair in zip(incoming, beside, strict=True)]
        self.resnets = nn.ModuleList(residual_block(config, channels, width) for channels in inputs)
        self.attentions = attentions(config, level, count=len(inputs))
        self.upsamplers = nn.ModuleList([resampling_block(config, width, "up")] if level else [])

    def forward(self, h: Tensor, skips: list[Tensor], visit: Visit) -> Tensor:
        """(B, C_in, H, W) → (B, C, H', W'); ``skips`` are one feature map for each residual block."""
        for blocks, skip in zip(in_steps(self.resnets, self.attentions), skips, strict=True):
            h = torch.cat([h, repeat_batch(skip, len(h))], dim=1)
            for block in blocks:
                h = visit(block, h)
        for block in self.upsamplers:
            h = visit(block, h)
        return h


class Middle(nn.Module):
    """Residual block, attention, residual block at the lowest resolution."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.resnets = nn.ModuleList(residual_block(config, width, width) for _ in range(2))
        self.attentions = nn.ModuleList([attention_block(config, width)])

    def forward(self, h: Tensor, visit: Visit) -> Tensor:
        """(B, C, h, w) → (B, C, h, w)."""
        for block in (self.resnets[0], self.attentions[0], self.resnets[1]):
            h = visit(block, h)
        return h


def in_steps(*columns: nn.ModuleList) -> list[tuple[nn.Module, ...]]:
    """Blocks that are visited one after the other between two skips; a column that is empty takes no part."""
    return list(zip(*(column for column in columns if len(column)), strict=True))


def residual_block(
    config: UNetConfig, in_channels: int, out_channels: int, *, resample: Resample | None = None
) -> ResidualBlock:
    """A residual block that the time embedding modulates."""
    return ResidualBlock(
        in_channels,
        out_channels,
        embedding_channels=config.embedding_dim,
        groups=config.norm_groups,
        eps=NORM_EPS,
        dropout=config.dropout,
        scale_shift=config.scale_shift_norm,
        resample=resample,
    )


def resampling_block(config: UNetConfig, width: int, direction: Resample) -> nn.Module:
    """What halves or doubles the resolution: a convolution, or a residual block in the manner of ADM."""
    if config.resblock_updown:
        return residual_block(config, width, width, resample=direction)
    return Downsample(width) if direction == "down" else Upsample(width)


def attentions(config: UNetConfig, level: int, *, count: int) -> nn.ModuleList:
    """The attention of a level: ``count`` blocks, or none."""
    count = count if level in config.attention_levels else 0
    return nn.ModuleList(attention_block(config, config.widths[level]) for _ in range(count))


def attention_block(config: UNetConfig, width: int) -> SelfAttention2d | SpatialTransformer:
    """A spatial transformer where there is a context to read, plain self-attention where there is none."""
    heads, groups = config.heads_of(width), config.norm_groups
    if config.context_dim is None:
        return SelfAttention2d(width, num_heads=heads, groups=groups, eps=NORM_EPS)
    depth, context_dim = config.transformer_depth, config.context_dim
    return SpatialTransformer(width, num_heads=heads, context_dim=context_dim, depth=depth, groups=groups)
