"""Recipes by name: those of the shipped models, and starting points for a folder of your own."""

from collections.abc import Callable
from dataclasses import replace

from ldm_lab.autoencoders.bottlenecks import KLConfig, VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.conditioning import (
    ClassLabelConfig,
    ConditionerConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    SemanticMapConfig,
    TextTransformerConfig,
)
from ldm_lab.data.scenes import CLASS_NAMES, COLORS, MAP_CLASS_NAMES, SHAPES
from ldm_lab.data.source import DataConfig
from ldm_lab.diffusion import ObjectiveConfig
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe
from ldm_lab.training.conditioner_choice import Task, vector_width
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.diffusion_recipe import DiffusionRecipe
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


def shapes_kl_f2() -> AutoencoderRecipe:
    """64 px → 32×32×4: hardly any compression, and four times the work for stage 2."""
    return _like_kl_f4(channel_mult=(1, 3))


def shapes_kl_f8() -> AutoencoderRecipe:
    """64 px → 8×8×4: a quarter of the numbers of f4."""
    return _like_kl_f4(channel_mult=(1, 3, 6, 6))


def shapes_vq_f4() -> AutoencoderRecipe:
    """64 px → 16×16 codes out of 256."""
    return _with_codebook(shapes_kl_f4(), num_codes=256)


def shapes_vq_f8() -> AutoencoderRecipe:
    """64 px → 8×8 codes out of 512: a scene in 64 numbers of 9 bits."""
    return _with_codebook(shapes_kl_f8(), num_codes=512)


def _like_kl_f4(*, channel_mult: tuple[int, ...]) -> AutoencoderRecipe:
    recipe = shapes_kl_f4()
    return replace(recipe, autoencoder=replace(recipe.autoencoder, channel_mult=channel_mult))


def _with_codebook(recipe: AutoencoderRecipe, *, num_codes: int) -> AutoencoderRecipe:
    """The same networks around a codebook; few codes, begun on the data, so that most of them are used."""
    bottleneck = VQConfig(num_codes=num_codes, beta_on="commitment")  # codes follow the encoder, which leads
    return replace(
        recipe,
        autoencoder=replace(recipe.autoencoder, bottleneck=bottleneck),
        objective=replace(recipe.objective, regularisation_weight=1.0),
        codebook="from-data",
    )


def shapes_text() -> DiffusionRecipe:
    """Text to image, where some things are needed for words to be heard (docs/training.md, "What was tried").

    The prompt as one vector: without it, shapes and colours were not heard in 90,000 images. For words of place,
    coordinates that the vector can scale: without both, such words were not heard in 130,000 images. For relations, an
    encoder that is told to which object each name refers; only captions that mention a place can teach it, so there are
    more of them than chance would give. For shapes and for which of two things is red, a UNet whose features are asked
    what is drawn where: without it, no outline was right after 300,000 images; with it, a fifth after 64,000 more.
    Words are heard above t = 500. Outlines are drawn below, which takes longest: hence the shift, and the second block
    a level.
    """
    text = TextTransformerConfig(
        vocab_size=1000, max_tokens=28, width=128, depth=3, num_heads=4, head_channels=32, pooled=True
    )
    recipe = _on_shapes(text, context_dim=128, tells_places=True)
    training = replace(recipe.training, num_steps=12_000, learning_rate=8e-4, save_every=250, sheet_every=1000)
    return replace(
        recipe,
        data=DataConfig(complete_captions=0.7),
        unet=replace(recipe.unet, num_res_blocks=2),
        grounding_weight=0.2,
        timestep_shift=0.6,
        sheet_guidance=2.0,  # right in 79 % of captions, where 1.6 is in 72 and 3 in 76
        training=training,
    )


def shapes_uncond() -> DiffusionRecipe:
    """Scenes, whichever."""
    return _on_shapes(None)


def shapes_class() -> DiffusionRecipe:
    """A scene whose first object is of one of 56 kinds, such as "red star"; heard by every block, with the time."""
    labels = ClassLabelConfig(num_classes=len(CLASS_NAMES), names=CLASS_NAMES, width=128, target="vector")
    return _on_shapes(labels)


def shapes_layout() -> DiffusionRecipe:
    """Up to four named, coloured boxes (scenes have one or two), whose corners lie on a grid of half the pixels.

    They are read in the middle alone, by two blocks: attention at every place of the lower level as well would make the
    model larger than 8 MB, or too narrow to begin as ``shapes-text``.
    """
    layout = LayoutTransformerConfig(
        vocabularies=(SHAPES, tuple(COLORS)),
        max_objects=4,
        grid=33,
        width=64,
        depth=2,
        num_heads=2,
        head_channels=32,
        pooled=True,
    )
    recipe = _on_shapes(layout, context_dim=64, tells_places=True)
    return replace(recipe, unet=replace(recipe.unet, attention_levels=(), transformer_depth=2))


def shapes_semantic() -> DiffusionRecipe:
    """A map of shapes, of which every class keeps a channel of its own; colours and ground are the model's choice."""
    classes = len(MAP_CLASS_NAMES)
    return _on_shapes(SemanticMapConfig(num_classes=classes, channels=classes, names=MAP_CLASS_NAMES))


