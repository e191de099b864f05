import numpy as np
import pytest
from PIL import Image

from ldm_lab.conditioning import ClassLabelConfig, MaskedImageConfig


@pytest.fixture(scope="session")
def picture():
    """A picture of the size that tiny models make."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def unconditional_model(make_tiny_model):
    return make_tiny_model(conditioner=None)


@pytest.fixture(scope="session")
def class_model(make_tiny_model):
    return make_tiny_model(conditioner=ClassLabelConfig(num_classes=3, width=8, names=("circle", "square", "star")))


@pytest.fixture(scope="session")
def inpainting_model(make_tiny_model):
    return make_tiny_model(conditioner=MaskedImageConfig(latent_channels=3))
