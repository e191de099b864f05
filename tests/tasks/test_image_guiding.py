import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_tensor
from ldm_lab.tasks import Pipeline

SMALL = Image.new("RGB", (4, 4), (230, 40, 40))


@pytest.fixture(scope="module")
def pipeline(make_tiny_model):
    model = make_tiny_model(conditioner=None, prediction="v")
    return Pipeline(model, defaults={"num_steps": 8, "sampler": "ddim"})


def gap(run, small=SMALL):
    made = torch.cat([to_tensor(image) for image in run.images])
    seen = F.interpolate(made, size=(small.height, small.width), mode="bicubic", antialias=True)
    return (seen - to_tensor(small)).square().mean().item()


def test_scale_0_is_the_plain_walk(pipeline):
    run = pipeline.image_guiding(SMALL, guide_scale=0.0, seeds=[1, 2])
    assert [i.tobytes() for i in run.images] == [i.tobytes() for i in pipeline.unconditional(seeds=[1, 2]).images]


def test_guiding_comes_closer_to_the_small_picture(pipeline):
    plain, guided = (pipeline.image_guiding(SMALL, guide_scale=scale, seeds=range(4)) for scale in (0.0, 2.0))
    assert gap(guided) < 0.8 * gap(plain)


def test_it_leaves_no_gradients(pipeline):
    run = pipeline.image_guiding(SMALL, seeds=[1])
    assert not run.trajectory[-1].z_next.requires_grad
    assert all(parameter.grad is None for parameter in pipeline.model.parameters())


def test_a_picture_larger_than_the_images_is_refused(pipeline):
    with pytest.raises(RequestError, match="the small picture has 20 x 4 pixels, the images 16 x 16"):
        pipeline.image_guiding(Image.new("RGB", (20, 4)))


def test_a_text_model_follows_its_prompt_beside_the_picture(tiny_model):
    pipeline = Pipeline(tiny_model, defaults={"num_steps": 8, "sampler": "ddim"})
    asked = {"prompt": "a red circle", "seeds": [1]}
    unguided = pipeline.image_guiding(SMALL, guide_scale=0.0, **asked)
    assert unguided.images[0].tobytes() == pipeline.text_to_image(**asked).images[0].tobytes()
    assert gap(pipeline.image_guiding(SMALL, guide_scale=2.0, **asked)) < gap(unguided)


def test_a_model_of_another_kind_is_refused(layout_model):
    with pytest.raises(
        RequestError, match="image guiding needs a model that is .*; this one is conditioned on layouts"
    ):
        Pipeline(layout_model).image_guiding(SMALL)
