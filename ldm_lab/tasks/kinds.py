"""What a model is conditioned on, in words: which tasks it can serve, and which shipped model serves the others."""

from dataclasses import dataclass

from ldm_lab.conditioning import (
    ClassLabelConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    PretrainedTextConfig,
    SemanticMapConfig,
    TextTransformerConfig,
)
from ldm_lab.core.errors import RequestError
from ldm_lab.model import LatentDiffusion


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of model.

    Attributes:
        configs: Conditioners that make it.
        words: What it is conditioned on; completes "a model that is …".
        shipped: The shipped model of this kind.
    """

    configs: tuple[type, ...]
    words: str
    shipped: str


TEXT = Kind((TextTransformerConfig, PretrainedTextConfig), "conditioned on text", "shapes-text")
CLASS = Kind((ClassLabelConfig,), "conditioned on class labels", "shapes-class")
UNCONDITIONAL = Kind((type(None),), "unconditional", "shapes-uncond")
LAYOUT = Kind((LayoutTransformerConfig,), "conditioned on layouts", "shapes-layout")
SEMANTIC = Kind((SemanticMapConfig,), "conditioned on semantic maps", "shapes-semantic")
LOW_RESOLUTION = Kind((LowResolutionImageConfig,), "conditioned on low-resolution images", "shapes-sr4")
MASKED = Kind((MaskedImageConfig,), "conditioned on masked images", "shapes-inpaint")
KINDS = (TEXT, CLASS, UNCONDITIONAL, LAYOUT, SEMANTIC, LOW_RESOLUTION, MASKED)


def kind_of(model: LatentDiffusion) -> Kind:
    """What the model is conditioned on."""
    config = type(model.config.conditioner)
    return next(kind for kind in KINDS if config in kind.configs)


def require(model: LatentDiffusion, *kinds: Kind, task: str) -> Kind:
    """The model's kind, which must be one of those that a task can work with.

    Raises:
        RequestError: Naming what kind of model is needed, and which shipped model is one.
    """
    kind = kind_of(model)
    if kind not in kinds:
        needed = " or ".join(f"{each.words} ({each.shipped})" for each in kinds)
        raise RequestError(f"{task.replace('_', ' ')} needs a model that is {needed}; this one is {kind.words}")
    return kind
