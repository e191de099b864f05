"""The UNets of the released models, under the names of their folders; LDM (Rombach et al. 2022), tables 12, 13 and 15.

Sizes are those of the released configurations, which differ from the tables in places (heads, for one).
"""

from ldm_lab.unet.config import UNetConfig


def celeba256() -> UNetConfig:
    """Faces without a condition; also the size of ``ffhq256`` and ``lsun_beds256``."""
    return UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=224,
        channel_mult=(1, 2, 3, 4),
        attention_levels=(1, 2, 3),
        head_channels=32,
    )


def lsun_churches256() -> UNetConfig:
    """Churches without a condition, in the manner of ADM."""
    return UNetConfig(
        channels=192,
        channel_mult=(1, 2, 2, 4, 4),
        attention_levels=(0, 1, 2, 3),
        num_heads=8,
        scale_shift_norm=True,
        resblock_updown=True,
    )


def cin256() -> UNetConfig:
    """ImageNet by class, in the latents of vq-f8."""
    return UNetConfig(
        channels=256, channel_mult=(1, 2, 4), attention_levels=(0, 1, 2), head_channels=32, context_dim=512
    )


def cin256_v2() -> UNetConfig:
    """ImageNet by class, in the latents of vq-f4; made for classifier-free guidance."""
    return UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=192,
        channel_mult=(1, 2, 3, 5),
        attention_levels=(1, 2, 3),
        num_heads=1,
        context_dim=512,
    )


def text2img256() -> UNetConfig:
    """Conceptual Captions."""
    return UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=192,
        channel_mult=(1, 2, 3, 5),
        attention_levels=(1, 2, 3),
        head_channels=32,
        context_dim=640,
    )


def txt2img_1p4b() -> UNetConfig:
    """LAION; the 1.45 billion parameters of the paper are this and its text transformer."""
    return UNetConfig(
        channels=320,
        channel_mult=(1, 2, 4, 4),
        attention_levels=(0, 1, 2),
        num_heads=8,
        context_dim=1280,
        gradient_checkpointing=True,
    )


def stable_diffusion_1() -> UNetConfig:
    """Versions 1.1 to 1.5: the same with the tokens of CLIP ViT-L/14."""
    return UNetConfig(
        channels=320,
        channel_mult=(1, 2, 4, 4),
        attention_levels=(0, 1, 2),
        num_heads=8,
        context_dim=768,
        gradient_checkpointing=True,
    )


def inpainting_big() -> UNetConfig:
    """Inpainting: latent, latent of the masked image and mask side by side."""
    return UNetConfig(
        in_channels=7,
        out_channels=3,
        channels=256,
        channel_mult=(1, 2, 3, 4),
        attention_levels=(1, 2, 3),
        num_heads=8,
        resblock_updown=True,
    )


def bsr_sr() -> UNetConfig:
    """Super-resolution: latent and small image side by side."""
    return UNetConfig(
        in_channels=6,
        out_channels=3,
        channels=160,
        channel_mult=(1, 2, 2, 4),
        attention_levels=(3,),
        head_channels=32,
    )


def layout2img_openimages256() -> UNetConfig:
    """Boxes as tokens."""
    return UNetConfig(
        in_channels=3,
        out_channels=3,
        channels=128,
        channel_mult=(1, 2, 3, 4),
        attention_levels=(1, 2, 3),
        head_channels=32,
        context_dim=512,
        transformer_depth=3,
    )


def semantic_synthesis256() -> UNetConfig:
    """Latent and small label map side by side; of the configured attention only that of the middle exists."""
    return UNetConfig(
        in_channels=6, out_channels=3, channels=128, channel_mult=(1, 4, 8), attention_levels=(), num_heads=8
    )


def rdm768() -> UNetConfig:
    """Retrieval-augmented: CLIP embeddings of the text and of similar images as tokens."""
    return UNetConfig(
        in_channels=16,
        out_channels=16,
        channels=448,
        channel_mult=(1, 2, 3, 4),
        attention_levels=(0, 1, 2),
        head_channels=32,
        context_dim=768,
        gradient_checkpointing=True,
    )
