import numpy as np
import pytest
from PIL import Image

from ldm_lab.tasks import Origin, Pipeline, TextToImageSettings


def ask(**values):
    asked = {"prompt": "a large red circle", "num_steps": 4, "sampler": "ddim", "seeds": [1], "guidance_scale": 3.0}
    return TextToImageSettings.of(**(asked | values))


@pytest.fixture
def settings():
    return ask


@pytest.fixture
def pipeline(tiny_model):
    """The model of ``session``, without one."""
    return Pipeline(tiny_model, origin=Origin(name="tiny"))


@pytest.fixture(scope="session")
def picture():
    """A picture of the size that tiny models make."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