def shapes_sr4() -> DiffusionRecipe:
    """16 px → 64 px, from small images made by bicubic resizing."""
    return _on_shapes(LowResolutionImageConfig(factor=4))


def shapes_inpaint() -> DiffusionRecipe:
    """A scene completed where a generated mask hides it."""
    return _on_shapes(MaskedImageConfig(latent_channels=4))


def _on_shapes(
    conditioner: ConditionerConfig | None, *, context_dim: int | None = None, tells_places: bool = False
) -> DiffusionRecipe:
    """A UNet of two levels over the latents of ``shapes_kl_f4``, wide at the top for their detail; any condition.

    One that tells places without showing them needs coordinates, and a vector that scales features.
    """
    beside = conditioner.concat_channels if conditioner else 0
    return DiffusionRecipe(
        first_stage="shapes-kl-f4",
        num_examples=32_768,
        unet=UNetConfig(
            in_channels=4 + beside,
            channels=64,
            channel_mult=(1, 2),
            num_res_blocks=1,
            attention_levels=(1,),
            head_channels=32,
            norm_groups=4,
            context_dim=context_dim,
            vector_dim=vector_width(conditioner),
            coordinates=tells_places,
            scale_shift_norm=True,
        ),
        conditioner=conditioner,
        condition_dropout=0.0 if beside else 0.1,
        recognition_weight=0.1,
        posterior="mode",  # the noise of draws is half of the error below t = 500, and learning it is no use
        objective=ObjectiveConfig(prediction="v", min_snr_gamma=None),
        training=TrainingConfig(
            num_steps=9600,
            batch_size=32,
            learning_rate=1e-3,
            optimiser="muon",
            warmup_steps=200,
            decay="cosine",
            betas=(0.9, 0.99),
            ema_decay=0.999,
            save_every=200,
            sheet_every=800,
        ),
    )


def emoji_kl_f4() -> AutoencoderRecipe:
    """The first stage of the emoji: 64 px → 16×16×4, with latents that look like small pictures (12 MB in 16 bits).

    Widths are multiples of 32, which a processor with AMX multiplies at once in bf16: a step takes a third of the time
    that it takes in fp32. Without such instructions, and without a GPU, ``precision="fp32"`` is faster.
    """
    recipe = shapes_kl_f4()
    return replace(
        recipe,
        data=DataConfig(world="emoji", crop=32),
        autoencoder=replace(recipe.autoencoder, channels=32),  # as fast to learn as 32, 64, 128, and goes further
        objective=replace(recipe.objective, half_size_weight=0.25, regularisation_weight=1e-3),
        training=replace(
            recipe.training, optimiser="muon", num_steps=8500, precision="bf16", save_every=500, sheet_every=500
        ),
    )


def emoji_vq_f4() -> AutoencoderRecipe:
    """64 px → 16×16 codes out of 1024: a drawing in 256 numbers of 10 bits."""
    return _with_codebook(emoji_kl_f4(), num_codes=1024)


def emoji_text() -> DiffusionRecipe:
    """Emoji from what is said of them: names, keywords, or both (23 MB in 16 bits).

    The vector of the prompt scales features and meets coordinates, as in ``shapes_text``. There are more drawings than
    words, and each has to be kept: hence the width. The store of latents holds every drawing about ten times, each
    time placed anew.
    """
    text = TextTransformerConfig(
        vocab_size=4096, max_tokens=32, width=192, depth=3, num_heads=6, head_channels=32, pooled=True
    )
    recipe = _on_shapes(text, context_dim=192, tells_places=True)
    training = replace(
        recipe.training, num_steps=20_000, batch_size=32, learning_rate=1e-3, precision="bf16", sheet_every=1000
    )
    return replace(
        recipe,
        data=DataConfig(world="emoji"),
        first_stage="emoji-kl-f4",
        recognition_weight=0.0,  # drawings have no boxes
        unet=replace(recipe.unet, channels=96),
        training=training,
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
    """A diffusion model for a folder of pictures: of the task that is asked for, or of what the folder says of them."""
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
    "shapes-kl-f2": shapes_kl_f2,
    "shapes-kl-f8": shapes_kl_f8,
    "shapes-vq-f4": shapes_vq_f4,
    "shapes-vq-f8": shapes_vq_f8,
    "emoji-kl-f4": emoji_kl_f4,
    "emoji-vq-f4": emoji_vq_f4,
    "own": own_autoencoder,
}
DIFFUSION: dict[str, Callable[[], DiffusionRecipe]] = {
    "shapes-text": shapes_text,
    "shapes-uncond": shapes_uncond,
    "shapes-class": shapes_class,
    "shapes-layout": shapes_layout,
    "shapes-semantic": shapes_semantic,
    "shapes-sr4": shapes_sr4,
    "shapes-inpaint": shapes_inpaint,
    "emoji-text": emoji_text,
    "own": own_diffusion,
}
PRESET_OF_TASK: dict[Task, str] = {  # on the built-in world
    "unconditional": "shapes-uncond",
    "class": "shapes-class",
    "text": "shapes-text",
    "layout": "shapes-layout",
    "semantic": "shapes-semantic",
    "super-resolution": "shapes-sr4",
    "inpainting": "shapes-inpaint",
}
