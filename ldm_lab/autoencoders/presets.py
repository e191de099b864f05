"""The paper's first stages, all for images of 256 pixels; LDM (Rombach et al. 2022), table 8.

``scale_factor`` stays 1: it belongs to the diffusion model that was trained on the latents.
"""

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig


def kl_f4() -> AutoencoderConfig:
    """KL, 64×64×3."""
    return AutoencoderConfig(latent_channels=3, channel_mult=(1, 2, 4))


def kl_f8() -> AutoencoderConfig:
    """KL, 32×32×4; the first stage of Stable Diffusion 1 has this size."""
    return AutoencoderConfig(latent_channels=4, channel_mult=(1, 2, 4, 4))


def kl_f16() -> AutoencoderConfig:
    """KL, 16×16×16."""
    return AutoencoderConfig(latent_channels=16, channel_mult=(1, 1, 2, 2, 4), attention_levels=(4,))


def kl_f32() -> AutoencoderConfig:
    """KL, 8×8×64."""
    return AutoencoderConfig(latent_channels=64, channel_mult=(1, 1, 2, 2, 4, 4), attention_levels=(4, 5))


def vq_f4() -> AutoencoderConfig:
    """VQ with 8,192 codes, 64×64×3."""
    return AutoencoderConfig(bottleneck=VQConfig(num_codes=8192), latent_channels=3, channel_mult=(1, 2, 4))


def vq_f4_noattn() -> AutoencoderConfig:
    """The same without any attention, for large images: its cost is that of convolutions."""
    return AutoencoderConfig(
        bottleneck=VQConfig(num_codes=8192), latent_channels=3, channel_mult=(1, 2, 4), mid_attention=False
    )


def vq_f8() -> AutoencoderConfig:
    """VQ with 16,384 codes, 32×32×4."""
    return AutoencoderConfig(
        bottleneck=VQConfig(num_codes=16384), latent_channels=4, channel_mult=(1, 2, 2, 4), attention_levels=(3,)
    )


def vq_f8_n256() -> AutoencoderConfig:
    """VQ with 256 codes, 32×32×4."""
    return AutoencoderConfig(
        bottleneck=VQConfig(num_codes=256), latent_channels=4, channel_mult=(1, 2, 2, 4), attention_levels=(3,)
    )


def vq_f16() -> AutoencoderConfig:
    """VQ with 16,384 codes, 16×16×8."""
    return AutoencoderConfig(
        bottleneck=VQConfig(num_codes=16384), latent_channels=8, channel_mult=(1, 1, 2, 2, 4), attention_levels=(4,)
    )
