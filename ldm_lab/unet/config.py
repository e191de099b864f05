"""What a UNet is built from."""

from dataclasses import dataclass

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """Sizes of a ``UNet``; the paper's are in ``ldm_lab.unet.presets``.

    The width of attention heads is given once: by ``num_heads`` or by ``head_channels``.
    """

    in_channels: int = setting(4, help="Channels of the latent and of what is concatenated to it", minimum=1)
    out_channels: int = setting(4, help="Channels of the prediction: those of the latent", minimum=1)
    channels: int = setting(192, help="Width of the first level", minimum=2, maximum=4096)
    channel_mult: tuple[int, ...] = setting((1, 2, 4), help="Width of each level, in channels", minimum=1, maximum=64)
    num_res_blocks: int = setting(2, help="Residual blocks a level; the way up has one more", minimum=1, maximum=16)
    attention_levels: tuple[int, ...] = setting((1, 2), help="Levels with attention; 0 is the largest", minimum=0)
    num_heads: int | None = setting(None, help="Heads of every attention", minimum=1)
    head_channels: int | None = setting(None, help="Width of every head", minimum=1)
    context_dim: int | None = setting(None, help="Width of the tokens of cross-attention; None: no tokens", minimum=1)
    transformer_depth: int = setting(1, help="Transformer blocks at each place", minimum=1, maximum=64)
    vector_dim: int | None = setting(None, help="Width of a vector added to the time embedding", minimum=1)
    coordinates: bool = setting(False, help="Show the network where in the image each place of the latent is")
    scale_shift_norm: bool = setting(False, help="Time scales and shifts (ADM) instead of being added (DDPM)")
    resblock_updown: bool = setting(False, help="Change the resolution in residual blocks (ADM), not in convolutions")
    dropout: float = setting(0.0, help="Dropout in the residual blocks", minimum=0.0, maximum=0.9)
    norm_groups: int = setting(32, help="Groups of every group norm", minimum=1, maximum=1024)
    gradient_checkpointing: bool = setting(False, help="Train with less memory: compute activations twice")

    def __post_init__(self) -> None:
        check(self)
        if not 1 <= len(self.channel_mult) <= 8:
            raise ConfigError(f"channel_mult has {len(self.channel_mult)} levels; from 1 to 8 are accepted")
        if any(level >= self.num_levels for level in self.attention_levels):
            raise ConfigError(
                f"attention_levels {self.attention_levels} must be below {self.num_levels}, the number of levels"
            )
        if self.channels % 2:
            raise ConfigError(f"channels is {self.channels}; it must be even, half cosines and half sines of the time")
        self._check_widths()

    def _check_widths(self) -> None:
        odd = [width for width in self.widths if width % self.norm_groups]
        if odd:
            raise ConfigError(f"width {odd[0]} cannot be split into norm_groups={self.norm_groups}; choose a divisor")
        if (self.num_heads is None) == (self.head_channels is None):
            raise ConfigError(
                f"num_heads is {self.num_heads} and head_channels is {self.head_channels}; give exactly one of them"
            )
        name, size = ("num_heads", self.num_heads) if self.num_heads else ("head_channels", self.head_channels)
        attended = {self.widths[level] for level in (*self.attention_levels, -1)}  # the middle always attends
        odd = sorted(width for width in attended if width % size)
        if odd:
            raise ConfigError(f"width {odd[0]} cannot be split into heads with {name}={size}; choose a divisor")

    @property
    def num_levels(self) -> int:
        """Number of resolutions."""
        return len(self.channel_mult)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, from the largest resolution to the smallest."""
        return tuple(self.channels * factor for factor in self.channel_mult)

    @property
    def embedding_dim(self) -> int:
        """Width of the time embedding."""
        return 4 * self.channels

    @property
    def side_factor(self) -> int:
        """Sides of a latent must be multiples of this, since every level but the last halves them."""
        return 2 ** (self.num_levels - 1)

    def heads_of(self, width: int) -> int:
        """Number of attention heads at a given width."""
        return self.num_heads or width // self.head_channels
