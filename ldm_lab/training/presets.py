"""Recipes by name: those of the shipped models, and starting points for a folder of your own."""

from collections.abc import Callable

from ldm_lab.autoencoders.bottlenecks import KLConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.conditioning import TextTransformerConfig
from ldm_lab.data.source import DataConfig
from ldm_lab.diffusion import ObjectiveConfig, ScheduleConfig
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.diffusion_stage import DiffusionRecipe
from ldm_lab.unet.config import UNetConfig


def shapes_kl_f4() -> AutoencoderRecipe:
    """The first stage of the built-in world: 64 px → 16×16×4, trained for faithful pixels, without a discriminator.

    Plain scenes have no texture that a discriminator could sharpen, and LPIPS needs a file that is not shipped.
    Windows of 32 px with something in them teach as much as whole scenes at a quarter of the cost.
    """
    return AutoencoderRecipe(
        data=DataConfig(crop=32),
        autoencoder=AutoencoderConfig(
            bottleneck=KLConfig(),
            latent_channels=4,
            channels=16,
            channel_mult=(1, 3, 6),
            num_res_blocks=1,
            norm_groups=2,  # wide groups let colours through: 8 groups were 2.5 dB behind after 300 steps
        ),
        objective=AutoencoderObjectiveConfig(
            pixel="l2",  # "l1" was 3.5 dB behind after 300 steps, still without colours
            perceptual="none",
            regularisation_weight=5e-4,  # keeps the latents near unit variance at no visible cost
            adversarial_weight=0.0,
        ),
        training=TrainingConfig(
            num_steps=5000,
            batch_size=16,
            learning_rate=1e-3,
            warmup_steps=200,
            decay="cosine",
            betas=(0.9, 0.99),
            ema_decay=0.999,
            save_every=250,
            sheet_every=250,
        ),
    )


def shapes_text() -> DiffusionRecipe:
    """Text to image in the built-in world: two levels, wide enough at the top for the detail of the latents."""
    return DiffusionRecipe(
        first_stage="shapes-kl-f4",
        num_examples=32_768,
        unet=UNetConfig(
            channels=64,
            channel_mult=(1, 2),
            num_res_blocks=1,
            attention_levels=(1,),
            head_channels=32,
            context_dim=128,
            norm_groups=4,
        ),
        conditioner=TextTransformerConfig(
            vocab_size=1000, max_tokens=28, width=128, depth=3, num_heads=4, head_channels=32
        ),
        schedule=ScheduleConfig(),
        objective=ObjectiveConfig(prediction="v", min_snr_gamma=None),
        training=TrainingConfig(
            num_steps=4800,
            batch_size=64,
            learning_rate=1.2e-3,
            warmup_steps=200,
            decay="cosine",
            betas=(0.9, 0.99),
            ema_decay=0.999,
            save_every=200,
            sheet_every=800,
        ),
    )


def own_autoencoder() -> AutoencoderRecipe:
    """A first stage for a folder of pictures: the paper's losses at a size that a laptop bears.

    Its perceptual distance needs no file; ``objective.perceptual="lpips"`` is better where the VGG16 of it is on disk.
    """
    return AutoencoderRecipe(
        autoencoder=AutoencoderConfig(
            latent_channels=4, channels=32, channel_mult=(1, 2, 4), num_res_blocks=1, norm_groups=8
        ),
        objective=AutoencoderObjectiveConfig(perceptual="random-features", adversarial_start=5000),
        training=TrainingConfig(
            num_steps=20_000, batch_size=8, learning_rate=2e-4, warmup_steps=200, betas=(0.5, 0.9), ema_decay=0.999
        ),
    )


def own_diffusion() -> DiffusionRecipe:
    """A diffusion model for a folder of pictures, by class or by caption, whichever the folder has."""
    return DiffusionRecipe(
        first_stage="runs/autoencoder-own/model",  # where ``ldm-lab train autoencoder --data`` leaves it
        unet=UNetConfig(
            channels=64,
            channel_mult=(1, 2, 4),
            attention_levels=(1, 2),
            head_channels=32,
            context_dim=256,
            norm_groups=16,
        ),
        conditioner="from-data",
        objective=ObjectiveConfig(prediction="v", min_snr_gamma=5.0),
        training=TrainingConfig(
            num_steps=50_000, batch_size=16, learning_rate=2e-4, warmup_steps=500, ema_decay=0.9995, sheet_every=1000
        ),
    )


AUTOENCODERS: dict[str, Callable[[], AutoencoderRecipe]] = {
    "shapes-kl-f4": shapes_kl_f4,
    "own": own_autoencoder,
}
DIFFUSION: dict[str, Callable[[], DiffusionRecipe]] = {"shapes-text": shapes_text, "own": own_diffusion}
