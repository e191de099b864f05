"""The conditioner that a data set calls for: its classes, its words."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ldm_lab.conditioning import (
    ClassLabelConfig,
    ConditionerConfig,
    TextTransformerConfig,
    build_conditioner,
    train_tokenizer,
)
from ldm_lab.core.errors import ConfigError
from ldm_lab.data.source import ImageSource, class_names, known_condition
from ldm_lab.unet.config import UNetConfig

LARGEST_VOCABULARY = 8192  # words of a data set of one's own that get a token


def conditioner_for(source: ImageSource, *, width: int | None) -> ConditionerConfig | None:
    """Class labels for class folders, a text transformer for captions, none for pictures alone.

    Args:
        source: The data set.
        width: Width of the UNet's context; None: the UNet reads no context, so that nothing is chosen.
    """
    kind = known_condition(source)
    if width is None or kind == "none":
        return None
    names = class_names(source)
    if kind == "class" and names is not None:
        return ClassLabelConfig(num_classes=len(names), names=names, width=width)
    return TextTransformerConfig(
        vocab_size=LARGEST_VOCABULARY, width=width, depth=4, num_heads=4, head_channels=max(8, width // 4)
    )


def build_for(
    source: ImageSource,
    config: ConditionerConfig | None,
    captions: Callable[[], Sequence[str]],
    *,
    tokenizer: Any = None,
) -> tuple[ConditionerConfig | None, Any]:
    """Build a conditioner; a text transformer gets a tokenizer and its true vocabulary size.

    Args:
        source: The data set.
        config: What to build.
        captions: Gives what a tokenizer is trained on, where there is none yet.
        tokenizer: That of the model from which training starts.

    Raises:
        ConfigError: If the number of classes is not that of the data set.
    """
    if isinstance(config, TextTransformerConfig):
        tokenizer = tokenizer or train_tokenizer(captions(), vocab_size=config.vocab_size)
        config = replace(config, vocab_size=tokenizer.get_vocab_size())
        return config, build_conditioner(config, tokenizer=tokenizer)
    names = class_names(source)
    if isinstance(config, ClassLabelConfig) and names is not None and config.num_classes != len(names):
        raise ConfigError(
            f"num_classes is {config.num_classes}, but the folder has {len(names)} classes; make them equal"
        )
    return config, build_conditioner(config)


def check_widths(unet: UNetConfig, conditioner: Any) -> None:
    """Refuse a UNet that cannot read what the conditioner says.

    Raises:
        ConfigError: With both widths.
    """
    for name in ("context_dim", "vector_dim"):
        given = getattr(conditioner, name, None)
        if given != getattr(unet, name):
            raise ConfigError(
                f"the UNet has {name}={getattr(unet, name)}, but the conditioner gives {given}; make them equal"
            )
