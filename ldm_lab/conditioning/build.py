"""From a config to a conditioner."""

from pathlib import Path

from tokenizers import Tokenizer
from torch import nn

from ldm_lab.conditioning.class_label import ClassLabel, ClassLabelConfig
from ldm_lab.conditioning.pretrained_text import PretrainedText, PretrainedTextConfig
from ldm_lab.conditioning.text_transformer import TextTransformer, TextTransformerConfig
from ldm_lab.conditioning.tokenizer import load_tokenizer
from ldm_lab.core.errors import ConfigError

ConditionerConfig = ClassLabelConfig | TextTransformerConfig | PretrainedTextConfig


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
    if isinstance(config, ClassLabelConfig):
        return ClassLabel(config)
    if isinstance(config, PretrainedTextConfig):
        return PretrainedText(config)
    if tokenizer is None:
        raise ConfigError("a text transformer needs a tokenizer; pass train_tokenizer(captions) or a tokenizer.json")
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(tokenizer)
    return TextTransformer(config, tokenizer)
