"""The first stage: an image becomes a latent that is f times smaller on each side, and comes back.

Structure of the paper's reference: residual blocks, attention in the middle (and at chosen levels), asymmetric padding
on the way down, nearest-neighbour doubling on the way up, 1×1 convolutions on both sides of the bottleneck. Parameter
names are those of diffusers.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.autoencoders.bottlenecks import Posterior, build_bottleneck
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.linear_preview import LinearPreview
from ldm_lab.core.errors import ShapeError
from ldm_lab.nn.attention import SelfAttention2d
from ldm_lab.nn.blocks import Downsample, ResidualBlock, Upsample, group_norm


class Autoencoder(nn.Module):
    """Encoder, bottleneck, decoder.

    Latents here are *raw*; ``LatentDiffusion`` multiplies them by ``config.scale_factor``.

    Attributes:
        linear_preview: Colours of raw latents without the decoder, once they are fitted; stored with the weights.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.linear_preview: LinearPreview | None = None
        self.quantize = build_bottleneck(config.bottleneck, config.latent_channels)
        moments = config.latent_channels * self.quantize.moments_per_channel
        self.encoder = Encoder(config, out_channels=moments)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(moments, moments, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def encode(self, x: Tensor) -> Posterior:
        """Images (B, 3, H, W) in [-1, 1] → posterior over raw latents (B, C, H/f, W/f).

        Raises:
            ShapeError: If a side is no multiple of f or the channels do not fit.
        """
        self._check_images(x)
        return self.quantize.posterior(self.quant_conv(self.encoder(x)))

    def decode(self, z_raw: Tensor) -> Tensor:
        """Raw latents (B, C, h, w) → images (B, 3, f·h, f·w), about [-1, 1] but not clamped; VQ quantises first."""
        if z_raw.ndim != 4 or z_raw.shape[1] != self.config.latent_channels:
            raise ShapeError(
                f"latents have shape {tuple(z_raw.shape)}; this decoder reads (batch, {self.config.latent_channels}, "
                "height, width)"
            )
        return self.decode_bottlenecked(self.quantize.to_decoder(z_raw))

    def decode_bottlenecked(self, z_decoder: Tensor) -> Tensor:
        """Decode what the bottleneck has already passed on; training calls it to keep the straight-through gradient."""
        return self.decoder(self.post_quant_conv(z_decoder))

    def decode_straight_through(self, z_raw: Tensor) -> Tensor:
        """As ``decode``, up to rounding, but gradients pass the codebook as if it were not there, as in training."""
        z_decoder = self.quantize.to_decoder(z_raw)
        return self.decode_bottlenecked(z_raw + (z_decoder - z_raw).detach())

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct images through the mode of their posterior."""
        return self.decode(self.encode(x).mode())

    def _check_images(self, x: Tensor) -> None:
        channels, factor = self.config.image_channels, self.config.downsampling_factor
        if x.ndim != 4 or x.shape[1] != channels or x.shape[2] % factor or x.shape[3] % factor:
            raise ShapeError(
                f"images have shape {tuple(x.shape)}; this encoder reads (batch, {channels}, height, width) with sides "
                f"that are multiples of {factor}"
            )


class Encoder(nn.Module):
    """Image → moments of the latent; each level but the last halves the resolution."""

    def __init__(self, config: AutoencoderConfig, *, out_channels: int) -> None:
        super().__init__()
        widths, groups = config.widths, config.norm_groups
        self.conv_in = nn.Conv2d(config.image_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Level(
                widths[max(level - 1, 0)],
                width,
                num_blocks=config.num_res_blocks,
                attention=level in config.attention_levels,
                resample=Downsample(width, asymmetric=True) if level < len(widths) - 1 else None,
                config=config,
            )
            for level, width in enumerate(widths)
        )
        self.mid_block = Middle(widths[-1], config)
        self.conv_norm_out = group_norm(widths[-1], groups=groups)
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, C, H/f, W/f)."""
        h = self.conv_in(x)
        for level in self.down_blocks:
            h = level(h)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(h))))


class Decoder(nn.Module):
    """Latent → image; one residual block more a level than the encoder, from the lowest resolution up."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.widths, config.norm_groups
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.latent_channels, widths[last], 3, padding=1)
        self.mid_block = Middle(widths[last], config)
        self.up_blocks = nn.ModuleList(
            Level(
                widths[min(level + 1, last)],
                widths[level],
                num_blocks=config.num_res_blocks + 1,
                attention=level in config.attention_levels,
                resample=Upsample(widths[level]) if level > 0 else None,
                config=config,
            )
            for level in range(last, -1, -1)
        )
        self.conv_norm_out = group_norm(widths[0], groups=groups)
        self.conv_out = nn.Conv2d(widths[0], config.image_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """(B, C, h, w) → (B, 3, f·h, f·w)."""
        h = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            h = level(h)
        return self.conv_out(F.silu(self.conv_norm_out(h)))


class Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention where asked for, then a change of resolution."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        num_blocks: int,
        attention: bool,
        resample: Downsample | Upsample | None,
        config: AutoencoderConfig,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResidualBlock(
                in_channels if i == 0 else channels, channels, groups=config.norm_groups, dropout=config.dropout
            )
            for i in range(num_blocks)
        )
        self.attentions = nn.ModuleList(
            SelfAttention2d(channels, groups=config.norm_groups) for _ in range(num_blocks if attention else 0)
        )
        self.downsamplers = nn.ModuleList([resample] if isinstance(resample, Downsample) else [])
        self.upsamplers = nn.ModuleList([resample] if isinstance(resample, Upsample) else [])

    def forward(self, h: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H', W')."""
        for index, resnet in enumerate(self.resnets):
            h = resnet(h)
            if len(self.attentions):
                h = self.attentions[index](h)
        for resample in (*self.downsamplers, *self.upsamplers):
            h = resample(h)
        return h


class Middle(nn.Module):
    """Residual block, single-head attention (unless the config leaves it out), residual block."""

    def __init__(self, channels: int, config: AutoencoderConfig) -> None:
        super().__init__()
        groups, dropout = config.norm_groups, config.dropout
        self.resnets = nn.ModuleList(
            ResidualBlock(channels, channels, groups=groups, dropout=dropout) for _ in range(2)
        )
        self.attentions = nn.ModuleList([SelfAttention2d(channels, groups=groups)] if config.mid_attention else [])

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h, w)."""
        h = self.resnets[0](h)
        for attention in self.attentions:
            h = attention(h)
        return self.resnets[1](h)
