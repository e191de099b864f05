"""From a task and a data set to a conditioner: its classes, its words, the size of its maps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.conditioning import (
    ClassLabelConfig,
    ConditionerConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    PretrainedTextConfig,
    SemanticMapConfig,
    TextTransformerConfig,
    build_conditioner,
    train_tokenizer,
)
from ldm_lab.core.errors import ConfigError
from ldm_lab.data.source import (
    ConditionKind,
    ImageSource,
    class_names,
    conditions,
    largest_layout,
    map_class_names,
    vocabularies,
)
from ldm_lab.unet.config import UNetConfig

Task = Literal["unconditional", "class", "text", "layout", "semantic", "super-resolution", "inpainting"]
TASKS: tuple[Task, ...] = get_args(Task)
KIND_OF_TASK: dict[Task, ConditionKind] = {
    "unconditional": "none",
    "class": "class",
    "text": "caption",
    "layout": "layout",
    "semantic": "semantic",
    "super-resolution": "low-resolution",
    "inpainting": "masked",
}
KIND_OF_CONFIG: dict[type, ConditionKind] = {
    type(None): "none",
    ClassLabelConfig: "class",
    TextTransformerConfig: "caption",
    PretrainedTextConfig: "caption",
    LayoutTransformerConfig: "layout",
    SemanticMapConfig: "semantic",
    LowResolutionImageConfig: "low-resolution",
    MaskedImageConfig: "masked",
}
CONTEXT_KINDS = frozenset({"class", "caption", "layout"})  # read by cross-attention; these have a null condition
LARGEST_VOCABULARY = 8192  # words of a data set of one's own that get a token
MAP_CHANNELS = 8  # what a map of many classes becomes beside the latent


def conditioner_for(
    source: ImageSource, kind: ConditionKind, *, width: int | None, first_stage: AutoencoderConfig
) -> ConditionerConfig | None:
    """The conditioner of one kind for a data set.

    Args:
        source: The data set.
        kind: What it is to be conditioned on.
        width: Width of the UNet's context.
        first_stage: Whose latents what is concatenated lies beside.

    Raises:
        ConfigError: If the UNet reads no context and the kind needs one.
        DataError: If the data set does not have that kind.
    """
    factor = first_stage.downsampling_factor
    conditions(source, [0], kind=kind, factor=factor)  # says what is missing
    if kind == "none":
        return None
    if kind == "low-resolution":
        return LowResolutionImageConfig(factor=factor)
    if kind == "masked":
        return MaskedImageConfig(latent_channels=first_stage.latent_channels)
    if kind == "semantic":
        return _semantic_map(source, factor)
    if width is None:
        raise ConfigError(f"the UNet has context_dim=None, but a {kind} is read by cross-attention; give it a width")
    return {"class": _class_label, "layout": _layout_transformer, "caption": _text_transformer}[kind](source, width)


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
        ConfigError: If it does not know all classes or words of the data set.
    """
    if isinstance(config, TextTransformerConfig):
        tokenizer = tokenizer or train_tokenizer(captions(), vocab_size=config.vocab_size)
        config = replace(config, vocab_size=tokenizer.get_vocab_size())
        return config, build_conditioner(config, tokenizer=tokenizer)
    _check_classes(source, config)
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


def vector_width(config: ConditionerConfig | None) -> int | None:
    """Width of the vector that a conditioner adds to the time embedding; None: it adds none."""
    adds_vector = getattr(config, "pooled", False) or getattr(config, "target", "") == "vector"
    return config.width if adds_vector else None  # type: ignore[union-attr]  # such a one has a width


def _class_label(source: ImageSource, width: int) -> ClassLabelConfig:
    names = class_names(source)
    assert names is not None, "a data set with labels has names for them"
    return ClassLabelConfig(num_classes=len(names), names=names, width=width)


def _text_transformer(source: ImageSource, width: int) -> TextTransformerConfig:
    return TextTransformerConfig(vocab_size=LARGEST_VOCABULARY, **_transformer_sizes(width))


def _layout_transformer(source: ImageSource, width: int) -> LayoutTransformerConfig:
    words = vocabularies(source)
    assert words is not None, "a data set with boxes has names for them"
    return LayoutTransformerConfig(
        vocabularies=words,
        max_objects=largest_layout(source),
        **_transformer_sizes(width),
    )


def _transformer_sizes(width: int) -> dict[str, Any]:
    return {"width": width, "depth": 4, "num_heads": 4, "head_channels": max(8, width // 4), "pooled": True}


def _semantic_map(source: ImageSource, factor: int) -> SemanticMapConfig:
    names = map_class_names(source)
    assert names is not None, "a data set with maps has classes in them"
    return SemanticMapConfig(
        num_classes=len(names),
        names=names,
        channels=min(len(names), MAP_CHANNELS),
        num_halvings=factor.bit_length() - 1,
    )


def _check_classes(source: ImageSource, config: ConditionerConfig | None) -> None:
    if isinstance(config, ClassLabelConfig):
        _compare("num_classes", config.num_classes, class_names(source))
    elif isinstance(config, SemanticMapConfig):
        _compare("num_classes of the maps", config.num_classes, map_class_names(source))
    elif isinstance(config, LayoutTransformerConfig):
        _check_layouts(source, config)


def _check_layouts(source: ImageSource, config: LayoutTransformerConfig) -> None:
    known, found = config.vocabularies, vocabularies(source) or ()
    unknown = [word for given, words in zip(known, found, strict=False) for word in words if word not in given]
    if len(known) != len(found) or unknown:
        raise ConfigError(
            f"the vocabularies are {known}, but the data set calls its objects by {found}; let the task choose them"
        )
    if largest_layout(source) > config.max_objects:
        raise ConfigError(
            f"max_objects is {config.max_objects}, but a picture of the data set has {largest_layout(source)} objects; "
            "raise it"
        )


def _compare(name: str, given: int, names: tuple[str, ...] | None) -> None:
    if names is not None and given != len(names):
        raise ConfigError(f"{name} is {given}, but the data set has {len(names)} classes; make them equal")
