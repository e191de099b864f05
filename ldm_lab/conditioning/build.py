"""From a config to a conditioner."""

from pathlib import Path

from tokenizers import Tokenizer
from torch import nn

from ldm_lab.conditioning.class_label import ClassLabel, ClassLabelConfig
from ldm_lab.conditioning.layout_transformer import LayoutTransformer, LayoutTransformerConfig
from ldm_lab.conditioning.low_resolution import LowResolutionImage, LowResolutionImageConfig
from ldm_lab.conditioning.masked_image import MaskedImage, MaskedImageConfig
from ldm_lab.conditioning.pretrained_text import PretrainedText, PretrainedTextConfig
from ldm_lab.conditioning.semantic_map import SemanticMap, SemanticMapConfig
from ldm_lab.conditioning.text_transformer import TextTransformer, TextTransformerConfig
from ldm_lab.conditioning.tokenizer import load_tokenizer
from ldm_lab.core.errors import ConfigError

ConditionerConfig = (
    ClassLabelConfig
    | TextTransformerConfig
    | PretrainedTextConfig
    | LayoutTransformerConfig
    | SemanticMapConfig
    | LowResolutionImageConfig
    | MaskedImageConfig
)

_CONDITIONERS: dict[type, type[nn.Module]] = {
    ClassLabelConfig: ClassLabel,
    PretrainedTextConfig: PretrainedText,
    LayoutTransformerConfig: LayoutTransformer,
    SemanticMapConfig: SemanticMap,
    LowResolutionImageConfig: LowResolutionImage,
    MaskedImageConfig: MaskedImage,
}


def check_first_stage(config: ConditionerConfig | None, *, latent_channels: int, factor: int) -> None:
    """Refuse a conditioner whose maps do not fit beside the latents of a first stage.

    Args:
        config: Which conditioner, and its sizes.
        latent_channels: Channels of a latent.
        factor: Side of an image over side of its latent.

    Raises:
        ConfigError: With both numbers.
    """
    if isinstance(config, SemanticMapConfig | LowResolutionImageConfig) and config.factor != factor:
        raise ConfigError(
            f"the conditioner concatenates maps {config.factor} times smaller than the image, but latents are {factor} "
            f"times smaller; make them equal"
        )
    if isinstance(config, MaskedImageConfig) and config.latent_channels != latent_channels:
        raise ConfigError(
            f"the conditioner has latent_channels={config.latent_channels}, the first stage {latent_channels}; make "
            f"them equal"
        )


def build_conditioner(
    config: ConditionerConfig | None, *, tokenizer: Tokenizer | str | Path | None = None
) -> nn.Module | None:
    """Build the conditioner that a config describes; None builds none.

    Args:
        config: Which conditioner, and its sizes.
        tokenizer: For a text transformer: the tokenizer or the path of its tokenizer.json.

    Raises:
        ConfigError: If a text transformer is given no tokenizer.
    """
    if config is None:
        return None
    if not isinstance(config, TextTransformerConfig):
        return _CONDITIONERS[type(config)](config)
    if tokenizer is None:
        raise ConfigError("a text transformer needs a tokenizer; pass train_tokenizer(captions) or a tokenizer.json")
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(tokenizer)
    return TextTransformer(config, tokenizer)
