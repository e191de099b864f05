"""From a raw condition ``y`` (a prompt, a class, a layout, a picture) to the ``Conditioning`` that the UNet reads."""

from ldm_lab.conditioning.build import ConditionerConfig, build_conditioner
from ldm_lab.conditioning.class_label import ClassLabel, ClassLabelConfig
from ldm_lab.conditioning.conditioner import Conditioner, Prepared, drop_conditions
from ldm_lab.conditioning.layout_transformer import LayoutTransformer, LayoutTransformerConfig
from ldm_lab.conditioning.low_resolution import LowResolutionImage, LowResolutionImageConfig
from ldm_lab.conditioning.masked_image import MaskedImage, MaskedImageConfig
from ldm_lab.conditioning.pretrained_text import PretrainedText, PretrainedTextConfig
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.conditioning.semantic_map import SemanticMap, SemanticMapConfig
from ldm_lab.conditioning.text_transformer import TextTransformer, TextTransformerConfig
from ldm_lab.conditioning.tokenizer import load_tokenizer, train_tokenizer

__all__ = [
    "ClassLabel",
    "ClassLabelConfig",
    "Conditioner",
    "ConditionerConfig",
    "Conditioning",
    "LayoutTransformer",
    "LayoutTransformerConfig",
    "LowResolutionImage",
    "LowResolutionImageConfig",
    "MaskedImage",
    "MaskedImageConfig",
    "Prepared",
    "PretrainedText",
    "PretrainedTextConfig",
    "SemanticMap",
    "SemanticMapConfig",
    "TextTransformer",
    "TextTransformerConfig",
    "build_conditioner",
    "drop_conditions",
    "load_tokenizer",
    "train_tokenizer",
]
