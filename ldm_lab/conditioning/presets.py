"""The conditioners of the released models, under the names of their folders; LDM (Rombach et al. 2022), appendix E.

The UNets that read them have the same names in ``ldm_lab.unet.presets``. Unconditional models have none; ``rdm768``
reads embeddings that are made elsewhere.
"""

from collections.abc import Sequence

from ldm_lab.conditioning.class_label import ClassLabelConfig
from ldm_lab.conditioning.layout_transformer import LayoutTransformerConfig
from ldm_lab.conditioning.low_resolution import LowResolutionImageConfig
from ldm_lab.conditioning.masked_image import MaskedImageConfig
from ldm_lab.conditioning.semantic_map import SemanticMapConfig
from ldm_lab.conditioning.text_transformer import TextTransformerConfig

BERT_VOCABULARY = 30_522  # tokens of bert-base-uncased, whose tokenizer the text models use


def cin256_v2() -> ClassLabelConfig:
    """The classes of ImageNet and "no class"; ``cin256`` is the same without the latter."""
    return ClassLabelConfig(num_classes=1000, width=512)


def text2img256() -> TextTransformerConfig:
    """Captions of Conceptual Captions."""
    return TextTransformerConfig(vocab_size=BERT_VOCABULARY, width=640)


def txt2img_1p4b() -> TextTransformerConfig:
    """Captions of LAION."""
    return TextTransformerConfig(vocab_size=BERT_VOCABULARY, width=1280)


def layout2img_openimages256(classes: Sequence[str]) -> LayoutTransformerConfig:
    """Boxes of OpenImages: up to 30, corners on a grid of 90 × 90, the words being those of the caller."""
    return LayoutTransformerConfig(vocabularies=(tuple(classes),), max_objects=30, grid=90, width=512, depth=16)


def semantic_synthesis256() -> SemanticMapConfig:
    """Landscapes from maps of 182 classes; also the size of ``semantic_synthesis512``."""
    return SemanticMapConfig(num_classes=182, channels=3, num_halvings=2)


def bsr_sr() -> LowResolutionImageConfig:
    """Images of a quarter of the side."""
    return LowResolutionImageConfig(factor=4)


def inpainting_big() -> MaskedImageConfig:
    """Holes in pictures, in the latents of vq-f4 without attention."""
    return MaskedImageConfig(latent_channels=3)
