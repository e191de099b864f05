import copy

import numpy as np
import pytest
from PIL import Image

from ldm_lab.conditioning import (
    ClassLabelConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    SemanticMapConfig,
)


@pytest.fixture(scope="session")
def picture():
    """A picture of the size that tiny models make."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def exact_model(tiny_model):
    """The text model in float64, in which kernels that sum in another order agree; its latents grow to hundreds."""
    return copy.deepcopy(tiny_model).double()


@pytest.fixture(scope="session")
def unconditional_model(make_tiny_model):
    return make_tiny_model(conditioner=None)


@pytest.fixture(scope="session")
def class_model(make_tiny_model):
    return make_tiny_model(conditioner=ClassLabelConfig(num_classes=3, width=8, names=("circle", "square", "star")))


@pytest.fixture(scope="session")
def inpainting_model(make_tiny_model):
    return make_tiny_model(conditioner=MaskedImageConfig(latent_channels=3))


@pytest.fixture(scope="session")
def layout_model(make_tiny_model):
    words = (("circle", "star"), ("red", "blue"))
    sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
    return make_tiny_model(conditioner=LayoutTransformerConfig(vocabularies=words, **sizes))


@pytest.fixture(scope="session")
def semantic_model(make_tiny_model):
    return make_tiny_model(conditioner=SemanticMapConfig(num_classes=4, num_halvings=1))


@pytest.fixture(scope="session")
def upscaling_model(make_tiny_model):
    return make_tiny_model(conditioner=LowResolutionImageConfig(factor=2))
