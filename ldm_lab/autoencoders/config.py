"""What a first stage is built from."""

from dataclasses import dataclass, field

from ldm_lab.autoencoders.bottlenecks import KLConfig, VQConfig
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderConfig:
    """Sizes of an ``Autoencoder``; the defaults are the paper's kl-f4."""

    bottleneck: KLConfig | VQConfig = field(default_factory=KLConfig)
    image_channels: int = setting(3, help="Channels of an image", minimum=1, maximum=16)
    latent_channels: int = setting(3, help="Channels of a latent", minimum=1, maximum=256)
    channels: int = setting(128, help="Width of the first level", minimum=1, maximum=4096)
    channel_mult: tuple[int, ...] = setting((1, 2, 4), help="Width of each level, in channels", minimum=1, maximum=64)
    num_res_blocks: int = setting(2, help="Residual blocks a level; the decoder has one more", minimum=1, maximum=16)
    attention_levels: tuple[int, ...] = setting((), help="Levels with attention; 0 is the largest", minimum=0)
    mid_attention: bool = setting(True, help="Attention between the two middle blocks")
    norm_groups: int = setting(32, help="Groups of every group norm", minimum=1, maximum=1024)
    dropout: float = setting(0.0, help="Dropout in the residual blocks", minimum=0.0, maximum=0.9)
    scale_factor: float = setting(1.0, help="Multiplies raw latents, about 1/std; measured afterwards", minimum=1e-6)

    def __post_init__(self) -> None:
        check(self)
        if not 1 <= len(self.channel_mult) <= 8:
            raise ConfigError(f"channel_mult has {len(self.channel_mult)} levels; from 1 to 8 are accepted")
        if any(level >= len(self.channel_mult) for level in self.attention_levels):
            raise ConfigError(
                f"attention_levels {self.attention_levels} must be below {len(self.channel_mult)}, the number of levels"
            )
        odd = [width for width in self.widths if width % self.norm_groups]
        if odd:
            raise ConfigError(f"width {odd[0]} cannot be split into norm_groups={self.norm_groups}; choose a divisor")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, from the largest resolution to the smallest."""
        return tuple(self.channels * factor for factor in self.channel_mult)

    @property
    def downsampling_factor(self) -> int:
        """How many times smaller a side of the latent is; f in the paper."""
        return 2 ** (len(self.channel_mult) - 1)
