import pytest
import torch

from ldm_lab.conditioning import LowResolutionImage, LowResolutionImageConfig, presets
from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import generator


def draw(height=4, width=6):
    return torch.rand(3, height, width, generator=generator(0)) * 2 - 1


@pytest.fixture
def model():
    return LowResolutionImage(LowResolutionImageConfig())


def test_images_are_concatenated_as_they_are(model):
    first, second = draw(), -draw()
    cond = model.encode([first, second])
    assert list(cond.parts()) == ["concat"]
    assert torch.equal(cond.concat, torch.stack([first, second]))
    assert (model.context_dim, model.vector_dim, model.concat_channels) == (None, None, 3)


def test_there_is_nothing_to_train_or_save(model):
    assert not list(model.parameters())
    assert not model.state_dict()


def test_conditions_are_made_where_the_module_is(model):
    assert model.to("meta").encode([draw()]).concat.device.type == "meta"


def test_the_released_model_makes_images_four_times_larger():
    assert presets.bsr_sr().factor == 4


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (draw() * 2, r"has values from -1\.\d+ to 1\.\d+; expected -1 to 1"),
        (draw() * torch.nan, "has values from nan to nan"),
        (draw()[None], r"torch.float32 of shape \(1, 3, 4, 6\); expected floats \(3, height, width\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), r"torch.uint8 of shape \(3, 4, 4\)"),
        (None, "condition 0 is None; this model needs a low-resolution image"),
    ],
)
def test_what_is_no_image_in_range_is_refused(model, image, message):
    with pytest.raises(RequestError, match=message):
        model.prepare([image])


def test_sizes_must_agree(model):
    with pytest.raises(RequestError, match="the low-resolution images of one batch are 6 x 4 and 6 x 8 pixels"):
        model.prepare([draw(), draw(8)])
