"""From a raw condition ``y`` (a prompt, a class) to the ``Conditioning`` that the UNet reads."""

from ldm_lab.conditioning.build import ConditionerConfig, build_conditioner
from ldm_lab.conditioning.class_label import ClassLabel, ClassLabelConfig
from ldm_lab.conditioning.conditioner import Conditioner, Prepared, drop_conditions
from ldm_lab.conditioning.pretrained_text import PretrainedText, PretrainedTextConfig
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.conditioning.text_transformer import TextTransformer, TextTransformerConfig
from ldm_lab.conditioning.tokenizer import load_tokenizer, train_tokenizer

__all__ = [
    "ClassLabel",
    "ClassLabelConfig",
    "Conditioner",
    "ConditionerConfig",
    "Conditioning",
    "Prepared",
    "PretrainedText",
    "PretrainedTextConfig",
    "TextTransformer",
    "TextTransformerConfig",
    "build_conditioner",
    "drop_conditions",
    "load_tokenizer",
    "train_tokenizer",
]
